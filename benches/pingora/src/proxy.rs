//! What it does to a request: says who the visitor is, sends it to the origin, logs it.

use crate::access_log::AccessLog;
use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::prelude::HttpPeer;
use pingora::proxy::{ProxyHttp, Session};
use pingora::{Error, Result};
use std::net::SocketAddr;

/// A proxy without policies.
pub(crate) struct Bare {
    /// Where every request goes.
    pub(crate) origin: SocketAddr,
    /// Where every request is noted.
    pub(crate) log: AccessLog,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _ctx: &mut (),
    ) -> Result<()> {
        request.remove_header("X-Forwarded-For");
        if let Some(visitor) = session.req_header().headers.get("cf-connecting-ip") {
            request.insert_header("X-Forwarded-For", visitor)?;
        }
        request.insert_header("X-Forwarded-Proto", "https")
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, _ctx: &mut ()) {
        self.log.note(session);
    }
}
