//! The task that keeps the ranges fresh: fetch, wait, let go of what was removed. No lock is held while it waits for anybody.

use super::Ranges;
use super::asked::Refreshed;
use crate::reload::Succession;
use pullgate_cloudflare::Client;
use pullgate_config::RangesFeed;
use pullgate_policy::ranges::pause;
use rustls_pki_types::UnixTime;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A clock may be set while a grace lasts: look at it this often.
const LOOK: Duration = Duration::from_secs(60);

/// Runs as long as the gateway. The first fetch begins at once, beside connections that are served already.
pub(crate) async fn keep_fresh(succession: Arc<Succession>, client: Client) {
    let mut timetable: Option<Timetable> = None;
    loop {
        let ranges = succession.ranges();
        let asked = ranges.asked.take();
        let Some((feed, tag)) = ranges.feed() else {
            drop(asked);
            timetable = None;
            tokio::select! {
                () = ranges.changed.notified() => {}
                () = ranges.asked.somebody() => {}
            }
            continue;
        };
        let times = timetable.take().filter(|times| times.is_of(&feed)).unwrap_or_else(|| Timetable::of(&feed));
        let times = timetable.insert(times);
        if Instant::now() >= times.due || !asked.is_empty() {
            let fetched = client.ranges(&feed.url, &feed.partners, tag.as_deref()).await;
            let refreshed = in_turn(&succession, move |ranges| ranges.learn(&feed, fetched)).await;
            times.note(refreshed.as_ref());
            if let Some(refreshed) = refreshed {
                ranges.tell(&refreshed);
                // Who has gone by now does not want to know.
                asked.iter().for_each(|tell| drop(tell.send(refreshed.clone())));
            }
            continue;
        }
        tokio::select! {
            () = sleep_until(times.due) => {}
            () = ranges.changed.notified() => {}
            () = ranges.asked.somebody() => {}
            () = grace_ends(ranges) => drop(in_turn(&succession, Ranges::expire).await),
        }
    }
}

/// When a feed is asked again.
struct Timetable {
    feed: RangesFeed,
    failures: u32,
    due: Instant,
}

impl Timetable {
    fn of(feed: &RangesFeed) -> Self {
        Self { feed: feed.clone(), failures: 0, due: Instant::now() }
    }

    fn is_of(&self, feed: &RangesFeed) -> bool {
        self.feed == *feed
    }

    fn note(&mut self, refreshed: Option<&Refreshed>) {
        let missed = refreshed.is_some_and(|refreshed| refreshed.why.is_some());
        self.failures = if missed { self.failures.saturating_add(1) } else { 0 };
        self.due = Instant::now() + pause(self.feed.refresh, self.failures, fastrand::f64());
    }
}

/// Changes what is known in turn with reloads, puts that in force, and then writes it down. On a thread of its own: a reload may be under
/// way, and disks may hang.
async fn in_turn(
    succession: &Arc<Succession>,
    change: impl FnOnce(&Ranges) -> Option<Refreshed> + Send + 'static,
) -> Option<Refreshed> {
    let succession = Arc::clone(succession);
    let changing = tokio::task::spawn_blocking(move || {
        let refreshed = succession.renew_ranges(change);
        if refreshed.as_ref().is_some_and(|refreshed| refreshed.why.is_none()) {
            succession.ranges().keep();
        }
        refreshed
    });
    changing.await.ok().flatten()
}

/// Resolves when something that was removed has to go.
async fn grace_ends(ranges: &Ranges) {
    loop {
        let Some(end) = ranges.known().learnt.next_end() else { return std::future::pending().await };
        let Some(rest) = end.as_secs().checked_sub(UnixTime::now().as_secs()).filter(|rest| *rest > 0) else { return };
        tokio::time::sleep(Duration::from_secs(rest).min(LOOK)).await;
    }
}
