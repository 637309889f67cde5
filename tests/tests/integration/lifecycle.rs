//! The end of a gateway: what is open is finished, what is new is refused.

use pullgate_tests::client::{H1, connect};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, eventually, visit};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_open_requests_and_takes_no_new_connections() {
    // Far away: what ends here ends because it was told to.
    let head = Recipe::default().head.replace("drain: 5s", "drain: 60s");
    let stage = Stage::with(Recipe { head, ..Recipe::default() }).await;
    let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
    assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    let (at, admin) = (stage.at("https"), stage.gateway.admin_address());
    let other = two.clone();
    let slow = tokio::spawn(async move { (one.send(visit("shop.example.com", "/slow/600")).await, one) });
    let slow_too = tokio::spawn(async move { other.send(visit("shop.example.com", "/slow/600")).await });
    stage.origin.wait_for(3).await;
    let Stage { gateway, origin, .. } = stage;
    let drain = tokio::task::spawn_blocking(move || gateway.shut_down(std::future::pending()));
    let mut refused = false;
    for _ in 0..200 {
        refused = connect(Some(cloudflare()), at).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(refused, "the listener is closed while requests finish");
    let mut admin = H1::plain(None, admin).await.unwrap();
    let ready = admin.send(pullgate_tests::client::get("admin", "/-/ready")).await.unwrap();
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (503, "not ready: draining\n"));
    drop(admin);
    let (answer, one) = slow.await.unwrap();
    let answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, Some("close")));
    one.closed().await;
    assert_eq!(slow_too.await.unwrap().unwrap().status, 200);
    two.closed().await;
    tokio::time::timeout(Duration::from_secs(4), drain)
        .await
        .expect("the drain ends with the last connection")
        .unwrap();
    assert_eq!(origin.ledger().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_after_its_time() {
    let head = Recipe::default().head.replace("drain: 5s", "drain: 300ms");
    let stage = Stage::with(Recipe { head, ..Recipe::default() }).await;
    let mut one = stage.h1("shop.example.com").await;
    let slow = tokio::spawn(async move { one.send(visit("shop.example.com", "/slow/20000")).await });
    stage.origin.wait_for(1).await;
    let Stage { gateway, origin, .. } = stage;
    tokio::task::spawn_blocking(move || gateway.shut_down(std::future::pending())).await.unwrap();
    assert!(slow.await.unwrap().is_err());
    drop(origin);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_gateway_ends_at_once() {
    let stage = Stage::new().await;
    let at = stage.at("https");
    drop(stage);
    assert!(eventually(|| std::net::TcpStream::connect(at).is_err()).await);
}
