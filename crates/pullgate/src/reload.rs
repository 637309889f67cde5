//! A new configuration in the place of the one that serves, or the old one on and the reason why.

use crate::causes::causes;
use crate::control::message::Answer;
use crate::listeners::{Listeners, SocketError};
use crate::ranges::Ranges;
use crate::snapshot::{InForce, Snapshot, SnapshotError};
use crate::teams::{Learnt, Teams};
use crate::traces::Traces;
use crate::watch::Files;
use crate::world::{LoadError, Loaded, Warnings, load_again};
use crate::{logging, systemd};
use pullgate_cloudflare::FetchError;
use pullgate_config::{Admin, Config, Log, Runtime};
use pullgate_metrics::{Metrics, PanicAt, ReloadOutcome};
use pullgate_policy::access::{KeyFeed, KeySet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A configuration that did not replace the one in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It loads and cannot be served.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A socket that it asks for cannot be opened.
    #[error(transparent)]
    Sockets(#[from] SocketError),
    /// The thread that exports traces cannot be started.
    #[error("what exports traces cannot be started")]
    Traces(#[source] io::Error),
    /// A bug was met on the way; the process log has its place.
    #[error("a bug of Pullgate was met on the way")]
    Panicked,
    /// It changes what is fixed when the process starts.
    #[error("changed, and fixed until a restart or an upgrade: {}", .0.join(", "))]
    Fixed(Vec<&'static str>),
}

/// A configuration that took over.
#[derive(Debug)]
pub struct Reloaded {
    /// Its generation.
    pub generation: u64,
    /// What deserves a look.
    pub warnings: Warnings,
}

/// What replaces one generation by the next.
#[derive(Debug)]
pub struct Succession {
    in_force: Arc<InForce>,
    listeners: Arc<Listeners>,
    ranges: Ranges,
    teams: Teams,
    traces: Traces,
    fixed: Fixed,
    metrics: Metrics,
    /// How long a drain may take, in milliseconds, as the configuration in force says.
    drain: AtomicU64,
    /// Whether the configuration in force wants its files observed.
    watch: AtomicBool,
    /// Held while one generation follows another.
    turn: Mutex<()>,
}

/// What a running process does not change: threads, pools and outputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fixed {
    runtime: Runtime,
    admin: Admin,
    log: Log,
}

impl Succession {
    /// Begins with the generation in force.
    pub(crate) fn new(
        in_force: Arc<InForce>,
        listeners: Arc<Listeners>,
        (ranges, teams, traces): (Ranges, Teams, Traces),
        fixed: Fixed,
        metrics: Metrics,
    ) -> Self {
        let drain = AtomicU64::new(milliseconds(fixed.runtime.drain));
        let watch = AtomicBool::new(fixed.runtime.watch);
        Self { in_force, listeners, ranges, teams, traces, fixed, metrics, drain, watch, turn: Mutex::new(()) }
    }

    /// How long open requests may finish when the gateway ends.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain.load(Ordering::Relaxed))
    }

    /// Whether an address may connect to a listener by now.
    #[must_use]
    pub fn admits(&self, listener: &str, address: IpAddr) -> bool {
        self.in_force.snapshot().admits(listener, address)
    }

    /// What is known of the ranges.
    pub(crate) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Changes what is known of the ranges, and puts in force what counts then: the same generation, with other admissions. Connections
    /// are asked again with their next request.
    pub(crate) fn renew_ranges<T>(&self, change: impl FnOnce(&Ranges) -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&self.ranges);
        if let Some(snapshot) = self.in_force.snapshot().with_ranges(&self.ranges.in_force()) {
            let snapshot = Arc::new(snapshot);
            self.listeners.renew_filters(&snapshot, || self.in_force.replace(Arc::clone(&snapshot)));
            snapshot.show_ranges(&self.metrics);
        }
        changed
    }

    /// What is known of Access teams.
    pub(crate) fn teams(&self) -> &Teams {
        &self.teams
    }

    /// What exports traces.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Takes what a team's address brought, and puts in force what counts then: the same generation, with other keys.
    pub(crate) fn renew_keys(&self, feed: &KeyFeed, fetched: Result<KeySet, FetchError>) -> Learnt {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let learnt = self.teams.learn(feed, fetched);
        if let Some(snapshot) = self.in_force.snapshot().with_access_keys(self.teams.keys()) {
            self.in_force.replace(Arc::new(snapshot));
        }
        self.teams.note_completeness();
        self.teams.tell(feed, learnt);
        learnt
    }

    /// Loads a configuration and puts it in force; both outcomes are counted. It reads files and resolves names: not for a thread that
    /// serves. Connections and requests that are under way go on; each later request is judged by the new one.
    ///
    /// # Errors
    /// Why the configuration before stays in force.
    pub fn reload(&self, file: &Path) -> Result<Reloaded, ReloadError> {
        self.reload_noting(file).0
    }

    /// The same, with the files that were looked at.
    fn reload_noting(&self, file: &Path) -> (Result<Reloaded, ReloadError>, Files) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, files) = self.survive(file, || {
            let before = self.in_force.snapshot();
            let (loaded, files) = load_again(file, before.digests());
            (loaded.map_err(ReloadError::from).and_then(|loaded| self.follow(loaded, &before)), files)
        });
        self.metrics.reload(if result.is_ok() { ReloadOutcome::Applied } else { ReloadOutcome::Refused });
        (result, files)
    }

    /// An attempt that panics is one that failed, of which the file alone is known.
    fn survive(
        &self,
        file: &Path,
        attempt: impl FnOnce() -> (Result<Reloaded, ReloadError>, Files),
    ) -> (Result<Reloaded, ReloadError>, Files) {
        self.metrics.survive(PanicAt::Reload, attempt).unwrap_or_else(|| {
            let mut files = Files::default();
            files.note(file);
            (Err(ReloadError::Panicked), files)
        })
    }

    fn follow(&self, loaded: Loaded, before: &Snapshot) -> Result<Reloaded, ReloadError> {
        let Loaded { mut config, warnings, advice: _, files: _ } = loaded;
        let asked = Fixed::of(&config);
        let changed = self.fixed.changes(&asked);
        if !changed.is_empty() {
            return Err(ReloadError::Fixed(changed));
        }
        let listeners = config.listeners.clone();
        let known = self.ranges.follow(&mut config);
        let teams = self.teams.follow(&config);
        let traces = self.traces.follow(config.tracing.as_ref()).map_err(ReloadError::Traces)?;
        let snapshot = Arc::new(Snapshot::new(config, teams.keys(), traces.tracer(), Some(before))?);
        self.listeners.follow(&listeners, &snapshot, || self.in_force.replace(Arc::clone(&snapshot)))?;
        self.ranges.adopt(known);
        self.teams.adopt(teams);
        self.traces.adopt(traces);
        self.drain.store(milliseconds(asked.runtime.drain), Ordering::Relaxed);
        self.watch.store(asked.runtime.watch, Ordering::Relaxed);
        logging::level(asked.log.level);
        snapshot.show(&self.metrics, Some(before));
        Ok(Reloaded { generation: snapshot.generation(), warnings })
    }
}

