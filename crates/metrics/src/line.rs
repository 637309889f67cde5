//! What is told of one request, named as OpenTelemetry's semantic conventions name things.

use crate::outcome::Outcome;
use pullgate_policy::TraceContext;
use rustls_pki_types::UnixTime;
use serde::Serialize;
use std::borrow::Cow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Bytes of a text that a client chose; what is longer is cut.
pub(crate) const LONGEST: usize = 1024;

/// Bytes of a method; the longest that is registered has 17.
const LONGEST_METHOD: usize = 32;

/// Bytes of `cf.ray`, which has 20.
const LONGEST_RAY: usize = 64;

/// What is told of one request, in the access log and in its span: neither holds what the other would tell otherwise.
///
/// Never in it: Authorization, Cookie, tokens.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) timestamp: String,
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
    pub(crate) client: Option<String>,
    #[serde(rename = "network.peer.address")]
    pub(crate) peer: String,
    #[serde(rename = "balancer.address", skip_serializing_if = "Option::is_none")]
    pub(crate) balancer: Option<String>,
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<&'a str>,
    pub(crate) listener: &'a str,
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
    pub(crate) tls: Option<TlsLine<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<TraceLine>,
    pub(crate) request_id: String,
    pub(crate) generation: u64,
}

/// What the handshake says.
#[derive(Serialize)]
pub(crate) struct TlsLine<'a> {
    #[serde(rename = "tls.protocol.version")]
    pub(crate) version: &'a str,
    #[serde(rename = "tls.cipher")]
    pub(crate) cipher: &'a str,
    #[serde(rename = "tls.resumed")]
    pub(crate) resumed: bool,
    #[serde(rename = "tls.server.name", skip_serializing_if = "Option::is_none")]
    pub(crate) sni: Option<&'a str>,
    #[serde(rename = "origin_pull.verdict")]
    pub(crate) verdict: &'a str,
    #[serde(rename = "origin_pull.host", skip_serializing_if = "Option::is_none")]
    pub(crate) judged_by: Option<&'a str>,
    #[serde(rename = "tls.client.subject", skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<&'a str>,
    #[serde(rename = "tls.client.issuer", skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<&'a str>,
    #[serde(rename = "tls.client.serial_number", skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<&'a str>,
    #[serde(rename = "tls.client.not_after", skip_serializing_if = "Option::is_none")]
    pub(crate) not_after: Option<String>,
    #[serde(rename = "tls.client.hash.sha256", skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<&'a str>,
}

/// The request's place in its trace, named as OpenTelemetry has it for logs (Trace Context in non-OTLP Log Formats).
#[derive(Serialize)]
pub(crate) struct TraceLine {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) trace_flags: &'static str,
}

impl<'a> Line<'a> {
    /// The line of a request, without the query, which only the access log has.
    pub(crate) fn of(outcome: &'a Outcome<'a>) -> Self {
        let seen = outcome.seen.as_ref();
        let field = |name: &str, longest| Some(cut(seen?.headers.get(name)?.as_bytes(), longest));
        Self {
            timestamp: OffsetDateTime::from(outcome.started).format(&Rfc3339).unwrap_or_default(),
            method: seen.map(|seen| cut(seen.method.as_str().as_bytes(), LONGEST_METHOD)),
            authority: seen.filter(|seen| !seen.authority.is_empty()).map(|seen| cut(seen.authority, LONGEST)),
            path: seen.map(|seen| cut(split(seen.target).0, LONGEST)),
            query: None,
            status: outcome.status,
            client: outcome.visitor.map(|visitor| visitor.address.to_string()),
            peer: outcome.connection.peer.address().ip().to_string(),
            balancer: outcome.connection.balancer.map(|balancer| balancer.address().ip().to_string()),
            version: seen.map(|seen| seen.version),
            listener: &outcome.connection.listener,
            host: outcome.host,
            route: outcome.route,
            decision: decision(outcome),
            policy: outcome.denial.and_then(|denial| denial.policy.as_deref()),
            reason: outcome.denial.map(|denial| denial.label),
            would_refuse: outcome.observed.iter().map(|seen| format!("{}: {}", seen.policy, seen.reason)).collect(),
            disagreements: outcome.disagreements.iter().map(|what| what.label()).collect(),
            trust: outcome.trust.label(),
            upstream: outcome.upstream.map(|used| used.upstream),
            server: outcome.upstream.map(|used| used.server),
            error_type: outcome.error.as_ref().and(outcome.upstream.map(|used| used.end.label())),
            error: outcome.error.as_deref(),
            duration_ms: (outcome.duration.as_secs_f64() * 1e6).round() / 1e3,
            request_bytes: outcome.request_bytes,
            response_bytes: outcome.response_bytes,
            user_agent: field("user-agent", LONGEST),
            ray: field("cf-ray", LONGEST_RAY),
            worker: field("cf-worker", LONGEST),
            tls: tls_line(outcome),
            trace: outcome.traced.map(|traced| trace_line(&traced.context)),
            request_id: outcome.id.to_string(),
            generation: outcome.generation,
        }
    }
}

fn tls_line<'a>(outcome: &'a Outcome<'a>) -> Option<TlsLine<'a>> {
    let tls = outcome.connection.tls()?;
    Some(TlsLine {
        version: tls.version,
        cipher: tls.cipher,
        resumed: tls.resumed,
        sni: tls.sni.as_deref(),
        verdict: tls.verdict.label(),
        judged_by: Some(tls.host.as_str()).filter(|host| outcome.host != Some(host)),
        subject: tls.leaf.as_ref().map(|leaf| leaf.subject.as_str()),
        issuer: tls.leaf.as_ref().map(|leaf| leaf.issuer.as_str()),
        serial: tls.leaf.as_ref().map(|leaf| leaf.serial.as_str()),
        not_after: tls.leaf.as_ref().map(|leaf| rfc3339(leaf.not_after)),
        sha256: tls.leaf.as_ref().map(|leaf| leaf.sha256.as_str()),
    })
}

fn trace_line(context: &TraceContext) -> TraceLine {
    TraceLine { trace_id: context.trace.to_string(), span_id: context.span.to_string(), trace_flags: context.flags() }
}

/// A time as logs write it, in UTC; empty beyond the year 9999.
#[must_use]
pub fn rfc3339(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
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
    String::from_utf8_lossy(&bytes[..bytes.len().min(longest)])
}
