//! Which requests are sampled, and their place in a trace.

use crate::outcome::Outcome;
use crate::span::span;
use crate::span_queue::SpanQueue;
use pullgate_policy::{Caller, RequestId, Sample, SpanId, TraceContext, TraceId};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// What gives requests their place in a trace; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracer {
    sample: Sample,
    spans: SpanQueue,
    /// A key made at random, for identities that nobody outside can foresee.
    key: RandomState,
}

/// The bits that are drawn for one request.
#[derive(Hash)]
enum Drawn {
    TraceHigh,
    TraceLow,
    Sample,
}

impl Tracer {
    /// Samples so many requests, and sends their spans to a queue.
    #[must_use]
    pub fn new(sample: Sample, spans: SpanQueue) -> Self {
        Self { sample, spans, key: RandomState::new() }
    }

    /// The place of a request, in its caller's trace or a new one. The span has the request's own identity.
    #[must_use]
    pub fn place(&self, id: RequestId, caller: Option<Caller>) -> TraceContext {
        let draw = |what: Drawn| self.key.hash_one((id.0, what));
        let trace = (u128::from(draw(Drawn::TraceHigh)) << 64) | u128::from(draw(Drawn::TraceLow));
        let sampled = self.sample.takes(draw(Drawn::Sample));
        TraceContext::begin(TraceId::of(trace), SpanId::of(id.0), sampled).called_by(caller)
    }

    /// Sends the span of a request on its way, where it is sampled; nobody waits for that.
    pub fn record(&self, outcome: &Outcome<'_>, context: &TraceContext) {
        if context.sampled {
            self.spans.send(span(outcome, context));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_caller_chooses_the_trace_and_not_the_sample() {
        let (queue, _spans) = SpanQueue::new(&Metrics::new().unwrap());
        let caller = Caller { trace: TraceId::of(5), span: SpanId::of(6) };
        for (count, sampled) in [(0, false), (1_000_000, true)] {
            let tracer = Tracer::new(Sample::of_a_million(count).unwrap(), queue.clone());
            let place = tracer.place(RequestId(7), Some(caller));
            assert_eq!((place.trace, place.parent, place.span), (caller.trace, Some(caller.span), SpanId::of(7)));
            assert_eq!(place.sampled, sampled);
        }
        let half = Tracer::new(Sample::of_a_million(500_000).unwrap(), queue);
        let taken = (0..1000).filter(|id| half.place(RequestId(*id), Some(caller)).sampled).count();
        assert!((300..700).contains(&taken), "{taken}");
        let traces: std::collections::HashSet<_> =
            (0..1000).map(|id| half.place(RequestId(id), None).trace.to_bytes()).collect();
        assert_eq!(traces.len(), 1000);
    }
}
