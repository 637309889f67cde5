//! Origins on loopback: one that keeps a ledger of everything that reached it, and one for each way to fail.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::service_fn,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

/// One request as it reached the origin. It is written down when the head arrives; the fields of the body follow.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The method as sent.
    pub method: String,
    /// The request target as sent, with its query.
    pub target: String,
    /// The HTTP version of the request line.
    pub version: Version,
    /// Names in lower case, values with U+FFFD for what is not UTF-8; in the order of first arrival, with the
    /// repetitions of a name beside its first. For the bytes as sent see [`RawOrigin::heads`].
    pub headers: Vec<(String, String)>,
    /// Bytes of body read so far.
    pub body_len: u64,
    /// SHA-256 of the body in lower-case hex; of nothing until the body was read or given up.
    pub body_sha256: String,
    /// Whether the end of the body was read.
    pub body_complete: bool,
    /// Which TCP connection brought it, counted from 1.
    pub connection: u64,
    /// The other end of that connection.
    pub peer: SocketAddr,
}

impl Entry {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value of a header; `name` in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn new(head: &Request<Incoming>, connection: u64, peer: SocketAddr) -> Self {
        let lossy = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            method: head.method().to_string(),
            target: head.uri().to_string(),
            version: head.version(),
            headers: head.headers().iter().map(|(name, value)| (name.to_string(), lossy(value))).collect(),
            body_len: 0,
            body_sha256: sha256(b""),
            body_complete: false,
            connection,
            peer,
        }
    }
}

/// Everything that reached an origin so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The requests in the order in which their heads arrived.
    pub entries: Vec<Entry>,
    /// TCP connections accepted.
    pub accepted: u64,
    /// TCP connections open at the moment.
    pub open: u64,
}

/// An HTTP/1.1 origin on 127.0.0.1. It dies, with its connections, when it is dropped.
///
/// | path | answer |
/// |---|---|
/// | `/echo` | the request's body, streamed back as it comes |
/// | `/digest` | SHA-256 of the request's body in hex |
/// | `/bytes/N` | the first N bytes of [`pattern`] with a `Content-Length` |
/// | `/chunked/N` | the same, chunked |
/// | `/status/N` | status N without a body |
/// | `/slow/N` | as any other path, after N milliseconds |
/// | `/early` | 413 without a look at the request's body |
/// | `/seen` | the request's header fields as they came, one `name: value` a line |
/// | `/headers` | `Server: origin`, `X-Powered-By: harness`, `X-Kept: yes` |
/// | `/websocket` | 101, then the bytes that come, until the other side closes |
/// | any other | `hello from the origin` and a newline |
///
/// Except for `/echo`, `/early` and `/websocket` it reads the request's body before it answers.
pub struct Origin {
    address: SocketAddr,
    seen: Arc<watch::Sender<Seen>>,
    accepting: AbortHandle,
}

impl Origin {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&seen))).abort_handle();
        Self { address, seen, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that have arrived, in order.
    pub fn ledger(&self) -> Vec<Entry> {
        self.seen.borrow().entries.clone()
    }

    /// How many TCP connections it has accepted.
    pub fn connections(&self) -> usize {
        usize::try_from(self.seen.borrow().accepted).unwrap()
    }

    /// Waits until the heads of `count` requests have arrived, and gives the ledger. Fails the test after 10 s.
    pub async fn wait_for(&self, count: usize) -> Vec<Entry> {
        self.wait_until(|seen| seen.entries.len() >= count).await.entries
    }

    /// Waits until `reached` says yes to what was seen. Fails the test after 10 s.
    pub async fn wait_until(&self, reached: impl FnMut(&Seen) -> bool) -> Seen {
        wait_until(&self.seen, reached).await
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The first `length` bytes that `/bytes/N` and `/chunked/N` send: 0 to 250, again and again.
pub fn pattern(length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        bytes.extend_from_slice(&pattern_from(bytes.len(), CHUNK.min(length - bytes.len())));
    }
    bytes.into()
}

/// SHA-256 in lower-case hex, as the ledger and `/digest` write it.
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A fault of an origin. Each connection sees it once.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// The port is taken, nobody listens: a connection is refused.
    Refuse,
    /// Resets each connection as soon as it is accepted.
    ResetOnAccept,
    /// Resets the connection after the request's head.
    ResetAfterHead,
    /// Accepts, reads, and never answers.
    Silent,
    /// Announces a `Content-Length`, sends fewer bytes of body, and closes.
    DieInBody {
        /// The `Content-Length`.
        announced: u64,
        /// Bytes sent.
        sent: usize,
    },
    /// Sends one chunk of a chunked body, and closes without the last chunk.
    DieInChunked {
        /// Bytes in the chunk; at least 1, since an empty chunk is the last one.
        sent: usize,
    },
    /// Answers the request's head with these bytes, and closes.
    Garbage(Vec<u8>),
}

