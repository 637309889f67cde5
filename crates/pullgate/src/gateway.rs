//! The gateway itself: a runtime, its listeners and what they share, from start to the end of the drain.

use crate::heartbeat::Heartbeat;
use crate::listeners::{Listeners, SocketError};
use crate::logging::LogFile;
use crate::ranges::{Ranges, keep_fresh};
use crate::reload::{Fixed, Succession};
use crate::snapshot::{InForce, Snapshot, SnapshotError};
use crate::sockets::{self, Sockets};
use crate::teams::{Teams, keep_keys};
use crate::threads::Threads;
use crate::traces::Traces;
use crate::world::System;
use crate::{admin, logging};
use log::info;
use pullgate_cloudflare::{Client, ClientError};
use pullgate_config::Config;
use pullgate_door::Accepting;
use pullgate_metrics::{Metrics, MetricsError, Sink};
use pullgate_proxy::{Http, HttpSettings, Sites};
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
    listeners: Arc<Listeners>,
    admin: Arc<std::net::TcpListener>,
    heartbeat: Arc<Heartbeat>,
    admin_address: SocketAddr,
    metrics: Metrics,
    signals: Signals,
    succession: Arc<Succession>,
    finished: mpsc::Receiver<()>,
    logs: Vec<Sink>,
    log_file: Option<Arc<LogFile>>,
}

/// The sockets of a gateway, for the process that is to go on in its place.
#[derive(Debug)]
pub(crate) struct Heritage {
    listeners: Arc<Listeners>,
    admin: Arc<std::net::TcpListener>,
    address: SocketAddr,
}

impl Heritage {
    /// All of them once more.
    pub(crate) fn sockets(&self) -> io::Result<Sockets> {
        let mut all = self.listeners.share()?;
        all.insert(sockets::admin(self.address), self.admin.try_clone()?);
        Ok(all)
    }

    /// The other process does not go on: it may have left its kernel filters on the sockets.
    pub(crate) fn take_back(&self) {
        self.listeners.take_filters_back();
    }
}

/// What tells the parts of a gateway to come to an end.
#[derive(Debug)]
struct Signals {
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
    Listen(#[from] SocketError),
    /// The admin listener.
    #[error("admin cannot listen on {0}")]
    Admin(SocketAddr, #[source] io::Error),
    /// What fetches the ranges.
    #[error(transparent)]
    Client(#[from] ClientError),
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
        Self::start_with(config, system, Sockets::default())
    }

    /// The same with sockets that were passed to this process; what is missing is opened.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_with(mut config: Config, system: &System, passed: Sockets) -> Result<Self, StartError> {
        let metrics = Metrics::new()?;
        let process_log = logging::start(&config.log, &metrics).map_err(StartError::Log)?;
        let (access, access_log) = logging::access_log(&config.log, system, &metrics).map_err(StartError::Log)?.unzip();
        let log_file = access_log.as_ref().and_then(|sink| LogFile::of(&config.log, system, sink)).map(Arc::new);
        let logs = access_log.into_iter().chain([process_log]).collect();
        let workers = workers(config.runtime.workers);
        let threads = Threads::start(workers).map_err(StartError::Runtime)?;
        let runtime = threads.handle().clone();
        let inside = runtime.enter();
        let admin_at = config.admin.address;
        let listeners = config.listeners.clone();
        let settings = HttpSettings {
            workers: workers.get(),
            upstream_idle: config.runtime.upstream_idle,
            metrics: metrics.clone(),
            access,
        };
        let client = system.client()?;
        let ranges = Ranges::begin(&mut config, system, &metrics);
        let fixed = Fixed::of(&config);
        let teams = Teams::begin(&config, system, &metrics);
        let traces = Traces::begin(config.tracing.as_ref(), client.clone(), metrics.clone());
        let (traces, tracer) = traces.map_err(StartError::Runtime)?;
        let snapshot = Snapshot::new(config, teams.keys(), tracer, None)?;
        snapshot.show(&metrics, None);
        let in_force = Arc::new(InForce::new(snapshot, teams.wanted()));
        let signals = Signals { drain: watch::Sender::new(false), ready: watch::Sender::new(true) };
        let (http, finished) = Http::new(settings, Arc::clone(&in_force) as Arc<dyn Sites>, signals.drain.subscribe());
        let (admin, admin_address) =
            admin_socket(admin_at, &passed).map_err(|error| StartError::Admin(admin_at, error))?;
        let serving = (Arc::clone(&in_force), metrics.clone(), http);
        let listeners = Arc::new(Listeners::start(&listeners, passed, serving)?);
        listeners.show_filters_at_each_look();
        let lasting = (ranges, teams, traces);
        let succession =
            Succession::new(Arc::clone(&in_force), Arc::clone(&listeners), lasting, fixed, metrics.clone());
        let succession = Arc::new(succession);
        let admin_thread = Threads::alone("admin").map_err(StartError::Runtime)?;
        let scrapes = served_by(&admin_thread, &admin).map_err(|error| StartError::Admin(admin_at, error))?;
        let heartbeat = Heartbeat::of(&runtime);
        let (alive, told) = (Arc::clone(&heartbeat), Arc::clone(&succession));
        admin_thread.handle().spawn(admin::serve(scrapes, metrics.clone(), signals.ready.subscribe(), told, alive));
        keep_informed(&runtime, &succession, client);
        info!(address:% = admin_address, workers; "ready");
        drop(inside);
        Ok(Self {
            threads,
            admin_thread,
            listeners,
            admin: Arc::new(admin),
            heartbeat,
            admin_address,
            metrics,
            signals,
            succession,
            finished,
            logs,
            log_file,
        })
    }

    /// What puts another configuration in force, for threads that must not hold the gateway up.
    #[must_use]
    pub fn succession(&self) -> Arc<Succession> {
        Arc::clone(&self.succession)
    }

    /// What opens the file of the access log anew, after a rotation; none where there is no such file.
    pub(crate) fn log_file(&self) -> Option<Arc<LogFile>> {
        self.log_file.clone()
    }

    /// Where a listener listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.listeners.address(listener)
    }

