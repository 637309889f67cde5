//! The traces of a gateway across configurations: who is told of them, and what sends them there.
//!
//! Each collector has a thread of its own, so that no request waits for what it sends. It ends when nobody can send it spans any
//! more: the last request of the last configuration that names it is over.

mod collector;
mod export;

use http::Uri;
use pullgate_cloudflare::Client;
use pullgate_config::Tracing;
use pullgate_metrics::{Metrics, Service, SpanQueue, Tracer};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What of tracing outlives a configuration.
#[derive(Debug)]
pub(crate) struct Traces {
    client: Client,
    metrics: Metrics,
    service: Service,
    running: Mutex<Option<Running>>,
}

/// A collector, and the queue to the thread that tells it.
#[derive(Debug, Clone)]
struct Running {
    collector: Uri,
    queue: SpanQueue,
}

/// Tracing as a configuration wants it, before it is in force; with the last clone of its queue it is gone.
#[derive(Debug)]
pub(crate) struct Planned {
    tracer: Option<Tracer>,
    running: Option<Running>,
}

impl Planned {
    /// What gives requests their place in a trace; none for off.
    pub(crate) fn tracer(&self) -> Option<Tracer> {
        self.tracer.clone()
    }
}

impl Traces {
    /// Begins with what a configuration wants; what gives requests their place in a trace besides.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn begin(
        wanted: Option<&Tracing>,
        client: Client,
        metrics: Metrics,
    ) -> io::Result<(Self, Option<Tracer>)> {
        let service = Service { instance: instance(fastrand::u128(..)) };
        let traces = Self { client, metrics, service, running: Mutex::new(None) };
        let planned = traces.follow(wanted)?;
        let tracer = planned.tracer();
        traces.adopt(planned);
        Ok((traces, tracer))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares what a configuration wants. Where the collector is the same, its thread goes on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn follow(&self, wanted: Option<&Tracing>) -> io::Result<Planned> {
        let Some(Tracing { otlp, sample }) = wanted else { return Ok(Planned { tracer: None, running: None }) };
        let same = self.running().clone().filter(|running| running.collector == *otlp);
        let running = match same {
            Some(running) => running,
            None => {
                let collector = otlp.clone();
                let queue = export::start(&collector, self.client.clone(), self.service.clone(), &self.metrics)?;
                Running { collector, queue }
            }
        };
        Ok(Planned { tracer: Some(Tracer::new(*sample, running.queue.clone())), running: Some(running) })
    }

    /// Takes over what was prepared: its configuration is in force.
    pub(crate) fn adopt(&self, planned: Planned) {
        *self.running() = planned.running;
    }

    /// Waits until the spans so far are exported or have failed, `limit` at most. What is left then is lost.
    pub(crate) fn settle(&self, limit: Duration) {
        let queue = self.running().as_ref().map(|running| running.queue.clone());
        if queue.is_some_and(|queue| !queue.settle(limit)) {
            log::warn!("the last spans were not exported within {limit:?}");
        }
    }
}

/// Random bits as a UUID of version 4 (RFC 9562 section 5.4), as the conventions for `service.instance.id` recommend.
fn instance(bits: u128) -> String {
    let bits = (bits & !((0xf << 76) | (0b11 << 62))) | (0x4 << 76) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_uuid() {
        assert_eq!(instance(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(instance(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
