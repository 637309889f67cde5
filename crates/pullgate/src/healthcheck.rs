//! `pullgate healthcheck`: asks a running gateway whether it is ready, for images without a shell or curl.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for the admin listener, at each step.
const PATIENCE: Duration = Duration::from_secs(3);

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
    let answer = ask(admin).map_err(|error| Unhealthy::Unreachable(admin, error))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(Unhealthy::NotReady(admin, answer.lines().next().unwrap_or("nothing").to_owned()))
}

fn ask(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /-/ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
