//! The limits of a listener: each key has an effect, and a reload changes it for the connections that come after.

use crate::binary::free_ports;
use pullgate_tests::client::{H1, Wire, connect};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, stranger, visit};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// Two listeners with these limits.
fn limited(limits: &str) -> Recipe {
    let listeners = format!(
        "listeners:
  - {{name: https, kernel_filter: off, address: '127.0.0.1:0', limits: {{{limits}}}}}
  - {{name: http, kernel_filter: off, address: '127.0.0.1:0', protocol: http, limits: {{{limits}}}}}
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
    let mut new = H1::tls(Some(cloudflare()), stage.at("http"), "shop.example.com", config).await.unwrap();
    assert_eq!(new.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(old.send(visit("open.example.com", "/")).await.unwrap().status, 200);
}

/// What a cap counts does not begin anew where a listener gets another name or another socket.
#[tokio::test]
async fn a_cap_counts_on_under_another_name_and_on_another_socket() {
    let stage = Stage::with(limited("connections: 1")).await;
    let mut held = stage.plain().await;
    assert_eq!(held.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    let (at, crowded) = (stage.at("http"), limited("connections: 1"));
    let fixed = |name: &str, port: u16| {
        let listeners = crowded.listeners.replace("name: http,", &format!("name: {name},"));
        let (https, http) = listeners.split_at(listeners.rfind("127.0.0.1:0").unwrap());
        let listeners = format!("{https}{}", http.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1));
        Recipe { listeners, ..limited("connections: 1") }
    };
    // With a port of its own first, so that a name can go to another socket and a socket to another name.
    let port = free_ports::<1>()[0];
    stage.reload(&fixed("http", port)).unwrap();
    let moved = stage.at("http");
    assert!(moved != at && moved.port() == port);
    assert_eq!(rest(connect(Some(cloudflare()), moved).await.unwrap()).await, "", "another socket");
    stage.reload(&fixed("renamed", port)).unwrap();
    assert_eq!(rest(connect(Some(cloudflare()), stage.at("renamed")).await.unwrap()).await, "", "another name");
    assert_eq!(stage.metric(&connections("http", "over_limit")), 1.0);
    assert_eq!(stage.metric(&connections("renamed", "over_limit")), 1.0);
    drop(held);
    stage.metric_becomes(r#"pullgate_connections_open{listener="http"}"#, 0.0).await;
    let mut next = H1::plain(Some(cloudflare()), moved).await.unwrap();
    assert_eq!(next.send(visit("open.example.com", "/")).await.unwrap().status, 200);
}

/// A handshake that ends when its listener has left the configuration: the client is told, it is not left without an answer.
#[tokio::test]
async fn a_connection_whose_listener_leaves_while_it_shakes_hands_is_answered() {
    let stage = Stage::new().await;
    let io = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
    stage.metric_becomes(r#"pullgate_connections_open{listener="https"}"#, 1.0).await;
    let usual = Recipe::default();
    let listeners = usual.listeners.replace("name: https", "name: other");
    stage.reload(&Recipe { listeners, ..usual }).unwrap();
    let config = stage.tls().alpn(&["http/1.1"]).client_config();
    let wire = Wire::secure(io, "shop.example.com", config).await.unwrap();
    let mut client = H1::over(wire).await.unwrap();
    let told = client.send(visit("shop.example.com", "/")).await.unwrap();
    assert_eq!(told.status, 421);
    client.closed().await;
}

/// A listener's connections by what became of them.
fn connections(listener: &str, outcome: &str) -> String {
    format!(r#"pullgate_connections_total{{listener="{listener}",outcome="{outcome}"}}"#)
}

#[tokio::test]
async fn f44_the_newest_connection_beyond_the_cap_is_closed_at_once() {
    let stage = Stage::with(limited("connections: 2")).await;
    // Strangers hold no places.
    let mut strangers = Vec::new();
    for _ in 0..5 {
        strangers.push(connect(Some(stranger()), stage.at("http")).await.unwrap());
    }
    let (mut one, mut two) = (stage.plain().await, stage.plain().await);
    for client in [&mut one, &mut two] {
        assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    }
    for _ in 0..3 {
        assert_eq!(rest(connect(Some(cloudflare()), stage.at("http")).await.unwrap()).await, "");
    }
    assert_eq!(stage.metric(&connections("http", "over_limit")), 3.0);
    assert_eq!(stage.metric(&connections("http", "admitted")), 2.0);
    assert_eq!(stage.metric(&connections("http", "stranger")), 5.0);
    // Each listener has places of its own, and those that were there go on.
    assert_eq!(stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(two.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    drop(one);
    stage.metric_becomes(r#"pullgate_connections_open{listener="http"}"#, 1.0).await;
    assert_eq!(stage.plain().await.send(visit("open.example.com", "/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn f44_one_source_takes_no_more_than_its_share() {
    let stage = Stage::with(limited("connections_per_source: 2")).await;
    let from = |last: u8| std::net::IpAddr::from([127, 0, 1, last]);
    let one = connect(Some(from(1)), stage.at("http")).await.unwrap();
    let _two = connect(Some(from(1)), stage.at("http")).await.unwrap();
    stage.metric_becomes(&connections("http", "admitted"), 2.0).await;
    assert_eq!(rest(connect(Some(from(1)), stage.at("http")).await.unwrap()).await, "");
    stage.metric_becomes(&connections("http", "over_limit"), 1.0).await;
    let _other = connect(Some(from(2)), stage.at("http")).await.unwrap();
    stage.metric_becomes(&connections("http", "admitted"), 3.0).await;
    drop(one);
    stage.metric_becomes(r#"pullgate_connections_open{listener="http"}"#, 2.0).await;
    assert_eq!(stage.plain().await.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    // Who came under another limit counts under this one.
    stage.reload(&limited("connections_per_source: 1")).unwrap();
    assert_eq!(rest(connect(Some(from(2)), stage.at("http")).await.unwrap()).await, "");
    stage.metric_becomes(&connections("http", "over_limit"), 2.0).await;
}

#[tokio::test]
async fn header_bytes_and_header_count_bound_heads_of_both_versions() {
    let stage = Stage::with(limited("header_bytes: 4KiB, header_count: 20")).await;
    let long = |bytes: usize| {
        let mut request = visit("shop.example.com", "/");
        request.headers_mut().insert("x-long", "a".repeat(bytes).parse().unwrap());
        request
    };
    let many = |count: usize| {
        let mut request = visit("shop.example.com", "/");
        for number in 0..count {
            request
                .headers_mut()
                .insert(http::HeaderName::try_from(format!("x-{number}")).unwrap(), "a".parse().unwrap());
        }
        request
    };
    for (request, status) in [(long(3000), 200), (long(5000), 431), (many(15), 200), (many(25), 431)] {
        assert_eq!(stage.h1("shop.example.com").await.send(request.clone()).await.unwrap().status, status);
        assert_eq!(stage.h2("shop.example.com").await.send(request).await.unwrap().status, status);
    }
    assert_eq!(stage.origin.ledger().len(), 4);
    let lines = stage.access_lines(8).await;
    let refused =
        lines.iter().filter(|line| line["reason"] == "head_too_large" && line["http.response.status_code"] == 431);
    // What is too long for the codec of HTTP/2 is answered there; that is read off the answer, and counts like the others.
    assert_eq!(refused.count(), 4, "{lines:#?}");
}

#[tokio::test]
async fn http2_streams_bounds_what_a_client_has_open() {
    let stage = Stage::with(limited("http2_streams: 2")).await;
    let client = stage.h2("shop.example.com").await;
    // The client knows the limit once the first answer is there.
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    let asks = (0..6).map(|_| client.send(visit("shop.example.com", "/slow/300")));
    let begun = Instant::now();
    for answer in futures_of(asks).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert!(begun.elapsed() >= Duration::from_millis(900), "two at a time: {:?}", begun.elapsed());
}

/// All of them at the same time.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn requests_per_connection_ends_it_after_the_last_answer() {
    let stage = Stage::with(limited("requests_per_connection: 3")).await;
    let mut one = stage.h1("shop.example.com").await;
    for turn in 1..=3 {
        let answer = one.send(visit("shop.example.com", "/")).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("connection") == Some("close")), (200, turn == 3), "{turn}");
    }
    one.closed().await;
    let two = stage.h2("shop.example.com").await;
    for _ in 0..3 {
        assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    }
    two.closed().await;
    assert_eq!(stage.origin.ledger().len(), 6);
}
