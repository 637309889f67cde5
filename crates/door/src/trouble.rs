//! What an accept that failed means, and what is said of it.

use crate::throttle::Throttle;
use log::{info, warn};
use std::io;
use std::time::{Duration, Instant};

/// Pause after an accept that failed for want of descriptors or memory: there is nothing to do until some are given back.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Time for which one episode of failures has one line.
const SPELL: Duration = Duration::from_secs(10);

/// The failures of one listener.
#[derive(Debug)]
pub(crate) struct Trouble {
    lines: Throttle,
    /// Whether the last accept that failed was reported and none has succeeded since.
    told: bool,
}

impl Trouble {
    pub(crate) fn new(now: Instant) -> Self {
        Self { lines: Throttle::new(now, 1, SPELL), told: false }
    }

    /// An accept failed: how long to wait before the next. A connection that was broken while it waited says nothing of the others.
    pub(crate) fn pause(&mut self, listener: &str, error: &io::Error, now: Instant) -> Option<Duration> {
        if !is_want(error) {
            return None;
        }
        if let Some(held_back) = self.lines.pass(now) {
            self.told = true;
            warn!(listener, held_back; "accepting pauses: {error}");
        }
        Some(PAUSE)
    }

    /// An accept succeeded.
    pub(crate) fn over(&mut self, listener: &str) {
        if std::mem::take(&mut self.told) {
            info!(listener; "accepting again");
        }
    }
}

/// Whether the process or the system has run out of something (accept(2): EMFILE, ENFILE, ENOBUFS, ENOMEM). Everything that is not known
/// to be about one connection counts, so that no failure makes a loop that is busy.
fn is_want(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    !matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}
