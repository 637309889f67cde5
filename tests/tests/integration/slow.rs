//! Slow clients of every kind: each is cut in time, and nobody else has to wait for it.

use pullgate_tests::client::{Wire, connect, streaming};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, cloudflare, eventually, visit};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SHOP: &str = "shop.example.com";

async fn stage_with(limits: &str) -> Stage {
    let listeners = format!(
        "listeners:
  - {{name: https, address: '127.0.0.1:0', limits: {{{limits}}}}}
  - {{name: http, address: '127.0.0.1:0', protocol: http, limits: {{{limits}}}}}
"
    );
    // A warning for each of them would bury what the test has to say.
    let head = Recipe::default().head.replace("level: warn", "level: error");
    Stage::with(Recipe { head, listeners, ..Recipe::default() }).await
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The fields of a request without a body, or of one with (RFC 7541 section 6.2.2 for what is not in the static table).
fn fields(method: &[u8], path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [method, &[0x87, 0x04], &text(path), &[0x41], &text(SHOP), &[0x00], &text("cf-connecting-ip"), &text(VISITOR)]
        .concat()
}

const GET: &[u8] = &[0x82];
const POST: &[u8] = &[0x83];

/// The beginning of a connection, with these settings.
fn preface(settings: &[u8]) -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, settings)].concat()
}

async fn h2_wire(stage: &Stage) -> Wire {
    let config = stage.tls().alpn(&["h2"]).client_config();
    Wire::tls(Some(cloudflare()), stage.at("https"), SHOP, config).await.unwrap()
}