/// An origin on 127.0.0.1 that fails in one way. It dies, with its connections, when it is dropped.
pub struct RawOrigin {
    address: SocketAddr,
    heads: Arc<watch::Sender<Vec<String>>>,
    failing: AbortHandle,
}

impl RawOrigin {
    /// Takes a free port.
    pub async fn start(behaviour: Behaviour) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let heads = Arc::new(watch::Sender::new(Vec::new()));
        let failing = match behaviour {
            // The socket is kept, bound and not listening, so that nobody else gets its port.
            Behaviour::Refuse => tokio::spawn(async move {
                let _kept = socket;
                std::future::pending::<()>().await;
            }),
            behaviour => tokio::spawn(fail_all(socket.listen(BACKLOG).unwrap(), behaviour, Arc::clone(&heads))),
        };
        Self { address, heads, failing: failing.abort_handle() }
    }

    /// Where it listens, or does not.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The request heads as they came, each with its blank line; U+FFFD for what is not UTF-8.
    pub fn heads(&self) -> Vec<String> {
        self.heads.borrow().clone()
    }

    /// Waits until `count` heads have arrived, and gives them. Fails the test after 10 s.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        wait_until(&self.heads, |heads| heads.len() >= count).await
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.failing.abort();
    }
}

const DEADLINE: Duration = Duration::from_secs(10);
const BACKLOG: u32 = 1024;
const CHUNK: usize = 64 * 1024;
const HEAD_LIMIT: usize = 1024 * 1024;
const HEADER_COUNT_LIMIT: usize = 1000;
const PATTERN_LAST: u8 = 250;
const PATTERN_PERIOD: usize = 251;

/// A chunk of the pattern from each of its bytes on. Made once: many large answers would keep an unoptimised origin from all others.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| (0..=PATTERN_LAST).cycle().take(CHUNK + PATTERN_PERIOD).collect());

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

async fn wait_until<T: Clone + std::fmt::Debug>(seen: &watch::Sender<T>, reached: impl FnMut(&T) -> bool) -> T {
    let mut watching = seen.subscribe();
    let outcome = timeout(DEADLINE, watching.wait_for(reached)).await.map(|value| value.unwrap().clone());
    outcome.unwrap_or_else(|_| panic!("the origin did not see it in time, but only {:#?}", seen.borrow()))
}

async fn accept(listener: TcpListener, seen: Arc<watch::Sender<Seen>>) {
    let mut serving = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        serving.spawn(serve(stream, Arc::new(Visit::new(Arc::clone(&seen), peer))));
        while serving.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, visit: Arc<Visit>) {
    let respond = service_fn(|request| answer(request, Arc::clone(&visit)));
    let mut server = hyper::server::conn::http1::Builder::new();
    let connection = server.max_headers(HEADER_COUNT_LIMIT).serve_connection(TokioIo::new(stream), respond);
    // How a connection ends is the other side's affair; the ledger has what came before.
    let _ = connection.with_upgrades().await;
    let upgrade = visit.upgrade.lock().unwrap().take();
    if let Some(Ok(upgraded)) = async { Some(upgrade?.await) }.await {
        echo(upgraded).await;
    }
}

