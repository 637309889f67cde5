//! The body of a request while it comes: how much there may be of it, and how slow it may be.

use crate::moment::Moment;
use pullgate_policy::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a body that buy it another second. Between two reads a body has `body_timeout`; without a floor below that, one byte at a time
/// would hold a connection for ever. Apache's `RequestReadTimeout` has the same (`MinRate=500`).
const BYTES_A_SECOND: u64 = 500;

tokio::task_local! {
    /// The watch over the body of the HTTP/2 stream that this task serves.
    static WATCH: Arc<Watch>;
}

/// What has come of a body.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    received: u64,
    watch: Option<Arc<Watch>>,
}

impl Progress {
    /// Nothing yet.
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), received: 0, watch: WATCH.try_with(Arc::clone).ok() }
    }

    /// Whether somebody else may end the request for its body.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether somebody else has.
    pub(crate) fn is_over(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.over.load(Ordering::Relaxed))
    }

    /// The bytes that came.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Another server is tried: it is sent again from the first byte.
    pub(crate) fn restart(&mut self) {
        self.received = 0;
    }

    /// Bytes have come; `ends` where they are the last.
    ///
    /// # Errors
    /// [`Reason::BodyTooLarge`], or [`Reason::BodyTimedOut`] where it comes too slowly.
    pub(crate) fn take(&mut self, bytes: usize, ends: bool, most: u64, patience: Duration) -> Result<(), Reason> {
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(watch) = &self.watch {
            watch.seen(ends);
        }
        if self.received > most {
            return Err(Reason::BodyTooLarge);
        }
        let bought = Duration::from_secs(self.received / BYTES_A_SECOND);
        if !ends && self.begun.elapsed() > patience.saturating_add(bought) {
            return Err(Reason::BodyTimedOut);
        }
        Ok(())
    }
}

/// A watch over one body, for a stream whose reads Pingora does not time.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The last bytes, or the beginning.
    came: Moment,
    ended: AtomicBool,
    /// Whether the request was given up.
    over: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { came: Moment::now(), ended: AtomicBool::new(false), over: AtomicBool::new(false) }
    }

    /// Serves a stream under this watch: none where its body comes to a halt for `patience`. What it holds goes with the future then.
    pub(crate) async fn over<T>(self, serving: impl Future<Output = T>, patience: Duration) -> Option<T> {
        let watch = Arc::new(self);
        let serving = WATCH.scope(Arc::clone(&watch), serving);
        tokio::select! {
            biased;
            served = serving => Some(served),
            () = watch.halt(patience) => None,
        }
    }

    fn seen(&self, ends: bool) {
        self.came.renew();
        if ends {
            self.ended.store(true, Ordering::Relaxed);
        }
    }

    /// Resolves when nothing has come for that long; never, once the body has ended.
    async fn halt(&self, patience: Duration) {
        loop {
            let due = self.came.last() + patience;
            if due <= tokio::time::Instant::now() {
                break;
            }
            tokio::time::sleep_until(due).await;
            if self.ended.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
        }
        self.over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_size_and_a_pace() {
        let progress = |ago: u64| Progress {
            begun: Instant::now().checked_sub(Duration::from_secs(ago)).unwrap_or_else(Instant::now),
            received: 0,
            watch: None,
        };
        let minute = Duration::from_secs(60);
        let table = [
            (0, 10, false, Ok(())),
            (0, 100_001, false, Err(Reason::BodyTooLarge)),
            (0, 100_000, true, Ok(())),
            (59, 1, false, Ok(())),
            (61, 1, false, Err(Reason::BodyTimedOut)),
            (61, 1, true, Ok(())),
            (61, 1000, false, Ok(())),
            (250, 100_000, false, Ok(())),
            (261, 100_000, false, Err(Reason::BodyTimedOut)),
        ];
        for (ago, bytes, ends, expected) in table {
            assert_eq!(progress(ago).take(bytes, ends, 100_000, minute), expected, "{bytes} after {ago} s");
        }
    }
}
