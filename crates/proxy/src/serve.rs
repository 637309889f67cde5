//! Connections into Pingora: HTTP/1.1 head by head, HTTP/2 as a whole.

use crate::answer::raw;
use crate::connection::{Carried, Conn, NoHead, Turn};
use crate::exchange::refused_head;
use crate::gatekeeper::{Gatekeeper, OutcomeLog, RequestIds};
use crate::site::Sites;
use async_trait::async_trait;
use log::debug;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use pullgate_door::{Arrival, Reception};
use pullgate_metrics::{AccessLog, Metrics, Outcome, PanicAt};
use pullgate_policy::{Denial, Reason};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The time-outs of one listener's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// Between two writes to a client.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
}

/// What HTTP is set up with.
#[derive(Debug)]
pub struct HttpSettings {
    /// Worker threads of the runtime.
    pub workers: usize,
    /// Idle upstream connections kept, all upstreams together.
    pub upstream_idle: usize,
    /// The time-outs by the listener's name.
    pub timeouts: HashMap<Arc<str>, Timeouts>,
    /// The series.
    pub metrics: Metrics,
    /// The access log; none for off.
    pub access: Option<AccessLog>,
}

/// Serves HTTP on admitted connections. Clones serve together; `finished` of [`Http::new`] resolves when the last is gone.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
    drain: ShutdownWatch,
    _alive: mpsc::Sender<()>,
}

struct Inner {
    proxy: Arc<HttpProxy<Gatekeeper>>,
    sites: Arc<dyn Sites>,
    log: OutcomeLog,
    ids: RequestIds,
    timeouts: HashMap<Arc<str>, Timeouts>,
}

impl Inner {
    /// Counts and logs a head that never became a request.
    fn refuse(&self, carried: &Carried, reason: Reason) {
        let denial = Denial::from(reason);
        self.log.record(&refused_head(carried, &denial, self.ids.next(), &self.sites.current()));
    }