async fn echo(upgraded: Upgraded) {
    let (mut reading, mut writing) = tokio::io::split(TokioIo::new(upgraded));
    if tokio::io::copy(&mut reading, &mut writing).await.is_ok() {
        let _ = writing.shutdown().await;
    }
}

async fn answer(mut request: Request<Incoming>, visit: Arc<Visit>) -> Result<Answer, Infallible> {
    let entry = visit.record(&request);
    if request.uri().path() == "/websocket" {
        // Pingora 0.9.1 sometimes ends a tunnel whose 101 comes before it has passed the end of the request on, as the README says.
        tokio::time::sleep(BEFORE_SWITCHING).await;
        *visit.upgrade.lock().unwrap() = Some(hyper::upgrade::on(&mut request));
        return Ok(switching());
    }
    let path = request.uri().path().to_owned();
    let (word, number) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let (head, body) = request.into_parts();
    let body = Recorded::new(body, Arc::clone(&visit.seen), entry);
    Ok(match word {
        "echo" => Response::new(body.boxed()),
        "early" => bare(StatusCode::PAYLOAD_TOO_LARGE),
        "digest" => text(body.drain().await),
        "seen" => {
            body.drain().await;
            seen(&head.headers)
        }
        _ => {
            body.drain().await;
            canned(word, number.parse().unwrap_or(0)).await
        }
    })
}

/// The answers for which the request's body is of no account.
async fn canned(word: &str, number: u64) -> Answer {
    match word {
        "bytes" => Response::new(Pattern::announced(usize::try_from(number).unwrap()).boxed()),
        "chunked" => Response::new(Pattern::unannounced(usize::try_from(number).unwrap()).boxed()),
        "status" => bare(u16::try_from(number).unwrap().try_into().unwrap()),
        "headers" => distinctive(),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            hello()
        }
        _ => hello(),
    }
}

fn hello() -> Answer {
    text("hello from the origin\n".into())
}

fn text(text: String) -> Answer {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

fn seen(headers: &HeaderMap) -> Answer {
    let line = |(name, value): (&header::HeaderName, &HeaderValue)| {
        [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat()
    };
    let lines: Vec<u8> = headers.iter().flat_map(line).collect();
    Response::new(Full::from(lines).map_err(|never| match never {}).boxed())
}

fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}

fn distinctive() -> Answer {
    let mut answer = hello();
    for (name, value) in [("server", "origin"), ("x-powered-by", "harness"), ("x-kept", "yes")] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// How long `/websocket` thinks before it switches: as long as an application does.
const BEFORE_SWITCHING: Duration = Duration::from_millis(50);

fn switching() -> Answer {
    let mut answer = bare(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer
}

/// One TCP connection to the origin.
struct Visit {
    seen: Arc<watch::Sender<Seen>>,
    number: u64,
    peer: SocketAddr,
    /// Set by `/websocket`, taken when HTTP on the connection has ended.
    upgrade: Mutex<Option<OnUpgrade>>,
}

impl Visit {
    fn new(seen: Arc<watch::Sender<Seen>>, peer: SocketAddr) -> Self {
        let mut number = 0;
        seen.send_modify(|seen| {
            seen.accepted += 1;
            seen.open += 1;
            number = seen.accepted;
        });
        Self { seen, number, peer, upgrade: Mutex::new(None) }
    }

    /// Enters a request in the ledger, and gives its index there.
    fn record(&self, head: &Request<Incoming>) -> usize {
        let mut index = 0;
        self.seen.send_modify(|seen| {
            index = seen.entries.len();
            seen.entries.push(Entry::new(head, self.number, self.peer));
        });
        index
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.seen.send_modify(|seen| seen.open -= 1);
    }
}

/// A request body that is entered in the ledger when it ends, or when nobody wants it any more.
struct Recorded {
    body: Incoming,
    seen: Arc<watch::Sender<Seen>>,
    entry: usize,
    length: u64,
    hash: Sha256,
    entered: bool,
}

impl Recorded {
    fn new(body: Incoming, seen: Arc<watch::Sender<Seen>>, entry: usize) -> Self {
        let mut recorded = Self { body, seen, entry, length: 0, hash: Sha256::new(), entered: false };
        recorded.enter_at_end();
        recorded
    }

    /// Reads to the end, and gives the digest.
    async fn drain(mut self) -> String {
        while let Some(Ok(_)) = self.frame().await {}
        format!("{:x}", self.hash.clone().finalize())
    }

    fn take(&mut self, frame: &Frame<Bytes>) {
        if let Some(bytes) = frame.data_ref() {
            self.length += bytes.len() as u64;
            self.hash.update(bytes);
        }
    }

    /// Where the length is announced the end is known with the last byte, and nobody asks for more.
    fn enter_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.enter(true);
        }
    }

    fn enter(&mut self, complete: bool) {
        if std::mem::replace(&mut self.entered, true) {
            return;
        }
        self.seen.send_modify(|seen| {
            let entry = &mut seen.entries[self.entry];
            entry.body_len = self.length;
            entry.body_sha256 = format!("{:x}", self.hash.clone().finalize());
            entry.body_complete = complete;
        });
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.take(frame);
                self.enter_at_end();
            }
            Poll::Ready(None) => self.enter(true),
            Poll::Ready(Some(Err(_))) => self.enter(false),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.enter(false);
    }
}

