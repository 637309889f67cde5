//! The time-outs of a listener: each cuts what it is for, and one byte at a time does not stretch it.

use pullgate_tests::client::{Versions, Wire, connect, streaming};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, cloudflare, visit};
use rustls::ClientConnection;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn stage_with(limits: &str) -> Stage {
    let listeners = format!(
        "listeners:
  - {{name: https, address: '127.0.0.1:0', limits: {{{limits}}}}}
  - {{name: http, address: '127.0.0.1:0', protocol: http, limits: {{{limits}}}}}
"
    );
    Stage::with(Recipe { listeners, ..Recipe::default() }).await
}

/// Bytes that come until the end of the connection.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // A reset is as good an end as a close.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn handshake_timeout_ends_a_silent_client() {
    let stage = stage_with("handshake_timeout: 200ms").await;
    let stream = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
    assert_eq!(rest(stream).await, "");
    stage.metric_becomes(r#"pullgate_handshakes_total{host="none",outcome="timed_out",resumed="false"}"#, 1.0).await;
}

/// A client that has named a host and does not go on is counted at that host.
#[tokio::test]
async fn handshake_timeout_ends_a_client_that_stops_half_way() {
    let stage = stage_with("handshake_timeout: 2s").await;
    let config = stage.tls().client_config();
    let mut session = ClientConnection::new(config, "shop.example.com".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let mut stream = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    // The server's flight, then the end.
    assert_eq!(rest(stream).await.as_bytes().first(), Some(&22));
    stage.metric_becomes(r#"pullgate_handshakes_total{host="shop",outcome="timed_out",resumed="false"}"#, 1.0).await;
}

/// How a refusal is told and counted is not for a client to choose by taking its time to close.
#[tokio::test]
async fn a_refused_client_that_does_not_close_is_counted_as_refused() {
    // Less than the second that a client may take to close, and more than a handshake takes.
    let stage = stage_with("handshake_timeout: 900ms").await;
    let tls = stage.bare_tls().versions(Versions::Tls12).client_config();
    let mut stream = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
    let mut session = ClientConnection::new(tls, "shop.example.com".try_into().unwrap()).unwrap();
    let mut bytes = [0; 4096];
    while session.is_handshaking() {
        let mut flight = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut flight).unwrap();
        }
        stream.write_all(&flight).await.unwrap();
        let count = stream.read(&mut bytes).await.unwrap();
        if session.read_tls(&mut &bytes[..count]).is_err() || session.process_new_packets().is_err() {
            break;
        }
    }
    // The stream is open while this is counted.
    stage.verdicts_become("shop", "not_presented", 1.0).await;
    assert_eq!(stage.metric(r#"pullgate_handshakes_total{host="none",outcome="timed_out",resumed="false"}"#), 0.0);
    drop(stream);
}

#[tokio::test]
async fn header_timeout_is_not_stretched_byte_by_byte() {
    let stage = stage_with("header_timeout: 300ms").await;
    let (mut read, mut write) = connect(Some(cloudflare()), stage.at("http")).await.unwrap().into_split();
    let begun = Instant::now();
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nHost: open.example.com\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = String::new();
    tokio::select! {
        () = drip => {}
        _ = read.read_to_string(&mut answer) => {}
    }
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(stage.access_lines(1).await[0]["reason"], "head_timed_out");
    stage.assert_nothing_reached_the_origin();
}

/// A client that connects and says nothing has `header_timeout`, not `idle_timeout`.
#[tokio::test]
async fn a_silent_connection_ends_with_header_timeout() {
    let stage = stage_with("header_timeout: 300ms").await;
    assert_eq!(rest(connect(Some(cloudflare()), stage.at("http")).await.unwrap()).await, "");
}

/// Answers without a body, one after the other, to a client that reads none of them: when its window is full, it is let go.
#[tokio::test]
async fn write_timeout_ends_a_client_that_does_not_read_heads() {
    let hosts = "hosts:
  - name: open
    hostnames: [open.example.com]
    origin_pull: {mode: off}
    routes: [{name: echo, respond: {status: 301, location: 'https://open.example.com{request.target}'}}]
";
    let listeners =
        "listeners:\n  - {name: http, address: '127.0.0.1:0', protocol: http, limits: {write_timeout: 300ms}}\n";
    let recipe =
        Recipe { listeners: listeners.into(), hosts: hosts.into(), upstreams: String::new(), ..Recipe::default() };
    let stage = Stage::with(recipe).await;
    let (_unread, mut write) = connect(Some(cloudflare()), stage.at("http")).await.unwrap().into_split();
    let target = "x".repeat(60_000);
    let head = format!("HEAD /{target} HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n\r\n");
    let mut answered = 0;
    while write.write_all(head.as_bytes()).await.is_ok() {
        answered += 1;
        let done = async {
            while stage.access_log().len() < answered {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), done).await.is_err() {
            break;
        }
        assert!(answered < 1_000, "the window never fills");
    }
    stage.metric_becomes(r#"pullgate_connections_open{listener="http"}"#, 0.0).await;
}

#[tokio::test]
async fn a_head_larger_than_any_of_cloudflares_is_refused() {
    let stage = stage_with("").await;
    let head = format!("GET / HTTP/1.1\r\nHost: open.example.com\r\nX: {}\r\n\r\n", "x".repeat(140_000));
    let mut stream = connect(Some(cloudflare()), stage.at("http")).await.unwrap();
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(stage.access_lines(1).await[0]["reason"], "head_too_large");
}

#[tokio::test]
async fn heads_that_are_no_http_are_counted_and_logged() {
    let stage = stage_with("").await;
    let heads = [
        "GET / HTTP/1.1\nHost: open.example.com\n\n",
        "GET / HTTP/1.1\r\nHost: open.example.com\r\nHost: open.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 5, 6\r\n\r\nhello",
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: open.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : open.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: open.example.com\r\nA: b\r\n folded\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for (count, head) in (1..).zip(heads) {
        let mut stream = connect(Some(cloudflare()), stage.at("http")).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n400 Bad Request\n"),
            "{head:?}: {answer}"
        );
        assert!(!answer.contains("Server:"), "{head:?}: {answer}");
        assert_eq!(stage.access_lines(count).await.last().unwrap()["http.response.status_code"], 400, "{head:?}");
    }
    let mut stream = connect(Some(cloudflare()), stage.at("http")).await.unwrap();
    stream.write_all(b"CONNECT open.example.com:443 HTTP/1.1\r\nHost: open.example.com:443\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 405 "));
    stage.metric_becomes(r#"pullgate_requests_total{code="400",host="none",method="none",route="none"}"#, 9.0).await;
    stage.metric_becomes(r#"pullgate_requests_total{code="405",host="none",method="none",route="none"}"#, 1.0).await;
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn idle_timeout_closes_between_requests() {
    let stage = stage_with("header_timeout: 30s, idle_timeout: 300ms").await;
    let mut one = stage.h1("shop.example.com").await;
    assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    one.closed().await;
    let two = stage.h2("shop.example.com").await;
    assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    two.closed().await;
    // A request that takes longer is not idle.
    let mut one = stage.h1("shop.example.com").await;
    assert_eq!(one.send(visit("shop.example.com", "/slow/900")).await.unwrap().status, 200);
}

/// Nor over HTTP/2, where its end is where the time begins anew.
#[tokio::test]
async fn a_long_request_of_http2_is_not_idle() {
    let stage = stage_with("idle_timeout: 1s").await;
    let client = stage.h2("shop.example.com").await;
    assert_eq!(client.send(visit("shop.example.com", "/slow/2500")).await.unwrap().status, 200);
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    client.closed().await;
}

/// A clock that began for the first head does not end the wait for the second.
#[tokio::test]
async fn a_pause_may_be_longer_than_the_first_wait() {
    let stage = stage_with("header_timeout: 700ms, idle_timeout: 30s").await;
    let mut plain = stage.plain().await;
    for pause in [100, 1000, 1000] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        assert_eq!(plain.send(visit("open.example.com", "/")).await.unwrap().status, 200, "after {pause} ms");
    }
}

/// Whoever has asked for nothing over HTTP/2 is told to go, and need not be there to hear it: `write_timeout` later it is cut.
#[tokio::test]
async fn an_idle_client_of_http2_is_told_to_go_and_then_cut() {
    let stage = stage_with("idle_timeout: 3s, write_timeout: 200ms").await;
    let config = stage.tls().alpn(&["h2"]).client_config();
    let mut wire = Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap();
    let begun = Instant::now();
    // The preface with an empty SETTINGS, and a PING before the time is over: a sign of life, and no request.
    wire.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    wire.write_all(b"\0\0\x08\x06\0\0\0\0\0abcdefgh").await.unwrap();
    let mut heard = Vec::new();
    // The end without a close_notify is an end.
    let ended = tokio::time::timeout(Duration::from_secs(10), wire.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the connection stays open: {heard:02x?}");
    let took = begun.elapsed().as_secs();
    assert!((3..5).contains(&took), "{took} s; who is told to go at 3 s has not another 3 s");
    // GOAWAY for the highest stream there can be, with NO_ERROR (RFC 9113 section 6.8).
    let goaway = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0";
    assert!(heard.windows(goaway.len()).any(|frame| frame == goaway), "{heard:02x?}");
    stage.metric_becomes(r#"pullgate_connections_open{listener="https"}"#, 0.0).await;
}

/// A client that agrees on HTTP/2 and never speaks it, or speaks something else.
#[tokio::test]
async fn a_missing_http2_preface_ends_the_connection() {
    let stage = stage_with("header_timeout: 300ms").await;
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"] {
        let config = stage.tls().alpn(&["h2"]).client_config();
        let mut wire = Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap();
        wire.write_all(said).await.unwrap();
        assert_eq!(rest(wire).await, "", "{said:?}");
    }
    stage.metric_becomes(r#"pullgate_connections_open{listener="https"}"#, 0.0).await;
}

/// A body that goes on may take longer than the time between two reads of it.
#[tokio::test]
async fn body_timeout_leaves_a_body_that_goes_on() {
    let stage = stage_with("body_timeout: 2s").await;
    let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
    let post = |body| {
        let mut request = visit("shop.example.com", "/digest").map(|_| body);
        *request.method_mut() = http::Method::POST;
        request
    };
    let ((mut first, body), (mut second, other)) = (streaming(), streaming());
    let pieces = async move {
        for _ in 0..7 {
            for sender in [&mut first, &mut second] {
                sender.send_data(vec![b'x'; 2000].into()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let (one, two, ()) = tokio::join!(one.send_stream(post(body)), two.send_stream(post(other)), pieces);
    assert_eq!([one.unwrap().status, two.unwrap().status], [200, 200]);
}

#[tokio::test]
async fn body_timeout_ends_a_body_that_stops() {
    let stage = stage_with("body_timeout: 300ms").await;
    let mut one = stage.h1("shop.example.com").await;
    let (mut sender, body) = streaming();
    sender.send_data("a beginning".into()).await.unwrap();
    let mut request = visit("shop.example.com", "/digest").map(|_| body);
    *request.method_mut() = http::Method::POST;
    let begun = Instant::now();
    let answer = one.send_stream(request).await;
    assert!(answer.as_ref().is_ok_and(|answer| answer.status == 408) || answer.is_err(), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(stage.access_lines(1).await[0]["http.response.status_code"], 408);
    assert!(!stage.origin.ledger().iter().any(|entry| entry.body_complete), "{:#?}", stage.origin.ledger());
}

/// A client that asks for much and reads nothing is let go.
#[tokio::test]
async fn write_timeout_ends_a_client_that_does_not_read() {
    let stage = stage_with("write_timeout: 300ms").await;
    let config = stage.tls().alpn(&["http/1.1"]).client_config();
    let mut wire = Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap();
    let head = format!("GET /bytes/50000000 HTTP/1.1\r\nHost: shop.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n\r\n");
    wire.write_all(head.as_bytes()).await.unwrap();
    let lines = stage.access_lines(1).await;
    assert_eq!(lines[0]["error.type"], "abandoned");
    stage.metric_becomes(r#"pullgate_connections_open{listener="https"}"#, 0.0).await;
}

#[tokio::test]
async fn a_silent_websocket_outlives_the_body_timeout() {
    let stage = stage_with("body_timeout: 200ms, write_timeout: 200ms").await;
    let mut client = stage.h1("shop.example.com").await;
    let mut socket = client.upgrade(crate::requests::upgrade_to_websocket()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut socket = hyper_util::rt::TokioIo::new(socket.inner_mut());
    socket.write_all(b"still here").await.unwrap();
    let mut read = [0; 10];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here");
}
