//! The thread that exports the spans of one collector, batch by batch, and what it says of its trouble.

use super::collector::{ExportError, export};
use crate::causes::causes;
use http::Uri;
use pullgate_cloudflare::Client;
use pullgate_metrics::{Batch, Metrics, Receipt, Service, SpanOutcome, SpanQueue, Spans};
use std::io;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Starts the thread; it ends when the queue's last sending end is gone.
///
/// # Errors
/// When no thread can be started.
pub(super) fn start(collector: &Uri, client: Client, service: Service, metrics: &Metrics) -> io::Result<SpanQueue> {
    let (queue, spans) = SpanQueue::new(metrics);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let exporter = Exporter {
        collector: collector.clone(),
        client,
        service,
        metrics: metrics.clone(),
        trouble: Trouble::default(),
    };
    std::thread::Builder::new().name("traces".into()).spawn(move || exporter.run(&spans, runtime))?;
    Ok(queue)
}

struct Exporter {
    collector: Uri,
    client: Client,
    service: Service,
    metrics: Metrics,
    trouble: Trouble,
}

impl Exporter {
    fn run(mut self, spans: &Spans, runtime: Runtime) {
        while let Some(mut batch) = spans.next_batch() {
            if !batch.is_empty() {
                runtime.block_on(self.export(&mut batch));
            }
            batch.settle();
        }
        // A name that is being resolved is nobody's any more.
        runtime.shutdown_background();
    }

    async fn export(&mut self, batch: &mut Batch) {
        let sent = batch.len() as u64;
        let result = export(&self.client, &self.collector, batch.take_request(&self.service)).await;
        let (taken, rejected, failed) = match &result {
            Ok(Receipt { rejected, .. }) => (sent.saturating_sub(*rejected), sent.min(*rejected), 0),
            Err(_) => (0, 0, sent),
        };
        let counts = [(SpanOutcome::Exported, taken), (SpanOutcome::Rejected, rejected), (SpanOutcome::Failed, failed)];
        for (outcome, count) in counts {
            self.metrics.trace_spans(outcome).inc_by(count);
        }
        self.tell(&result);
    }

    fn tell(&mut self, result: &Result<Receipt, ExportError>) {
        let why = match result {
            Ok(Receipt { rejected: 0, .. }) => None,
            Ok(Receipt { rejected, message }) => Some(format!("{rejected} of a batch rejected: {}", cut(message))),
            Err(error) => Some(causes(error)),
        };
        match (self.trouble.note(why.is_some(), Instant::now()), why) {
            (Some(Turn::Begins), Some(why)) => log::warn!(collector:% = self.collector; "spans are lost: {why}"),
            (Some(Turn::Ends), _) => log::info!(collector:% = self.collector; "spans are exported again"),
            _ => {}
        }
    }
}

/// Characters of what a collector says that go into the log.
const LONGEST_WORDS: usize = 200;

fn cut(words: &str) -> String {
    words.chars().take(LONGEST_WORDS).collect()
}

/// Time for which trouble that comes and goes has one line.
const SPELL: Duration = Duration::from_secs(60);

/// Whether exports fail, and what was said of it.
#[derive(Debug, Default)]
struct Trouble {
    told: Option<Instant>,
    /// Whether the last thing that was said is that exports fail.
    open: bool,
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Begins,
    Ends,
}

impl Trouble {
    /// Notes how an export went; what to say of it.
    fn note(&mut self, failed: bool, now: Instant) -> Option<Turn> {
        let rests = self.told.is_some_and(|told| now.saturating_duration_since(told) < SPELL);
        if failed == self.open || failed && rests {
            return None;
        }
        self.open = failed;
        if failed {
            self.told = Some(now);
        }
        Some(if failed { Turn::Begins } else { Turn::Ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_comes_and_goes_has_a_line_a_minute() {
        let (start, mut trouble) = (Instant::now(), Trouble::default());
        let mut note = |failed, seconds| trouble.note(failed, start + Duration::from_secs(seconds));
        assert_eq!(note(false, 0), None);
        assert_eq!(note(true, 1), Some(Turn::Begins));
        assert_eq!(note(true, 2), None);
        assert_eq!(note(false, 3), Some(Turn::Ends));
        assert_eq!(note(true, 4), None);
        assert_eq!(note(false, 5), None);
        assert_eq!(note(true, 60), None);
        assert_eq!(note(true, 61), Some(Turn::Begins));
        assert_eq!(note(false, 61), Some(Turn::Ends));
    }
}