/// A body of [`pattern`] in chunks of 64 KiB, made as it is asked for.
struct Pattern {
    sent: usize,
    length: usize,
    hint: SizeHint,
}

impl Pattern {
    fn announced(length: usize) -> impl Body<Data = Bytes, Error = hyper::Error> {
        Self { sent: 0, length, hint: SizeHint::with_exact(length as u64) }.map_err(|never| match never {})
    }

    fn unannounced(length: usize) -> impl Body<Data = Bytes, Error = hyper::Error> {
        Self { sent: 0, length, hint: SizeHint::new() }.map_err(|never| match never {})
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = CHUNK.min(self.length - self.sent);
        if chunk == 0 {
            return Poll::Ready(None);
        }
        let data = pattern_from(self.sent, chunk);
        self.sent += chunk;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// A chunk of the pattern, which begins behind `skipped` bytes of it.
fn pattern_from(skipped: usize, length: usize) -> Bytes {
    let skipped = skipped % PATTERN_PERIOD;
    PATTERN.slice(skipped..skipped + length)
}

async fn fail_all(listener: TcpListener, behaviour: Behaviour, heads: Arc<watch::Sender<Vec<String>>>) {
    let mut failing = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (behaviour, heads) = (behaviour.clone(), Arc::clone(&heads));
        failing.spawn(async move {
            // A write that fails finds the other side gone, which is no fault of this side.
            let _ = fail(stream, behaviour, &heads).await;
        });
        while failing.try_join_next().is_some() {}
    }
}

async fn fail(mut stream: TcpStream, behaviour: Behaviour, heads: &watch::Sender<Vec<String>>) -> std::io::Result<()> {
    if matches!(behaviour, Behaviour::ResetOnAccept) {
        return stream.set_zero_linger();
    }
    let head = read_head(&mut stream).await?;
    heads.send_modify(|heads| heads.push(head));
    match behaviour {
        Behaviour::Refuse | Behaviour::ResetOnAccept | Behaviour::ResetAfterHead => stream.set_zero_linger(),
        Behaviour::Silent => drain(stream).await,
        Behaviour::DieInBody { announced, sent } => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n");
            part(stream, [head.as_bytes(), &pattern(sent)].concat()).await
        }
        Behaviour::DieInChunked { sent } => {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{sent:x}\r\n");
            part(stream, [head.as_bytes(), &pattern(sent), b"\r\n"].concat()).await
        }
        Behaviour::Garbage(bytes) => part(stream, bytes).await,
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Sends the last words and says so. Reading on keeps a reset from overtaking them.
async fn part(mut stream: TcpStream, words: Vec<u8>) -> std::io::Result<()> {
    stream.write_all(&words).await?;
    stream.shutdown().await?;
    drain(stream).await
}

async fn drain(mut stream: TcpStream) -> std::io::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{H1, Refused, UpgradeRefused, get, post, raw, streaming};

    async fn fetch(origin: &Origin, path: &str) -> crate::client::Response {
        H1::plain(None, origin.address()).await.unwrap().send(get("o.test", path)).await.unwrap()
    }

    #[tokio::test]
    async fn every_path_answers_as_told() {
        let origin = Origin::start().await;
        let length = 200_000;
        let announced = fetch(&origin, "/bytes/200000").await;
        assert_eq!((announced.body.clone(), announced.header("content-length")), (pattern(length), Some("200000")));
        let chunked = fetch(&origin, "/chunked/200000").await;
        assert_eq!((chunked.body.clone(), chunked.header("transfer-encoding")), (pattern(length), Some("chunked")));
        assert_eq!(fetch(&origin, "/status/503").await.status, 503);
        assert_eq!(fetch(&origin, "/slow/1").await.text(), "hello from the origin\n");
        assert_eq!(fetch(&origin, "/headers").await.header("x-powered-by"), Some("harness"));
        assert_eq!(fetch(&origin, "/").await.text(), "hello from the origin\n");
        assert_eq!(origin.connections(), 6);
        origin.wait_until(|seen| seen.open == 0).await;
    }

    #[tokio::test]
    async fn the_ledger_has_the_request_as_it_came() {
        let origin = Origin::start().await;
        let head = "PUT /digest?a=%41 HTTP/1.0\r\nX-One: 1\r\nHost: o.test\r\nX-Two: a\r\nX-Two: b\r\n";
        let request = format!("{head}Content-Length: 3\r\n\r\nabc");
        let answer = raw(None, origin.address(), None, request.as_bytes()).await.unwrap();
        assert!(String::from_utf8(answer).unwrap().ends_with(&sha256(b"abc")));
        let entry = origin.ledger().remove(0);
        assert_eq!((entry.method.as_str(), entry.target.as_str()), ("PUT", "/digest?a=%41"));
        assert_eq!((entry.version, entry.connection), (Version::HTTP_10, 1));
        assert_eq!((entry.body_len, entry.body_sha256.as_str()), (3, sha256(b"abc").as_str()));
        assert_eq!((entry.header("x-one"), entry.header("x-three")), (Some("1"), None));
        assert_eq!(entry.all("x-two"), ["a", "b"]);
        assert!(entry.body_complete);
    }

    #[tokio::test]
    async fn an_echo_streams_while_the_body_is_still_coming() {
        let origin = Origin::start().await;
        let mut client = H1::plain(None, origin.address()).await.unwrap();
        let (mut sender, body) = streaming();
        sender.send_data("one".into()).await.unwrap();
        let request = Request::post("http://o.test/echo").body(body).unwrap();
        let mut answer = client.send_open(request).await.unwrap().into_body();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert!(!origin.ledger()[0].body_complete);
        sender.send_data("two".into()).await.unwrap();
        drop(sender);
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "two");
        let entry = origin.ledger().remove(0);
        assert_eq!((entry.body_len, entry.body_sha256, entry.body_complete), (6, sha256(b"onetwo"), true));
    }

