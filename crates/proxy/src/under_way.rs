//! The requests under way on a connection, and since when there is none.

use crate::moment::Moment;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The requests under way on an HTTP/2 connection.
///
/// Pingora's own idle time-out begins a clock after each request, and its clocks stay in memory until their time is over: for all of
/// `idle_timeout`, up to a hundred of them a second and thread. Here a request leaves a moment behind, and one clock looks at it when it is
/// due.
#[derive(Debug)]
pub(crate) struct UnderWay {
    count: AtomicUsize,
    /// The end of the last one, or the beginning.
    ended: Moment,
}

impl UnderWay {
    /// None yet.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), ended: Moment::now() })
    }

    /// One begins; it ends with what is returned.
    pub(crate) fn begin(self: &Arc<Self>) -> Request {
        self.count.fetch_add(1, Ordering::Relaxed);
        Request(Arc::clone(self))
    }

    /// Resolves when, from now on, none has been under way for that long.
    pub(crate) async fn none_for(&self, patience: Duration) {
        let mut due = Instant::now() + patience;
        loop {
            sleep_until(due).await;
            let now = Instant::now();
            let since = match self.count.load(Ordering::Acquire) {
                0 => self.ended.last(),
                _ => now,
            };
            due = since + patience;
            if due <= now {
                return;
            }
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Request(Arc<UnderWay>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.ended.renew();
        self.0.count.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(900);
    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds until nothing has been under way for long enough.
    async fn waits(under_way: &UnderWay) -> u64 {
        let begun = Instant::now();
        under_way.none_for(PATIENCE).await;
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_as_long_as_said_from_the_end_of_the_last_one() {
        let under_way = UnderWay::none();
        assert_eq!(waits(&under_way).await, 900);
        // What was long ago counts for nothing: the wait begins when it is asked for.
        assert_eq!(waits(&under_way).await, 900);
        let (first, second) = (under_way.begin(), under_way.begin());
        let requests = async {
            tokio::time::sleep(SECOND * 600).await;
            drop(first);
            tokio::time::sleep(SECOND * 2000).await;
            drop(second);
        };
        assert_eq!(tokio::join!(waits(&under_way), requests).0, 3500);
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_after_the_other_is_no_pause() {
        let under_way = UnderWay::none();
        let requests = async {
            for _ in 0..10 {
                tokio::time::sleep(SECOND * 899).await;
                drop(under_way.begin());
            }
        };
        assert_eq!(tokio::join!(waits(&under_way), requests).0, 10 * 899 + 900);
    }
}
