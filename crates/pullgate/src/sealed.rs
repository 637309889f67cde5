//! Records in `runtime.state_dir` with a seal: the SHA-256 of how a record is written, which shows a torn write and a change by hand.

use pullgate_policy::origin_pull::hex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<Record> {
    sha256: String,
    record: Record,
}

/// The text of a record with its seal; none where the record cannot be written as JSON.
pub(crate) fn write<Record: Serialize>(record: Record) -> Option<Vec<u8>> {
    let sha256 = seal(&record)?;
    serde_json::to_vec_pretty(&Sealed { sha256, record }).ok()
}

/// The record of such a text; none where the text is another, or the seal is broken.
pub(crate) fn read<Record: Serialize + DeserializeOwned>(text: &[u8]) -> Option<Record> {
    let Sealed { sha256, record } = serde_json::from_slice(text).ok()?;
    (Some(sha256) == seal(&record)).then_some(record)
}

fn seal<Record: Serialize>(record: &Record) -> Option<String> {
    Some(hex(&Sha256::digest(serde_json::to_vec(record).ok()?)))
}
