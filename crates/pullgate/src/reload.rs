//! A new configuration in the place of the one that serves, or the old one on and the reason why.

use crate::snapshot::{InForce, Snapshot, SnapshotError};
use crate::world::{LoadError, Loaded, Warnings, load_again};
use pullgate_config::{Admin, Config, Listener, Log, Runtime};
use pullgate_metrics::{Metrics, ReloadOutcome};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A configuration that did not replace the one in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It loads and cannot be served.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It changes what is fixed when the process starts.
    #[error("changed, and fixed until a restart: {}", .0.join(", "))]
    Fixed(Vec<String>),
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
    fixed: Fixed,
    metrics: Metrics,
    /// Held while one generation follows another.
    turn: Mutex<()>,
}

/// What a running process does not change: threads, outputs and listening sockets.
#[derive(Debug, PartialEq)]
pub(crate) struct Fixed {
    runtime: Runtime,
    admin: Admin,
    log: Log,
    listeners: Vec<FixedListener>,
}

/// What a listener keeps: its socket. All else follows the configuration.
#[derive(Debug, PartialEq)]
struct FixedListener {
    name: Arc<str>,
    address: SocketAddr,
    ipv6_only: bool,
}

impl Succession {
    /// Begins with the generation in force.
    pub(crate) fn new(in_force: Arc<InForce>, fixed: Fixed, metrics: Metrics) -> Self {
        Self { in_force, fixed, metrics, turn: Mutex::new(()) }
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
        let changed = self.fixed.changes(&Fixed::of(&config));
        if !changed.is_empty() {
            return Err(ReloadError::Fixed(changed));
        }
        let snapshot = Arc::new(Snapshot::new(config, Some(&before))?);
        self.in_force.replace(Arc::clone(&snapshot));
        snapshot.show(&self.metrics, Some(&before));
        Ok(Reloaded { generation: snapshot.generation(), warnings })
    }
}

impl Fixed {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            runtime: config.runtime.clone(),
            admin: config.admin.clone(),
            log: config.log.clone(),
            listeners: config.listeners.iter().map(FixedListener::of).collect(),
        }
    }

    /// What differs, by the names of the configuration.
    fn changes(&self, other: &Self) -> Vec<String> {
        let Self { runtime, admin, log, listeners } = other;
        let sections =
            [("runtime", self.runtime != *runtime), ("admin", self.admin != *admin), ("log", self.log != *log)];
        let sections = sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned());
        let changed = listeners.iter().filter(|listener| !self.listeners.contains(listener));
        let is_gone = |old: &&FixedListener| !listeners.iter().any(|listener| listener.name == old.name);
        let gone = self.listeners.iter().filter(is_gone);
        sections.chain(changed.chain(gone).map(|listener| format!("listener `{}`", listener.name))).collect()
    }
}

impl FixedListener {
    fn of(listener: &Listener) -> Self {
        let Listener { name, address, ipv6_only, protocol: _, limits: _, hosts: _, sources: _ } = listener;
        Self { name: Arc::clone(name), address: *address, ipv6_only: *ipv6_only }
    }
}
