//! The access log: one line a request, named as OpenTelemetry's semantic conventions name things.
//!
//! Never in it: Authorization, Cookie, tokens, and the values of query parameters that the configuration names.

use crate::outcome::Outcome;
use crate::sink::Sink;
use http::HeaderName;
use http::header::USER_AGENT;
use humantime::Rfc3339Timestamp;
use pullgate_policy::{Peer, RequestId};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;

// Names, not texts: a lookup by text parses it first, on each request.
const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");
const CF_WORKER: HeaderName = HeaderName::from_static("cf-worker");

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

/// The access log.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sink: Sink,
    form: Form,
    redact: Vec<String>,
}

/// Bytes of a text that a client chose; what is longer is cut.
const LONGEST: usize = 1024;

/// Bytes that a usual line fits in.
const USUAL: usize = 1024;

/// Bytes of a method; the longest that is registered has 17.
const LONGEST_METHOD: usize = 32;

/// Bytes of `cf.ray`, which has 20.
const LONGEST_RAY: usize = 64;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "as_shown")]
    timestamp: Rfc3339Timestamp,
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(rename = "server.address", skip_serializing_if = "Option::is_none")]
    authority: Option<Cow<'a, str>>,
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    query: Option<Cow<'a, str>>,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    would_refuse: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disagreements: Vec<&'static str>,
    trust: &'a str,
    /// The host that judged the client's certificate, where it is not the request's.
    #[serde(rename = "origin_pull.host", skip_serializing_if = "Option::is_none")]
    judged_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(rename = "upstream.server", skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    #[serde(rename = "error.message", skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    duration_ms: f64,
    #[serde(rename = "http.request.body.size")]
    request_bytes: u64,
    #[serde(rename = "http.response.body.size")]
    response_bytes: u64,
    #[serde(rename = "user_agent.original", skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    #[serde(rename = "cf.ray", skip_serializing_if = "Option::is_none")]
    ray: Option<Cow<'a, str>>,
    #[serde(rename = "cf.worker", skip_serializing_if = "Option::is_none")]
    worker: Option<Cow<'a, str>>,
    #[serde(serialize_with = "as_shown")]
    request_id: RequestId,
    generation: u64,
}

/// Writes a value as it is shown, without a text in between.
fn as_shown<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl AccessLog {
    /// A log into a sink; `redact` names query parameters whose values are not written.
    #[must_use]
    pub fn new(sink: Sink, form: Form, redact: Vec<String>) -> Self {
        Self { sink, form, redact }
    }

    /// Writes the line of one request.
    pub fn write(&self, outcome: &Outcome<'_>) {
        let line = self.line(outcome);
        let mut bytes = Vec::with_capacity(USUAL);
        match self.form {
            Form::Json => {
                // Only a map with keys that are no strings fails to serialise.
                serde_json::to_writer(&mut bytes, &line).unwrap_or_default();
                outcome.about.append_to(&mut bytes, outcome.connection);
            }
            Form::Text => bytes.extend_from_slice(text(&line, outcome.connection.peer).as_bytes()),
        }
        bytes.push(b'\n');
        if bytes.capacity() > USUAL {
            bytes.shrink_to_fit();
        }
        self.sink.send(bytes);
    }

    fn line<'a>(&self, outcome: &'a Outcome<'a>) -> Line<'a> {
        let seen = outcome.seen.as_ref();
        let (path, query) = seen.map(|seen| self.path_and_query(seen.target)).unzip();
        let field = |name: HeaderName, longest| Some(cut(seen?.headers.get(name)?.as_bytes(), longest));
        Line {
            timestamp: humantime::format_rfc3339_micros(outcome.started),
            method: seen.map(|seen| cut(seen.method.as_str().as_bytes(), LONGEST_METHOD)),
            authority: seen.filter(|seen| !seen.authority.is_empty()).map(|seen| cut(seen.authority, LONGEST)),
            path,
            query: query.flatten(),
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
            request_id: outcome.id,
            generation: outcome.generation,
        }
    }

    fn path_and_query<'a>(&self, target: &'a [u8]) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
        match target.iter().position(|byte| *byte == b'?') {
            None => (cut(target, LONGEST), None),
            Some(at) => (cut(&target[..at], LONGEST), Some(self.redacted(cut(&target[at + 1..], LONGEST)))),
        }
    }

    fn redacted<'a>(&self, query: Cow<'a, str>) -> Cow<'a, str> {
        if self.redact.is_empty() {
            return query;
        }
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if self.is_redacted(name) => format!("{name}=REDACTED"),
            _ => pair.to_owned(),
        });
        Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
    }

    /// A name may be percent-encoded, which an application reads as the same name.
    fn is_redacted(&self, name: &str) -> bool {
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        self.redact.iter().any(|hidden| *hidden == name)
    }
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

/// The text in UTF-8, at most `longest` bytes of it.
fn cut(bytes: &[u8], longest: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(longest)])
}

/// `2026-01-02T03:04:05Z 203.0.113.7 GET shop.example.com/path 200 permit 12.3ms`, then what is worth knowing.
fn text(line: &Line<'_>, peer: Peer) -> String {
    let mut text = String::new();
    let plain = |value: &str| value.chars().flat_map(char::escape_default).collect::<String>();
    let _ = write!(
        text,
        "{} {} {} {}{} {} {} {:.1}ms",
        line.timestamp,
        line.client.unwrap_or(peer.address().ip()),
        plain(line.method.as_deref().unwrap_or("-")),
        plain(line.authority.as_deref().unwrap_or("-")),
        plain(line.path.as_deref().unwrap_or("")),
        line.status,
        line.decision,
        line.duration_ms,
    );
    let extras = [("policy", line.policy), ("reason", line.reason), ("upstream", line.server), ("error", line.error)];
    for (name, value) in extras {
        if let Some(value) = value {
            let _ = write!(text, " {name}={}", plain(value));
        }
    }
    for observed in &line.would_refuse {
        let _ = write!(text, " would_refuse={}", plain(observed));
    }
    for what in &line.disagreements {
        let _ = write!(text, " disagreement={what}");
    }
    text
}
