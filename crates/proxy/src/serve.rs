//! Connections into Pingora: HTTP/1.1 head by head, HTTP/2 as a whole.

use crate::answer::raw;
use crate::body::Watch;
use crate::carried::Carried;
use crate::connection::{Conn, NoHead, Turn};
use crate::exchange::refused_head;
use crate::gatekeeper::{Gatekeeper, OutcomeLog, RequestIds};
use crate::limits::HttpLimits;
use crate::site::Sites;
use crate::under_way::UnderWay;
use async_trait::async_trait;
use log::debug;
use pingora::time::fast_timeout::set_fast_timeout_to_tokio_threshold;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use pullgate_door::{Arrival, Reception};
use pullgate_metrics::{AccessLog, Metrics, Outcome, PanicAt};
use pullgate_policy::{Denial, Reason};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// What HTTP is set up with.
#[derive(Debug)]
pub struct HttpSettings {
    /// Worker threads of the runtime.
    pub workers: usize,
    /// Idle upstream connections kept, all upstreams together.
    pub upstream_idle: usize,
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
}

impl Inner {
    /// Counts and logs a head that never became a request.
    fn refuse(&self, carried: &Carried, reason: Reason) {
        let denial = Denial::from(reason);
        self.log.record(&refused_head(carried, &denial, self.ids.next(), &self.sites.current()));
    }

    /// The same for what a library refused by itself: where that ended the stream or the connection, nothing was answered.
    fn overheard(&self, carried: &Carried, reason: Reason) {
        let (denial, site) = (Denial::from(reason), self.sites.current());
        let outcome = refused_head(carried, &denial, self.ids.next(), &site);
        let is_answered = !matches!(reason, Reason::StreamMalformed | Reason::FramesMalformed);
        let status = if is_answered { outcome.status } else { 0 };
        self.log.record(&Outcome { status, ..outcome });
    }