    /// Whether the kernel drops the packets of those who may not connect to a listener.
    #[must_use]
    pub fn has_kernel_filter(&self, listener: &str) -> bool {
        self.listeners.has_filter(listener)
    }

    /// Where the admin listener listens.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// What a process gets that is to go on in this one's place.
    pub(crate) fn heritage(&self) -> Heritage {
        Heritage { listeners: Arc::clone(&self.listeners), admin: Arc::clone(&self.admin), address: self.admin_address }
    }

    /// Whether the threads that serve make progress.
    pub(crate) fn heartbeat(&self) -> Arc<Heartbeat> {
        Arc::clone(&self.heartbeat)
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
    pub fn shut_down(self, hurry: impl Future<Output = ()>) {
        self.drain(Accepting::LastCall, hurry);
    }

    /// The same for a gateway whose sockets another process serves by now, the admin listener's too: what waits on them is left to that one.
    pub fn give_way(mut self, hurry: impl Future<Output = ()>) {
        self.admin_thread.end(LAST_TASKS);
        self.drain(Accepting::Paused, hurry);
    }

    fn drain(mut self, last: Accepting, hurry: impl Future<Output = ()>) {
        let limit = self.succession.drain();
        info!(limit:?; "draining: no new connections, open requests finish");
        self.signals.ready.send_replace(false);
        self.listeners.stop(last);
        self.signals.drain.send_replace(true);
        let finished = &mut self.finished;
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
    pub fn stop(self) {
        info!("stopping at once");
        self.end();
    }

    fn end(mut self) {
        self.threads.end(LAST_TASKS);
        self.admin_thread.end(LAST_TASKS);
        self.succession.traces().settle(LAST_SPANS);
        for log in &self.logs {
            // What cannot be written by then is lost: an output that blocks must not keep a process from its end.
            let _ = log.settle(LAST_LINES);
        }
    }
}

/// How long tasks may take to be dropped at the end.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// How long the last spans may take to be exported at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// How long the logs may take to be written at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What fetches what the gateway cannot know by itself.
fn keep_informed(runtime: &Handle, succession: &Arc<Succession>, client: Client) {
    runtime.spawn(keep_fresh(Arc::clone(succession), client.clone()));
    runtime.spawn(keep_keys(Arc::clone(succession), client));
}

fn workers(configured: Option<NonZeroUsize>) -> NonZeroUsize {
    configured.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}

/// The admin listener's socket, with its address: a process before may have opened it.
fn admin_socket(address: SocketAddr, passed: &Sockets) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let socket = match passed.find(&sockets::admin(address)) {
        Some(socket) => socket.try_clone()?,
        None => std::net::TcpListener::bind(address)?,
    };
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// A socket as the tasks of these threads use it.
fn served_by(threads: &Threads, socket: &std::net::TcpListener) -> io::Result<TcpListener> {
    let _inside = threads.handle().enter();
    socket.try_clone().and_then(TcpListener::from_std)
}
