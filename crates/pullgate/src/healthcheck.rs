//! `pullgate healthcheck`: asks a running gateway whether it is ready, for images without a shell or curl.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for the admin listener, at each step.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer: the series of thousands of hosts.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// A gateway that is not ready.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answers.
    #[error("nothing answers on {0}")]
    Unreachable(SocketAddr, #[source] io::Error),
    /// It answers that it is not ready.
    #[error("{0} answers: {1}")]
    NotReady(SocketAddr, String),
}

/// Asks `/-/ready` on the admin listener.
///
/// # Errors
/// When nobody answers there, or the answer is not 200.
pub fn healthcheck(admin: SocketAddr) -> Result<(), Unhealthy> {
    ask(admin, "/-/ready").map(drop)
}

/// The body of the admin listener's answer.
pub(crate) fn ask(admin: SocketAddr, path: &str) -> Result<String, Unhealthy> {
    let answer = exchange(admin, path).map_err(|error| Unhealthy::Unreachable(admin, error))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(Unhealthy::NotReady(admin, answer.lines().next().unwrap_or("nothing").to_owned())),
    }
}

fn exchange(admin: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
