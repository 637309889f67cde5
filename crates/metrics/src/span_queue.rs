//! The queue from those who serve to the one who exports spans: it makes nobody wait, and counts what does not fit.

use crate::events::SpanOutcome;
use crate::metrics::Metrics;
use crate::otlp::Service;
use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, bounded};
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus::IntCounter;
use std::time::{Duration, Instant};

/// Spans that may wait. What a client chose of one is cut as in the log, to a few KiB whatever it sends.
const QUEUE: usize = 2_048;

/// Spans of one batch; what OpenTelemetry's own processor sends at once.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const WAIT: Duration = Duration::from_secs(1);

/// Pause while a batch is gathered: a new span wakes nobody, which spares a system call a request.
const REST: Duration = Duration::from_millis(10);

/// The sending end of the queue; cheap to clone. When the last is gone, what waits is exported and the exporter ends.
#[derive(Debug, Clone)]
pub struct SpanQueue {
    queue: Sender<Item>,
    dropped: IntCounter,
}

#[derive(Debug)]
enum Item {
    Span(Box<Span>),
    /// Answered when the exporter is done with everything before it.
    Mark(Sender<()>),
}

/// The receiving end of the queue.
#[derive(Debug)]
pub struct Spans {
    waiting: Receiver<Item>,
}

/// Spans that are exported together.
#[derive(Debug)]
pub struct Batch {
    spans: Vec<Span>,
    mark: Option<Sender<()>>,
}

impl SpanQueue {
    /// A queue; what finds it full is counted.
    #[must_use]
    pub fn new(metrics: &Metrics) -> (Self, Spans) {
        let (queue, waiting) = bounded(QUEUE);
        (Self { queue, dropped: metrics.trace_spans(SpanOutcome::Dropped) }, Spans { waiting })
    }

    pub(crate) fn send(&self, span: Span) {
        if self.queue.try_send(Item::Span(Box::new(span))).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until what was queued before is exported or has failed, `limit` at most; whether it was.
    #[must_use]
    pub fn settle(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let (done, exported) = bounded(1);
        self.queue.send_deadline(Item::Mark(done), until).is_ok() && exported.recv_deadline(until).is_ok()
    }
}

impl Spans {
    /// Waits for spans, and a moment longer for others; none when nobody can send any more.
    #[must_use]
    pub fn next_batch(&self) -> Option<Batch> {
        let mut batch = Batch { spans: Vec::new(), mark: None };
        let mut next = self.waiting.recv().map_err(|RecvError| TryRecvError::Disconnected);
        let until = Instant::now() + WAIT;
        loop {
            match next {
                Ok(Item::Span(span)) => batch.spans.push(*span),
                Ok(Item::Mark(done)) => batch.mark = Some(done),
                Err(TryRecvError::Empty) => std::thread::sleep(REST),
                Err(TryRecvError::Disconnected) if batch.spans.is_empty() => return None,
                Err(TryRecvError::Disconnected) => return Some(batch),
            }
            if batch.mark.is_some() || batch.spans.len() == BATCH || Instant::now() >= until {
                return Some(batch);
            }
            next = self.waiting.try_recv();
        }
    }
}

impl Batch {
    /// How many spans it has; none where somebody waits for those before it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is nothing to export.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The body of a request to a collector.
    #[must_use]
    pub fn take_request(&mut self, service: &Service) -> Vec<u8> {
        service.request(std::mem::take(&mut self.spans))
    }

    /// Tells whoever waits that these spans are exported, or lost.
    pub fn settle(self) {
        if let Some(done) = self.mark {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    fn queue() -> (Metrics, SpanQueue, Spans) {
        let metrics = Metrics::new().unwrap();
        let (queue, spans) = SpanQueue::new(&metrics);
        (metrics, queue, spans)
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_comes_in_batches() {
        let (metrics, queue, spans) = queue();
        for _ in 0..QUEUE + 3 {
            queue.send(Span::default());
        }
        assert_eq!(metrics.trace_spans(SpanOutcome::Dropped).get(), 3);
        drop(queue);
        let batches: Vec<usize> = std::iter::from_fn(|| spans.next_batch()).map(|batch| batch.len()).collect();
        assert_eq!(batches, [BATCH; QUEUE / BATCH]);
    }

    #[test]
    fn whoever_settles_waits_for_what_was_before() {
        let (_, queue, spans) = queue();
        queue.send(Span::default());
        assert!(!queue.settle(Duration::from_millis(1)));
        queue.send(Span::default());
        let exporter = std::thread::spawn(move || {
            let mut sizes = Vec::new();
            while let Some(batch) = spans.next_batch() {
                sizes.push(batch.len());
                batch.settle();
            }
            sizes
        });
        assert!(queue.settle(Duration::from_secs(10)));
        assert!(queue.settle(Duration::from_secs(10)));
        drop(queue);
        assert_eq!(exporter.join().unwrap(), [1, 1, 0]);
    }
}
