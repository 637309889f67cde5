//! What is told of one request, named as OpenTelemetry's semantic conventions name things.

use crate::outcome::Outcome;
use http::HeaderName;
use http::header::USER_AGENT;
use humantime::Rfc3339Timestamp;
use pullgate_policy::{RequestId, TraceContext};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;

// Names, not texts: a lookup by text parses it first, on each request.
const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");
const CF_WORKER: HeaderName = HeaderName::from_static("cf-worker");

/// Bytes of a text that a client chose; what is longer is cut.
pub(crate) const LONGEST: usize = 1024;

/// Bytes of a method; the longest that is registered has 17.
const LONGEST_METHOD: usize = 32;

/// Bytes of `cf.ray`, which has 20.
const LONGEST_RAY: usize = 64;

/// What is told of one request, in the access log and in its span: neither holds what the other would tell otherwise. What is told of
/// its connection is in [`About`](crate::About).
///
/// Never in it: Authorization, Cookie, tokens.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    #[serde(serialize_with = "as_shown")]
    pub(crate) timestamp: Rfc3339Timestamp,
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Cow<'a, str>>,
    #[serde(rename = "server.address", skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<Cow<'a, str>>,
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<Cow<'a, str>>,
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<Cow<'a, str>>,
    #[serde(rename = "http.response.status_code")]
    pub(crate) status: u16,
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<IpAddr>,
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<&'a str>,
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a str>,
    pub(crate) decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) would_refuse: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) disagreements: Vec<&'static str>,
    pub(crate) trust: &'a str,
    /// The host that judged the client's certificate, where it is not the request's.
    #[serde(rename = "origin_pull.host", skip_serializing_if = "Option::is_none")]
    pub(crate) judged_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream: Option<&'a str>,
    #[serde(rename = "upstream.server", skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<&'a str>,
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
    #[serde(rename = "error.message", skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
    pub(crate) duration_ms: f64,
    #[serde(rename = "http.request.body.size")]
    pub(crate) request_bytes: u64,
    #[serde(rename = "http.response.body.size")]
    pub(crate) response_bytes: u64,
    #[serde(rename = "user_agent.original", skip_serializing_if = "Option::is_none")]
    pub(crate) user_agent: Option<Cow<'a, str>>,
    #[serde(rename = "cf.ray", skip_serializing_if = "Option::is_none")]
    pub(crate) ray: Option<Cow<'a, str>>,
    #[serde(rename = "cf.worker", skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<TraceLine>,
    #[serde(serialize_with = "as_shown")]
    pub(crate) request_id: RequestId,
    pub(crate) generation: u64,
}

/// The request's place in its trace, named as OpenTelemetry has it for logs (Trace Context in non-OTLP Log Formats).
#[derive(Serialize)]
pub(crate) struct TraceLine {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) trace_flags: &'static str,
}

/// Writes a value as it is shown, without a text in between.
fn as_shown<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl<'a> Line<'a> {
    /// The line of a request, without the query, which only the access log has.
    pub(crate) fn of(outcome: &'a Outcome<'a>) -> Self {
        let seen = outcome.seen.as_ref();
        let field = |name: HeaderName, longest| Some(cut(seen?.headers.get(name)?.as_bytes(), longest));
        Self {
            timestamp: humantime::format_rfc3339_micros(outcome.started),
            method: seen.map(|seen| cut(seen.method.as_str().as_bytes(), LONGEST_METHOD)),
            authority: seen.filter(|seen| !seen.authority.is_empty()).map(|seen| cut(seen.authority, LONGEST)),
            path: seen.map(|seen| cut(split(seen.target).0, LONGEST)),
            query: None,
            status: outcome.status,
            client: outcome.visitor.map(|visitor| visitor.address),
            version: seen.map(|seen| seen.version),
            host: outcome.host,
            route: outcome.route,
            decision: decision(outcome),
            policy: outcome.denial.and_then(|denial| denial.policy.as_deref()),
            reason: outcome.denial.map(|denial| denial.label),
            would_refuse: outcome.observed.iter().map(|seen| format!("{}: {}", seen.policy, seen.reason)).collect(),
            disagreements: outcome.disagreements.iter().map(|what| what.label()).collect(),
            trust: outcome.trust.label(),
            judged_by: judged_by(outcome),
            upstream: outcome.upstream.map(|used| used.upstream),
            server: outcome.upstream.map(|used| used.server),
            error_type: outcome.error.as_ref().and(outcome.upstream.map(|used| used.end.label())),
            error: outcome.error.as_deref(),
            duration_ms: (outcome.duration.as_secs_f64() * 1e6).round() / 1e3,
            request_bytes: outcome.request_bytes,
            response_bytes: outcome.response_bytes,
            user_agent: field(USER_AGENT, LONGEST),
            ray: field(CF_RAY, LONGEST_RAY),
            worker: field(CF_WORKER, LONGEST),
            trace: outcome.traced.map(|traced| trace_line(&traced.context)),
            request_id: outcome.id,
            generation: outcome.generation,
        }
    }
}

fn trace_line(context: &TraceContext) -> TraceLine {
    TraceLine { trace_id: context.trace.to_string(), span_id: context.span.to_string(), trace_flags: context.flags() }
}

fn judged_by<'a>(outcome: &Outcome<'a>) -> Option<&'a str> {
    let judge = outcome.connection.tls()?.host.as_str();
    Some(judge).filter(|host| outcome.host != Some(host))
}

fn decision(outcome: &Outcome<'_>) -> &'static str {
    match (outcome.denial, outcome.observed) {
        (Some(_), _) => "refuse",
        (None, []) => "permit",
        (None, _) => "would_refuse",
    }
}

/// A target's path, and its query without the mark.
pub(crate) fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        None => (target, None),
        Some(at) => (&target[..at], Some(&target[at + 1..])),
    }
}

/// The text in UTF-8, at most `longest` bytes of it.
pub(crate) fn cut(bytes: &[u8], longest: usize) -> Cow<'_, str> {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(longest)]);
    // A byte that is no UTF-8 becomes three.
    if text.len() > longest {
        let end = text.floor_char_boundary(longest);
        text.to_mut().truncate(end);
    }
    text
}
