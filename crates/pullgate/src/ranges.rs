//! The list of ranges that a gateway knows: where it is from, since when, and what is leaving it.

mod asked;
mod compare;
mod fresh;
mod kept;
mod report;

use crate::causes::causes;
use crate::control::message::Answer;
use crate::world::System;
use asked::{Asked, Refreshed};
use ipnet::IpNet;
use log::{info, warn};
use pullgate_cloudflare::{FetchError, Fetched};
use pullgate_config::{Cloudflare, Config, RangesFeed, RangesSource};
use pullgate_metrics::{Metrics, RangesOrigin, RefreshOutcome};
use pullgate_policy::ranges::{BUILTIN_AS_OF, Change, Learnt};
use rustls_pki_types::UnixTime;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub use compare::{Difference, DifferenceError, difference};
pub(crate) use fresh::keep_fresh;
pub(crate) use report::RANGES;
pub use report::{RangesReport, RangesReportError, ranges_in_force};

/// Prefixes that a log line names.
const NAMED: usize = 32;

/// What is known of the ranges, across generations of the configuration.
///
/// It changes in turn with the generations alone (`Succession`), and nobody holds its lock while anything is fetched, read or written.
#[derive(Debug)]
pub(crate) struct Ranges {
    known: Mutex<Known>,
    folder: PathBuf,
    metrics: Metrics,
    /// Told when another configuration has come into force.
    changed: Notify,
    /// Who wants the list fetched now.
    asked: Asked,
}

/// The list in force with everything that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    source: RangesSource,
    extra: Vec<IpNet>,
    origin: RangesOrigin,
    learnt: Learnt,
    /// What to ask the feed with.
    tag: Option<String>,
    /// What Cloudflare calls the list.
    etag: Option<String>,
    /// When the list was last known to be right.
    since: UnixTime,
}

impl Ranges {
    /// What a gateway begins with. Nothing is fetched: a start waits for nobody.
    pub(crate) fn begin(config: &mut Config, system: &System, metrics: &Metrics) -> Self {
        let folder = system.path(&config.runtime.state_dir);
        let known = Known::at_first(&config.cloudflare, &folder, UnixTime::now());
        config.cloudflare.list = known.learnt.in_force();
        let ranges = Self {
            known: known.into(),
            folder,
            metrics: metrics.clone(),
            changed: Notify::new(),
            asked: Asked::default(),
        };
        ranges.show();
        ranges
    }

    /// What is known once a configuration is in force, which gets its list from here. What was learnt from a feed stays with it.
    pub(crate) fn follow(&self, config: &mut Config) -> Known {
        let (now, before) = (UnixTime::now(), self.known().clone());
        let known = match (&before.source, &config.cloudflare.source) {
            (RangesSource::Api(old), RangesSource::Api(new)) if is_same(old, new) => {
                let mut learnt = before.learnt;
                learnt.shorten(now, new.removal_grace);
                let Cloudflare { source, extra, list: _, access: _ } = config.cloudflare.clone();
                Known { source, extra, learnt, ..before }
            }
            _ => Known::at_first(&config.cloudflare, &self.folder, now),
        };
        config.cloudflare.list = known.learnt.in_force();
        known
    }

    /// The configuration that this belongs to is in force.
    pub(crate) fn adopt(&self, known: Known) {
        *self.known() = known;
        self.show();
        self.changed.notify_one();
    }

    /// Everything that counts as Cloudflare but `extra`.
    pub(crate) fn in_force(&self) -> Vec<IpNet> {
        self.known().learnt.in_force()
    }

    /// Has the list fetched now, and waits for what comes of it.
    pub(crate) fn refresh(&self) -> Answer {
        let refused = |why: String, configuration| Answer::Refused { why, configuration };
        if self.feed().is_none() {
            return refused(
                "the ranges come from no feed: `cloudflare.ranges.source` is not `api`; a file is read with a reload"
                    .into(),
                false,
            );
        }
        match self.asked.wait() {
            Some(Refreshed { outcome, why: None }) => Answer::Refreshed { outcome: outcome.label().to_owned() },
            Some(Refreshed { outcome, why: Some(why) }) => refused(format!("{}: {why}", outcome.label()), false),
            None => refused("another configuration has come into force meanwhile, ask again".into(), false),
        }
    }

    /// Takes what a feed brought, unless another feed is configured by now.
    fn learn(&self, feed: &RangesFeed, fetched: Result<Fetched, FetchError>) -> Option<Refreshed> {
        self.known().learn(feed, fetched, UnixTime::now())
    }

