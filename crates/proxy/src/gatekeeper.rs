//! Pingora's callbacks: each hands its arguments to one function and its answer back.

use crate::answer::{end_of, fixed, status_of};
use crate::carried::Carried;
use crate::exchange::{Exchange, answered, judged_target};
use crate::site::Sites;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use log::debug;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use pingora_core::modules::http::HttpModules;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use pullgate_metrics::{AccessLog, Metrics, Traced, UpstreamEnd};
use pullgate_policy::headers::Edit;
use pullgate_policy::{Action, Denial, HeaderEdits, RequestId};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Stands between Pingora and the rules.
pub(crate) struct Gatekeeper {
    pub(crate) sites: Arc<dyn Sites>,
    pub(crate) log: OutcomeLog,
    pub(crate) ids: RequestIds,
    /// Turns true when connections are to end after the answer they are in.
    pub(crate) drain: ShutdownWatch,
}

/// Where outcomes go.
#[derive(Debug, Clone)]
pub(crate) struct OutcomeLog {
    pub(crate) metrics: Metrics,
    pub(crate) access: Option<AccessLog>,
}

impl OutcomeLog {
    pub(crate) fn record(&self, outcome: &pullgate_metrics::Outcome<'_>) {
        self.metrics.request(outcome);
        if let Some(access) = &self.access {
            access.write(outcome);
        }
        if let Some(Traced { context, tracer }) = &outcome.traced {
            tracer.record(outcome, context);
        }
    }
}

/// Identities that nobody outside can foresee: a counter, hashed with a key made at start.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    key: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn next(&self) -> RequestId {
        RequestId(self.key.hash_one(self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

#[async_trait]
impl ProxyHttp for Gatekeeper {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.ids.next())
    }

    /// None: Pingora would make one for compression, turned off, for each request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let carried = Carried::of(session.digest()).ok_or_else(no_facts)?;
        let goes_on = carried.mark_judged();
        exchange.judge(&*self.sites, session, carried, &self.log);
        if exchange.ends_connection() || !goes_on {
            carried.end();
            session.set_keepalive(None);
        }
        match answer_here(exchange) {
            None => Ok(false),
            Some((status, location, edits)) => answer(session, status, location, &edits).await.map(|()| true),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        let idle = Carried::of(session.digest()).map(|carried| carried.limits.idle);
        let server = exchange.server().ok_or_else(|| Error::explain(ErrorType::InternalError, "no permit"))?;
        let mut peer = server.peer();
        if asks_for_websocket(session.req_header()) {
            // A WebSocket may be silent for as long as an idle connection.
            peer.options.read_timeout = idle;
        }
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        prepare(request, exchange)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        ends: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        exchange.body_came(body.as_ref().map_or(0, Bytes::len), ends, Carried::of(session.digest()))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.answers(response, asks_for_websocket(session.req_header()))?;
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            let idle = Carried::of(session.digest()).map(|carried| carried.limits.idle);
            session.as_downstream_mut().set_read_timeout(idle);
        }
        if *self.drain.borrow() {
            session.set_keepalive(None);
        }
        // The version of a message is the sender's own (RFC 9110 section 2.5), whatever the upstream speaks.
        response.set_version(Version::HTTP_11);
        match exchange.ruling().map(|ruling| &ruling.outcome) {
            Some(Ok(permit)) => edit_response(response, permit.response_edits()),
            _ => Ok(()),
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing was sent, so that another server may be asked without harm.
        error.set_retry(exchange.server_unreachable(end_of(&error)));
        error.more_context(format!("server {}", peer._address))
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        exchange.ended(end_of(error));
        exchange.blame_body(error);
        let code = match status_of(error) {
            Some(status) if answered(session).is_none() => fail(session, status).await,
            Some(status) => status.as_u16(),
            None => 0,
        };
        FailToProxy { error_code: code, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _session: &Session, _exchange: &Exchange, _error: &Error) -> bool {
        // The access log tells it, with the request beside it.
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        if let Some(error) = error {
            exchange.ended(end_of(error));
        }
        exchange.is_logged();
        let session: &Session = session;
        if let Some(carried) = Carried::of(session.digest()) {
            self.log.record(&exchange.outcome(session, carried, error));
        }
    }
}

fn no_facts() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "the connection carries no facts")
}

type OwnAnswer = (StatusCode, Option<HeaderValue>, HeaderEdits);

