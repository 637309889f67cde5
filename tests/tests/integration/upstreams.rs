//! SCENARIOS G: what clients see when an upstream fails, and that it is never a clean end.

use crate::routing::plain_only;
use http_body_util::BodyExt;
use pullgate_tests::client::streaming;
use pullgate_tests::origin::{Behaviour, Origin, RawOrigin};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, visit};
use std::net::SocketAddr;

/// A stage whose one upstream has these servers.
async fn stage_over(servers: &[SocketAddr]) -> Stage {
    let servers: Vec<_> = servers.iter().map(|server| format!("'{server}'")).collect();
    let timeouts = "timeouts: {connect: 1s, read: 300ms, write: 1s, idle: 10s}";
    let upstreams = format!("upstreams:\n  shop: {{servers: [{}], {timeouts}}}\n", servers.join(", "));
    Stage::with(Recipe { upstreams, ..Recipe::default() }).await
}

#[tokio::test]
async fn failures_before_an_answer() {
    let table = [
        (Behaviour::Refuse, 503, "503 Service Unavailable\n", "unreachable"),
        (Behaviour::ResetOnAccept, 502, "502 Bad Gateway\n", "broken"),
        (Behaviour::ResetAfterHead, 502, "502 Bad Gateway\n", "broken"),
        (Behaviour::Silent, 504, "504 Gateway Timeout\n", "timed_out"),
        (Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), 502, "502 Bad Gateway\n", "broken"),
    ];
    for (behaviour, status, body, outcome) in table {
        let what = format!("{behaviour:?}");
        let server = RawOrigin::start(behaviour).await;
        let stage = stage_over(&[server.address()]).await;
        let one = stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
        let two = stage.h2("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
        for answer in [one, two] {
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body), "{what}");
            assert_eq!(answer.header("server"), None);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("retry-after").is_some(), status == 503, "{what}");
        }
        let series = format!(r#"pullgate_upstream_requests_total{{outcome="{outcome}",server="{}",upstream="shop"}}"#, server.address());
        stage.metric_becomes(&series, 2.0).await;
        let lines = stage.access_lines(2).await;
        assert_eq!((&lines[0]["error.type"], lines[0]["http.response.status_code"].as_u64()), (&outcome.into(), Some(u64::from(status))));
    }
}

/// A body that breaks off must look broken to the client too, whatever its framing.
#[tokio::test]
async fn a_server_that_dies_in_mid_body_never_looks_like_a_clean_end() {
    for behaviour in [Behaviour::DieInBody { announced: 100_000, sent: 40_000 }, Behaviour::DieInChunked { sent: 40_000 }] {
        let what = format!("{behaviour:?}");
        let server = RawOrigin::start(behaviour).await;
        let stage = stage_over(&[server.address()]).await;
        let request = || visit("shop.example.com", "/").map(|_| streaming().1);
        let one = stage.h1("shop.example.com").await.send_open(request()).await.unwrap();
        let two = stage.h2("shop.example.com").await.send_open(request()).await.unwrap();
        for answer in [one, two] {
            assert_eq!(answer.status(), 200, "{what}");
            let version = answer.version();
            assert!(answer.into_body().collect().await.is_err(), "{what} {version:?}");
        }
        assert_eq!(stage.access_lines(2).await[0]["error.type"], "broken", "{what}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_passed_over() {
    let down = RawOrigin::start(Behaviour::Refuse).await;
    let up = Origin::start().await;
    let stage = stage_over(&[down.address(), up.address()]).await;
    let mut client = stage.h1("shop.example.com").await;
    for _ in 0..10 {
        let mut request = visit("shop.example.com", "/digest").map(|_| "some body".into());
        *request.method_mut() = http::Method::POST;
        assert_eq!(client.send(request).await.unwrap().status, 200);
    }
    assert_eq!(up.ledger().len(), 10);
}

/// A POST that may have arrived is never sent again.
#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let server = RawOrigin::start(Behaviour::ResetAfterHead).await;
    let stage = stage_over(&[server.address(), server.address()]).await;
    let mut request = visit("shop.example.com", "/").map(|_| "once".into());
    *request.method_mut() = http::Method::POST;
    assert_eq!(stage.h1("shop.example.com").await.send(request).await.unwrap().status, 502);
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn servers_take_turns_and_connections_are_kept() {
    let servers = [Origin::start().await, Origin::start().await, Origin::start().await];
    let addresses: Vec<_> = servers.iter().map(Origin::address).collect();
    let stage = stage_over(&addresses).await;
    let mut client = stage.h1("shop.example.com").await;
    for _ in 0..30 {
        assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    }
    for server in &servers {
        assert_eq!((server.ledger().len(), server.connections()), (10, 1));
    }
}

#[tokio::test]
async fn a_unix_socket_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let socket = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut head = [0; 4096];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let upstreams = format!("upstreams:\n  shop: {{servers: ['unix:{}']}}\n", path.display());
    let stage = Stage::with(Recipe { upstreams, hosts: crate::admission::open_host(), ..plain_only() }).await;
    let answer = stage.plain().await.send(visit("open.example.com", "/")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "ok"));
    assert!(server.await.unwrap().to_lowercase().contains(&format!("x-forwarded-for: {VISITOR}")));
}
