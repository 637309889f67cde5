//! A new configuration in the place of the one that serves, or the old one on and the reason why.

use crate::listeners::{Listeners, SocketError};
use crate::logging;
use crate::snapshot::{InForce, Snapshot, SnapshotError};
use crate::world::{LoadError, Loaded, Warnings, load_again};
use pullgate_config::{Admin, Config, Log, Runtime};
use pullgate_metrics::{Metrics, ReloadOutcome};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
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
    fixed: Fixed,
    metrics: Metrics,
    /// How long a drain may take, in milliseconds, as the configuration in force says.
    drain: AtomicU64,
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
    pub(crate) fn new(in_force: Arc<InForce>, listeners: Arc<Listeners>, fixed: Fixed, metrics: Metrics) -> Self {
        let drain = AtomicU64::new(milliseconds(fixed.runtime.drain));
        Self { in_force, listeners, fixed, metrics, drain, turn: Mutex::new(()) }
    }

    /// How long open requests may finish when the gateway ends.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain.load(Ordering::Relaxed))
    }

    /// Loads a configuration and puts it in force; both outcomes are counted. It reads files and resolves names: not for a thread that
    /// serves. Connections and requests that are under way go on; each later request is judged by the new one.
    ///
    /// # Errors
    /// Why the configuration before stays in force.
    pub fn reload(&self, file: &Path) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.follow(file);
        self.metrics.reload(if result.is_ok() { ReloadOutcome::Applied } else { ReloadOutcome::Refused });
        result
    }

    fn follow(&self, file: &Path) -> Result<Reloaded, ReloadError> {
        let before = self.in_force.snapshot();
        let Loaded { config, warnings } = load_again(file, before.digests())?;
        let asked = Fixed::of(&config);
        let changed = self.fixed.changes(&asked);
        if !changed.is_empty() {
            return Err(ReloadError::Fixed(changed));
        }
        let listeners = config.listeners.clone();
        let snapshot = Arc::new(Snapshot::new(config, Some(&before))?);
        self.listeners.follow(&listeners, &snapshot, || self.in_force.replace(Arc::clone(&snapshot)))?;
        self.drain.store(milliseconds(asked.runtime.drain), Ordering::Relaxed);
        logging::level(asked.log.level);
        snapshot.show(&self.metrics, Some(&before));
        Ok(Reloaded { generation: snapshot.generation(), warnings })
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
