//! `access-keys-TEAM.json` in `runtime.state_dir`: the last good keys of a team, for a start while it does not answer.
//!
//! What stands in it decides who is let in. So it is believed only where nobody but this user, or root, can have written it, it is whole, it
//! is of the address that is configured, and its keys are ones that would be taken from there.

use crate::sealed;
use crate::state_dir::{self, StateFileError};
use pullgate_policy::access::{Key, KeyFeed, KeySet, Team, TeamKeys, UnfitKeys};
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the file; the most keys that a team may have take less.
const LARGEST: u64 = 256 * 1024;

/// A record that is not used, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptError {
    /// The file, or the folder around it.
    #[error("{0}")]
    File(String, #[source] StateFileError),
    /// It was cut, or changed by hand.
    #[error("{0} is damaged")]
    Damaged(String),
    /// It holds what no team could have told.
    #[error("{0}")]
    Unfit(String, #[source] UnfitKeys),
}

/// `fetched` is in seconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    team: String,
    url: String,
    fetched: u64,
    keys: Vec<Written>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kid: String,
    n: String,
    e: String,
}

fn name(team: &Team) -> String {
    format!("access-keys-{team}.json")
}

/// What an earlier process learnt; nothing where there is no record, or one of another address.
pub(super) fn read(folder: &Path, feed: &KeyFeed, now: UnixTime) -> Result<Option<Arc<TeamKeys>>, KeptError> {
    let name = name(&feed.team);
    let damaged = || KeptError::Damaged(name.clone());
    let bytes = state_dir::read(folder, &name, LARGEST).map_err(|error| KeptError::File(name.clone(), error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let Record { team, url, fetched, keys } = sealed::read(&bytes).ok_or_else(damaged)?;
    if (team.as_str(), url) != (feed.team.as_str(), feed.url.to_string()) {
        return Ok(None);
    }
    let keys = keys.iter().map(|Written { kid, n, e }| Key::new(kid, n, e)).collect::<Result<_, _>>();
    let set = keys.and_then(KeySet::new).map_err(|unfit| KeptError::Unfit(name.clone(), unfit))?;
    // A clock that was ahead must not keep the keys young.
    let fetched = UnixTime::since_unix_epoch(Duration::from_secs(fetched)).min(now);
    Ok(Some(Arc::new(TeamKeys { set, fetched })))
}

/// Writes down what is known, whole or not at all.
pub(super) fn write(folder: &Path, feed: &KeyFeed, known: &TeamKeys) -> Result<(), KeptError> {
    let name = name(&feed.team);
    let written = |key: &Key| Written { kid: key.id().to_owned(), n: key.modulus(), e: key.exponent() };
    let record = Record {
        team: feed.team.to_string(),
        url: feed.url.to_string(),
        fetched: known.fetched.as_secs(),
        keys: known.set.keys().iter().map(written).collect(),
    };
    let text = sealed::write(record).ok_or_else(|| KeptError::Damaged(name.clone()))?;
    state_dir::write(folder, &name, &text).map_err(|error| KeptError::File(name.clone(), error))
}
