//! A moment that tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When something happened last, to the millisecond.
#[derive(Debug)]
pub(crate) struct Moment {
    begun: Instant,
    /// Milliseconds from the beginning.
    last: AtomicU64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0) }
    }

    /// It happens again, now.
    pub(crate) fn renew(&self) {
        let at = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(at, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}
