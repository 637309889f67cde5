//! D 36: answers that are framed badly reach nobody, their connection serves nobody after them, and each client gets its own.

use http::Method;
use pullgate_tests::client::H1;
use pullgate_tests::origin::{Behaviour, RawOrigin};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, visit};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

async fn stage_over(server: SocketAddr) -> Stage {
    let upstreams = format!("upstreams:\n  shop: {{servers: ['{server}']}}\n");
    Stage::with(Recipe { upstreams, ..Recipe::default() }).await
}

/// An answer, and the fault that the log names; none where Pingora finds it by itself.
type Row = (&'static str, Vec<u8>, Option<&'static str>);

fn rows() -> Vec<Row> {
    let answer = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes();
    let storm = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(200) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let large = format!("200 OK\r\nX: {}", "x".repeat(10 << 20));
    let (length, coding) = (Some("length_ambiguous"), Some("coding_unknown"));
    let body = Some("body_unexpected");
    vec![
        ("two lengths", answer("200 OK\r\nContent-Length: 5\r\nContent-Length: 5", "hello"), length),
        ("two lengths that differ", answer("200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "hello!"), None),
        ("a list of lengths", answer("200 OK\r\nContent-Length: 5, 5", "hello"), length),
        ("a length with a sign", answer("200 OK\r\nContent-Length: +5", "hello"), None),
        ("an unknown coding", answer("200 OK\r\nTransfer-Encoding: gzip", "hello"), coding),
        ("a coding below chunks", answer("200 OK\r\nTransfer-Encoding: gzip, chunked", "0\r\n\r\n"), coding),
        (
            "chunks twice",
            answer("200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            coding,
        ),
        ("chunks in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), coding),
        ("204 with a body", answer("204 No Content\r\nContent-Length: 5", "hello"), body),
        ("204 in chunks", answer("204 No Content\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), body),
        ("a storm of interim answers", storm.into_bytes(), Some("interim_flood")),
        ("a bare carriage return", answer("200 OK\r\nA: b\rSet-Cookie: c=d\r\nContent-Length: 0", ""), None),
        ("NUL in a field", answer("200 OK\r\nA: b\0c\r\nContent-Length: 0", ""), None),
        ("a head of 10 MB", answer(&large, ""), None),
        ("300 fields", answer(&format!("200 OK\r\n{}Content-Length: 0", "A: b\r\n".repeat(300)), ""), None),
        (
            "another protocol",
            answer("101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade", ""),
            Some("switch_unasked"),
        ),
        ("no HTTP", b"220 mail.example.com ESMTP\r\n".to_vec(), None),
        ("no status", b"HTTP/1.1 OK\r\n\r\n".to_vec(), None),
    ]
}

#[tokio::test]
async fn d36_answers_that_are_framed_badly_are_502() {
    for (what, answer, fault) in rows() {
        let server = RawOrigin::start(Behaviour::Garbage(answer)).await;
        let stage = stage_over(server.address()).await;
        let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
        let request = || visit("shop.example.com", "/");
        for answer in [one.send(request()).await, two.send(request()).await] {
            let answer = answer.unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (502, "502 Bad Gateway\n"), "{what}");
        }
        for line in stage.access_lines(2).await {
            assert_eq!(line["error.type"], "broken", "{what}");
            let message = line["error.message"].as_str().unwrap();
            assert!(fault.is_none_or(|fault| message.contains(fault)), "{what}: {message}");
        }
        let series = format!(
            r#"pullgate_upstream_requests_total{{outcome="broken",server="{}",upstream="shop"}}"#,
            server.address()
        );
        stage.metric_becomes(&series, 2.0).await;
    }
}

/// An origin that keeps its connections and answers each request as its number says, badly more often than not.
struct Unruly {
    address: SocketAddr,
    seen: Arc<Mutex<Carried>>,
    accepting: AbortHandle,
}

/// What its connections have carried.
#[derive(Default)]
struct Carried {
    /// Connections on which something was said that nobody asked for.
    spoilt: HashSet<usize>,
    /// Requests that came on such a connection afterwards.
    after: Vec<String>,
    requests: usize,
    connections: usize,
}

impl Unruly {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&seen))).abort_handle();
        Self { address, seen, accepting }
    }
}

impl Drop for Unruly {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Carried>>) {
    let mut serving = JoinSet::new();
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        seen.lock().unwrap().connections += 1;
        // A peer that is gone is no fault of this side.
        serving.spawn(answer_all(stream, connection, Arc::clone(&seen)));
        while serving.try_join_next().is_some() {}
    }
}

async fn answer_all(mut stream: TcpStream, connection: usize, seen: Arc<Mutex<Carried>>) -> std::io::Result<()> {
    let mut came = Vec::new();
    loop {
        while !came.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut came).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8(std::mem::take(&mut came)).unwrap();
        let number = number_of(&head);
        let fault = Fault::of(number);
        {
            let mut seen = seen.lock().unwrap();
            seen.requests += 1;
            if seen.spoilt.contains(&connection) {
                seen.after.push(head);
            }
            if fault.spoils() {
                seen.spoilt.insert(connection);
            }
        }
        stream.write_all(&fault.answer(number)).await?;
        if fault == Fault::ToTheEnd || fault == Fault::CutShort {
            return Ok(());
        }
    }
}

fn number_of(head: &str) -> usize {
    head.split(' ').nth(1).unwrap().trim_start_matches("/nonce/").parse().unwrap()
}

/// What an unruly origin does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Chunked,
    ToTheEnd,
    CutShort,
    Interim,
    LengthAndChunks,
    TwoLengths,
    UnknownCoding,
    Surplus,
    SurplusBehindChunks,
    BodyOf204,
    BodyOf304,
    BodyOfHead,
    Garbage,
    Storm,
    Bare,
}

