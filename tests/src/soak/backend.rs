//! The origin under load: it keeps a number for each request and nothing else, so that it does not grow.

use super::ledger::Ledger;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

/// An HTTP/1.1 origin on 127.0.0.1 with a thread of its own. It ends when it is dropped.
///
/// | path | answer |
/// |---|---|
/// | `/r/N` | [`answer_to`] N and the length of the request's body, which is read before |
/// | `/large/N` | [`LARGE`] bytes |
/// | `/websocket/N` | 101, then the bytes that come |
pub struct Backend {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

/// Bytes of the answer that nobody can read at once.
pub(super) const LARGE: u64 = 2 * 1024 * 1024;

/// Bytes that the kernel keeps of an answer for a gateway that does not read.
const SEND_BUFFER: u32 = 64 * 1024;

const BACKLOG: u32 = 4096;
const CHUNK: usize = 64 * 1024;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// The right answer to a request with this number and so many bytes of body.
#[must_use]
pub(super) fn answer_to(number: u64, body: u64) -> String {
    format!("answer to {number}, {body} bytes\n")
}

/// The number in a path.
#[must_use]
pub(super) fn number(path: &str) -> Option<u64> {
    let (word, number) = path.strip_prefix('/')?.split_once('/')?;
    ["r", "large", "websocket"].contains(&word).then(|| number.parse().ok())?
}

impl Backend {
    /// Listens on a free port; what comes is entered in the ledger.
    #[must_use]
    pub fn start(ledger: Arc<Ledger>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = listen();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, ledger) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), _stop: stop }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SEND_BUFFER).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket.listen(BACKLOG).unwrap()
}

async fn accept(listener: TcpListener, ledger: Arc<Ledger>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(serve(stream, Arc::clone(&ledger)));
    }
}

async fn serve(stream: TcpStream, ledger: Arc<Ledger>) {
    let respond = service_fn(|request| answer(request, Arc::clone(&ledger)));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), respond);
    // How a connection ends is the other side's affair; the ledger has what came before.
    let _ = connection.with_upgrades().await;
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(mut request: Request<Incoming>, ledger: Arc<Ledger>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let Some(number) = number(&path) else {
        return Ok(bare(StatusCode::NOT_FOUND));
    };
    ledger.origin.add(number);
    if path.starts_with("/websocket/") {
        tokio::spawn(echo(hyper::upgrade::on(&mut request)));
        // As long as an application thinks: Pingora 0.9.1 sometimes ends a tunnel whose 101 comes at once, as the README says.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        return Ok(switching());
    }
    let (mut body, mut length) = (request.into_body(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    if path.starts_with("/large/") {
        return Ok(Response::new(Zeros(LARGE).boxed()));
    }
    Ok(Response::new(Full::from(answer_to(number, length)).boxed()))
}

async fn echo(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let (mut reading, mut writing) = tokio::io::split(TokioIo::new(upgraded));
    // The other side ends it as it likes.
    let _ = tokio::io::copy(&mut reading, &mut writing).await;
}

fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new().boxed());
    *answer.status_mut() = status;
    answer
}

fn switching() -> Answer {
    let mut answer = bare(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer
}

/// So many zeros, in chunks that need no memory.
struct Zeros(u64);

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = usize::try_from(self.0.min(CHUNK as u64)).unwrap();
        self.0 -= length as u64;
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(&ZEROS[..length])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}