/// Loads a file's configuration again, for whoever asks: a signal, the control socket, or a change of a file.
#[derive(Debug)]
pub(crate) struct Reloader {
    succession: Arc<Succession>,
    file: PathBuf,
    /// The files of the last configuration that was looked at, as they were then.
    files: Mutex<Files>,
    /// Whether the gateway comes to its end: what is changed now is for the process after it.
    ending: AtomicBool,
}

impl Reloader {
    pub(crate) fn new(succession: Arc<Succession>, file: &Path, files: Files) -> Self {
        Self { succession, file: file.to_owned(), files: Mutex::new(files), ending: AtomicBool::new(false) }
    }

    /// The configuration's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The folder of the process's state, as it is written.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.succession.fixed.runtime.state_dir.clone()
    }

    /// The files to observe; none where the configuration in force does not want it.
    pub(crate) fn files(&self) -> Option<Files> {
        let files = || self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let observed = self.succession.watch.load(Ordering::Relaxed) && !self.is_ending();
        observed.then(files)
    }

    /// Loads nothing from now on.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Has the ranges fetched now, and waits for that.
    pub(crate) fn refresh_ranges(&self) -> Answer {
        self.succession.ranges.refresh()
    }

    fn reload(&self) -> Result<Reloaded, ReloadError> {
        if self.is_ending() {
            return Err(SocketError::Ending.into());
        }
        systemd::reloading();
        let (result, files) = self.succession.reload_noting(&self.file);
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        systemd::reloaded();
        match &result {
            Ok(Reloaded { generation, warnings }) => {
                for warning in warnings.list() {
                    log::warn!(key = warning.key.as_str(), line = warning.at.line; "{}", warning.message);
                }
                log::info!(generation = *generation; "configuration applied");
            }
            Err(error) => log::error!("configuration refused, the one before serves on: {}", causes(error)),
        }
        result
    }

    /// Loads it again, with the outcome in the process log.
    pub(crate) fn reload_and_tell(&self) {
        // The log has it.
        let _ = self.reload();
    }

    /// Loads it again, with the outcome as an answer.
    pub(crate) fn answer(&self) -> Answer {
        match self.reload() {
            Ok(Reloaded { generation, warnings }) => {
                Answer::Applied { file: self.file.clone(), generation, warnings: warnings.to_string() }
            }
            Err(error) => {
                let configuration = !matches!(error, ReloadError::Sockets(SocketError::Ending));
                Answer::Refused { why: causes(&error), configuration }
            }
        }
    }
}

