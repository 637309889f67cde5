//! What is said between a gateway and a collector: a batch of spans, and what became of it.

use crate::span::{attribute, text};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// The version of the semantic conventions that the attributes' names are of.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The name of the program, as a service and as what makes its spans.
const NAME: &str = "pullgate";

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
    /// Its words on that.
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
