//! An admitted byte stream, encrypted or not.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What an admitted connection reads from and writes to.
#[derive(Debug)]
pub enum Stream {
    /// A plain listener's.
    Plain(TcpStream),
    /// After a finished handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether the handshake agreed on HTTP/2 (ALPN `h2`).
    #[must_use]
    pub fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    fn inner(self: Pin<&mut Self>) -> Inner<'_> {
        match self.get_mut() {
            Self::Plain(io) => Inner::Plain(Pin::new(io)),
            Self::Tls(io) => Inner::Tls(Pin::new(io.as_mut())),
        }
    }
}

enum Inner<'a> {
    Plain(Pin<&'a mut TcpStream>),
    Tls(Pin<&'a mut TlsStream<TcpStream>>),
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Plain(io) => io.as_raw_fd(),
            Self::Tls(io) => io.get_ref().0.as_raw_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.inner() {
            Inner::Plain(io) => io.poll_read(cx, buf),
            Inner::Tls(io) => io.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.inner() {
            Inner::Plain(io) => io.poll_write(cx, bytes),
            Inner::Tls(io) => io.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.inner() {
            Inner::Plain(io) => io.poll_write_vectored(cx, bytes),
            Inner::Tls(io) => io.poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.inner() {
            Inner::Plain(io) => io.poll_flush(cx),
            Inner::Tls(io) => io.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.inner() {
            Inner::Plain(io) => io.poll_shutdown(cx),
            Inner::Tls(io) => io.poll_shutdown(cx),
        }
    }
}