    /// Counts an attempt and shows what it brought, which is in force and written down by now.
    fn tell(&self, refreshed: &Refreshed) {
        self.show();
        self.metrics.ranges_refresh(refreshed.outcome);
    }

    /// Lets go of what has had its grace.
    fn expire(&self) -> Option<Refreshed> {
        let gone = self.known().learnt.expire(UnixTime::now());
        if gone.is_empty() {
            return None;
        }
        info!(gone:% = named(&gone); "the grace of removed ranges has ended");
        Some(RefreshOutcome::Updated.into())
    }

    /// Writes down what is known, for the next process. One that cannot be written down serves all the same.
    fn keep(&self) {
        let known = self.known().clone();
        if let Err(error) = kept::write(&self.folder, &known) {
            warn!("ranges are not kept for the next start: {}", causes(&error));
        }
    }

    fn feed(&self) -> Option<(RangesFeed, Option<String>)> {
        let known = self.known();
        let RangesSource::Api(feed) = &known.source else { return None };
        Some((feed.clone(), known.tag.clone()))
    }

    fn show(&self) {
        let known = self.known();
        self.metrics.ranges_from(known.origin, known.since.as_secs());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What a configuration begins with: with a feed, what an earlier process learnt from it.
    pub(crate) fn at_first(cloudflare: &Cloudflare, folder: &Path, now: UnixTime) -> Self {
        let Cloudflare { source, list, extra, access: _ } = cloudflare.clone();
        let (origin, since) = match &source {
            RangesSource::File(_) => (RangesOrigin::File, now),
            RangesSource::Builtin => (RangesOrigin::Builtin, BUILTIN_AS_OF),
            RangesSource::Api(feed) => match kept::read(folder, feed, now) {
                Ok(Some(kept)) => return Self { source, extra, ..kept },
                Ok(None) => (RangesOrigin::Builtin, BUILTIN_AS_OF),
                Err(error) => {
                    warn!(
                        "the ranges of an earlier process are ignored, the compiled-in ones serve: {}",
                        causes(&error)
                    );
                    (RangesOrigin::Builtin, BUILTIN_AS_OF)
                }
            },
        };
        Self { source, extra, origin, learnt: Learnt::new(list), tag: None, etag: None, since }
    }

    fn learn(&mut self, feed: &RangesFeed, fetched: Result<Fetched, FetchError>, now: UnixTime) -> Option<Refreshed> {
        let RangesSource::Api(current) = &self.source else { return None };
        if !is_same(current, feed) {
            return None;
        }
        let grace = current.removal_grace;
        let (published, tag) = match fetched {
            Ok(Fetched::Unchanged) => {
                (self.origin, self.since) = (RangesOrigin::Api, now);
                return Some(RefreshOutcome::Unchanged.into());
            }
            Ok(Fetched::List { published, tag }) => (published, tag),
            Err(error) => return Some(missed(&error)),
        };
        let change = match self.learnt.learn(published.networks, now, grace) {
            Ok(change) => change,
            Err(unfit) => return Some(missed(&FetchError::Unfit(unfit.into()))),
        };
        (self.tag, self.etag) = (tag, published.etag);
        (self.origin, self.since) = (RangesOrigin::Api, now);
        if change.is_empty() {
            return Some(RefreshOutcome::Unchanged.into());
        }
        self.log(&change, feed);
        Some(RefreshOutcome::Updated.into())
    }

    fn log(&self, change: &Change, feed: &RangesFeed) {
        let Change { added, removed, back } = change;
        let etag = self.etag.as_deref().unwrap_or_default();
        info!(
            etag, added:% = named(added), removed:% = named(removed), back:% = named(back), grace:? = feed.removal_grace;
            "ranges updated: what was added counts, what was removed counts until its grace ends"
        );
    }
}

/// Says why a list was not had; the one before stays.
fn missed(error: &FetchError) -> Refreshed {
    let (outcome, what) = match error {
        FetchError::Unfit(_) => (RefreshOutcome::Refused, "ranges refused, those before stay"),
        _ => (RefreshOutcome::Failed, "ranges not fetched, those before stay"),
    };
    let why = causes(error);
    warn!("{what}: {why}");
    Refreshed { outcome, why: Some(why) }
}

/// Whether two feeds publish one list.
fn is_same(one: &RangesFeed, other: &RangesFeed) -> bool {
    one.url == other.url && one.partners == other.partners
}

/// Prefixes in a log line.
fn named(networks: &[IpNet]) -> String {
    let mut names: Vec<String> = networks.iter().take(NAMED).map(ToString::to_string).collect();
    if let Some(more) = networks.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.push(format!("and {more} more"));
    }
    names.join(" ")
}
