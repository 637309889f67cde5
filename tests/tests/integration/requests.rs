//! The main job in volume: many requests, large bodies, upgrades; every byte compared on both sides.

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use pullgate_tests::client::Wire;
use pullgate_tests::origin::{pattern, sha256};
use pullgate_tests::stage::{Stage, VISITOR, cloudflare, visit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) fn post(target: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = visit("shop.example.com", target).map(|_| Full::new(body));
    *request.method_mut() = Method::POST;
    request
}

/// A body whose length and content differ from request to request.
fn body_of(number: usize) -> Bytes {
    let length = (number * 7919) % 20_000;
    format!("{number}:").into_bytes().into_iter().chain(pattern(length)).collect()
}

/// 10 000 requests over both versions of HTTP, each with a body of its own whose digest is compared at both ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_arrive_whole_and_once() {
    const EACH: usize = 5_000;
    const LANES: usize = 10;
    let stage = Stage::new().await;
    let two = stage.h2("shop.example.com").await;
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let mut one = stage.h1("shop.example.com").await;
        lanes.spawn(async move {
            for number in (lane..EACH).step_by(LANES) {
                let body = body_of(number);
                let answer = one.send(post(&format!("/digest?{number}"), body.clone())).await.unwrap();
                assert_eq!((answer.status.as_u16(), answer.text()), (200, sha256(&body)));
            }
        });
        let two = two.clone();
        lanes.spawn(async move {
            for number in (EACH + lane..2 * EACH).step_by(LANES) {
                let body = body_of(number);
                let answer = two.send(post(&format!("/digest?{number}"), body.clone())).await.unwrap();
                assert_eq!((answer.status.as_u16(), answer.text()), (200, sha256(&body)));
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    let ledger = stage.origin.ledger();
    assert_eq!(ledger.len(), 2 * EACH);
    let mut seen = vec![false; 2 * EACH];
    for entry in &ledger {
        let number: usize = entry.target.strip_prefix("/digest?").unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut seen[number], true), "{number} came twice");
        assert_eq!(entry.body_sha256, sha256(&body_of(number)), "{number}");
        assert_eq!(entry.all("x-forwarded-for"), [VISITOR]);
    }
    // Connections to the upstream are kept: there are about as many as requests at a time.
    assert!(stage.origin.connections() <= 200, "{}", stage.origin.connections());
    stage
        .metric_becomes(r#"pullgate_requests_total{code="200",host="shop",method="POST",route="all"}"#, 10_000.0)
        .await;
}

#[tokio::test]
async fn answers_come_through_in_every_framing() {
    let stage = Stage::new().await;
    let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
    for length in [0, 1, 16_383, 16_384, 16_385, 1_000_000] {
        for target in [format!("/bytes/{length}"), format!("/chunked/{length}")] {
            assert_eq!(one.send(visit("shop.example.com", &target)).await.unwrap().body, pattern(length), "{target}");
            assert_eq!(two.send(visit("shop.example.com", &target)).await.unwrap().body, pattern(length), "{target}");
        }
    }
    for status in [204, 304, 404, 418, 500] {
        let target = format!("/status/{status}");
        assert_eq!(one.send(visit("shop.example.com", &target)).await.unwrap().status, status);
        assert_eq!(two.send(visit("shop.example.com", &target)).await.unwrap().status, status);
    }
    let mut head = visit("shop.example.com", "/bytes/1000");
    *head.method_mut() = Method::HEAD;
    let answer = one.send(head).await.unwrap();
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("1000"), 0));
    assert_eq!(one.send(visit("shop.example.com", "/bytes/5")).await.unwrap().body, pattern(5));
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_is_read() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let answer = stage.h2("shop.example.com").await.send(post("/early", pattern(3_000_000))).await.unwrap();
        assert_eq!(answer.status, 413);
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let stage = Stage::new().await;
    let mut one = stage.h1("shop.example.com").await;
    for _ in 0..3 {
        assert_eq!(one.send(visit("blog.example.com", "/")).await.unwrap().status, 421);
        assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    }
    // A refused request's body is not read to its end: the connection closes instead.
    let mut request = visit("blog.example.com", "/").map(|_| Full::new(pattern(100_000)));
    *request.method_mut() = Method::POST;
    assert_eq!(one.send(request).await.unwrap().status, 421);
    one.closed().await;
}

