//! An admitted stream as Pingora wants it: a read buffer in which a head is gathered whole, and a write buffer above TLS.

use crate::carried::Carried;
use crate::frames::Frames;
use crate::limits::HttpLimits;
use crate::replies::Replies;
use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::http::ResponseHeader;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use pullgate_door::{Arrival, OpenConnection, Stream};
use pullgate_policy::Reason;
use pullgate_policy::head::{self, Extent};
use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout, timeout_at};

/// Why no head came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHead {
    /// The client closed, the connection broke, or nothing came within the idle time-out: nobody waits for an answer.
    Gone,
    /// What came is to be answered with a refusal.
    Refused(Reason),
}

/// Which request of a connection is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The first: it has `header_timeout` from the start, whoever connects has something to say.
    First,
    /// A later one: it may take `idle_timeout` to begin.
    Later,
}

/// Bytes gathered above TLS before they go out in one system call; an idle connection holds none of them. An HTTP/2 frame of 16 KiB
/// with its head has to fit.
const WRITE_BUFFER: usize = 32 * 1024;

/// What is taken for it at first: most answers are a head and a small body, and memory that was just used is still near.
const SMALL_WRITE_BUFFER: usize = 4 * 1024;

/// The first bytes of every HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a refused client may take to read its answer and close.
const PARTING: Duration = Duration::from_secs(1);

/// Bytes asked for at once while a head is gathered.
const READ_CHUNK: usize = 4 * 1024;

/// Bytes asked for while a client has nothing to say: with most requests there are none.
const LOOK_CHUNK: usize = 256;

/// The stream that Pingora reads from and writes to.
pub(crate) struct Conn {
    io: Stream,
    /// Bytes read ahead of Pingora.
    ahead: BytesMut,
    /// Bytes that the request in hand may still claim; none where they show in themselves.
    left: Option<usize>,
    /// Bytes that Pingora wrote and that are not sent.
    unsent: BytesMut,
    carried: Arc<ProxyDigest>,
    socket: Arc<SocketDigest>,
    ssl: Option<Arc<SslDigest>>,
    /// How long the client may take nothing of what is sent to it.
    patience: Duration,
    /// Ends that patience; there is one only while the client takes less than it is sent.
    stalled: Option<Stall>,
    /// The frames of an HTTP/2 client.
    frames: Option<Frames>,
    /// What hears of the refusals in the frames that are sent to it.
    overheard: Option<Overheard>,
    /// How long a client may take from the first to the last byte of a head.
    head_patience: Duration,
    /// Ends the wait for what a client of HTTP/2 has begun.
    late: Option<Pin<Box<Sleep>>>,
    /// Ends the wait for a request of HTTP/1.1 to begin.
    pause: Option<Pin<Box<Sleep>>>,
    _open: OpenConnection,
}

impl Conn {
    pub(crate) fn new(arrival: Arrival, limits: HttpLimits) -> Result<Self, Box<pingora::Error>> {
        let Arrival { stream, connection, open } = arrival;
        let socket = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // The cell is fresh.
        let _ = socket.peer_addr.set(Some(connection.peer.address().into()));
        let ssl = connection.tls().map(|tls| Arc::new(SslDigest::new(tls.cipher, tls.version, None, None, Vec::new())));
        let carried = Carried::new(connection, limits);
        let digest = ProxyDigest::new(Box::new(ResponseHeader::build(200, Some(0))?), Some(Box::new(carried)));
        Ok(Self {
            io: stream,
            ahead: BytesMut::new(),
            left: None,
            unsent: BytesMut::new(),
            carried: Arc::new(digest),
            socket: Arc::new(socket),
            ssl,
            patience: limits.write,
            stalled: None,
            frames: None,
            overheard: None,
            head_patience: limits.header,
            late: None,
            pause: None,
            _open: open,
        })
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.io.is_http2()
    }

    pub(crate) fn digest(&self) -> Arc<ProxyDigest> {
        Arc::clone(&self.carried)
    }

    /// Tells the refusals in what is sent to a client of HTTP/2.
    pub(crate) fn overhear(&mut self, tell: Box<dyn Fn(Reason) + Send + Sync>) {
        self.overheard = Some(Overheard { replies: Replies::default(), tell });
    }

