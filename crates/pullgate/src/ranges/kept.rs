//! `ranges.json` in `runtime.state_dir`: the last good list, for a start while the feed does not answer.
//!
//! What stands in it decides who is let in. So it is believed only where nobody but this user, or root, can have written it, it is whole,
//! it is of the feed that is configured, and it passes the gate that every list passes.

use super::Known;
use crate::state_dir::{self, StateDirError, is_private};
use ipnet::IpNet;
use pullgate_config::{RangesFeed, RangesSource};
use pullgate_metrics::RangesOrigin;
use pullgate_policy::origin_pull::hex;
use pullgate_policy::ranges::{Learnt, Leaving, UnfitList};
use rustix::fs::OFlags;
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The file's name.
pub(super) const NAME: &str = "ranges.json";

/// Bytes of the file; four thousand prefixes have a quarter of that.
const LARGEST: u64 = 1024 * 1024;

/// A record that is not used, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] StateDirError),
    /// The file cannot be read or written.
    #[error("{NAME}")]
    File(#[source] io::Error),
    /// Somebody else can have written it.
    #[error("{NAME} is no plain file that only the gateway's user, or root, can write")]
    NotOurs,
    /// It was cut, or changed by hand.
    #[error("{NAME} is damaged")]
    Damaged,
    /// It holds what no list may.
    #[error("{NAME}")]
    Unfit(#[from] UnfitList),
}

/// The file: a record, and the SHA-256 of how it is written, which shows a torn write.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sha256: String,
    record: Record,
}

/// Times are seconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    url: String,
    networks: Vec<String>,
    fetched: u64,
    tag: Option<String>,
    etag: Option<String>,
    prefixes: Vec<IpNet>,
    leaving: Vec<Removed>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Removed {
    prefix: IpNet,
    until: u64,
}

/// What an earlier process learnt from a feed; nothing where there is no record, or one of another feed.
pub(super) fn read(folder: &Path, feed: &RangesFeed, now: UnixTime) -> Result<Option<Known>, KeptError> {
    let Some(bytes) = bytes(folder)? else { return Ok(None) };
    let Sealed { sha256, record } = serde_json::from_slice(&bytes).map_err(|_| KeptError::Damaged)?;
    if sha256 != seal(&record)? {
        return Err(KeptError::Damaged);
    }
    let Record { url, networks, fetched, tag, etag, prefixes, leaving } = record;
    if (url, networks) != identity(feed) {
        return Ok(None);
    }
    let leaving = leaving.iter().map(|Removed { prefix, until }| Leaving { network: *prefix, until: at(*until) });
    let learnt = Learnt::resume(prefixes, leaving.collect(), now, feed.removal_grace)?;
    // A clock that was ahead must not keep the list young.
    let since = at(fetched).min(now);
    let (source, extra) = (RangesSource::Api(feed.clone()), Vec::new());
    Ok(Some(Known { source, extra, origin: RangesOrigin::LastGood, learnt, tag, etag, since }))
}

fn bytes(folder: &Path) -> Result<Option<Vec<u8>>, KeptError> {
    // Neither through a link that somebody left, nor waiting for the other end of a pipe.
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits();
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(flags.cast_signed()).open(folder.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(KeptError::File)?,
    };
    let found = file.metadata().map_err(KeptError::File)?;
    let around = std::fs::metadata(folder).map_err(KeptError::File)?;
    if !found.is_file() || !is_private(&found) || !is_private(&around) {
        return Err(KeptError::NotOurs);
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(KeptError::File)?;
    Ok(Some(bytes))
}

/// Writes down what is known, whole or not at all: beside the old file, then in its place.
pub(super) fn write(folder: &Path, known: &Known) -> Result<(), KeptError> {
    let RangesSource::Api(feed) = &known.source else { return Ok(()) };
    state_dir::open(folder)?;
    let (url, networks) = identity(feed);
    let removed = |leaving: &Leaving| Removed { prefix: leaving.network, until: leaving.until.as_secs() };
    let record = Record {
        url,
        networks,
        fetched: known.since.as_secs(),
        tag: known.tag.clone(),
        etag: known.etag.clone(),
        prefixes: known.learnt.list().to_vec(),
        leaving: known.learnt.leaving().iter().map(removed).collect(),
    };
    let sealed = Sealed { sha256: seal(&record)?, record };
    let text = serde_json::to_vec_pretty(&sealed).map_err(|_| KeptError::Damaged)?;
    replace(folder, &text).map_err(KeptError::File)
}

fn replace(folder: &Path, text: &[u8]) -> io::Result<()> {
    // A temporary file is for its owner alone (mode 0600), and gone again if this fails.
    let mut file = tempfile::Builder::new().prefix(".ranges-").tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(NAME)).map_err(|error| error.error)?;
    // The name is the folder's, and lasts when the folder does.
    File::open(folder)?.sync_all()
}

/// What a record belongs to.
fn identity(feed: &RangesFeed) -> (String, Vec<String>) {
    (feed.url.to_string(), feed.partners.iter().map(|partner| partner.label().to_owned()).collect())
}

fn seal(record: &Record) -> Result<String, KeptError> {
    let text = serde_json::to_vec(record).map_err(|_| KeptError::Damaged)?;
    Ok(hex(&Sha256::digest(text)))
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
