//! What the proxy needs of one generation of the configuration.

use crate::limits::HttpLimits;
use pingora_core::upstreams::peer::HttpPeer;
use pullgate_metrics::Tracer;
use pullgate_policy::Rules;
use pullgate_policy::access::Team;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One generation: the rules and the upstreams that their routes name.
#[derive(Debug)]
pub struct Site {
    /// Counts from 1.
    pub generation: u64,
    /// The rules.
    pub rules: Arc<Rules>,
    /// The upstreams, by the index that routes hold.
    pub upstreams: Arc<[Upstream]>,
    /// The limits of each listener's connections, by its name.
    pub limits: HashMap<Arc<str>, HttpLimits>,
    /// What gives requests their place in a trace; none where tracing is off.
    pub tracer: Option<Tracer>,
}

/// The generation in force.
pub trait Sites: Send + Sync + 'static {
    /// The site that new requests are judged by.
    fn current(&self) -> Arc<Site>;

    /// A token named a key that the team, as far as is known, does not have: it may have a new one. Anybody can send such a token, as often
    /// as they like.
    fn want_keys(&self, team: &Team);
}

/// A group of servers, taken in turn.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    servers: Vec<Server>,
    next: AtomicUsize,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// An address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// One server of an upstream.
#[derive(Debug)]
pub struct Server {
    /// Its label in metrics.
    pub label: Arc<str>,
    peer: HttpPeer,
}

/// The time-outs of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// To establish a connection.
    pub connect: Duration,
    /// Between two reads of a response.
    pub read: Duration,
    /// Between two writes of a request.
    pub write: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

/// A Unix socket's path that no socket can have.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be the path of a socket")]
pub struct BadSocketPath(PathBuf);

impl Server {
    /// A server with its time-outs.
    ///
    /// # Errors
    /// When the path of a Unix socket is too long or not UTF-8.
    pub fn new(label: Arc<str>, address: &ServerAddress, timeouts: UpstreamTimeouts) -> Result<Self, BadSocketPath> {
        let mut peer = match address {
            ServerAddress::Tcp(address) => HttpPeer::new(*address, false, String::new()),
            ServerAddress::Unix(path) => {
                let bad = || BadSocketPath(path.clone());
                HttpPeer::new_uds(path.to_str().ok_or_else(bad)?, false, String::new()).map_err(|_| bad())?
            }
        };
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        peer.options.read_timeout = Some(timeouts.read);
        peer.options.write_timeout = Some(timeouts.write);
        peer.options.idle_timeout = Some(timeouts.idle);
        Ok(Self { label, peer })
    }

    /// A copy of the peer for one attempt.
    pub(crate) fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }
}

impl Upstream {
    /// A group of servers; the configuration never leaves it empty.
    #[must_use]
    pub fn new(name: Arc<str>, servers: Vec<Server>) -> Self {
        Self { name, servers, next: AtomicUsize::new(0) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many servers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether it has no server.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// The turn of the next request: an index that servers are counted from.
    pub(crate) fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The server at a turn.
    pub(crate) fn server(&self, turn: usize) -> Option<&Server> {
        self.servers.get(turn.checked_rem(self.servers.len())?)
    }
}
