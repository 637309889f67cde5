//! H 52: threads that are stuck are not called healthy, and who asks is answered all the same.

use pullgate_tests::client::{H1, get};
use pullgate_tests::stage::Stage;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

async fn health(stage: &Stage) -> u16 {
    let mut client = H1::plain(None, stage.gateway.admin_address()).await.unwrap();
    client.send(get("admin", "/-/healthy")).await.unwrap().status.as_u16()
}

/// Waits for this answer.
async fn becomes(stage: &Stage, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while health(stage).await != status {
        assert!(Instant::now() < deadline, "never {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h52_stuck_threads_are_not_healthy() {
    let stage = Stage::new().await;
    assert_eq!(health(&stage).await, 200);
    // Two workers, each with a task that waits as no task may.
    let stuck: Vec<(Sender<()>, Receiver<()>)> = (0..2).map(|_| channel()).collect();
    let mut held = Vec::new();
    for (hold, held_by) in stuck {
        stage.gateway.handle().spawn(async move { held_by.recv() });
        held.push(hold);
    }
    becomes(&stage, 503).await;
    // Metrics are there when they are needed most.
    let mut client = H1::plain(None, stage.gateway.admin_address()).await.unwrap();
    assert_eq!(client.send(get("admin", "/metrics")).await.unwrap().status, 200);
    drop(held);
    becomes(&stage, 200).await;
}
