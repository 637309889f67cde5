//! Much of one thing: bytes, connections, messages. What it costs is bounded, and others are served meanwhile.

use super::{OPEN, SHOP};
use crate::binary;
use pullgate_tests::client::{H1, Tls, connect};
use pullgate_tests::hello::{Hello, Said, greet, records};
use pullgate_tests::origin::Origin;
use pullgate_tests::signer::key_of;
use pullgate_tests::stage::{Props, Recipe, Stage, VERSIONS, VISITOR, cloudflare, eventually, visit};
use rustls_pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// User and system time of a process so far.
fn busy(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th fields after it.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux counts in hundredths of a second, whatever its own clock.
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c21_huge_certificate_messages_cost_little() {
    const MEASURED: u32 = 100;
    let (props, origin) = (Props::new(), Origin::start().await);
    let [https, admin] = binary::free_ports();
    let running = binary::Running::start(&props.write(&binary::recipe(https, admin), &origin.address().to_string()));
    let (id, admin) = (running.0.id(), format!("127.0.0.1:{admin}"));
    assert!(eventually(|| binary::pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
    let edge = props.edge();
    let bulk = vec![edge.chain().remove(0), CertificateDer::from(vec![0x30; 1 << 20])];
    let chains = [("100 certificates", edge.padded(100).chain()), ("a mebibyte", bulk)];
    for (versions, (what, chain)) in VERSIONS.into_iter().flat_map(|versions| chains.clone().map(|one| (versions, one)))
    {
        let tls = Tls::trusting(&props.server_ca).showing(chain, key_of(&edge)).versions(versions).client_config();
        let flood = async |count| {
            let mut attempts = JoinSet::new();
            for _ in 0..count {
                let (tls, at) = (Arc::clone(&tls), SocketAddr::from(([127, 0, 0, 1], https)));
                attempts.spawn(async move {
                    H1::tls(Some(cloudflare()), at, SHOP, tls).await?.send(visit(SHOP, "/")).await
                });
            }
            attempts.join_all().await
        };
        // The first ones pay for what stays.
        flood(10).await;
        let before = busy(id);
        let (ends, grown) = binary::growth_during(id, flood(MEASURED)).await;
        let each = (busy(id) - before) / MEASURED;
        assert!(ends.iter().all(Result::is_err), "{versions:?} {what}");
        assert!(grown < u64::from(MEASURED) << 20, "{versions:?} {what}: {grown} bytes");
        assert!(each < Duration::from_millis(10), "{versions:?} {what}: {each:?}");
    }
    assert!(origin.ledger().is_empty());
}

/// Each byte in a record of its own, 6 bytes on the wire for 1.
#[tokio::test]
async fn c28_a_client_hello_in_records_of_one_byte_is_read_whole() {
    let stage = Stage::new().await;
    let message = Hello::to(OPEN.as_bytes()).message();
    for length in [1, 7, message.len()] {
        let said = greet(stage.at("https"), &records(&message, length)).await;
        assert!(matches!(said, Said::Hello(_)), "{length}: {said:?}");
    }
}

#[tokio::test]
async fn c28_a_handshake_byte_by_byte_is_cut_at_its_time_out() {
    let listeners = Recipe::default().listeners.replacen(
        "address: '127.0.0.1:0'}",
        "address: '127.0.0.1:0', limits: {handshake_timeout: 300ms}}",
        1,
    );
    let stage = Stage::with(Recipe { listeners, ..Recipe::default() }).await;
    // A ClientHello that says of itself that it is long.
    let message = [&[1, 0, 0x27, 0x10][..], &[3; 10_000]].concat();
    let begun = Instant::now();
    let (mut read, mut write) = connect(Some(cloudflare()), stage.at("https")).await.unwrap().into_split();
    let drip = async {
        for record in records(&message, 1).chunks(6) {
            if write.write_all(record).await.is_err() {
                break;
            }
            // Each record comes well within the time-out: a time-out between two of them would never end this.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        // A reset is as good an end as a close.
        _ = read.read_to_end(&mut answer) => {}
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    stage.metric_becomes(r#"pullgate_handshakes_total{host="none",outcome="timed_out",resumed="false"}"#, 1.0).await;
}

/// Files that this process may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_half_open_handshakes_stand_in_nobodys_way() {
    // Both ends are in this process, and other tests beside this one.
    let count = 2000.min(open_files() / 4);
    let listeners = Recipe::default().listeners.replacen(
        "address: '127.0.0.1:0'}",
        "address: '127.0.0.1:0', limits: {handshake_timeout: 60s}}",
        1,
    );
    // A warning for each of them would bury what the test has to say.
    let head = Recipe::default().head.replace("level: warn", "level: error");
    let stage = Stage::with(Recipe { head, listeners, ..Recipe::default() }).await;
    let hello = Hello::to(SHOP.as_bytes()).record();
    let mut halves = Vec::new();
    for turn in 0..count {
        let mut half = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
        // From the first byte to all but the last.
        half.write_all(&hello[..1 + turn % (hello.len() - 1)]).await.unwrap();
        halves.push(half);
    }
    let open = r#"pullgate_connections_open{listener="https"}"#;
    stage.metric_becomes(open, count as f64).await;
    for versions in VERSIONS {
        let tls = stage.tls().versions(versions);
        let mut one = stage.h1_as(SHOP, tls.clone()).await.unwrap();
        assert_eq!(one.send(visit(SHOP, "/")).await.unwrap().status, 200);
        let two = stage.h2_as(SHOP, tls).await.unwrap();
        assert_eq!(two.send(visit(SHOP, "/")).await.unwrap().status, 200);
    }
    assert!(stage.metric(open) >= count as f64);
    drop(halves);
    stage.metric_becomes(open, 0.0).await;
}

/// Each KeyUpdate costs the server a derivation of keys, and an answer where one is asked for.
#[tokio::test]
async fn c30_a_flood_of_key_updates_is_cut() {
    let stage = Stage::new().await;
    for (updates, passes) in [(10, true), (1000, false)] {
        let tls = TlsConnector::from(stage.tls().client_config());
        let stream = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
        let mut stream = tls.connect(SHOP.try_into().unwrap(), stream).await.unwrap();
        for _ in 0..updates {
            stream.get_mut().1.refresh_traffic_keys().unwrap();
        }
        let head = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\nCF-Connecting-IP: {VISITOR}\r\n");
        let mut answer = Vec::new();
        // Where the connection is cut, writing may fail as well as reading.
        let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer.starts_with(b"HTTP/1.1 200 "), passes, "{updates}");
    }
    assert_eq!(stage.origin.ledger().len(), 1);
}