/// What somebody would read who is given a part of another's answer.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

impl Fault {
    const ALL: [Self; 16] = [
        Self::None,
        Self::Chunked,
        Self::ToTheEnd,
        Self::CutShort,
        Self::Interim,
        Self::LengthAndChunks,
        Self::TwoLengths,
        Self::UnknownCoding,
        Self::Surplus,
        Self::SurplusBehindChunks,
        Self::BodyOf204,
        Self::BodyOf304,
        Self::BodyOfHead,
        Self::Garbage,
        Self::Storm,
        Self::Bare,
    ];

    /// Four in ten requests are answered soundly, so that connections are kept and taken up again.
    fn of(number: usize) -> Self {
        let mixed = number.wrapping_mul(0x9e37_79b9) >> 7;
        if mixed % 10 < 4 { Self::None } else { Self::ALL[mixed / 10 % Self::ALL.len()] }
    }

    /// Whether its connection is good for nothing afterwards.
    fn spoils(self) -> bool {
        !matches!(self, Self::None | Self::Chunked | Self::Interim | Self::LengthAndChunks)
    }

    fn method(self) -> Method {
        if self == Self::BodyOfHead { Method::HEAD } else { Method::GET }
    }

    fn answer(self, number: usize) -> Vec<u8> {
        let body = nonce(number);
        let (length, size) = (body.len(), format!("{:x}", body.len()));
        let sound = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let chunks = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{body}\r\n0\r\n\r\n");
        match self {
            Self::None => sound,
            Self::Chunked => chunks,
            Self::ToTheEnd => format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
            Self::CutShort => sound[..sound.len() - 2].to_owned(),
            Self::Interim => format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{sound}"),
            Self::LengthAndChunks => chunks.replacen("\r\n", "\r\nContent-Length: 3\r\n", 1),
            Self::TwoLengths => sound.replacen("\r\n", "\r\nContent-Length: 3\r\n", 1),
            Self::UnknownCoding => chunks.replace("chunked", "gzip, chunked"),
            Self::Surplus => sound + POISON,
            Self::SurplusBehindChunks => chunks + POISON,
            Self::BodyOf204 => format!("HTTP/1.1 204 No Content\r\n\r\n{POISON}"),
            Self::BodyOf304 => format!("HTTP/1.1 304 Not Modified\r\nContent-Length: {length}\r\n\r\n{POISON}"),
            Self::BodyOfHead => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{POISON}"),
            Self::Garbage => format!("{body}\r\n\r\n{POISON}"),
            Self::Storm => "HTTP/1.1 100 Continue\r\n\r\n".repeat(150) + POISON,
            Self::Bare => format!("HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: {length}\r\n\r\n{body}"),
        }
        .into_bytes()
    }

    /// The status that the client has to see; none where the end of the answer has to be missing.
    fn status(self) -> Option<u16> {
        match self {
            Self::None | Self::Chunked | Self::ToTheEnd | Self::Interim | Self::LengthAndChunks => Some(200),
            Self::Surplus | Self::SurplusBehindChunks | Self::BodyOfHead => Some(200),
            Self::BodyOf204 => Some(204),
            Self::BodyOf304 => Some(304),
            Self::CutShort => None,
            Self::TwoLengths | Self::UnknownCoding | Self::Garbage | Self::Storm | Self::Bare => Some(502),
        }
    }
}

fn nonce(number: usize) -> String {
    format!("nonce {number} {}", "n".repeat(number % 700))
}

/// 20,000 requests by both versions of HTTP, over connections to an origin that breaks every rule in turn: each client reads its own answer
/// or none, and nothing is asked on a connection that has more to say than it was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d36_nobody_reads_the_answer_to_another() {
    const REQUESTS: usize = 20_000;
    const LANES: usize = 20;
    let unruly = Unruly::start().await;
    let stage = stage_over(unruly.address).await;
    let two = stage.h2("shop.example.com").await;
    let (at, tls) = (stage.at("https"), stage.tls().alpn(&["http/1.1"]).client_config());
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (tls, two) = (Arc::clone(&tls), two.clone());
        lanes.spawn(async move {
            let connect = async || H1::tls(Some(cloudflare()), at, "shop.example.com", Arc::clone(&tls)).await.unwrap();
            let mut one = connect().await;
            for number in (lane..REQUESTS).step_by(LANES) {
                let fault = Fault::of(number);
                let mut request = visit("shop.example.com", &format!("/nonce/{number}"));
                *request.method_mut() = fault.method();
                let answer = if lane % 2 == 0 { one.send(request).await } else { two.send(request).await };
                let seen = answer.as_ref().ok().map(|answer| (answer.status.as_u16(), answer.text()));
                assert_eq!(seen.as_ref().map(|seen| seen.0), fault.status(), "{number} {fault:?}: {seen:?}");
                if let Some((200, body)) = seen {
                    let expected = if fault == Fault::BodyOfHead { String::new() } else { nonce(number) };
                    assert_eq!(body, expected, "{number} {fault:?}");
                }
                // A failure ends a connection of HTTP/1.1.
                if lane % 2 == 0 && !matches!(fault.status(), Some(200..400)) {
                    one = connect().await;
                }
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    let seen = unruly.seen.lock().unwrap();
    assert!(seen.after.is_empty(), "{} came on a spoilt connection: {:?}", seen.after.len(), seen.after.first());
    assert_eq!(seen.requests, REQUESTS);
    assert!(seen.connections < REQUESTS / 2 + REQUESTS / 4, "connections are kept: {}", seen.connections);
}
