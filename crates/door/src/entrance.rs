//! How a listener takes a connection: what of it may change while the socket stays open.

use std::time::Duration;

/// How connections are taken, from accept to the end of the handshake. A connection keeps the one that was in force when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// Whether TLS comes first.
    pub tls: bool,
    /// Connections that may be open at a time.
    pub connections: usize,
    /// The same for one source.
    pub connections_per_source: Option<usize>,
    /// From accept, or from the end of the PROXY header, to the end of the handshake.
    pub handshake_timeout: Duration,
}
