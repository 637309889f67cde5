//! The span of a request in OTLP's form, made from what the access log tells.

use crate::line::Line;
use crate::metrics::{METHODS, method_label};
use crate::outcome::Outcome;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};
use pullgate_policy::TraceContext;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Fields of the access log's line that a span has in a place of its own, so that they are none of its attributes.
const OWN: [&str; 5] = ["timestamp", "duration_ms", "trace_id", "span_id", "trace_flags"];

/// The span of a request.
pub(crate) fn span(outcome: &Outcome<'_>, context: &TraceContext) -> Span {
    let started = outcome.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Span {
        trace_id: context.trace.to_bytes().to_vec(),
        span_id: context.span.to_bytes().to_vec(),
        parent_span_id: context.parent.map(|parent| parent.to_bytes().to_vec()).unwrap_or_default(),
        flags: flags(context),
        name: name(outcome),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanoseconds(started),
        end_time_unix_nano: nanoseconds(started + outcome.duration),
        attributes: attributes(outcome),
        status: failed(outcome)
            .then(|| Status { code: StatusCode::Error.into(), message: outcome.error.clone().unwrap_or_default() }),
        ..Span::default()
    }
}

/// The method, where it is a registered one, and the route: as few names as a configuration has.
fn name(outcome: &Outcome<'_>) -> String {
    let label = method_label(outcome.seen.as_ref());
    let method = if METHODS.iter().any(|(_, known)| *known == label) { label } else { "HTTP" };
    outcome.route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// The flags of W3C Trace Context, and that the parent is somebody else's.
fn flags(context: &TraceContext) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if context.parent.is_some() { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    u32::from(context.sampled) | known | remote
}

/// Whether the server failed, as the conventions for HTTP have it: a refusal is the client's fault.
fn failed(outcome: &Outcome<'_>) -> bool {
    outcome.status == 0 || outcome.status >= 500
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What the access log tells, but for the query; where no answer was begun, there is no status.
fn attributes(outcome: &Outcome<'_>) -> Vec<KeyValue> {
    let scheme = if outcome.connection.tls().is_some() { "https" } else { "http" };
    let mut attributes = vec![attribute("url.scheme", text(scheme))];
    // Only a map with keys that are no strings fails to serialise.
    let request = serde_json::to_value(Line::of(outcome));
    let connection = serde_json::from_slice(outcome.about.fields(outcome.connection));
    let (Ok(Value::Object(request)), Ok(Value::Object(connection))) = (request, connection) else { return attributes };
    let told = request.into_iter().chain(connection).filter(|(name, _)| !OWN.contains(&name.as_str()));
    let told = told.filter(|(name, _)| outcome.status > 0 || name != "http.response.status_code");
    attributes.extend(told.filter_map(|(name, value)| Some(attribute(&name, any(value)?))));
    attributes
}

pub(crate) fn attribute(name: &str, value: Any) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn text(value: &str) -> Any {
    Any::StringValue(value.to_owned())
}

/// A field's value; a line holds no null and no map.
fn any(value: Value) -> Option<Any> {
    Some(match value {
        Value::Null | Value::Object(_) => return None,
        Value::Bool(value) => Any::BoolValue(value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Any::IntValue(whole),
            None => Any::DoubleValue(number.as_f64()?),
        },
        Value::String(value) => Any::StringValue(value),
        Value::Array(values) => {
            let values = values.into_iter().filter_map(any).map(|value| AnyValue { value: Some(value) }).collect();
            Any::ArrayValue(ArrayValue { values })
        }
    })
}
