//! Collectors that refuse, fail and hang: no request is held up or fails, and every span is counted.

use super::{SHOP, traced};
use pullgate_tests::collector::{Collector, Manner};
use pullgate_tests::origin::{Behaviour, RawOrigin};
use pullgate_tests::ports::free_ports;
use pullgate_tests::stage::{Stage, visit};
use std::time::{Duration, Instant};

fn counted(stage: &Stage, outcome: &str) -> f64 {
    stage.metric(&format!("pullgate_trace_spans_total{{outcome=\"{outcome}\"}}"))
}

async fn becomes(stage: &Stage, outcome: &str, count: f64) {
    stage.metric_becomes(&format!("pullgate_trace_spans_total{{outcome=\"{outcome}\"}}"), count).await;
}

async fn serves(stage: &Stage, count: usize) {
    let mut client = stage.h1(SHOP).await;
    for _ in 0..count {
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_a_collector_does_not_take_have_failed() {
    let collector = Collector::start(Manner::Answers(500)).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    serves(&stage, 2).await;
    becomes(&stage, "failed", 2.0).await;
    // A redirect is no success either, and nobody follows it.
    collector.behave(Manner::Answers(307));
    serves(&stage, 1).await;
    becomes(&stage, "failed", 3.0).await;
    collector.behave(Manner::Takes);
    serves(&stage, 1).await;
    becomes(&stage, "exported", 1.0).await;
    assert_eq!((counted(&stage, "failed"), counted(&stage, "dropped")), (3.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_for_nobody_and_for_no_collector_have_failed() {
    let garbage = RawOrigin::start(Behaviour::Garbage(b"no HTTP\r\n\r\n".to_vec())).await;
    let [free] = free_ports();
    for port in [free, garbage.address().port()] {
        let stage = Stage::with(traced(&format!("http://127.0.0.1:{port}"), "100%")).await;
        serves(&stage, 3).await;
        becomes(&stage, "failed", 3.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_a_collector_rejects_are_counted_apart() {
    let collector = Collector::start(Manner::Rejects(1)).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    serves(&stage, 1).await;
    becomes(&stage, "rejected", 1.0).await;
    assert_eq!((counted(&stage, "exported"), counted(&stage, "failed")), (0.0, 0.0));
    // More than were sent are not counted.
    collector.behave(Manner::Rejects(100));
    serves(&stage, 1).await;
    becomes(&stage, "rejected", 2.0).await;
}

/// A collector that says nothing: the batch with it fails, the queue fills, what does not fit is dropped, and nobody waits. When it answers
/// again, the queue goes out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Collector::start(Manner::Hangs).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    let mut sent = 0.0;
    while counted(&stage, "dropped") < 1.0 && sent < 30_000.0 {
        serves(&stage, 500).await;
        sent += 500.0;
    }
    assert!(counted(&stage, "dropped") > 0.0);
    collector.behave(Manner::Takes);
    let all = || ["exported", "dropped", "failed"].map(|outcome| counted(&stage, outcome)).iter().sum::<f64>();
    // The time-out of an export is longer than the stage's usual patience.
    let deadline = Instant::now() + Duration::from_secs(60);
    while all() < sent && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(all(), sent);
    assert!(counted(&stage, "failed") > 0.0 && counted(&stage, "exported") > 0.0);
}

/// The end of a gateway waits for a collector that hangs no longer than it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_does_not_keep_a_gateway_from_its_end() {
    let collector = Collector::start(Manner::Hangs).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    serves(&stage, 1).await;
    let gateway = stage.gateway;
    let end = tokio::task::spawn_blocking(move || gateway.shut_down(std::future::ready(())));
    tokio::time::timeout(Duration::from_secs(9), end).await.expect("sooner than an export times out").unwrap();
}
