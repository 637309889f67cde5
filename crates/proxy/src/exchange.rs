//! One request on its way through the gateway: what Pingora's callbacks hand from one to the next.

use crate::body::Progress;
use crate::carried::Carried;
use crate::gatekeeper::OutcomeLog;
use crate::site::{Server, Site, Sites, Upstream};
use crate::witness::Witness;
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;
use pullgate_metrics::{Outcome, PanicAt, Seen, Traced, UpstreamEnd, Used};
use pullgate_policy::response::Answer;
use pullgate_policy::{Action, Caller, Denial, Facts, Reason, Request, RequestId, Ruling, TraceContext, TrustLevel};
use rustls_pki_types::UnixTime;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// One request: when it came, and how far it got.
#[derive(Debug)]
pub(crate) struct Exchange {
    id: RequestId,
    begun: Instant,
    begun_at: SystemTime,
    stage: Stage,
    /// Its place in a trace; none where tracing is off.
    trace: Option<TraceContext>,
    body: Progress,
    /// The refusal of a request that had leave to pass, for what its body turned out to be.
    late: Option<Denial>,
    /// Interim answers of the upstream.
    interim: u32,
    /// What can tell the outcome where Pingora is stopped before it does.
    witness: Option<Witness>,
}

/// How far a request got.
#[derive(Debug)]
enum Stage {
    /// Its head was read.
    Received,
    /// The gateway answers it: a denial, or a route that responds.
    Answered(Judged),
    /// It goes to an upstream.
    Forwarded(Judged, Attempt),
}

#[derive(Debug)]
struct Judged {
    site: Arc<Site>,
    ruling: Ruling,
}

#[derive(Debug)]
struct Attempt {
    upstream: usize,
    /// The turn that servers are counted from.
    turn: usize,
    /// How each of the servers that could not be reached failed, from the turn on.
    unreachable: Vec<UpstreamEnd>,
    /// How it went with the one after them.
    end: UpstreamEnd,
}

impl Exchange {
    pub(crate) fn new(id: RequestId) -> Self {
        let (begun, begun_at, body) = (Instant::now(), SystemTime::now(), Progress::begin());
        Self { id, begun, begun_at, stage: Stage::Received, trace: None, body, late: None, interim: 0, witness: None }
    }

    /// Judges the request; from here on the exchange knows where it goes.
    pub(crate) fn judge(&mut self, sites: &dyn Sites, session: &Session, carried: &Carried, log: &OutcomeLog) {
        if self.body.is_watched() {
            self.witness = Witness::of(session, log);
        }
        let site = sites.current();
        self.trace =
            site.tracer.as_ref().map(|tracer| tracer.place(self.id, Caller::of(&session.req_header().headers)));
        let now = self.begun_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let facts = Facts {
            connection: &carried.connection,
            request: request_of(session.req_header()),
            now: UnixTime::since_unix_epoch(now),
            id: self.id,
            most_fields: carried.limits.head_fields,
        };
        let ruling = log
            .metrics
            .survive(PanicAt::Request, || site.rules.decide(&facts))
            .unwrap_or_else(|| Ruling::refused(Reason::Panicked, TrustLevel::None));
        ruling.findings.unknown_keys.iter().for_each(|team| sites.want_keys(team));
        let forward = match ruling.outcome.as_ref().map(pullgate_policy::Permit::action) {
            Ok(Action::Forward { upstream, .. }) => {
                site.upstreams.get(*upstream).map(|group| (*upstream, group.turn()))
            }
            _ => None,
        };
        let judged = Judged { site, ruling };
        self.stage = match forward {
            Some((upstream, turn)) => Stage::Forwarded(
                judged,
                Attempt { upstream, turn, unreachable: Vec::new(), end: UpstreamEnd::Answered },
            ),
            None => Stage::Answered(judged),
        };
    }

    /// The ruling, once there is one.
    pub(crate) fn ruling(&self) -> Option<&Ruling> {
        self.judged().map(|judged| &judged.ruling)
    }

    /// Its place in a trace; none where tracing is off.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// Whether the connection is to end after the answer.
    pub(crate) fn ends_connection(&self) -> bool {
        self.ruling().is_some_and(|ruling| ruling.ends_connection)
    }

    fn judged(&self) -> Option<&Judged> {
        match &self.stage {
            Stage::Received => None,
            Stage::Answered(judged) | Stage::Forwarded(judged, _) => Some(judged),
        }
    }

    /// The server to try now; none unless the request may be forwarded.
    pub(crate) fn server(&self) -> Option<&Server> {
        let Stage::Forwarded(judged, attempt) = &self.stage else { return None };
        judged.site.upstreams.get(attempt.upstream)?.server(attempt.turn.wrapping_add(attempt.unreachable.len()))
    }