/// What the gateway answers by itself; none where the request is to be forwarded.
fn answer_here(exchange: &Exchange) -> Option<OwnAnswer> {
    let ruling = exchange.ruling()?;
    match &ruling.outcome {
        Err(Denial { reason, .. }) => {
            let set = ruling.allow.iter().map(|methods| (ALLOW, methods.clone())).collect();
            Some((reason.status(), None, HeaderEdits { set, ..HeaderEdits::default() }))
        }
        Ok(permit) => match permit.action() {
            Action::Forward { .. } => None,
            Action::Respond { status, location } => Some((*status, location.clone(), permit.response_edits().clone())),
        },
    }
}

/// How long a client may take to read an answer that comes while it sends.
const PARTING: Duration = Duration::from_secs(1);

/// Answers and leaves the connection open where neither the request's body stands in the way nor a fault of our own.
async fn answer(
    session: &mut Session,
    status: StatusCode,
    location: Option<HeaderValue>,
    edits: &HeaderEdits,
) -> Result<()> {
    let sends_on = !session.as_downstream_mut().is_body_done();
    if sends_on || status == StatusCode::INTERNAL_SERVER_ERROR {
        session.set_keepalive(None);
    }
    let (mut head, body) = fixed(status, location)?;
    edit_response(&mut head, edits)?;
    let headers_only = body.is_empty() || session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(head), headers_only).await?;
    if !headers_only {
        session.write_response_body(Some(body), true).await?;
    }
    if sends_on && !session.is_http2() {
        // A socket that is closed with unread bytes sends a reset, which overtakes the answer.
        let rest = async { while let Ok(Some(_)) = session.as_downstream_mut().read_request_body().await {} };
        // However it ends, the connection is over.
        let _ = timeout(PARTING, rest).await;
    }
    Ok(())
}

async fn fail(session: &mut Session, status: StatusCode) -> u16 {
    session.set_keepalive(None);
    match answer(session, status, None, &HeaderEdits::default()).await {
        Ok(()) => status.as_u16(),
        Err(error) => {
            debug!("an error answer could not be sent: {error}");
            0
        }
    }
}

/// Makes the judged request out of the received one.
fn prepare(request: &mut RequestHeader, exchange: &mut Exchange) -> Result<()> {
    exchange.ended(UpstreamEnd::Answered);
    exchange.restart_body();
    let permit = exchange.ruling().and_then(|ruling| ruling.outcome.as_ref().ok());
    let Some(Action::Forward { target, edits, .. }) = permit.map(pullgate_policy::Permit::action) else {
        return Error::e_explain(ErrorType::InternalError, "no permit");
    };
    if let Some(target) = target.clone().or_else(|| judged_target(request)) {
        request.set_raw_path(&target)?;
    }
    // Before the operator's own edits: who wants an upstream to know nothing of traces removes the field.
    if let Some(told) = exchange.trace().map(|trace| trace.edits(&request.headers)) {
        edit_request(request, &told)?;
    }
    edit_request(request, edits)
}

/// Whether a request asks for what Pingora passes on as a WebSocket (RFC 6455 section 4.1).
fn asks_for_websocket(request: &RequestHeader) -> bool {
    let holds = |name: HeaderName, word: &str| {
        let values = request.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    request.method == Method::GET && holds(UPGRADE, "websocket") && holds(CONNECTION, "upgrade")
}

fn edit_request(request: &mut RequestHeader, edits: &HeaderEdits) -> Result<()> {
    for edit in edits.each() {
        match edit {
            Edit::Remove(name) => drop(request.remove_header(name)),
            // Most requests bring some of these as they are to go on, and Pingora keeps each name in two tables. The spelling of the name is
            // the client's then.
            Edit::Set(name, value) if holds_alone(&request.headers, name, value) => {}
            Edit::Set(name, value) => request.insert_header(name.clone(), value.clone())?,
        }
    }
    Ok(())
}

/// Whether a field is there with this value, and with no other beside it.
fn holds_alone(headers: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next() == Some(value) && values.next().is_none()
}

fn edit_response(response: &mut ResponseHeader, edits: &HeaderEdits) -> Result<()> {
    for edit in edits.each() {
        match edit {
            Edit::Remove(name) => drop(response.remove_header(name)),
            Edit::Set(name, value) => response.insert_header(name.clone(), value.clone())?,
        }
    }
    Ok(())
}
