//! Much of one thing over HTTP: it costs little memory and no series, the log grows with it and no faster, and others are served.
//!
//! A test is named after the scenario that it plays, f45 or f47.

use crate::binary::growth_during;
use crate::faults::Scene;
use pullgate_tests::client::{H1, Tls, Wire, connect};
use pullgate_tests::frames::kind::{CONTINUATION, DATA, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use pullgate_tests::frames::{END_HEADERS, END_STREAM, Taken, block, frame, pour, text};
use pullgate_tests::hello::{Hello, greet};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, cloudflare, eventually, visit};
use std::cell::Cell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

const SHOP: &str = "shop.example.com";

/// Connections that flood at once.
const CONNECTIONS: usize = 10;

/// Memory that a flood may cost, in bytes.
const MOST: u64 = 5 << 20;

type Flood = fn() -> Vec<Vec<u8>>;

fn ask(stream: u32, method: &str, flags: u8) -> Vec<u8> {
    let fields = [
        (":method", method),
        (":scheme", "https"),
        (":authority", SHOP),
        (":path", "/"),
        ("cf-connecting-ip", VISITOR),
    ];
    frame(HEADERS, flags, stream, &block(&fields))
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

/// CVE-2023-44487: streams that are taken back at once.
fn rapid_reset() -> Vec<Vec<u8>> {
    let whole = |stream| [ask(stream, "GET", END_HEADERS | END_STREAM), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])];
    streams(2_000).flat_map(whole).collect()
}

/// CVE-2025-8671: streams that the server takes back, for a window update of nothing.
fn made_you_reset() -> Vec<Vec<u8>> {
    let whole = |stream| [ask(stream, "GET", END_HEADERS | END_STREAM), frame(WINDOW_UPDATE, 0, stream, &[0; 4])];
    streams(2_000).flat_map(whole).collect()
}

/// CVE-2024-27316: a head that never ends.
fn continuation() -> Vec<Vec<u8>> {
    let more = block(&[("x", &"y".repeat(1000))]);
    let rest = std::iter::repeat_with(|| frame(CONTINUATION, 0, 1, &more)).take(5_000);
    [ask(1, "GET", 0)].into_iter().chain(rest).collect()
}

/// CVE-2019-9512.
fn ping() -> Vec<Vec<u8>> {
    vec![frame(PING, 0, 0, b"flooding"); 20_000]
}

/// CVE-2019-9515.
fn settings() -> Vec<Vec<u8>> {
    vec![frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]); 20_000]
}

/// CVE-2019-9518: a body of nothing, in many pieces.
fn empty_data() -> Vec<Vec<u8>> {
    let rest = vec![frame(DATA, 0, 1, b""); 20_000];
    [ask(1, "POST", END_HEADERS)].into_iter().chain(rest).collect()
}

/// CVE-2019-9513.
fn priority() -> Vec<Vec<u8>> {
    let one = |stream: u32| frame(PRIORITY, 0, stream, &[&(stream + 2).to_be_bytes()[..], &[16]].concat());
    streams(20_000).map(one).collect()
}

fn window_update() -> Vec<Vec<u8>> {
    vec![frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]); 20_000]
}

/// CVE-2016-6581: one field of 4 KB, kept by the table of HPACK and named again and again, a byte for each.
fn hpack_bomb() -> Vec<Vec<u8>> {
    let kept = [&[0x40][..], &text("x"), &text(&"y".repeat(3900))].concat();
    let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[block(&[(":method", "GET")]), kept].concat());
    let bomb = [
        block(&[(":method", "GET"), (":scheme", "https"), (":authority", SHOP), (":path", "/")]),
        vec![0x80 | 62; 12_000],
    ];
    let rest = streams(100).skip(1).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb.concat()));
    [first].into_iter().chain(rest).collect()
}

