//! D 33 to 35: requests one behind the other, waits for leave, and other protocols.

use super::{SMUGGLED, answers_in, assert_nothing_smuggled, head, said, smuggled, statuses};
use http::{HeaderValue, Method};
use pullgate_tests::client::Wire;
use pullgate_tests::origin::sha256;
use pullgate_tests::stage::{Stage, VISITOR, cloudflare, visit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn wire(stage: &Stage) -> Wire {
    let config = stage.tls().alpn(&["http/1.1"]).client_config();
    Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap()
}

async fn rest(mut wire: Wire) -> Vec<u8> {
    let mut came = Vec::new();
    wire.read_to_end(&mut came).await.unwrap();
    came
}

/// A request with a body of its own, whose digest is the answer.
fn numbered(number: usize, fields: &str) -> String {
    let body = "x".repeat(number * 37 % 5000) + &number.to_string();
    head(&format!("POST /digest?{number}"), &format!("{fields}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn digest_of(number: usize) -> String {
    sha256(("x".repeat(number * 37 % 5000) + &number.to_string()).as_bytes())
}

#[tokio::test]
async fn d33_a_hundred_requests_at_once_are_answered_in_order() {
    let stage = Stage::new().await;
    let mut bytes: String = (0..99).map(|number| numbered(number, "")).collect();
    bytes += &numbered(99, "Connection: close\r\n");
    let expected: Vec<(u16, String)> = (0..100).map(|number| (200, digest_of(number))).collect();
    assert_eq!(answers_in(&said(&stage, bytes.as_bytes()).await), expected);
    let targets: Vec<String> = stage.origin.ledger().into_iter().map(|entry| entry.target).collect();
    assert_eq!(targets, (0..100).map(|number| format!("/digest?{number}")).collect::<Vec<_>>());
    assert_eq!(stage.access_lines(100).await.len(), 100);
}

/// What comes while a request is with the upstream waits for its turn, also where it comes in pieces.
#[tokio::test]
async fn d33_a_request_that_comes_too_early_waits() {
    let stage = Stage::new().await;
    let mut wire = wire(&stage).await;
    let (slow, next) = (head("GET /slow/300", "\r\n"), numbered(7, "Connection: close\r\n"));
    wire.write_all(slow.as_bytes()).await.unwrap();
    stage.origin.wait_for(1).await;
    for piece in next.as_bytes().chunks(50) {
        wire.write_all(piece).await.unwrap();
        wire.flush().await.unwrap();
    }
    assert_eq!(stage.origin.ledger().len(), 1, "the first is not answered yet");
    let answers = answers_in(&rest(wire).await);
    assert_eq!(answers, [(200, "hello from the origin\n".into()), (200, digest_of(7))]);
}

/// Each head is checked before anything of it counts, wherever on the connection it stands.
#[tokio::test]
async fn d33_a_bad_head_in_the_middle_ends_the_line_there() {
    let stage = Stage::new().await;
    let (first, last) = (head("GET /first", "\r\n"), head("GET /last", "Connection: close\r\n\r\n"));
    let elsewhere = first.replace("shop.example.com", "blog.example.com");
    let middles = [
        (elsewhere.as_str(), &[200, 421, 200][..]),
        ("nonsense\r\n\r\n", &[200, 400]),
        ("GET / HTTP/1.1\nHost: shop.example.com\n\n", &[200, 400]),
        ("\r\n", &[200, 400]),
        (
            "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            &[200, 400],
        ),
    ];
    let mut reached = 0;
    for (middle, expected) in middles {
        let answer = said(&stage, format!("{first}{middle}{last}").as_bytes()).await;
        assert_eq!(statuses(&answer), expected, "{middle:?}");
        reached += expected.iter().filter(|status| **status == 200).count();
        assert_eq!(stage.origin.ledger().len(), reached, "{middle:?}");
    }
}

/// The end of a chunked body shows in the body alone, which Pingora reads: the connection ends there, and nothing is mixed.
#[tokio::test]
async fn d33_what_follows_a_chunked_body_at_once_is_lost_and_no_more() {
    let stage = Stage::new().await;
    for _ in 0..20 {
        let chunked = head("POST /digest", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let answer = said(&stage, format!("{chunked}{}", smuggled()).as_bytes()).await;
        let answers = if answer.is_empty() { Vec::new() } else { answers_in(&answer) };
        assert!(answers.is_empty() || answers == [(200, sha256(b"hello"))], "{answers:?}");
    }
    assert_nothing_smuggled(&stage, "behind a chunked body");
}

#[tokio::test]
async fn d34_leave_is_asked_of_the_origin() {
    let stage = Stage::new().await;
    let mut wire = wire(&stage).await;
    let fields = "Connection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    wire.write_all(head("POST /digest", fields).as_bytes()).await.unwrap();
    let mut interim = [0; 12];
    wire.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    wire.write_all(b"hello").await.unwrap();
    let answer = String::from_utf8(rest(wire).await).unwrap();
    assert!(answer.contains("HTTP/1.1 200 ") && answer.ends_with(&sha256(b"hello")), "{answer}");
    assert_eq!(stage.origin.ledger()[0].all("expect"), ["100-continue"]);
}

#[tokio::test]
async fn d34_leave_that_is_not_given_is_an_answer() {
    let stage = Stage::new().await;
    let fields = format!("Content-Length: {}\r\nExpect: 100-continue\r\n\r\n", smuggled().len());
    // What a client sends all the same is still the body that it announced.
    let answer = said(&stage, format!("{}{}", head("POST /early", &fields), smuggled()).as_bytes()).await;
    assert_eq!(statuses(&answer), [413]);
    assert_nothing_smuggled(&stage, "behind a refused expectation");
    assert_eq!(stage.origin.ledger().len(), 1);
}

#[tokio::test]
async fn d34_expectations_that_nobody_knows_are_refused() {
    let stage = Stage::new().await;
    let odd = ["x", "100-continue, 100-continue", "100-continue, x", "x 100-continue", "100-continue;q=1", ""];
    for expectation in odd {
        let fields = format!("Content-Length: {}\r\nExpect: {expectation}\r\n\r\n{}", smuggled().len(), smuggled());
        assert_eq!(statuses(&said(&stage, head("POST /", &fields).as_bytes()).await), [417], "{expectation:?}");
    }
    let fields = "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(statuses(&said(&stage, head("POST /", fields).as_bytes()).await), [417]);
    stage.assert_nothing_reached_the_origin();
}

/// Only an answer of 101 opens a tunnel (CVE-2026-2833): what is sent on the mere hope of one is no request either.
#[tokio::test]
async fn d35_an_upgrade_that_is_not_granted_smuggles_nothing() {
    let stage = Stage::new().await;
    for (count, protocol) in (1..).zip(["foo", "websocket", "h2c", "TLS/1.0", "HTTP/2.0, websocket"]) {
        let fields = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n{}", smuggled());
        let answer = said(&stage, head("GET /", &fields).as_bytes()).await;
        let answers = if answer.is_empty() { Vec::new() } else { statuses(&answer) };
        assert!(answers.is_empty() || answers == [200], "{protocol}: {answers:?}");
        assert_nothing_smuggled(&stage, protocol);
        assert_eq!(stage.origin.wait_for(count).await.len(), count, "{protocol}");
    }
    assert!(stage.origin.ledger().iter().all(|entry| entry.target != SMUGGLED));
}

#[tokio::test]
async fn d35_h2c_and_other_upgrades_do_not_reach_the_origin() {
    let stage = Stage::new().await;
    let mut one = stage.h1("shop.example.com").await;
    for protocol in ["h2c", "foo", "TLS/1.0"] {
        let mut request = visit("shop.example.com", "/");
        *request.method_mut() = Method::GET;
        for (name, value) in
            [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", protocol), ("http2-settings", "AAMAAABkAAQAAP__")]
        {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(one.send(request).await.unwrap().status, 200, "{protocol}");
    }
    for entry in stage.origin.ledger() {
        for name in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(entry.all(name).len(), 0, "{name}: {entry:#?}");
        }
        assert_eq!(entry.all("x-forwarded-for"), [VISITOR]);
    }
    assert_eq!(stage.origin.ledger().len(), 3);
}