/// Writes what there is, then one drop after the other for as long as the connection takes them; how long that was.
async fn drip(mut wire: impl tokio::io::AsyncRead + AsyncWriteExt + Unpin, start: Vec<u8>, drop: Vec<u8>) -> Duration {
    let begun = Instant::now();
    let _ = wire.write_all(&start).await;
    let mut scratch = [0; 4096];
    while begun.elapsed() < Duration::from_secs(20) {
        if wire.write_all(&drop).await.is_err() || wire.flush().await.is_err() {
            break;
        }
        // The end of the connection, or a moment.
        let read = tokio::time::timeout(Duration::from_millis(100), wire.read(&mut scratch)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    begun.elapsed()
}

/// A header block that never ends: in one frame, and in frames that follow.
#[tokio::test]
async fn f41_a_header_block_of_http2_is_not_stretched_byte_by_byte() {
    let stage = stage_with("header_timeout: 1s").await;
    let block = fields(GET, "/");
    let in_one = [preface(&[]), frame(1, 5, 1, &[0; 200])[..9].to_vec()].concat();
    let continued = [preface(&[]), frame(1, 1, 1, &block)].concat();
    let half_a_head = [preface(&[]), vec![0, 0, 10]].concat();
    for (start, drop) in [(in_one, &b"x"[..]), (continued, &frame(9, 0, 1, &[])), (half_a_head, &[])] {
        let took = drip(h2_wire(&stage).await, start.clone(), drop.to_vec()).await;
        assert!((800..6000).contains(&took.as_millis()), "{took:?}: {start:?}");
    }
    stage.assert_nothing_reached_the_origin();
    // One that has all of its requests whole may be as quiet as it likes between them.
    let mut wire = h2_wire(&stage).await;
    wire.write_all(&[preface(&[]), frame(1, 5, 1, &block)].concat()).await.unwrap();
    stage.origin.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    wire.write_all(&frame(1, 5, 3, &block)).await.unwrap();
    stage.origin.wait_for(2).await;
}

/// A body that comes to a halt is cut on HTTP/2 as well, before the answer and after it, and the other streams go on.
#[tokio::test]
async fn f41_a_body_of_http2_that_stops_is_cut() {
    let stage = stage_with("body_timeout: 500ms").await;
    let client = stage.h2(SHOP).await;
    for (count, (path, status)) in (1..).zip([("/digest", 0), ("/early", 413)]) {
        let (mut sender, body) = streaming();
        sender.send_data("a beginning".into()).await.unwrap();
        let mut request = visit(SHOP, path).map(|_| body);
        *request.method_mut() = http::Method::POST;
        let asking = client.clone();
        let begun = Instant::now();
        let answer =
            tokio::spawn(async move { asking.send_open(request).await.map(|answer| answer.status().as_u16()) });
        let line = stage.access_lines(2 * count - 1).await.pop().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!((&line["reason"], &line["http.response.status_code"]), (&"body_timed_out".into(), &status.into()));
        assert_eq!((&line["url.path"], &line["error.type"]), (&path.into(), &serde_json::Value::Null), "{line}");
        assert_eq!((&line["http.request.body.size"], &line["upstream"]), (&11.into(), &"shop".into()));
        let answer = answer.await.unwrap();
        assert_eq!(answer.ok(), (status != 0).then_some(status), "{path}");
        drop(sender);
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200);
    }
    assert!(eventually(|| stage.origin.ledger().iter().filter(|entry| !entry.body_complete).count() == 2).await);
}

/// One byte at a time keeps a body of neither version alive: it has `body_timeout`, and a second more for each 500 bytes.
#[tokio::test]
async fn f41_a_body_is_not_stretched_byte_by_byte() {
    let stage = stage_with("body_timeout: 1s").await;
    let head = format!("POST /digest HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n");
    let head = format!("{head}Content-Length: 100000\r\n\r\n");
    let one = connect(Some(cloudflare()), stage.at("http")).await.unwrap();
    let one = drip(one, head.into_bytes(), b"x".to_vec()).await;
    assert!((800..8000).contains(&one.as_millis()), "{one:?}");
    let line = stage.access_lines(1).await.pop().unwrap();
    assert_eq!((&line["reason"], &line["http.response.status_code"]), (&"body_timed_out".into(), &408.into()));
    let start = [preface(&[]), frame(1, 4, 1, &fields(POST, "/digest"))].concat();
    let two = drip(h2_wire(&stage).await, start, frame(0, 0, 1, b"x"));
    let (_, line) = tokio::join!(tokio::time::timeout(Duration::from_secs(8), two), stage.access_lines(2));
    assert_eq!(line[1]["reason"], "body_timed_out", "{line:#?}");
    assert!(stage.origin.ledger().iter().all(|entry| !entry.body_complete));
}

/// A client whose window is empty, and one that opens it byte by byte.
#[tokio::test]
async fn f41_a_window_of_http2_that_stays_shut_is_cut() {
    let stage = stage_with("write_timeout: 700ms").await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0.
    let shut = [preface(&[0, 4, 0, 0, 0, 0]), frame(1, 5, 1, &fields(GET, "/bytes/100000"))].concat();
    let mut wire = h2_wire(&stage).await;
    wire.write_all(&shut).await.unwrap();
    wire.flush().await.unwrap();
    let line = stage.access_lines(1).await.pop().unwrap();
    assert_eq!((&line["http.response.body.size"], &line["error.type"]), (&0.into(), &"abandoned".into()), "{line}");
    let by_byte = drip(h2_wire(&stage).await, shut, frame(8, 0, 1, &[0, 0, 0, 1]));
    let (_, lines) = tokio::join!(tokio::time::timeout(Duration::from_secs(8), by_byte), stage.access_lines(2));
    assert_eq!(lines[1]["error.type"], "abandoned", "{lines:#?}");
}

/// Fifty of each kind at once, and one that is not slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f41_slow_clients_are_cut_on_time_and_stand_in_nobodys_way() {
    const EACH: usize = 50;
    let stage =
        stage_with("handshake_timeout: 2s, header_timeout: 2s, body_timeout: 2s, write_timeout: 2s, idle_timeout: 2s")
            .await;
    let stage = &stage;
    let plain = |said: String| async move {
        let mut stream = connect(Some(cloudflare()), stage.at("http")).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        stream
    };
    let head = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n")
    };
    let mut slow = Vec::new();
    for _ in 0..EACH {
        // In the handshake, before and in the head, in the body, between requests, and at reading.
        slow.push(connect(Some(cloudflare()), stage.at("https")).await.unwrap());
        slow.push(plain(String::new()).await);
        slow.push(plain(head("GET", "/")).await);
        slow.push(plain(head("POST", "/digest") + "Content-Length: 10\r\n\r\nabc").await);
        slow.push(plain(head("GET", "/") + "\r\n").await);
        slow.push(plain(head("GET", "/bytes/30000000") + "\r\n").await);
    }
    let begun = Instant::now();
    let client = stage.h2(SHOP).await;
    while begun.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    drop(client);
    for listener in ["https", "http"] {
        stage.metric_becomes(&format!(r#"pullgate_connections_open{{listener="{listener}"}}"#), 0.0).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(slow);
}
