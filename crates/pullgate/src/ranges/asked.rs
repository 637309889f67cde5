//! Who wants the list fetched now, and waits for what comes of it.

use pullgate_metrics::RefreshOutcome;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What came of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refreshed {
    pub(super) outcome: RefreshOutcome,
    /// Why the list before stays, where it does.
    pub(super) why: Option<String>,
}

impl From<RefreshOutcome> for Refreshed {
    fn from(outcome: RefreshOutcome) -> Self {
        Self { outcome, why: None }
    }
}

/// A fetch ends by itself (`pullgate_cloudflare::Client`); another may be under way, and a reload.
const PATIENCE: Duration = Duration::from_secs(90);

/// Those who wait for the next fetch.
#[derive(Debug, Default)]
pub(super) struct Asked {
    waiting: Mutex<Vec<Sender<Refreshed>>>,
    wake: Notify,
}

impl Asked {
    /// Asks, and waits on this thread; none where there is no feed any more.
    pub(super) fn wait(&self) -> Option<Refreshed> {
        let (tell, told) = channel();
        self.waiting().push(tell);
        self.wake.notify_one();
        told.recv_timeout(PATIENCE).ok()
    }

    /// Resolves when somebody has asked.
    pub(super) async fn somebody(&self) {
        self.wake.notified().await;
    }

    /// Everybody who has asked so far: what is fetched from now on is what they want. Dropping one tells it that nothing comes.
    pub(super) fn take(&self) -> Vec<Sender<Refreshed>> {
        std::mem::take(&mut self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Sender<Refreshed>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