    /// Notes that the server could not be reached; whether another one is left to try. Then it is the one to try now.
    pub(crate) fn server_unreachable(&mut self, end: UpstreamEnd) -> bool {
        let Stage::Forwarded(judged, attempt) = &mut self.stage else { return false };
        let servers = judged.site.upstreams.get(attempt.upstream).map_or(0, Upstream::len);
        if attempt.unreachable.len() + 1 >= servers {
            return false;
        }
        attempt.unreachable.push(end);
        true
    }

    /// Notes how the exchange with the server ended.
    pub(crate) fn ended(&mut self, end: UpstreamEnd) {
        if let Stage::Forwarded(_, attempt) = &mut self.stage {
            attempt.end = end;
        }
    }

    /// Notes bytes of the request's body; `ends` where they are the last.
    pub(crate) fn body_came(&mut self, bytes: usize, ends: bool, carried: Option<&Carried>) -> pingora::Result<()> {
        let permit = self.ruling().and_then(|ruling| ruling.outcome.as_ref().ok());
        let (Some(permit), Some(carried)) = (permit, carried) else { return Ok(()) };
        let most = permit.body_bytes();
        self.body.take(bytes, ends, most, carried.limits.body).map_err(|reason| {
            self.late = Some(reason.into());
            Error::new_down(ErrorType::HTTPStatus(reason.status().as_u16()))
        })
    }

    /// Notes that another attempt begins, which gets the body from its first byte.
    pub(crate) fn restart_body(&mut self) {
        self.body.restart();
    }

    /// Notes the reason where an exchange failed because its body came to a halt.
    pub(crate) fn blame_body(&mut self, error: &Error) {
        if (error.esource(), error.etype()) == (&ErrorSource::Downstream, &ErrorType::ReadTimedout) {
            self.late = Some(Reason::BodyTimedOut.into());
        }
    }

    /// Judges the head of an upstream's answer, and notes the status that the client is answered with. `may_switch` where the request
    /// asks for another protocol.
    pub(crate) fn answers(&mut self, head: &ResponseHeader, may_switch: bool) -> pingora::Result<()> {
        let status = head.status;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.interim += 1;
        }
        let answer =
            Answer { status, version: head.version, headers: &head.headers, interim: self.interim, may_switch };
        answer.check().map_err(|fault| Error::new_up(ErrorType::Custom(fault.label())))?;
        if let Some(witness) = &mut self.witness {
            witness.answered(status);
        }
        Ok(())
    }

    /// Notes that the outcome is told.
    pub(crate) fn is_logged(&mut self) {
        self.witness = None;
    }

    /// The outcome, for metrics and log.
    pub(crate) fn outcome<'a>(
        &'a self,
        session: &'a Session,
        carried: &'a Carried,
        error: Option<&Error>,
    ) -> Outcome<'a> {
        Outcome {
            status: answered(session).map_or(0, |status| status.as_u16()),
            error: error.map(in_words),
            request_bytes: u64::try_from(session.body_bytes_read()).unwrap_or(u64::MAX),
            response_bytes: u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX),
            ..self.outcome_so_far(session.req_header(), carried)
        }
    }

    /// The outcome without what a session alone knows.
    fn outcome_so_far<'a>(&'a self, header: &'a RequestHeader, carried: &'a Carried) -> Outcome<'a> {
        let judged = self.judged();
        let ruling = judged.map(|judged| &judged.ruling);
        let host = judged.and_then(|judged| Some(judged.site.rules.hosts.host(judged.ruling.host?)));
        let route = host.zip(ruling).and_then(|(host, ruling)| host.routes.get(ruling.route?));
        let policies =
            host.into_iter().flat_map(|host| &host.policies).chain(route.into_iter().flat_map(|route| &route.policies));
        let judged_visitor = ruling.and_then(|ruling| ruling.visitor);
        let denial = ruling.and_then(|ruling| ruling.outcome.as_ref().err()).or(self.late.as_ref());
        let mut asked: Vec<&str> = Vec::new();
        // With visitor and route known, the policies were reached.
        if judged_visitor.is_some() && route.is_some() {
            asked.extend(policies.map(|attached| &*attached.label));
            let refusing = denial.and_then(|denial| denial.policy.as_deref());
            if let Some(at) = asked.iter().position(|label| Some(*label) == refusing) {
                asked.truncate(at + 1);
            }
        }
        Outcome {
            connection: &carried.connection,
            about: &carried.about,
            seen: Some(seen(header)),
            host: host.map(|host| host.name.as_str()),
            route: route.map(|route| &*route.name),
            asked,
            denial,
            observed: ruling.map_or(&[], |ruling| &ruling.observed),
            disagreements: ruling.map_or(&[], |ruling| &ruling.disagreements),
            visitor: judged_visitor,
            trust: ruling.map_or(TrustLevel::None, |ruling| ruling.trust),
            status: 0,
            error: None,
            passed_over: self.passed_over(),
            upstream: self.used(),
            id: self.id,
            traced: self.traced(),
            generation: judged.map_or(0, |judged| judged.site.generation),
            started: self.begun_at,
            duration: self.begun.elapsed(),
            request_bytes: self.body.received(),
            response_bytes: 0,
        }
    }

    fn traced(&self) -> Option<Traced<'_>> {
        Some(Traced { context: self.trace?, tracer: self.judged()?.site.tracer.as_ref()? })
    }

    fn used(&self) -> Option<Used<'_>> {
        let Stage::Forwarded(judged, attempt) = &self.stage else { return None };
        let upstream = judged.site.upstreams.get(attempt.upstream)?;
        Some(Used { upstream: upstream.name(), server: &self.server()?.label, end: attempt.end })
    }

    fn passed_over(&self) -> Vec<Used<'_>> {
        let Stage::Forwarded(judged, attempt) = &self.stage else { return Vec::new() };
        let Some(upstream) = judged.site.upstreams.get(attempt.upstream) else { return Vec::new() };
        let ends = attempt.unreachable.iter().enumerate();
        ends.filter_map(|(behind, end)| {
            let server = upstream.server(attempt.turn.wrapping_add(behind))?;
            Some(Used { upstream: upstream.name(), server: &server.label, end: *end })
        })
        .collect()
    }
}