    #[tokio::test]
    async fn an_unread_body_is_entered_as_incomplete() {
        let origin = Origin::start().await;
        let mut client = H1::plain(None, origin.address()).await.unwrap();
        let (_sender, body) = streaming();
        let request = Request::post("http://o.test/early").body(body).unwrap();
        assert_eq!(client.send_stream(request).await.unwrap().status, 413);
        assert!(!origin.wait_for(1).await[0].body_complete);
    }

    #[tokio::test]
    async fn each_fault_fails_the_request() {
        let faults = [
            Behaviour::Refuse,
            Behaviour::ResetOnAccept,
            Behaviour::ResetAfterHead,
            Behaviour::DieInBody { announced: 10, sent: 9 },
            Behaviour::DieInChunked { sent: 9 },
            Behaviour::Garbage(b"nonsense\r\n\r\n".to_vec()),
        ];
        for behaviour in faults {
            let origin = RawOrigin::start(behaviour.clone()).await;
            let refused = match H1::plain(None, origin.address()).await {
                Ok(mut client) => client.send(post("o.test", "/", "body")).await.unwrap_err(),
                Err(refused) => refused,
            };
            let refused_by_tcp = matches!(behaviour, Behaviour::Refuse);
            assert_eq!(matches!(refused, Refused::Tcp(_)), refused_by_tcp, "{behaviour:?}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn a_dying_origin_sends_exactly_what_it_was_told() {
        let cases = [
            (Behaviour::DieInBody { announced: 9, sent: 2 }, "Content-Length: 9\r\n\r\n\0\u{1}"),
            (Behaviour::DieInChunked { sent: 2 }, "chunked\r\n\r\n2\r\n\0\u{1}\r\n"),
            (Behaviour::Garbage(b"\r\n\0".to_vec()), "\r\n\0"),
        ];
        for (behaviour, end) in cases {
            let origin = RawOrigin::start(behaviour).await;
            let answer = raw(None, origin.address(), None, b"GET / HTTP/1.1\r\nA: b\r\n\r\n").await.unwrap();
            assert!(answer.ends_with(end.as_bytes()), "{}", String::from_utf8_lossy(&answer));
            assert_eq!(origin.heads(), ["GET / HTTP/1.1\r\nA: b\r\n\r\n"]);
        }
    }

    #[tokio::test]
    async fn a_silent_origin_keeps_the_head() {
        let origin = RawOrigin::start(Behaviour::Silent).await;
        let mut client = H1::plain(None, origin.address()).await.unwrap();
        let request = client.send(get("o.test", "/quiet"));
        tokio::select! {
            answer = request => panic!("{:?}", answer.map(|answer| answer.status)),
            heads = origin.wait_for(1) => assert!(heads[0].starts_with("GET /quiet HTTP/1.1\r\n"), "{heads:?}"),
        }
    }

    #[tokio::test]
    async fn a_websocket_echoes_until_it_is_closed() {
        let origin = Origin::start().await;
        let mut client = H1::plain(None, origin.address()).await.unwrap();
        let mut request = get("o.test", "/websocket");
        for (name, value) in [("connection", "Upgrade"), ("upgrade", "websocket")] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let mut socket = client.upgrade(request).await.unwrap();
        socket.write_all(b"ping").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut echoed = Vec::new();
        socket.read_to_end(&mut echoed).await.unwrap();
        assert_eq!(echoed, b"ping");
        origin.wait_until(|seen| seen.open == 0).await;
        let mut client = H1::plain(None, origin.address()).await.unwrap();
        let refused = client.upgrade(get("o.test", "/status/403")).await.unwrap_err();
        assert!(matches!(*refused, UpgradeRefused::Answered(answer) if answer.status == 403));
    }

    #[tokio::test]
    async fn a_dropped_origin_takes_its_connections_along() {
        let origin = Origin::start().await;
        let mut client = H1::plain(None, origin.address()).await.unwrap();
        client.send(get("o.test", "/")).await.unwrap();
        let address = origin.address();
        drop(origin);
        client.closed().await;
        assert!(matches!(H1::plain(None, address).await, Err(Refused::Tcp(_))));
    }
}