    /// Counts and logs a request that a panic ended without an answer; what was known of it is lost.
    fn broke_off(&self, carried: &Carried) {
        let (denial, site) = (Denial::from(Reason::Panicked), self.sites.current());
        let outcome = refused_head(carried, &denial, self.ids.next(), &site);
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

/// Longer waits than this are timed by tokio's clocks, but for what a client of HTTP/1.1 does not take of a body. Pingora's own are cheaper
/// to begin and cannot be stopped: each stays in memory until its time is over, up to a hundred of them a second and thread.
const LONGEST_FAST_TIMEOUT: Duration = Duration::from_secs(60);

/// Flow-control windows: an upload must not wait for a round trip every 64 KiB.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

impl Http {
    /// Sets up the proxy. When `drain` turns true, connections end after the request they are in.
    ///
    /// The receiver closes when no connection, and no clone of the returned value, is left.
    #[must_use]
    pub fn new(settings: HttpSettings, sites: Arc<dyn Sites>, drain: ShutdownWatch) -> (Self, mpsc::Receiver<()>) {
        let HttpSettings { workers, upstream_idle, metrics, access } = settings;
        set_fast_timeout_to_tokio_threshold(Some(LONGEST_FAST_TIMEOUT));
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
        let mut proxy = http_proxy(&Arc::new(conf), gatekeeper);
        let mut options = HttpServerOptions::default();
        // So that the decision refuses it, which counts and logs; Pingora would answer 405 by itself.
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        let (alive, finished) = mpsc::channel(1);
        let inner = Inner { proxy: Arc::new(proxy), sites, log, ids: RequestIds::default() };
        (Self { inner: Arc::new(inner), drain, _alive: alive }, finished)
    }

    /// The connection stays in its box from one request to the next: it is too large to be moved for each.
    async fn http1(&self, mut conn: Box<Conn>, limits: HttpLimits) {
        let digest = conn.digest();
        let Some(carried) = Carried::within(&digest) else { return };
        let mut settings = None;
        let mut turn = Turn::First;
        loop {
            let head = match conn.read_head(&limits, turn).await {
                Ok(head) => head,
                Err(NoHead::Gone) => return,
                Err(NoHead::Refused(reason)) => {
                    self.inner.refuse(carried, reason);
                    if let Err(error) = conn.answer_and_close(&raw(reason.status())).await {
                        debug!("a refused head was not answered: {error}");
                    }
                    return;
                }
            };
            let mut session = ServerSession::new_http1(conn);
            if let Some(settings) = settings.take() {
                let settings: pingora_core::apps::HttpPersistentSettings = settings;
                settings.apply_to_session(&mut session);
            }
            // The parser takes it as it is, in place of a read.
            session.set_pipelined_prefix(head);
            session.set_keepalive(Some(limits.idle.as_secs().max(1)));
            session.set_read_timeout(Some(limits.body));
            session.set_write_timeout(Some(limits.write));
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
            conn = next;
            turn = Turn::Later;
            settings = kept;
        }
    }

    async fn http2(&self, mut conn: Conn, limits: HttpLimits) {
        if let Err(error) = conn.read_preface(&limits).await {
            debug!("no HTTP/2 preface: {error}");
            return;
        }
        let digest = conn.digest();
        let Some(carried) = Carried::within(&digest) else { return };
        let (inner, facts) = (Arc::clone(&self.inner), Arc::clone(&digest));
        conn.overhear(Box::new(move |reason| {
            if let Some(carried) = Carried::within(&facts) {
                inner.overheard(carried, reason);
            }
        }));
        let under_way = UnderWay::none();
        let front = Arc::new(Http2Front { inner: Arc::clone(&self.inner), under_way: Arc::clone(&under_way), limits });
        let (ending, mut ended, mut drain) = (carried.ending(), carried.ending(), self.drain.clone());
        let serving = front.process_new(Box::new(conn), &ending);
        let mut serving = std::pin::pin!(serving);
        let is_idle = tokio::select! {
            _ = &mut serving => return,
            _ = drain.wait_for(|drain| *drain) => false,
            _ = ended.wait_for(|ended| *ended) => false,
            () = under_way.none_for(limits.idle) => true,
        };
        // Pingora watches this connection's own signal, and whatever ends it reaches it through that.
        carried.end();
        // A client need not answer the GOAWAY, nor be there any more.
        tokio::select! {
            _ = serving => {}
            () = sleep(limits.idle) => debug!("a connection that was to end is cut"),
            () = under_way.none_for(limits.write), if is_idle => debug!("an idle client that does not go is cut"),
        }
    }
}

impl Reception for Http {
    async fn receive(self, arrival: Arrival) {
        let limits = self.inner.sites.current().limits.get(&arrival.connection.listener).copied();
        let limits = limits.unwrap_or(HttpLimits::PARTING);
        match Conn::new(arrival, limits) {
            Ok(conn) if conn.is_http2() => self.http2(conn, limits).await,
            Ok(conn) => self.http1(Box::new(conn), limits).await,
            Err(error) => debug!("a connection was not taken: {error}"),
        }
    }
}

/// One HTTP/2 connection with its listener's options; the proxy behind it is the same for all.
struct Http2Front {
    inner: Arc<Inner>,
    under_way: Arc<UnderWay>,
    limits: HttpLimits,
}

#[async_trait]
impl HttpServerApp for Http2Front {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let _under_way = self.under_way.begin();
        session.set_write_timeout(Some(self.limits.write));
        let digest = session.digest().and_then(|digest| digest.proxy_digest.clone());
        let has_body = !session.is_body_done();
        let serving = self.inner.proxy.process_new_http(session, shutdown);
        let serving = async {
            if !has_body {
                return serving.await;
            }
            // Pingora waits for the bytes of a body without end. Dropping what serves it resets the stream, and cuts the upstream.
            Watch::new().over(serving, self.limits.body).await.flatten()
        };
        let served = self.inner.log.metrics.survive_all(PanicAt::Request, serving).await;
        if let (None, Some(carried)) = (&served, digest.as_deref().and_then(Carried::within)) {
            self.inner.broke_off(carried);
        }
        served.flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.max_concurrent_streams(self.limits.streams);
        options.max_header_list_size(u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX));
        options.initial_window_size(STREAM_WINDOW);
        options.initial_connection_window_size(CONNECTION_WINDOW);
        Some(options)
    }
}