impl Drop for Exchange {
    /// Tells the outcome of a stream that was given up, which Pingora has no callback for. What a panic ends is told by whoever survives it.
    fn drop(&mut self) {
        let Some(witness) = self.witness.take().filter(|_| !std::thread::panicking()) else { return };
        self.ended(UpstreamEnd::Abandoned);
        if self.body.is_over() {
            self.late = Some(Reason::BodyTimedOut.into());
        }
        witness.tell(|header, carried| self.outcome_so_far(header, carried));
    }
}

/// The status that the client has been answered with. A 1xx is no answer yet (RFC 9110 section 15.2), except the one that switches
/// protocols.
pub(crate) fn answered(session: &Session) -> Option<StatusCode> {
    let status = session.response_written()?.status;
    (!status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS).then_some(status)
}

/// An error by its kind alone: Pingora's own words may quote what a client or server sent.
fn in_words(error: &Error) -> String {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    let (source, kind) = (error.esource().as_str(), error.etype().as_str());
    match cause {
        Some(cause) => format!("{source}: {kind}: {}", cause.kind()),
        None => format!("{source}: {kind}"),
    }
}

/// The facts of a head. An absolute-form target (RFC 9112 section 3.2.2) counts as its authority and its path.
fn request_of(header: &RequestHeader) -> Request<'_> {
    let raw = header.raw_path();
    let (scheme, authority, target) = match split_absolute(raw) {
        Some((scheme, authority, target)) => (Some(scheme), Some(authority), target),
        None => {
            let authority = header.uri.authority().map(|authority| authority.as_str().as_bytes());
            (header.uri.scheme_str(), authority, raw)
        }
    };
    Request { method: &header.method, scheme, authority, target, headers: &header.headers }
}

fn split_absolute(raw: &[u8]) -> Option<(&'static str, &[u8], &[u8])> {
    let begins = |scheme: &[u8]| raw.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let (scheme, rest) = match () {
        () if begins(b"http://") => ("http", &raw[7..]),
        () if begins(b"https://") => ("https", &raw[8..]),
        () => return None,
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let target = if end == rest.len() { &b"/"[..] } else { &rest[end..] };
    Some((scheme, &rest[..end], target))
}

fn seen(header: &RequestHeader) -> Seen<'_> {
    let request = request_of(header);
    let host = || header.headers.get(http::header::HOST).map(http::HeaderValue::as_bytes);
    Seen {
        method: request.method,
        authority: request.authority.or_else(host).unwrap_or_default(),
        target: request.target,
        version: match header.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        headers: request.headers,
    }
}

/// The target as it was judged, where Pingora would forward something else: an absolute form, or an authority beside the path.
pub(crate) fn judged_target(header: &RequestHeader) -> Option<Vec<u8>> {
    match split_absolute(header.raw_path()) {
        Some((.., target)) => Some(target.to_vec()),
        None if header.uri.authority().is_some() => Some(header.raw_path().to_vec()),
        None => None,
    }
}

/// The outcome of a head that never became a request. What it may have said of its caller is not read.
pub(crate) fn refused_head<'a>(carried: &'a Carried, denial: &'a Denial, id: RequestId, site: &'a Site) -> Outcome<'a> {
    Outcome {
        connection: &carried.connection,
        about: &carried.about,
        seen: None,
        host: None,
        route: None,
        asked: Vec::new(),
        denial: Some(denial),
        observed: &[],
        disagreements: &[],
        visitor: None,
        trust: site.rules.trust_in(&carried.connection, UnixTime::now()),
        status: denial.reason.status().as_u16(),
        error: None,
        passed_over: Vec::new(),
        upstream: None,
        id,
        traced: site.tracer.as_ref().map(|tracer| Traced { context: tracer.place(id, None), tracer }),
        generation: site.generation,
        started: SystemTime::now(),
        duration: std::time::Duration::ZERO,
        request_bytes: 0,
        response_bytes: 0,
    }
}
