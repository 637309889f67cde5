//! The Access teams that policies name: which of their keys are known, since when, and who wants others.

mod fresh;
mod kept;

use crate::causes::causes;
use crate::world::System;
use log::{info, warn};
use pullgate_cloudflare::FetchError;
use pullgate_config::{AccessRefresh, Config};
use pullgate_metrics::{Metrics, RefreshOutcome};
use pullgate_policy::access::{AccessKeys, Key, KeyFeed, KeySet, Team, TeamKeys};
use pullgate_policy::policies::Mode;
use rustls_pki_types::UnixTime;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub(crate) use fresh::keep_keys;

/// What is known of all teams, across generations of the configuration.
///
/// It changes in turn with the generations alone (`Succession`), and nobody holds its lock while anything is fetched, read or written.
#[derive(Debug)]
pub(crate) struct Teams {
    known: Mutex<Known>,
    folder: PathBuf,
    metrics: Metrics,
    /// Told when another configuration has come into force.
    changed: Notify,
    wanted: Arc<Wanted>,
    /// Whether there was a time at which no policy was without keys.
    was_complete: AtomicBool,
}

/// The teams of one configuration.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    refresh: AccessRefresh,
    feeds: BTreeMap<Team, Feed>,
    keys: HashMap<Team, Arc<TeamKeys>>,
}

/// Where the keys of a team are fetched, and how much hangs on them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Feed {
    feed: KeyFeed,
    /// Whether a policy refuses without them, and does not only observe.
    is_enforced: bool,
}

/// Who wants keys that are not known: a note for each team, which nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Wanted(Mutex<HashMap<Team, Arc<Notify>>>);

impl Wanted {
    /// Notes that a token named a key of the team that is not known. It costs next to nothing: anybody can make it happen.
    pub(crate) fn tell(&self, team: &Team) {
        if let Some(note) = self.lock().get(team) {
            note.notify_one();
        }
    }

    fn note(&self, team: &Team) -> Arc<Notify> {
        Arc::clone(self.lock().entry(team.clone()).or_default())
    }

    fn forget(&self, team: &Team) {
        self.lock().remove(team);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Team, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Teams {
    /// What a gateway begins with: what an earlier process learnt. Nothing is fetched: a start waits for nobody.
    pub(crate) fn begin(config: &Config, system: &System, metrics: &Metrics) -> Self {
        let folder = system.path(&config.runtime.state_dir);
        let teams = Self {
            known: Known::of(config, None, &folder).into(),
            folder,
            metrics: metrics.clone(),
            changed: Notify::new(),
            wanted: Arc::default(),
            was_complete: AtomicBool::new(false),
        };
        teams.show();
        teams.note_completeness();
        teams
    }

    /// The keys that a gateway of this configuration would begin with.
    pub(crate) fn last_good(config: &Config, system: &System) -> Arc<AccessKeys> {
        Known::of(config, None, &system.path(&config.runtime.state_dir)).keys()
    }

    /// What is known once a configuration is in force: keys stay with the team and the address that they came from.
    pub(crate) fn follow(&self, config: &Config) -> Known {
        let before = self.known().clone();
        Known::of(config, Some(&before), &self.folder)
    }

    /// The configuration that this belongs to is in force.
    pub(crate) fn adopt(&self, known: Known) {
        let before = std::mem::replace(&mut *self.known(), known);
        for gone in before.feeds.keys().filter(|team| !self.known().feeds.contains_key(*team)) {
            self.metrics.forget_access_keys(gone.as_str());
            self.wanted.forget(gone);
        }
        self.show();
        self.changed.notify_one();
    }

    /// The keys that tokens are verified with.
    pub(crate) fn keys(&self) -> Arc<AccessKeys> {
        self.known().keys()
    }

    /// Where wishes for other keys go.
    pub(crate) fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted)
    }

    /// The teams without which the gateway was never whole; none once it was. What a later configuration adds takes nobody out of service.
    pub(crate) fn never_complete(&self) -> Vec<String> {
        if self.was_complete.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.known().without_keys().map(ToString::to_string).collect()
    }

