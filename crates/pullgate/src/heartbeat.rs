//! The heartbeat: whether the threads that serve still make progress.
//!
//! A task on their runtime notes the time once a second. Where all of them are stuck nobody runs it, and its last note grows old. One
//! stuck thread among several is not noticed: the others do its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// The longest silence of threads that serve; a busy machine is late by less.
const SILENCE: Duration = Duration::from_secs(5);

/// The last beat of a runtime.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    begun: Instant,
    /// Milliseconds from `begun` to the last beat.
    last: AtomicU64,
}

impl Heartbeat {
    /// Begins to beat; ends with the runtime.
    pub(crate) fn of(runtime: &Handle) -> Arc<Self> {
        let heart = Arc::new(Self { begun: Instant::now(), last: AtomicU64::new(0) });
        let beating = Arc::clone(&heart);
        runtime.spawn(async move {
            let mut beats = interval(BEAT);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                let since = u64::try_from(beating.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                beating.last.store(since, Ordering::Relaxed);
            }
        });
        heart
    }

    /// Whether the last beat is no older than it may be.
    #[must_use]
    pub(crate) fn is_beating(&self) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(last) < SILENCE
    }
}
