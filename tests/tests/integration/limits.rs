//! The limits of a listener: each key has an effect, and a reload changes it for the connections that come after.

use pullgate_tests::client::connect;
use pullgate_tests::stage::{Recipe, Stage, cloudflare, visit};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// Two listeners with these limits.
fn limited(limits: &str) -> Recipe {
    let listeners = format!(
        "listeners:
  - {{name: https, address: '127.0.0.1:0', limits: {{{limits}}}}}
  - {{name: http, address: '127.0.0.1:0', protocol: http, limits: {{{limits}}}}}
"
    );
    Recipe { listeners, ..Recipe::default() }
}

/// Bytes that come until the end of the connection.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // A reset is as good an end as a close.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_reload_changes_limits_for_new_connections() {
    let stage = Stage::with(limited("handshake_timeout: 30s, header_timeout: 30s, idle_timeout: 30s")).await;
    let mut old = stage.h1("shop.example.com").await;
    assert_eq!(old.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    stage.reload(&limited("handshake_timeout: 200ms, header_timeout: 200ms, idle_timeout: 200ms")).unwrap();
    let begun = Instant::now();
    for listener in ["https", "http"] {
        assert_eq!(rest(connect(Some(cloudflare()), stage.at(listener)).await.unwrap()).await, "", "{listener}");
    }
    let mut new = stage.h1("shop.example.com").await;
    assert_eq!(new.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    new.closed().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // What came under the old limits keeps them.
    assert_eq!(old.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_reload_changes_what_a_listener_speaks_for_new_connections() {
    let stage = Stage::new().await;
    let mut old = stage.plain().await;
    assert_eq!(old.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    let listeners = Recipe::default().listeners.replace("protocol: http}", "protocol: https}");
    stage.reload(&Recipe { listeners, ..Recipe::default() }).unwrap();
    let config = stage.tls().alpn(&["http/1.1"]).client_config();
    let mut new = pullgate_tests::client::H1::tls(Some(cloudflare()), stage.at("http"), "shop.example.com", config)
        .await
        .unwrap();
    assert_eq!(new.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(old.send(visit("open.example.com", "/")).await.unwrap().status, 200);
}
