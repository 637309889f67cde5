//! The limits of a listener's connections, as HTTP keeps them.

use std::time::Duration;

/// What the connections of one listener may take. A connection keeps those that were in force when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// Between two writes to a client.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Bytes of a head; with HTTP/2, of its decoded fields.
    pub head_bytes: usize,
    /// Fields of a head.
    pub head_fields: usize,
    /// Streams that a client may have open on one HTTP/2 connection.
    pub streams: u32,
    /// Requests after which the connection ends.
    pub requests: Option<u64>,
}

impl HttpLimits {
    /// For a connection whose listener has left the configuration while its handshake went on. It is admitted no more; this is enough to
    /// hear its first request and to say so.
    pub(crate) const PARTING: Self = Self {
        header: Duration::from_secs(10),
        body: Duration::from_secs(10),
        write: Duration::from_secs(10),
        idle: Duration::from_secs(10),
        head_bytes: 128 * 1024,
        head_fields: 256,
        streams: 1,
        requests: Some(1),
    };
}