/// A request for a WebSocket (RFC 6455 section 4.1).
pub(crate) fn upgrade_to_websocket() -> Request<Full<Bytes>> {
    let mut request = visit("shop.example.com", "/websocket");
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

#[tokio::test]
async fn a_websocket_is_passed_through() {
    let stage = Stage::new().await;
    let mut client = stage.h1("shop.example.com").await;
    let mut socket = client.upgrade(upgrade_to_websocket()).await.unwrap();
    let socket = socket.inner_mut();
    let (mut read, mut write) = (vec![0; 5], pattern(5));
    for round in 0..100u8 {
        write = write.iter().map(|byte| byte.wrapping_add(round)).collect();
        hyper_write(socket, &write).await;
        hyper_read(socket, &mut read).await;
        assert_eq!(read, write);
    }
    let entry = &stage.origin.ledger()[0];
    assert_eq!((entry.header("upgrade"), entry.all("x-forwarded-for")), (Some("websocket"), vec![VISITOR]));
}

async fn hyper_write(socket: &mut hyper::upgrade::Upgraded, bytes: &[u8]) {
    hyper_util::rt::TokioIo::new(socket).write_all(bytes).await.unwrap();
}

async fn hyper_read(socket: &mut hyper::upgrade::Upgraded, bytes: &mut [u8]) {
    hyper_util::rt::TokioIo::new(socket).read_exact(bytes).await.unwrap();
}

/// One request of hand-made HPACK (literals without indexing, RFC 7541 section 6.2.2) on a connection of its own: `:method`,
/// `:scheme` and `:authority` are sound and stand first. The status, where one came, and the raw answer.
pub(crate) async fn raw_http2(stage: &Stage, fields: &[(&str, &str)]) -> (Option<u16>, Vec<u8>) {
    let config = stage.tls().alpn(&["h2"]).client_config();
    let mut wire = Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap();
    let sound = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example.com")];
    let mut block = Vec::new();
    for (name, value) in sound.iter().chain(fields).chain(&[("cf-connecting-ip", VISITOR)]) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    // HEADERS with END_STREAM and END_HEADERS on stream 1.
    bytes.extend_from_slice(&[length[1], length[2], length[3], 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    wire.write_all(&bytes).await.unwrap();
    answer_on_stream_1(&mut wire).await
}

pub(crate) async fn answer_on_stream_1(wire: &mut Wire) -> (Option<u16>, Vec<u8>) {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    loop {
        let mut head = [0; 9];
        if wire.read_exact(&mut head).await.is_err() {
            return (None, Vec::new());
        }
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        wire.read_exact(&mut payload).await.unwrap();
        match head[3] {
            HEADERS => return (Some(status_of(&payload)), payload),
            RST_STREAM | GOAWAY => return (None, payload),
            _ => {}
        }
    }
}

/// `:status` at the front of a header block: an indexed field (RFC 7541 appendix A) or a Huffman-coded literal of three digits.
fn status_of(block: &[u8]) -> u16 {
    const INDEXED: [(u8, u16); 7] =
        [(0x88, 200), (0x89, 204), (0x8a, 206), (0x8b, 304), (0x8c, 400), (0x8d, 404), (0x8e, 500)];
    let first = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap();
    if let Some((_, status)) = INDEXED.iter().find(|(byte, _)| *byte == block[first]) {
        return *status;
    }
    let value = &block[first + 2..first + 2 + usize::from(block[first + 1] & 0x7f)];
    if block[first + 1] & 0x80 == 0 {
        return std::str::from_utf8(value).unwrap().parse().unwrap();
    }
    let bits: String = value.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = u16::from_str_radix(&bits[at..at + 5], 2).unwrap();
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            (u16::from_str_radix(&bits[at..at + 6], 2).unwrap() - 0b01_1001 + 3, 6)
        };
        status = status * 10 + digit;
        at += length;
    }
    status
}
