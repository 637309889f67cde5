//! E 39: a clock that jumps. Deadlines do not move with it; what is valid until a time does.

use super::Scene;
use pullgate_tests::client::{H1, H2, Tls};
use pullgate_tests::pki::Identity;
use pullgate_tests::stage::{cloudflare, eventually, visit};
use std::process::Stdio;
use time::Duration;

const SHOP: &str = "shop.example.com";

/// Where Debian keeps the library for programs with threads.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e39_a_clock_that_jumps_moves_validity_and_no_deadline() {
    assert!(std::path::Path::new(LIBRARY).exists(), "{LIBRARY} is missing: `make setup` installs it");
    let scene = Scene::start("{level: error, access: access.log}", |mut command, props| {
        let offset = props.path().join("offset");
        std::fs::write(&offset, "+0").unwrap();
        command.env("LD_PRELOAD", LIBRARY).env("FAKETIME_TIMESTAMP_FILE", offset).env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").stderr(Stdio::null());
        command
    })
    .await;
    let at = ([127, 0, 0, 1], scene.https).into();
    let days = |from: i64, to: Duration| scene.props.zone_ca.leaf().validity(Duration::days(from), to).issue();
    let (long, short) = (days(-3, Duration::days(3)), days(-3, Duration::hours(12)));
    let tls =
        |edge: &Identity, alpn| Tls::trusting(&scene.props.server_ca).presenting(edge).alpn(&[alpn]).client_config();
    let h1 = async |edge: &Identity| H1::tls(Some(cloudflare()), at, SHOP, tls(edge, "http/1.1")).await.unwrap();
    let ask = async |edge: &Identity| h1(edge).await.send(visit(SHOP, "/")).await.map(|answer| answer.status.as_u16());
    let (mut one, mut ending, mut slow) = (h1(&long).await, h1(&short).await, h1(&long).await);
    let two = H2::tls(Some(cloudflare()), at, SHOP, tls(&long, "h2")).await.unwrap();
    for client in [&mut one, &mut ending] {
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200);
    }
    let slow = tokio::spawn(async move { slow.send(visit(SHOP, "/slow/1000")).await.unwrap().status });
    scene.origin.wait_for(3).await;
    for (step, lasts) in [("+1d", false), ("-1d", true), ("+0", true)] {
        std::fs::write(scene.props.path().join("offset"), step).unwrap();
        // Connections are kept for minutes and a head has ten seconds: a deadline that followed the clock would be over.
        assert_eq!(one.send(visit(SHOP, "/")).await.unwrap().status, 200, "{step}");
        assert_eq!(two.send(visit(SHOP, "/")).await.unwrap().status, 200, "{step}");
        assert_eq!(ask(&long).await.unwrap(), 200, "{step}");
        assert_eq!(ask(&short).await.is_ok(), lasts, "{step}");
        if !lasts {
            assert_eq!(ending.send(visit(SHOP, "/")).await.unwrap().status, 421);
            ending.closed().await;
        }
    }
    assert_eq!(slow.await.unwrap(), 200);
    let log = || std::fs::read_to_string(scene.props.path().join("access.log")).unwrap();
    assert!(eventually(|| log().lines().count() == 15).await, "{}", log());
    let days: std::collections::HashSet<String> = log().lines().map(|line| line[14..24].to_owned()).collect();
    assert_eq!(days.len(), 3, "the log follows the clock: {}", log());
    for line in log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["duration_ms"].as_f64().unwrap() < 60_000.0, "{line}");
    }
}
