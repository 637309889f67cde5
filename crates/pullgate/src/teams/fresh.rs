//! The tasks that keep the keys of teams fresh: one for each team, so that one that does not answer holds no other up.

use super::Learnt;
use crate::reload::Succession;
use pullgate_cloudflare::{Client, FetchError};
use pullgate_config::AccessRefresh;
use pullgate_policy::access::{KeyFeed, KeySet};
use pullgate_policy::ranges::pause;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Between two fetches because of unknown keys: anybody can name one.
const COOL_DOWN: Duration = Duration::from_secs(60);

/// A task that ends when nobody holds it any more.
struct Task {
    feed: KeyFeed,
    refresh: AccessRefresh,
    running: AbortHandle,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Runs as long as the gateway. The first fetches begin at once, beside connections that are served already.
pub(crate) async fn keep_keys(succession: Arc<Succession>, client: Client) {
    let mut tasks: Vec<Task> = Vec::new();
    loop {
        let feeds = succession.teams().feeds();
        // One that a panic ended is started anew with the next configuration.
        tasks.retain(|task| !task.running.is_finished());
        tasks.retain(|task| feeds.iter().any(|(feed, refresh)| (feed, *refresh) == (&task.feed, task.refresh)));
        for (feed, refresh) in feeds {
            if !tasks.iter().any(|task| task.feed == feed) {
                let keep = keep(Arc::clone(&succession), client.clone(), feed.clone(), refresh.refresh);
                tasks.push(Task { feed, refresh, running: tokio::spawn(keep).abort_handle() });
            }
        }
        succession.teams().changed.notified().await;
    }
}

async fn keep(succession: Arc<Succession>, client: Client, feed: KeyFeed, refresh: Duration) {
    let wanted = succession.teams().wanted.note(&feed.team);
    let mut failures = 0_u32;
    let mut next_wish = Instant::now();
    loop {
        let fetched = client.keys(&feed.url).await;
        let came = in_turn(&succession, &feed, fetched).await;
        failures = if came { 0 } else { failures.saturating_add(1) };
        tokio::select! {
            () = sleep_until(Instant::now() + pause(refresh, failures, fastrand::f64())) => {}
            () = wish(&wanted, next_wish) => next_wish = Instant::now() + COOL_DOWN,
        }
    }
}

/// Resolves when somebody wants a key that is not known, and the wish before is long enough ago.
async fn wish(wanted: &Notify, next: Instant) {
    wanted.notified().await;
    sleep_until(next).await;
}

/// Takes what came in turn with reloads, puts that in force, and then writes it down; whether there was news. On a thread of its own:
/// a reload may be under way, and disks may hang.
async fn in_turn(succession: &Arc<Succession>, feed: &KeyFeed, fetched: Result<KeySet, FetchError>) -> bool {
    let (succession, feed) = (Arc::clone(succession), feed.clone());
    let changing = tokio::task::spawn_blocking(move || {
        let came = matches!(succession.renew_keys(&feed, fetched), Learnt::News(_));
        if came {
            succession.teams().keep(&feed);
        }
        came
    });
    changing.await.unwrap_or(false)
}
