//! The span of a request in OTLP's form, made from what the access log tells, and what a collector says to a batch of them.

use crate::line::Line;
use crate::outcome::Outcome;
use crate::series::{METHODS, method_label};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, SpanFlags, Status};
use prost::Message as _;
use pullgate_policy::TraceContext;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Fields of the access log's line that a span has in a place of its own, so that they are none of its attributes.
const OWN: [&str; 5] = ["timestamp", "duration_ms", "trace_id", "span_id", "trace_flags"];

/// The version of the semantic conventions that the attributes' names are of.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The name of the program, as a service and as what makes its spans.
const NAME: &str = "pullgate";

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

fn attribute(name: &str, value: Any) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(value: &str) -> Any {
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

/// Who sends the spans.
#[derive(Debug, Clone)]
pub struct Service {
    /// Tells this process from others: `service.instance.id`.
    pub instance: String,
}

impl Service {
    /// Spans as the body of a request to a collector, in protobuf.
    pub(crate) fn request(&self, spans: Vec<Span>) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource {
            attributes: vec![
                attribute("service.name", text(NAME)),
                attribute("service.version", text(version)),
                attribute("service.instance.id", text(&self.instance)),
            ],
            ..Resource::default()
        };
        let scope =
            InstrumentationScope { name: NAME.into(), version: version.into(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA.into() }];
        let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: SCHEMA.into() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }
}

/// What a collector says of a batch that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Spans of the batch that it did not take.
    pub rejected: u64,
    /// Its words on that, or a warning of its own; empty where all is well.
    pub message: String,
}

impl Receipt {
    /// Reads the body of a successful answer. What is no such message says nothing against the spans: the status has said that they are taken.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
        partial.map_or_else(Self::default, |partial| Self {
            rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
            message: partial.error_message,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    #[test]
    fn what_a_collector_says() {
        let told = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".into() };
        let answer = ExportTraceServiceResponse { partial_success: Some(told) };
        let receipt = Receipt { rejected: 3, message: "too old".into() };
        assert_eq!(Receipt::read(&answer.encode_to_vec()), receipt);
        for nothing in [&b""[..], b"{}", b"<html>"] {
            assert_eq!(Receipt::read(nothing), Receipt::default());
        }
    }

    #[test]
    fn a_request_says_who_sends_it() {
        let service = Service { instance: "one".into() };
        let body = service.request(vec![Span { name: "GET all".into(), ..Span::default() }]);
        let [resource] = &ExportTraceServiceRequest::decode(&*body).unwrap().resource_spans[..] else { unreachable!() };
        let named = |name: &str| {
            let found = resource.resource.as_ref()?.attributes.iter().find(|attribute| attribute.key == name)?;
            found.value.clone()?.value
        };
        assert_eq!(named("service.name"), Some(text("pullgate")));
        assert_eq!(named("service.instance.id"), Some(text("one")));
        assert_eq!(named("service.version"), Some(text(env!("CARGO_PKG_VERSION"))));
        assert_eq!(resource.scope_spans[0].spans[0].name, "GET all");
    }
}
