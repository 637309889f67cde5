//! HTTP/2 written by hand (RFC 9113), for what no client would send.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The kinds of frames, by their number.
#[allow(missing_docs, reason = "RFC 9113 section 6 names them")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM on HEADERS and DATA, ACK on SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// END_HEADERS on HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// What begins a connection: the preface and empty settings.
#[must_use]
pub fn opening() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(kind::SETTINGS, 0, 0, b"")[..]].concat()
}

/// One frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A block of literal fields without indexing (RFC 7541 section 6.2.2).
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [&[0][..], &text(name), &text(value)].concat()).collect()
}

/// A text of HPACK, not compressed (RFC 7541 section 5.2).
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.len();
    if rest < 127 {
        bytes.push(u8::try_from(rest).unwrap());
    } else {
        bytes.push(127);
        rest -= 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).unwrap());
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// How a connection took what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All of it: a PING that came after it was answered.
    All,
    /// It was ended, by a GOAWAY with this error code where there was one.
    Cut(Option<u32>),
}

/// Sends frames on a fresh connection, reads what comes all the while, and says how it was taken.
pub async fn pour(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    frames: impl IntoIterator<Item = Vec<u8>>,
) -> Taken {
    /// Bytes handed over at once.
    const PORTION: usize = 16 << 10;
    let (read, mut write) = tokio::io::split(stream);
    let reading = tokio::spawn(timeout(Duration::from_secs(60), until_answered(read)));
    let mut portion = opening();
    for frame in frames {
        portion.extend_from_slice(&frame);
        if portion.len() >= PORTION && !sent(&mut write, &mut portion).await {
            break;
        }
    }
    portion.extend_from_slice(&frame(kind::PING, 0, 0, MARK));
    sent(&mut write, &mut portion).await;
    reading.await.unwrap().expect("the mark is answered or the connection ends within a minute")
}

const MARK: &[u8; 8] = b"the mark";

async fn sent(write: &mut (impl AsyncWrite + Unpin), portion: &mut Vec<u8>) -> bool {
    let sent = write.write_all(portion).await.and(write.flush().await).is_ok();
    portion.clear();
    sent
}

async fn until_answered(mut read: impl AsyncRead + Unpin) -> Taken {
    loop {
        match receive(&mut read).await {
            None => return Taken::Cut(None),
            Some((kind::GOAWAY, payload)) => {
                let code = payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
                // Until the other side has closed, too: what it has in hand is its cost.
                while receive(&mut read).await.is_some() {}
                return Taken::Cut(code);
            }
            Some((kind::PING, payload)) if payload == MARK => return Taken::All,
            Some(_) => {}
        }
    }
}

/// The next frame's kind and payload; none at the end.
pub async fn receive(read: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    read.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}
