//! What clients see when an upstream fails, and that it is never a clean end.

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
        let series = format!(
            r#"pullgate_upstream_requests_total{{outcome="{outcome}",server="{}",upstream="shop"}}"#,
            server.address()
        );
        stage.metric_becomes(&series, 2.0).await;
        let lines = stage.access_lines(2).await;
        assert_eq!(
            (&lines[0]["error.type"], lines[0]["http.response.status_code"].as_u64()),
            (&outcome.into(), Some(u64::from(status)))
        );
    }
}

/// Whether the reset comes before the connection counts as made is a matter of microseconds: it is one or the other failure.
#[tokio::test]
async fn a_server_that_resets_every_connection_is_unreachable_or_broken() {
    let server = RawOrigin::start(Behaviour::ResetOnAccept).await;
    let stage = stage_over(&[server.address()]).await;
    let mut client = stage.h1("shop.example.com").await;
    let answer = client.send(visit("shop.example.com", "/")).await.unwrap();
    let outcome = if answer.status == 503 { "unreachable" } else { "broken" };
    assert!([502, 503].contains(&answer.status.as_u16()), "{}", answer.status);
    assert_eq!(stage.access_lines(1).await[0]["error.type"], outcome);
}

/// A dead server is counted where it was tried, and the one that answered is the one the log names.
#[tokio::test]
async fn each_attempt_is_counted_at_its_own_server() {
    let down = RawOrigin::start(Behaviour::Refuse).await;
    let up = Origin::start().await;
    let stage = stage_over(&[down.address(), up.address()]).await;
    let mut client = stage.h1("shop.example.com").await;
    for _ in 0..4 {
        assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    }
    let counted = |server: std::net::SocketAddr, outcome: &str| {
        format!(r#"pullgate_upstream_requests_total{{outcome="{outcome}",server="{server}",upstream="shop"}}"#)
    };
    stage.metric_becomes(&counted(up.address(), "answered"), 4.0).await;
    stage.metric_becomes(&counted(down.address(), "unreachable"), 2.0).await;
    let lines = stage.access_lines(4).await;
    assert!(lines.iter().all(|line| line["upstream.server"] == up.address().to_string()), "{lines:#?}");
}

/// What a server sent is its own affair: the log tells the kind of the failure and quotes nothing.
#[tokio::test]
async fn a_malformed_answer_is_not_quoted_in_the_log() {
    let answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=SECRETTOKEN\r\nbad header: x\r\n\r\n".to_vec();
    let server = RawOrigin::start(Behaviour::Garbage(answer)).await;
    let stage = stage_over(&[server.address()]).await;
    assert_eq!(stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap().status, 502);
    let line = stage.access_lines(1).await[0].to_string();
    assert!(line.contains("error.message") && !line.contains("SECRET"), "{line}");
}

/// A server that says 103 and then nothing has not answered: the client gets a whole answer of ours.
#[tokio::test]
async fn a_failure_after_an_interim_answer_is_answered() {
    let early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".to_vec();
    let server = RawOrigin::start(Behaviour::Garbage(early)).await;
    let stage = stage_over(&[server.address()]).await;
    let answer = stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    assert!([502, 504].contains(&answer.status.as_u16()), "{}", answer.status);
    let line = &stage.access_lines(1).await[0];
    assert_eq!(line["http.response.status_code"], answer.status.as_u16());
}

/// A body that breaks off must look broken to the client too, whatever its framing.
#[tokio::test]
async fn a_server_that_dies_in_mid_body_never_looks_like_a_clean_end() {
    for behaviour in
        [Behaviour::DieInBody { announced: 100_000, sent: 40_000 }, Behaviour::DieInChunked { sent: 40_000 }]
    {
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
    let servers =
        [RawOrigin::start(Behaviour::ResetAfterHead).await, RawOrigin::start(Behaviour::ResetAfterHead).await];
    let stage = stage_over(&[servers[0].address(), servers[1].address()]).await;
    let mut request = visit("shop.example.com", "/").map(|_| "once".into());
    *request.method_mut() = http::Method::POST;
    assert_eq!(stage.h1("shop.example.com").await.send(request).await.unwrap().status, 502);
    assert_eq!(servers.iter().map(|server| server.heads().len()).sum::<usize>(), 1);
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
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let upstreams = format!("upstreams:\n  shop: {{servers: ['unix:{}']}}\n", path.display());
    let stage = Stage::with(Recipe { upstreams, hosts: crate::admission::open_host(), ..plain_only() }).await;
    let answer = stage.plain().await.send(visit("open.example.com", "/")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "ok"));
    assert!(server.await.unwrap().to_lowercase().contains(&format!("x-forwarded-for: {VISITOR}")));
}

/// A listener whose queue is full answers no SYN: the time-out for connecting is what ends the wait.
#[tokio::test]
async fn the_connect_timeout_ends_a_connection_that_is_not_answered() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let at = full.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(300), tokio::net::TcpStream::connect(at)).await
    {
        held.push(stream);
    }
    let upstreams = format!("upstreams:\n  shop: {{servers: ['{at}'], timeouts: {{connect: 300ms}}}}\n");
    let stage = Stage::with(Recipe { upstreams, ..Recipe::default() }).await;
    let begun = std::time::Instant::now();
    let answer = stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(stage.access_lines(1).await[0]["error.type"], "timed_out");
}

/// A server that does not read lets the request's body pile up. The time-out for writing ends that, and what remains is the wait
/// for an answer; without it the write would never end.
#[tokio::test]
async fn the_write_timeout_ends_a_server_that_does_not_read() {
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = deaf.local_addr().unwrap();
    let holding = tokio::spawn(async move { std::future::pending::<()>().await });
    let accepted = tokio::spawn(async move { deaf.accept().await.unwrap() });
    let upstreams = format!("upstreams:\n  shop: {{servers: ['{at}'], timeouts: {{write: 300ms, read: 500ms}}}}\n");
    let stage = Stage::with(Recipe { upstreams, ..Recipe::default() }).await;
    let mut request = visit("shop.example.com", "/").map(|_| vec![b'x'; 50_000_000].into());
    *request.method_mut() = http::Method::POST;
    // The client may see the answer, or the end of a connection that it is still writing to.
    let answer = stage.h1("shop.example.com").await.send(request).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 504));
    let line = &stage.access_lines(1).await[0];
    assert_eq!((&line["error.type"], &line["http.response.status_code"]), (&"timed_out".into(), &504.into()));
    drop((accepted.await.unwrap(), holding));
}

#[tokio::test]
async fn idle_connections_are_closed_in_time_and_kept_within_their_number() {
    let upstreams = "upstreams:\n  shop: {servers: [ORIGIN], timeouts: {idle: 300ms}}\n";
    let stage = Stage::with(Recipe { upstreams: upstreams.into(), ..Recipe::default() }).await;
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    stage.origin.wait_until(|seen| seen.open == 0).await;

    // One worker: where two give connections back at the same moment, Pingora's pool can keep one that it has already counted out.
    let head = Recipe::default().head.replace("workers: 2, drain: 5s", "workers: 1, drain: 5s, upstream_idle: 2");
    let stage = Stage::with(Recipe { head, ..Recipe::default() }).await;
    let client = stage.h2("shop.example.com").await;
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.send(visit("shop.example.com", "/slow/200")).await.unwrap().status })
        })
        .collect();
    for answer in slow {
        assert_eq!(answer.await.unwrap(), 200);
    }
    let seen = stage.origin.wait_until(|seen| seen.open <= 2).await;
    assert_eq!(seen.accepted, 8);
}
