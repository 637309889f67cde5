//! Records what one client says to the door of the target `client_hello`, as a seed.
//!
//! `record <file>` prints its port and serves one client; `record <file> <name>` asks rustls what it would say to that name, with a key
//! share that resists quantum computers among the others.

use pullgate_door::secure;
use pullgate_fuzz::door::{Door, EVERY};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or_else(|| io::Error::other("usage: record <file> [name]"))?;
    let said = match arguments.next() {
        Some(name) => rustls_hello(name)?,
        None => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(record())?,
    };
    // The door with a default host, every host, whole: see the target.
    std::fs::write(file, [vec![1], said].concat())
}

async fn record() -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let (stream, _) = listener.accept().await?;
    let mut said = Vec::new();
    let recorded = Recorded { stream, said: &mut said };
    match secure(recorded, &Door::new(true), EVERY, Duration::from_secs(10)).await {
        Ok((_, facts)) => eprintln!("finished, TLS {}", facts.version),
        Err(mut refused) => {
            refused.part().await;
            eprintln!("{}", refused.failure.error);
        }
    }
    Ok(said)
}

fn rustls_hello(name: String) -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = name.try_into().map_err(io::Error::other)?;
    let mut said = Vec::new();
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?.write_tls(&mut said)?;
    Ok(said)
}

/// A socket whose incoming bytes are kept.
struct Recorded<'a> {
    stream: TcpStream,
    said: &'a mut Vec<u8>,
}

impl AsyncRead for Recorded<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.said.extend_from_slice(&buf.filled()[before..]);
        Poll::Ready(result)
    }
}

impl AsyncWrite for Recorded<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