    /// Remembers it where no policy is without keys.
    pub(crate) fn note_completeness(&self) {
        if self.known().without_keys().next().is_none() {
            self.was_complete.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what a team's address brought, unless another one is configured by now. Whether there is something to write down.
    pub(crate) fn learn(&self, feed: &KeyFeed, fetched: Result<KeySet, FetchError>) -> Learnt {
        self.known().learn(feed, fetched, UnixTime::now())
    }

    /// Counts an attempt and shows what it brought, which is in force by now; before any reload could forget the team.
    pub(crate) fn tell(&self, feed: &KeyFeed, learnt: Learnt) {
        self.show();
        if let Learnt::News(outcome) | Learnt::Nothing(Some(outcome)) = learnt {
            self.metrics.access_keys_refresh(feed.team.as_str(), outcome);
        }
    }

    /// Writes down what is known of a team, for the next process. What cannot be written down serves all the same.
    fn keep(&self, feed: &KeyFeed) {
        let keys = self.known().keys.get(&feed.team).cloned();
        if let Some(Err(error)) = keys.map(|keys| kept::write(&self.folder, feed, &keys)) {
            warn!(team:% = feed.team; "keys are not kept for the next start: {}", causes(&error));
        }
    }

    /// What has to be fetched, and how.
    fn feeds(&self) -> Vec<(KeyFeed, AccessRefresh)> {
        let known = self.known();
        known.feeds.values().map(|feed| (feed.feed.clone(), known.refresh)).collect()
    }

    fn show(&self) {
        let known = self.known();
        for team in known.feeds.keys() {
            let keys = known.keys.get(team);
            self.metrics.access_keys(team.as_str(), keys.map(|keys| (keys.set.keys().len(), keys.fetched.as_secs())));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// The team has told its keys, the same or others.
    News(RefreshOutcome),
    /// It has not; none where nobody wants to know any more.
    Nothing(Option<RefreshOutcome>),
}

impl Known {
    fn of(config: &Config, before: Option<&Self>, folder: &Path) -> Self {
        let feeds = feeds_of(config);
        let known = |feed: &Feed| {
            let stays =
                before.filter(|before| before.feeds.get(&feed.feed.team).is_some_and(|old| old.feed == feed.feed));
            match stays {
                Some(before) => before.keys.get(&feed.feed.team).cloned(),
                None => kept_keys(folder, &feed.feed),
            }
        };
        let keys = feeds.values().filter_map(|feed| Some((feed.feed.team.clone(), known(feed)?))).collect();
        Self { refresh: config.cloudflare.access, feeds, keys }
    }

    pub(crate) fn keys(&self) -> Arc<AccessKeys> {
        Arc::new(AccessKeys::new(self.keys.clone(), self.refresh.stale_after))
    }

    /// Teams that a policy waits for.
    fn without_keys(&self) -> impl Iterator<Item = &Team> {
        let now = UnixTime::now();
        let keys = self.keys();
        let waits = move |(team, feed): &(&Team, &Feed)| feed.is_enforced && keys.of(team, now).is_err();
        self.feeds.iter().filter(waits).map(|(team, _)| team)
    }

    fn learn(&mut self, feed: &KeyFeed, fetched: Result<KeySet, FetchError>, now: UnixTime) -> Learnt {
        if self.feeds.get(&feed.team).is_none_or(|current| current.feed != *feed) {
            return Learnt::Nothing(None);
        }
        let set = match fetched {
            Ok(set) => set,
            Err(error) => return Learnt::Nothing(Some(missed(&feed.team, &error))),
        };
        let outcome = match self.keys.get(&feed.team) {
            Some(known) if known.set == set => RefreshOutcome::Unchanged,
            known => {
                log_change(&feed.team, known.map(|known| &known.set), &set);
                RefreshOutcome::Updated
            }
        };
        self.keys.insert(feed.team.clone(), Arc::new(TeamKeys { set, fetched: now }));
        Learnt::News(outcome)
    }
}

/// The teams of all policies, each with its address: the configuration has seen to it that there is one.
fn feeds_of(config: &Config) -> BTreeMap<Team, Feed> {
    let mut feeds: BTreeMap<Team, Feed> = BTreeMap::new();
    for attached in config.hosts.iter().flat_map(|host| host.rule.attached()) {
        let Some(feed) = attached.policy.key_feed() else { continue };
        let known = feeds.entry(feed.team.clone()).or_insert(Feed { feed: feed.clone(), is_enforced: false });
        known.is_enforced |= attached.mode == Mode::Enforce;
    }
    feeds
}

fn kept_keys(folder: &Path, feed: &KeyFeed) -> Option<Arc<TeamKeys>> {
    kept::read(folder, feed, UnixTime::now()).unwrap_or_else(|error| {
        warn!(team:% = feed.team; "the keys that an earlier process knew are ignored: {}", causes(&error));
        None
    })
}

/// Says why keys were not had; those before stay.
fn missed(team: &Team, error: &FetchError) -> RefreshOutcome {
    let (outcome, what) = match error {
        FetchError::UnfitKeys(_) => (RefreshOutcome::Refused, "keys refused, those before stay where there are any"),
        _ => (RefreshOutcome::Failed, "keys not fetched, those before stay where there are any"),
    };
    warn!(team:% = team; "{what}: {}", causes(error));
    outcome
}

fn log_change(team: &Team, before: Option<&KeySet>, now: &KeySet) {
    let ids =
        |set: Option<&KeySet>| set.map_or(&[][..], KeySet::keys).iter().map(Key::id).collect::<Vec<_>>().join(" ");
    info!(team:% = team, keys = ids(Some(now)), before = ids(before); "the keys of an Access team have changed");
}