    /// Counts and logs a request that a panic ended without an answer; what was known of it is lost.
    fn broke_off(&self, carried: &Carried) {
        let denial = Denial::from(Reason::Panicked);
        let outcome = refused_head(carried, &denial, self.ids.next(), &self.sites.current());
        self.log.record(&Outcome { status: 0, ..outcome });
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// Tries that Pingora's own counter allows; the exchange stops earlier, when every server was tried once.
const MOST_TRIES: usize = 64;

/// Streams on one HTTP/2 connection: what Cloudflare opens at most.
const STREAMS: u32 = 200;

/// Flow-control windows: an upload must not wait for a round trip every 64 KiB.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Decoded header list of HTTP/2: Cloudflare's own limit.
const HEADER_LIST: u32 = 128 * 1024;

impl Http {
    /// Sets up the proxy. When `drain` turns true, connections end after the request they are in.
    ///
    /// The receiver closes when no connection, and no clone of the returned value, is left.
    #[must_use]
    pub fn new(settings: HttpSettings, sites: Arc<dyn Sites>, drain: ShutdownWatch) -> (Self, mpsc::Receiver<()>) {
        let HttpSettings { workers, upstream_idle, timeouts, metrics, access } = settings;
        let conf = ServerConf {
            threads: workers,
            // Pingora multiplies it with the threads; the configuration means the sum, rounded up to a multiple of them.
            upstream_keepalive_pool_size: upstream_idle.div_ceil(workers.max(1)),
            max_retries: MOST_TRIES,
            ..ServerConf::default()
        };
        let log = OutcomeLog { metrics, access };
        let gatekeeper = Gatekeeper {
            sites: Arc::clone(&sites),
            log: log.clone(),
            ids: RequestIds::default(),
            drain: drain.clone(),
        };
        let proxy = Arc::new(http_proxy(&Arc::new(conf), gatekeeper));
        let (alive, finished) = mpsc::channel(1);
        let inner = Inner { proxy, sites, log, ids: RequestIds::default(), timeouts };
        (Self { inner: Arc::new(inner), drain, _alive: alive }, finished)
    }

    async fn http1(&self, mut conn: Conn, timeouts: Timeouts) {
        let digest = conn.digest();
        let Some(carried) = Carried::within(&digest) else { return };
        let mut settings = None;
        let mut turn = Turn::First;
        loop {
            match conn.read_head(&timeouts, turn).await {
                Ok(()) => {}
                Err(NoHead::Gone) => return,
                Err(NoHead::Refused(reason)) => {
                    self.inner.refuse(carried, reason);
                    if let Err(error) = conn.answer_and_close(&raw(reason.status())).await {
                        debug!("a refused head was not answered: {error}");
                    }
                    return;
                }
            }
            let mut session = ServerSession::new_http1(Box::new(conn));
            if let Some(settings) = settings.take() {
                let settings: pingora_core::apps::HttpPersistentSettings = settings;
                settings.apply_to_session(&mut session);
            }
            session.set_keepalive(Some(timeouts.idle.as_secs().max(1)));
            session.set_read_timeout(Some(timeouts.body));
            session.set_write_timeout(Some(timeouts.write));
            let judged = carried.judged();
            let serving = self.inner.proxy.process_new_http(session, &self.drain);
            let Some(reused) = self.inner.log.metrics.survive_all(PanicAt::Request, serving).await else {
                self.inner.broke_off(carried);
                return;
            };
            if carried.judged() == judged {
                self.inner.refuse(carried, Reason::HeadMalformed);
            }
            let Some((stream, kept)) = reused.map(ReusedHttpStream::consume) else { return };
            let Ok(next) = stream.into_any().downcast::<Conn>() else { return };
            conn = *next;
            turn = Turn::Later;
            settings = kept;
        }
    }

    async fn http2(&self, mut conn: Conn, timeouts: Timeouts) {
        if let Err(error) = conn.read_preface(&timeouts).await {
            debug!("no HTTP/2 preface: {error}");
            return;
        }
        let digest = conn.digest();
        let Some(carried) = Carried::within(&digest) else { return };
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(timeouts.idle);
        let front = Arc::new(Http2Front { inner: Arc::clone(&self.inner), options, write: timeouts.write });
        let (ending, mut ended, mut drain) = (carried.ending(), carried.ending(), self.drain.clone());
        let serving = front.process_new(Box::new(conn), &ending);
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            _ = &mut serving => return,
            // Pingora watches this connection's own signal: a drain of all reaches it through that.
            _ = drain.wait_for(|drain| *drain) => carried.end(),
            _ = ended.wait_for(|ended| *ended) => {}
        }
        // Pingora's idle time-out is off once a connection ends, and a client need not answer the GOAWAY.
        if timeout(timeouts.idle, serving).await.is_err() {
            debug!("a connection that was to end is cut");
        }
    }
}

impl Reception for Http {
    async fn receive(self, arrival: Arrival) {
        let Some(timeouts) = self.inner.timeouts.get(&arrival.connection.listener).copied() else { return };
        match Conn::new(arrival, timeouts) {
            Ok(conn) if conn.is_http2() => self.http2(conn, timeouts).await,
            Ok(conn) => self.http1(conn, timeouts).await,
            Err(error) => debug!("a connection was not taken: {error}"),
        }
    }
}

/// One HTTP/2 connection with its listener's options; the proxy behind it is the same for all.
struct Http2Front {
    inner: Arc<Inner>,
    options: HttpServerOptions,
    write: Duration,
}

#[async_trait]
impl HttpServerApp for Http2Front {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_write_timeout(Some(self.write));
        let digest = session.digest().and_then(|digest| digest.proxy_digest.clone());
        let serving = self.inner.proxy.process_new_http(session, shutdown);
        let served = self.inner.log.metrics.survive_all(PanicAt::Request, serving).await;
        if let (None, Some(carried)) = (&served, digest.as_deref().and_then(Carried::within)) {
            self.inner.broke_off(carried);
        }
        served.flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.max_concurrent_streams(STREAMS);
        options.max_header_list_size(HEADER_LIST);
        options.initial_window_size(STREAM_WINDOW);
        options.initial_connection_window_size(CONNECTION_WINDOW);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
