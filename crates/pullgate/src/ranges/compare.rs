//! `pullgate ranges diff`: fetches the list and says what it would change, and whether the gate would let it.

use super::report::{RangesReport, RangesReportError, ranges_in_force};
use crate::world::System;
use ipnet::IpNet;
use pullgate_cloudflare::{ClientError, FetchError, Fetched};
use pullgate_config::{Config, RangesFeed, RangesSource};
use serde::Serialize;
use std::fmt;
use std::io;

/// What the published list would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where it was fetched.
    pub url: String,
    /// What Cloudflare calls it.
    pub etag: Option<String>,
    /// Whether a gateway runs that it was compared with, or what a start would begin with.
    pub running: bool,
    /// Prefixes that would count.
    pub added: Vec<IpNet>,
    /// Prefixes that would count no more, after their grace.
    pub removed: Vec<IpNet>,
    /// Prefixes that are leaving and would stay.
    pub back: Vec<IpNet>,
    /// Why the list would not be taken; none where it would.
    pub refused: Option<String>,
}

/// A comparison that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DifferenceError {
    /// What is in force cannot be known.
    #[error(transparent)]
    Report(#[from] RangesReportError),
    /// Nothing can fetch.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No threads.
    #[error("runtime cannot be started")]
    Runtime(#[source] io::Error),
    /// There is no list to compare with.
    #[error("the list cannot be fetched from {0}")]
    Fetch(String, #[source] FetchError),
}

/// Fetches the list as the configuration says, Cloudflare's own where it says nothing, and compares it with what is in force.
///
/// # Errors
/// When there is no answer, or what is in force is not known.
pub fn difference(config: &Config, system: &System) -> Result<Difference, DifferenceError> {
    let in_force = ranges_in_force(config, system)?;
    let feed = match &config.cloudflare.source {
        RangesSource::Api(feed) => feed.clone(),
        RangesSource::Builtin | RangesSource::File(_) => RangesFeed::default(),
    };
    let client = system.client()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DifferenceError::Runtime)?;
    let fetched = runtime.block_on(client.ranges(&feed.url, &feed.partners, None));
    // A resolver that hangs has had its time.
    runtime.shutdown_background();
    Difference::between(&in_force, &feed, fetched)
}

impl Difference {
    fn between(
        in_force: &RangesReport,
        feed: &RangesFeed,
        fetched: Result<Fetched, FetchError>,
    ) -> Result<Self, DifferenceError> {
        let url = feed.url.to_string();
        let running = in_force.running;
        let nothing = |refused| Self {
            url: url.clone(),
            etag: None,
            running,
            added: vec![],
            removed: vec![],
            back: vec![],
            refused,
        };
        let published = match fetched {
            Ok(Fetched::List { published, tag: _ }) => published,
            // Nothing was asked with a tag.
            Ok(Fetched::Unchanged) => return Ok(nothing(None)),
            Err(FetchError::Unfit(unfit)) => return Ok(nothing(Some(unfit.to_string()))),
            Err(error) => return Err(DifferenceError::Fetch(url, error)),
        };
        let learnt = in_force.learnt();
        let change = learnt.compare(&published.networks);
        let refused = learnt.admit(published.networks).err().map(|unfit| unfit.to_string());
        let (added, removed, back) = (change.added, change.removed, change.back);
        Ok(Self { etag: published.etag, added, removed, back, ..nothing(refused) })
    }

    /// Whether the list changes nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.back.is_empty() && self.refused.is_none()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = if self.running { "what is in force" } else { "what a start would begin with (no gateway answers)" };
        writeln!(f, "{} compared with {with}:", self.url)?;
        self.added.iter().try_for_each(|prefix| writeln!(f, "+ {prefix}"))?;
        self.removed.iter().try_for_each(|prefix| writeln!(f, "- {prefix}"))?;
        self.back.iter().try_for_each(|prefix| writeln!(f, "= {prefix}  was leaving, stays"))?;
        match &self.refused {
            Some(why) => writeln!(f, "the gateway would refuse this list: {why}"),
            None if self.is_none() => writeln!(f, "no difference"),
            None => writeln!(f, "the gateway takes this list with its next refresh"),
        }
    }
}
