//! `pullgate healthcheck`: asks a running gateway whether it is ready, for images without a shell or curl.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for the admin listener, at each step.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer: the series of thousands of hosts.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// An admin listener that did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers.
    #[error("nothing answers on {0}")]
    Unreachable(SocketAddr, #[source] io::Error),
    /// Its answer is not 200.
    #[error("{0} answers: {1}")]
    Refused(SocketAddr, String),
    /// Its answer is not whole.
    #[error("the answer of {0} broke off")]
    Cut(SocketAddr),
}

/// Asks `/-/ready` on the admin listener.
///
/// # Errors
/// When nobody answers there, or the answer is not 200.
pub fn healthcheck(admin: SocketAddr) -> Result<(), AdminError> {
    ask(admin, "/-/ready").map(drop)
}

/// The body of the admin listener's answer.
pub(crate) fn ask(admin: SocketAddr, path: &str) -> Result<String, AdminError> {
    let answer = exchange(admin, path).map_err(|error| AdminError::Unreachable(admin, error))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => match length_in(head) {
            Some(length) if length == body.len() => Ok(body.to_owned()),
            _ => Err(AdminError::Cut(admin)),
        },
        _ => Err(AdminError::Refused(admin, answer.lines().next().unwrap_or("nothing").to_owned())),
    }
}

fn length_in(head: &str) -> Option<usize> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.trim().parse().ok())
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What becomes of an answer.
    fn asked(answer: &'static str) -> Result<String, AdminError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The request ends with an empty line.
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                seen.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let asked = ask(admin, "/metrics");
        answering.join().unwrap();
        asked
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        assert_eq!(asked("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nseries").unwrap(), "series");
        assert!(matches!(asked("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nseries"), Err(AdminError::Cut(_))));
        assert!(matches!(asked("HTTP/1.1 200 OK\r\n\r\nseries"), Err(AdminError::Cut(_))));
        assert!(matches!(asked("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Err(AdminError::Refused(..))));
        assert!(matches!(asked(""), Err(AdminError::Refused(..))));
    }
}
