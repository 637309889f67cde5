//! The gateway itself: a runtime, its listeners and what they share, from start to the end of the drain.

use crate::heartbeat::Heartbeat;
use crate::logging::LogFile;
use crate::reload::{Fixed, Succession};
use crate::snapshot::{InForce, Snapshot, SnapshotError, listener_settings, timeouts};
use crate::threads::Threads;
use crate::world::System;
use crate::{admin, logging};
use log::info;
use pullgate_config::Config;
use pullgate_door::{Gates, ListenError, bind, serve};
use pullgate_metrics::{Metrics, MetricsError, Sink};
use pullgate_proxy::{Http, HttpSettings, Sites};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    threads: Threads,
    /// The admin listener's own.
    admin_thread: Threads,
    addresses: HashMap<Arc<str>, SocketAddr>,
    admin: SocketAddr,
    metrics: Metrics,
    signals: Signals,
    succession: Arc<Succession>,
    http: Option<Http>,
    finished: mpsc::Receiver<()>,
    logs: Vec<Sink>,
    log_file: Option<Arc<LogFile>>,
    drain: Duration,
}

/// What tells the parts of a gateway to come to an end.
#[derive(Debug)]
struct Signals {
    stop_accepting: watch::Sender<bool>,
    drain: watch::Sender<bool>,
    ready: watch::Sender<bool>,
}

/// A gateway that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin listener.
    #[error("admin cannot listen on {0}")]
    Admin(SocketAddr, #[source] io::Error),
    /// The series.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A log cannot be written.
    #[error("log cannot be opened")]
    Log(#[source] io::Error),
    /// Threads.
    #[error("runtime cannot be started")]
    Runtime(#[source] io::Error),
}

impl Gateway {
    /// Starts a gateway: every listener is open when this returns.
    ///
    /// # Errors
    /// When something that the configuration asks for is not to be had; nothing is left running then.
    pub fn start(config: Config, system: &System) -> Result<Self, StartError> {
        let metrics = Metrics::new()?;
        let process_log = logging::start(&config.log, &metrics).map_err(StartError::Log)?;
        let (access, access_log) = logging::access_log(&config.log, system, &metrics).map_err(StartError::Log)?.unzip();
        let log_file = access_log.as_ref().and_then(|sink| LogFile::of(&config.log, system, sink)).map(Arc::new);
        let logs = access_log.into_iter().chain([process_log]).collect();
        let workers = workers(config.runtime.workers);
        let threads = Threads::start(workers).map_err(StartError::Runtime)?;
        let runtime = threads.handle().clone();
        let inside = runtime.enter();
        let drain = config.runtime.drain;
        let admin_at = config.admin.address;
        let bound =
            config.listeners.iter().map(|listener| bind(listener_settings(listener))).collect::<Result<Vec<_>, _>>()?;
        let settings = HttpSettings {
            workers: workers.get(),
            upstream_idle: config.runtime.upstream_idle,
            timeouts: timeouts(&config.listeners),
            metrics: metrics.clone(),
            access,
        };
        let fixed = Fixed::of(&config);
        let snapshot = Snapshot::new(config, None)?;
        snapshot.show(&metrics, None);
        let in_force = Arc::new(InForce::new(snapshot));
        let succession = Arc::new(Succession::new(Arc::clone(&in_force), fixed, metrics.clone()));
        let signals = Signals {
            stop_accepting: watch::Sender::new(false),
            drain: watch::Sender::new(false),
            ready: watch::Sender::new(true),
        };
        let admin_fault = |error| StartError::Admin(admin_at, error);
        let admin_thread = Threads::alone("admin").map_err(StartError::Runtime)?;
        let admin = admin_thread.handle().block_on(TcpListener::bind(admin_at)).map_err(admin_fault)?;
        let admin_address = admin.local_addr().map_err(admin_fault)?;
        let heartbeat = Heartbeat::of(&runtime);
        admin_thread.handle().spawn(admin::serve(admin, metrics.clone(), signals.ready.subscribe(), heartbeat));

        let (http, finished) = Http::new(settings, Arc::clone(&in_force) as Arc<dyn Sites>, signals.drain.subscribe());
        let addresses = bound.iter().map(|bound| (Arc::clone(bound.name()), bound.address())).collect();
        for bound in bound {
            info!(listener:% = bound.name(), address:% = bound.address(); "listening");
            let gates = Arc::clone(&in_force) as Arc<dyn Gates>;
            runtime.spawn(serve(bound, gates, metrics.clone(), http.clone(), signals.stop_accepting.subscribe()));
        }
        info!(address:% = admin_address, workers; "ready");
        drop(inside);
        let http = Some(http);
        Ok(Self {
            threads,
            admin_thread,
            addresses,
            admin: admin_address,
            metrics,
            signals,
            succession,
            http,
            finished,
            logs,
            log_file,
            drain,
        })
    }

    /// What puts another configuration in force, for threads that must not hold the gateway up.
    #[must_use]
    pub fn succession(&self) -> Arc<Succession> {
        Arc::clone(&self.succession)
    }

    /// What opens the file of the access log anew, after a rotation; none where there is no such file.
    #[must_use]
    pub fn log_file(&self) -> Option<Arc<LogFile>> {
        self.log_file.clone()
    }

    /// Where a listener listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.addresses.get(listener).copied()
    }

    /// Where the admin listener listens.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The series, as `/metrics` shows them.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The runtime's handle, for the signals of a process.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.threads.handle()
    }

    /// Stops accepting, lets open requests finish within `runtime.drain` or until `hurry` resolves, then ends what is left.
    pub fn shut_down(mut self, hurry: impl Future<Output = ()>) {
        info!(limit:? = self.drain; "draining: no new connections, open requests finish");
        let Signals { stop_accepting, drain, ready } = &self.signals;
        ready.send_replace(false);
        stop_accepting.send_replace(true);
        drain.send_replace(true);
        self.http = None;
        let (finished, limit) = (&mut self.finished, self.drain);
        let left = self.threads.handle().block_on(async {
            tokio::select! {
                _ = finished.recv() => false,
                () = tokio::time::sleep(limit) => true,
                () = hurry => true,
            }
        });
        if left {
            info!("connections that were still open are closed");
        }
        self.end();
    }

    /// Ends at once.
    pub fn stop(mut self) {
        info!("stopping at once");
        self.http = None;
        self.end();
    }

    fn end(mut self) {
        self.threads.end(LAST_TASKS);
        self.admin_thread.end(LAST_TASKS);
        for log in &self.logs {
            // What cannot be written by then is lost: an output that blocks must not keep a process from its end.
            let _ = log.settle(LAST_LINES);
        }
    }
}

/// How long tasks may take to be dropped at the end.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// How long the logs may take to be written at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

fn workers(configured: Option<NonZeroUsize>) -> NonZeroUsize {
    configured.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}