impl Fixed {
    pub(crate) fn of(config: &Config) -> Self {
        Self { runtime: config.runtime.clone(), admin: config.admin.clone(), log: config.log.clone() }
    }

    /// What differs and may not, by the keys of the configuration.
    fn changes(&self, other: &Self) -> Vec<&'static str> {
        let Self { runtime, admin, log } = other;
        let Runtime { workers, upstream_idle, state_dir, drain: _, watch: _ } = runtime;
        let Log { format, access, redact_query, level: _ } = log;
        let kept = [
            ("runtime.workers", self.runtime.workers == *workers),
            ("runtime.upstream_idle", self.runtime.upstream_idle == *upstream_idle),
            ("runtime.state_dir", self.runtime.state_dir == *state_dir),
            ("admin.address", self.admin == *admin),
            ("log.format", self.log.format == *format),
            ("log.access", self.log.access == *access),
            ("log.redact.query", self.log.redact_query == *redact_query),
        ];
        kept.into_iter().filter(|(_, kept)| !kept).map(|(key, _)| key).collect()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here; this panic is the case")]
mod tests {
    use crate::gateway::Gateway;
    use crate::world::{System, load};

    const TEXT: &str = "version: 1
admin: {address: '127.0.0.1:0'}
log: {level: error, access: off}
cloudflare: {ranges: {source: builtin}}
listeners: [{name: http, address: '127.0.0.1:0', protocol: http}]
hosts:
  - name: open
    hostnames: [open.example.com]
    origin_pull: {mode: off}
    routes: [{name: all, respond: {status: 204}}]
";

    #[test]
    fn h52_a_reload_that_panics_leaves_what_serves_and_the_next_one_works() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pullgate.yaml");
        std::fs::write(&file, TEXT).unwrap();
        let gateway = Gateway::start(load(&file).unwrap().config, &System::beside(&file)).unwrap();
        let succession = gateway.succession();
        let (failed, _) = succession.survive(&file, || panic!("as it happens"));
        assert!(matches!(failed, Err(super::ReloadError::Panicked)));
        assert!(gateway.metrics().render().unwrap().contains("pullgate_panics_total{at=\"reload\"} 1\n"));
        assert_eq!(succession.reload(&file).unwrap().generation, 2);
    }
}
