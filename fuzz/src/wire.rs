//! TLS on the wire, as far as the target `client_hello` has to understand it by itself (RFC 8446 section 5.1).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Record type alert.
pub const ALERT: u8 = 21;

/// Record type handshake.
pub const HANDSHAKE: u8 = 22;

/// Type and content of each whole record that bytes begin with, and what is left after the last.
#[must_use]
pub fn records(mut bytes: &[u8]) -> (Vec<(u8, &[u8])>, &[u8]) {
    let mut records = Vec::new();
    while let Some((&[kind, _, _, high, low], rest)) = bytes.split_first_chunk()
        && let Some((content, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))
    {
        records.push((kind, content));
        bytes = rest;
    }
    (records, bytes)
}

/// What the handshake records hold, joined: a message may be spread over several.
#[must_use]
pub fn handshake(bytes: &[u8]) -> Vec<u8> {
    records(bytes)
        .0
        .into_iter()
        .filter(|(kind, _)| *kind == HANDSHAKE)
        .flat_map(|(_, content)| content)
        .copied()
        .collect()
}

/// A client that has said everything it will ever say, and what it was answered.
#[derive(Debug)]
pub struct Client<'a> {
    /// What it has still to say; the end after that.
    pub says: &'a [u8],
    /// What one read gives at most, in bytes; not 0. A write is taken whole, as the empty buffer of a new socket takes it: the alert of a
    /// failed handshake is written once, with no second try for what did not fit.
    pub step: usize,
    /// What was written to it.
    pub heard: &'a mut Vec<u8>,
}

impl AsyncRead for Client<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.says.split_at(self.step.min(buf.remaining()).min(self.says.len()));
        buf.put_slice(now);
        self.says = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
