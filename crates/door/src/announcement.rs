//! The PROXY header of a balancer, read off a socket to its last byte and no further.

use pullgate_policy::proxy_header::{Announced, Progress, parse};
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// From accept to the end of the header: a balancer sends it with its first packet.
const LIMIT: Duration = Duration::from_secs(3);

/// Bytes that are looked at in one go; a header of the usual kind has fewer.
const LOOK: usize = 256;

/// Reads the header. What comes after it stays in the socket: it is looked at before it is taken, and all of a header that has not ended
/// belongs to it.
///
/// # Errors
/// Where there is none in time.
pub(crate) async fn read(io: &mut TcpStream) -> io::Result<Announced> {
    timeout(LIMIT, whole(io)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn whole(io: &mut TcpStream) -> io::Result<Announced> {
    let mut seen = Vec::new();
    loop {
        let taken = seen.len();
        seen.resize(taken + LOOK, 0);
        let more = io.peek(&mut seen[taken..]).await?;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen.truncate(taken + more);
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        match parse(&seen).map_err(malformed)? {
            Progress::Partial => drop(io.read_exact(&mut seen[taken..]).await?),
            Progress::Complete(announced, end) => {
                io.read_exact(&mut seen[taken..end]).await?;
                return Ok(announced);
            }
        }
    }
}
