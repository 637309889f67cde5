//! What a connection carries for its requests, through Pingora's digest.

use crate::limits::HttpLimits;
use pingora_core::protocols::Digest;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pullgate_metrics::About;
use pullgate_policy::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// What every request of a connection can read back from its session.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) connection: Arc<Connection>,
    /// What log lines and spans say of it.
    pub(crate) about: About,
    pub(crate) limits: HttpLimits,
    /// Requests that reached a decision; a head that Pingora refused by itself did not.
    judged: AtomicU64,
    /// Turns true when this connection is to end after the answers it is in.
    ending: watch::Sender<bool>,
}

impl Carried {
    pub(crate) fn new(connection: Arc<Connection>, limits: HttpLimits) -> Self {
        Self {
            connection,
            about: About::default(),
            limits,
            judged: AtomicU64::new(0),
            ending: watch::Sender::new(false),
        }
    }

    /// The facts that [`Conn`](crate::connection::Conn) left in a session's digest.
    pub(crate) fn of(digest: Option<&Digest>) -> Option<&Self> {
        Self::within(digest?.proxy_digest.as_ref()?)
    }

    /// The facts in the part of the digest that carries them.
    pub(crate) fn within(digest: &ProxyDigest) -> Option<&Self> {
        digest.user_data.as_ref()?.downcast_ref()
    }

    /// Notes that a request is judged; false where it is the last that the connection may have.
    pub(crate) fn mark_judged(&self) -> bool {
        let judged = self.judged.fetch_add(1, Ordering::Relaxed) + 1;
        self.limits.requests.is_none_or(|most| judged < most)
    }

    /// Lets the connection end after the answers it is in.
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Turns true when the connection is to end.
    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    pub(crate) fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }
}