/// Each flood, and whether it ends its connection; what does not is harmless.
const FLOODS: [(&str, Flood, bool); 9] = [
    ("rapid reset", rapid_reset, true),
    ("MadeYouReset", made_you_reset, true),
    ("CONTINUATION", continuation, true),
    ("PING", ping, false),
    ("SETTINGS", settings, false),
    ("empty DATA", empty_data, true),
    ("PRIORITY", priority, false),
    ("WINDOW_UPDATE", window_update, false),
    ("HPACK bomb", hpack_bomb, true),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f45_floods_of_http2_are_cut_or_cost_little() {
    for (name, flood, is_cut) in FLOODS {
        let scene = Scene::quiet().await;
        let (at, from) = (([127, 0, 0, 1], scene.https).into(), Some(cloudflare()));
        let tls = Tls::trusting(&scene.props.server_ca).presenting(&scene.props.edge());
        let (one, two) = (tls.clone().client_config(), tls.alpn(&["h2"]).client_config());
        let mut good = H1::tls(from, at, SHOP, Arc::clone(&one)).await.unwrap();
        let all = async || {
            let mut pouring = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let (connector, flood) = (TlsConnector::from(Arc::clone(&two)), flood());
                pouring.spawn(async move {
                    let tcp = connect(from, at).await.unwrap();
                    pour(connector.connect(SHOP.try_into().unwrap(), tcp).await.unwrap(), flood).await
                });
            }
            pouring.join_all().await
        };
        // The first ones pay for what stays.
        let (_, first) = growth_during(scene.running.0.id(), all()).await;
        assert!(first < 4 * MOST, "{name}: {first} bytes at first");
        let is_over = Cell::new(false);
        let served = async {
            let mut longest = Duration::ZERO;
            while !is_over.get() {
                let begun = Instant::now();
                assert_eq!(good.send(visit(SHOP, "/")).await.unwrap().status, 200, "{name}");
                longest = longest.max(begun.elapsed());
            }
            longest
        };
        let flooded = async {
            let taken = all().await;
            is_over.set(true);
            taken
        };
        let both = async { tokio::join!(flooded, served) };
        let ((taken, longest), grown) = growth_during(scene.running.0.id(), both).await;
        assert!(taken.iter().all(|taken| matches!(taken, Taken::Cut(_)) == is_cut), "{name}: {taken:?}");
        assert!(grown < MOST, "{name}: {grown} bytes");
        assert!(longest < Duration::from_secs(5), "{name}: {longest:?}");
    }
}

/// Requests one after the other, of which each names a path, a method, a ray and mostly a host of its own.
async fn hostile(at: SocketAddr, numbers: Range<usize>) {
    let mut wire = BufReader::new(Wire::plain(Some(cloudflare()), at).await.unwrap());
    for number in numbers {
        let host = if number % 20 == 0 { "open" } else { &format!("h{number}") };
        let head =
            format!("M{number} /{number} HTTP/1.1\r\nHost: {host}.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n");
        wire.write_all(format!("{head}CF-Ray: {number}\r\n\r\n").as_bytes()).await.unwrap();
        wire.flush().await.unwrap();
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(wire.read_line(&mut line).await.unwrap() > 0, "the connection ends");
            let value =
                line.to_ascii_lowercase().strip_prefix("content-length: ").map(|value| value.trim().parse().unwrap());
            length = value.unwrap_or(length);
        }
        wire.read_exact(&mut vec![0; length]).await.unwrap();
    }
}

/// Hosts, paths, methods and names of a request never become labels, however many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f47_a_hundred_thousand_hostile_requests_add_no_series() {
    const REQUESTS: usize = 100_000;
    const NAMES: usize = 2_000;
    let head = Recipe::default().head.replace("level: warn", "level: error");
    let stage = Stage::with(Recipe { head, ..Recipe::default() }).await;
    let series = || {
        let text = stage.gateway.metrics().render().unwrap();
        let ours = text.lines().filter(|line| line.starts_with("pullgate_"));
        ours.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<HashSet<_>>()
    };
    let log = || std::fs::read(stage.props.path().join("access.log")).unwrap();
    let lines = || log().iter().filter(|byte| **byte == b'\n').count();
    let greeting = async |number: usize| {
        greet(stage.at("https"), &Hello::to(format!("n{number}.example.com").as_bytes()).record()).await
    };
    hostile(stage.at("http"), 0..100).await;
    let unknown = r#"pullgate_handshakes_total{host="none",outcome="unknown_name",resumed="false"}"#;
    greeting(0).await;
    // The greeter may see its connection end before the count.
    stage.metric_becomes(unknown, 1.0).await;
    assert!(eventually(|| lines() == 100).await);
    let (before, length) = (series(), log().len());
    let mut asking = JoinSet::new();
    for part in 0..4 {
        let at = stage.at("http");
        asking.spawn(async move { hostile(at, part * REQUESTS / 4..(part + 1) * REQUESTS / 4).await });
    }
    for number in 1..NAMES {
        greeting(number).await;
    }
    asking.join_all().await;
    let dropped = || stage.metric(r#"pullgate_log_dropped_total{log="access"}"#) as usize;
    assert!(eventually(|| lines() + dropped() == REQUESTS + 100).await, "{} {}", lines(), dropped());
    let added: Vec<_> = series().difference(&before).cloned().collect();
    assert!(added.is_empty(), "{added:#?}");
    // Numbers of up to six digits, four times a line, in place of two: no line is longer by more.
    assert!(log().len() <= lines() * (length / 100 + 24), "{} bytes for {} lines", log().len(), lines());
    stage.metric_becomes(unknown, NAMES as f64).await;
}
