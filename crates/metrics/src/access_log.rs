//! The access log: one line a request, named as OpenTelemetry's semantic conventions name things.
//!
//! Never in it: Authorization, Cookie, tokens, and the values of query parameters that the configuration names.

use crate::line::{LONGEST, Line, cut, split};
use crate::outcome::Outcome;
use crate::sink::Sink;
use pullgate_policy::Peer;
use std::borrow::Cow;
use std::fmt::Write as _;

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

/// Bytes that a usual line fits in.
const USUAL: usize = 1024;

impl AccessLog {
    /// A log into a sink; `redact` names query parameters whose values are not written.
    #[must_use]
    pub fn new(sink: Sink, form: Form, redact: Vec<String>) -> Self {
        Self { sink, form, redact }
    }

    /// Writes the line of one request.
    pub fn write(&self, outcome: &Outcome<'_>) {
        let query = outcome.seen.as_ref().and_then(|seen| split(seen.target).1);
        let line = Line { query: query.map(|query| self.redacted(cut(query, LONGEST))), ..Line::of(outcome) };
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
    if let Some(trace) = &line.trace {
        let _ = write!(text, " trace_id={}", trace.trace_id);
    }
    for observed in &line.would_refuse {
        let _ = write!(text, " would_refuse={}", plain(observed));
    }
    for what in &line.disagreements {
        let _ = write!(text, " disagreement={what}");
    }
    text
}
