//! What is left of a request when the future that served it is dropped: enough to count and log it.

use crate::carried::Carried;
use crate::gatekeeper::OutcomeLog;
use http::StatusCode;
use pingora::http::RequestHeader;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_proxy::Session;
use pullgate_metrics::Outcome;
use std::fmt;
use std::sync::Arc;

/// Tells the outcome of a request that Pingora does not bring to its end.
pub(crate) struct Witness {
    head: RequestHeader,
    digest: Arc<ProxyDigest>,
    log: OutcomeLog,
    status: u16,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

impl Witness {
    /// Of the request of a session; none where that carries no facts.
    pub(crate) fn of(session: &Session, log: &OutcomeLog) -> Option<Self> {
        let digest = Arc::clone(session.digest()?.proxy_digest.as_ref()?);
        Some(Self { head: session.req_header().clone(), digest, log: log.clone(), status: 0 })
    }

    /// Notes the status of the answer that has begun.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// Records the outcome.
    pub(crate) fn tell<'a>(&'a self, outcome: impl FnOnce(&'a RequestHeader, &'a Carried) -> Outcome<'a>) {
        let Some(carried) = Carried::within(&self.digest) else { return };
        self.log.record(&Outcome { status: self.status, ..outcome(&self.head, carried) });
    }
}
