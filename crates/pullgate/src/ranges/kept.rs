//! `ranges.json` in `runtime.state_dir`: the last good list, for a start while the feed does not answer.
//!
//! What stands in it decides who is let in. So it is believed only where nobody but this user, or root, can have written it, it is whole,
//! it is of the feed that is configured, and it passes the gate that every list passes.

use super::Known;
use crate::sealed;
use crate::state_dir::{self, StateFileError};
use ipnet::IpNet;
use pullgate_config::{RangesFeed, RangesSource};
use pullgate_metrics::RangesOrigin;
use pullgate_policy::ranges::{Learnt, Leaving, UnfitList};
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// The file's name.
pub(super) const NAME: &str = "ranges.json";

/// Bytes of the file; four thousand prefixes have a quarter of that.
const LARGEST: u64 = 1024 * 1024;

/// A record that is not used, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// The file, or the folder around it.
    #[error("{NAME}")]
    File(#[from] StateFileError),
    /// It was cut, or changed by hand.
    #[error("{NAME} is damaged")]
    Damaged,
    /// It holds what no list may.
    #[error("{NAME}")]
    Unfit(#[from] UnfitList),
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
    let Some(bytes) = state_dir::read(folder, NAME, LARGEST)? else { return Ok(None) };
    let record = sealed::read(&bytes).ok_or(KeptError::Damaged)?;
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

/// Writes down what is known, whole or not at all.
pub(super) fn write(folder: &Path, known: &Known) -> Result<(), KeptError> {
    let RangesSource::Api(feed) = &known.source else { return Ok(()) };
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
    let text = sealed::write(record).ok_or(KeptError::Damaged)?;
    Ok(state_dir::write(folder, NAME, &text)?)
}

/// What a record belongs to.
fn identity(feed: &RangesFeed) -> (String, Vec<String>) {
    (feed.url.to_string(), feed.partners.iter().map(|partner| partner.label().to_owned()).collect())
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