    /// Gathers a whole request head, so that no parser sees half of one and no client can stretch the time it takes. What is there behind
    /// it stays, unless the request asks for a tunnel.
    pub(crate) async fn read_head(&mut self, limits: &HttpLimits, turn: Turn) -> Result<BytesMut, NoHead> {
        if self.ahead.is_empty() {
            let patience = if turn == Turn::First { limits.header } else { limits.idle };
            match self.read_within(patience).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(NoHead::Gone),
            }
        }
        let (mut looked_at, mut deadline) = (0, None);
        loop {
            match head::progress(&self.ahead, looked_at, limits.head_bytes).map_err(NoHead::Refused)? {
                head::Progress::Complete(end) => {
                    let extent = head::check(&self.ahead[..end], limits.head_fields).map_err(NoHead::Refused)?;
                    let (left, own) = match extent {
                        Extent::Bytes(body) => (Some(body), end),
                        Extent::Chunks => (None, end),
                        // Pingora has to see at once that a client sends on the mere hope of a tunnel.
                        Extent::Open => (None, self.ahead.len()),
                    };
                    self.left = left;
                    return Ok(self.take_ahead(own));
                }
                head::Progress::Partial(line) => looked_at = line,
            }
            // Most heads come in one piece, which needs no second clock.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + limits.header);
            match timeout_at(deadline, self.read_more()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false) | Err(_)) => return Err(NoHead::Gone),
                Err(_) => return Err(NoHead::Refused(Reason::HeadTimedOut)),
            }
        }
    }

    /// So many of the bytes that were read ahead. Mostly these are all, and then nothing is split.
    fn take_ahead(&mut self, own: usize) -> BytesMut {
        if own == self.ahead.len() { std::mem::take(&mut self.ahead) } else { self.ahead.split_to(own) }
    }

    /// Waits for the preface of an HTTP/2 client (RFC 9113 section 3.4), for which Pingora would wait without end.
    pub(crate) async fn read_preface(&mut self, limits: &HttpLimits) -> io::Result<()> {
        let whole = async {
            while self.ahead.len() < PREFACE.len() {
                if !self.read_more().await? {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            io::Result::Ok(())
        };
        timeout(limits.header, whole).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.frames = Some(Frames::after(PREFACE.len()));
        if self.ahead.starts_with(PREFACE) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Reads once; false at the end of the stream.
    async fn read_more(&mut self) -> io::Result<bool> {
        std::future::poll_fn(|cx| self.poll_more(cx)).await
    }

    /// The same within a time. Its clock goes on while a request is served, and is set to the time that counts when it is due: that costs
    /// less than to stop it and to begin another with each request.
    async fn read_within(&mut self, patience: Duration) -> io::Result<bool> {
        let due = Instant::now() + patience;
        if self.pause.as_ref().is_some_and(|pause| pause.deadline() > due) {
            self.pause = None;
        }
        std::future::poll_fn(|cx| {
            if let Poll::Ready(read) = self.poll_more(cx) {
                return Poll::Ready(read);
            }
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(due)));
            loop {
                ready!(pause.as_mut().poll(cx));
                if pause.deadline() == due {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                pause.as_mut().reset(due);
            }
        })
        .await
    }

    /// The buffer stands on the stack, and is not filled with zeros: a connection that waits holds none, and many a look finds nothing.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut chunk = [MaybeUninit::uninit(); READ_CHUNK];
        let mut buf = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Writes a last answer and closes, so that the answer arrives: a socket closed with unread bytes sends a reset, which
    /// overtakes it.
    pub(crate) async fn answer_and_close(mut self: Box<Self>, answer: &[u8]) -> io::Result<()> {
        let farewell = async {
            self.io.write_all(answer).await?;
            self.io.shutdown().await?;
            let mut rest = [0; 1024];
            while self.io.read(&mut rest).await? > 0 {}
            Ok(())
        };
        timeout(PARTING, farewell).await.unwrap_or(Ok(()))
    }

    /// Passes a step of writing on, and fails it where the client has not taken a buffer's worth within `write_timeout`: one byte at a time
    /// does not stretch it. Pingora times the writes of bodies alone, not those of heads, nor flushes, nor the end.
    fn patiently(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match step {
            Poll::Ready(Ok(taken)) => {
                self.stalled = self.stalled.take().and_then(|stall| stall.after(taken));
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let patience = self.patience;
                let stalled = self.stalled.get_or_insert_with(|| Stall::begin(patience));
                ready!(stalled.end.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// The same for a step that sends all there is.
    fn patiently_to_the_end(&mut self, cx: &mut Context<'_>, step: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        self.patiently(cx, step.map_ok(|()| WRITE_BUFFER)).map_ok(drop)
    }

    /// Follows what a client of HTTP/2 has sent, and fails where it has begun what it does not finish within `header_timeout`.
    fn in_time(&mut self, cx: &mut Context<'_>, read: Poll<io::Result<()>>, came: &[u8]) -> Poll<io::Result<()>> {
        let Some(frames) = &mut self.frames else { return read };
        frames.follow(came);
        if !frames.is_open() {
            self.late = None;
            return read;
        }
        let patience = self.head_patience;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(patience)));
        // Polled in any case, so that it wakes this task.
        if late.as_mut().poll(cx).is_pending() {
            return read;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Gives what was read ahead, then what comes.
    fn poll_next(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let own = self.left.unwrap_or(usize::MAX);
        let taken = self.ahead.len().min(buf.remaining()).min(own);
        buf.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes back what lies behind the request in hand: it is the next one's, whose head has to be checked as the first was.
    fn hold_back(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(left) = &mut self.left else { return };
        let came = buf.filled().len() - before;
        let own = came.min(*left);
        *left -= own;
        if own < came {
            self.ahead.extend_from_slice(&buf.filled()[before + own..]);
            buf.set_filled(before + own);
        }
    }

    /// Behind the request in hand there is nothing but the end of the connection. What else comes waits for its turn (RFC 9112 section
    /// 9.3.2), and once something waits nobody looks for the end.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            return Poll::Pending;
        }
        let mut chunk = [MaybeUninit::uninit(); LOOK_CHUNK];
        let mut buf = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.ahead.extend_from_slice(buf.filled());
        Poll::Pending
    }

    /// Sends what is gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent.has_remaining() {
            let step = Pin::new(&mut self.io).poll_write(cx, &self.unsent);
            let sent = ready!(self.patiently(cx, step))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
            if self.unsent.is_empty() {
                self.stalled = None;
            }
        }
        // An idle connection holds no buffer.
        self.unsent = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

/// What follows the frames that are sent, and whom it tells what they refuse.
struct Overheard {
    replies: Replies,
    tell: Box<dyn Fn(Reason) + Send + Sync>,
}

impl Overheard {
    fn follow(&mut self, bytes: &[u8]) {
        self.replies.follow(bytes, &self.tell);
    }
}

/// A client that takes less than it is sent.
struct Stall {
    end: Pin<Box<Sleep>>,
    /// What it has taken since.
    taken: usize,
}

impl Stall {
    fn begin(patience: Duration) -> Self {
        Self { end: Box::pin(sleep(patience)), taken: 0 }
    }

    /// What is left of it when the client has taken more.
    fn after(self, taken: usize) -> Option<Self> {
        let taken = self.taken + taken;
        (taken < WRITE_BUFFER).then_some(Self { taken, ..self })
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("fd", &self.io.as_raw_fd()).finish_non_exhaustive()
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == Some(0) {
            return self.poll_behind(cx);
        }
        let before = buf.filled().len();
        let read = self.poll_next(cx, buf);
        self.hold_back(buf, before);
        self.in_time(cx, read, &buf.filled()[before..])
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent.len() + bytes.len() > WRITE_BUFFER {
            ready!(self.poll_send(cx))?;
        }
        if bytes.len() >= WRITE_BUFFER {
            let step = Pin::new(&mut self.io).poll_write(cx, bytes);
            if let (Poll::Ready(Ok(taken)), Some(overheard)) = (&step, &mut self.overheard) {
                overheard.follow(&bytes[..*taken]);
            }
            return self.patiently(cx, step);
        }
        if let Some(overheard) = &mut self.overheard {
            overheard.follow(bytes);
        }
        let (held, wanted) = (self.unsent.len(), self.unsent.len() + bytes.len());
        if wanted > self.unsent.capacity() {
            let room = if wanted <= SMALL_WRITE_BUFFER { SMALL_WRITE_BUFFER } else { WRITE_BUFFER };
            self.unsent.reserve(room - held);
        }
        self.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bytes.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        let step = Pin::new(&mut self.io).poll_flush(cx);
        self.patiently_to_the_end(cx, step)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        let step = Pin::new(&mut self.io).poll_shutdown(cx);
        self.patiently_to_the_end(cx, step)
    }
}

#[async_trait]
impl Shutdown for Conn {
    async fn shutdown(&mut self) {
        // The other end may be gone: there is nobody left to tell.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Conn {
    fn id(&self) -> UniqueIDType {
        self.io.as_raw_fd()
    }
}

impl Ssl for Conn {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(if self.is_http2() { ALPN::H2 } else { ALPN::H1 })
    }
}

impl GetTimingDigest for Conn {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Conn {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.carried))
    }
}

impl GetSocketDigest for Conn {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}

impl Peek for Conn {}
