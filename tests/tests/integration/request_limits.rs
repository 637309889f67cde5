//! What a host's requests may be: methods, and the size of bodies, announced or not.

use pullgate_tests::client::{Response, Wire, post, streaming};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, eventually, visit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SHOP: &str = "shop.example.com";

async fn stage_with(request: &str) -> Stage {
    let hosts = Recipe::default().hosts.replacen(
        "    routes: [{name: all, upstream: shop}]\n",
        &format!(
            "    request: {request}
    routes:
      - {{name: all, upstream: shop}}
      - {{name: read, path: /read, upstream: shop, methods: [GET]}}
"
        ),
        1,
    );
    Stage::with(Recipe { hosts, ..Recipe::default() }).await
}

fn asking(method: &str, path: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = visit(SHOP, path);
    *request.method_mut() = method.parse().unwrap();
    request
}

async fn both(stage: &Stage, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> [Response; 2] {
    let one = stage.h1(SHOP).await.send(request.clone()).await.unwrap();
    [one, stage.h2(SHOP).await.send(request).await.unwrap()]
}

#[tokio::test]
async fn methods_that_the_host_does_not_take_are_refused_before_any_route() {
    let stage = Stage::new().await;
    let default = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    for method in ["TRACE", "PROPFIND", "PURGE", "FOO"] {
        for answer in both(&stage, asking(method, "/")).await {
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(default)), "{method}");
        }
    }
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for answer in both(&stage, asking(method, "/")).await {
            assert_eq!(answer.status, 200, "{method}");
        }
    }
    assert_eq!(stage.origin.ledger().len(), 14);
    assert_eq!(stage.access_lines(22).await[0]["reason"], "method_unlisted");
}

#[tokio::test]
async fn a_host_may_take_other_methods_and_a_route_fewer() {
    let stage = stage_with("{methods: [GET, PURGE, TRACE]}").await;
    for (method, path, status, allow) in [
        ("PURGE", "/", 200, None),
        ("TRACE", "/", 200, None),
        ("POST", "/", 405, Some("GET, PURGE, TRACE")),
        ("PURGE", "/read", 405, Some("GET")),
        ("GET", "/read", 200, None),
    ] {
        for answer in both(&stage, asking(method, path)).await {
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, allow), "{method} {path}");
        }
    }
}

/// The order is a promise: what comes earlier is what is answered.
#[tokio::test]
async fn the_visitor_comes_before_the_method_and_the_method_before_the_size() {
    let stage = stage_with("{body_bytes: 10B}").await;
    let large = |method: &str, visitor: bool| {
        let mut request = post(SHOP, "/", "x".repeat(11));
        *request.method_mut() = method.parse().unwrap();
        if visitor {
            request.headers_mut().insert("cf-connecting-ip", VISITOR.parse().unwrap());
        }
        request
    };
    for (request, status) in [(large("TRACE", false), 400), (large("TRACE", true), 405), (large("POST", true), 413)] {
        for answer in both(&stage, request).await {
            assert_eq!(answer.status, status);
        }
    }
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn an_announced_body_that_is_too_large_is_refused_before_anything_reaches_the_origin() {
    let stage = stage_with("{body_bytes: 1KiB}").await;
    let body = |bytes: usize| {
        let mut request = post(SHOP, "/digest", "x".repeat(bytes));
        request.headers_mut().insert("cf-connecting-ip", VISITOR.parse().unwrap());
        request
    };
    for answer in both(&stage, body(1025)).await {
        assert_eq!(answer.status, 413);
    }
    stage.assert_nothing_reached_the_origin();
    let lines = stage.access_lines(2).await;
    assert!(lines.iter().all(|line| line["reason"] == "body_too_large" && line["decision"] == "refuse"), "{lines:#?}");
    for answer in both(&stage, body(1024)).await {
        assert_eq!(answer.status, 200);
    }
    // A client that waits for leave is told no, and sends nothing.
    let config = stage.tls().alpn(&["http/1.1"]).client_config();
    let mut wire = Wire::tls(Some(pullgate_tests::stage::cloudflare()), stage.at("https"), SHOP, config).await.unwrap();
    let head = format!("POST /digest HTTP/1.1\r\nHost: {SHOP}\r\nCF-Connecting-IP: {VISITOR}\r\n");
    wire.write_all(format!("{head}Content-Length: 9999999999\r\nExpect: 100-continue\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 16];
    wire.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413 Pay");
}

/// The client reads its answer although it is still sending, and the origin never sees the end of such a body.
#[tokio::test]
async fn a_body_that_grows_too_large_is_cut() {
    let stage = stage_with("{body_bytes: 100KiB}").await;
    for version in [1, 2] {
        let (mut sender, body) = streaming();
        let mut request = visit(SHOP, "/digest").map(|_| body);
        *request.method_mut() = http::Method::POST;
        let feeding = tokio::spawn(async move {
            for _ in 0..200 {
                if sender.send_data("x".repeat(1024).into()).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let answer = match version {
            1 => stage.h1(SHOP).await.send_stream(request).await,
            _ => stage.h2(SHOP).await.send_stream(request).await,
        };
        assert_eq!(answer.unwrap().status, 413, "HTTP/{version}");
        feeding.abort();
        let line = stage.access_lines(version).await.pop().unwrap();
        assert_eq!((&line["reason"], &line["http.response.status_code"]), (&"body_too_large".into(), &413.into()));
        assert_eq!(line["error.type"], "abandoned");
        let reached = || stage.origin.ledger().len() == version;
        assert!(eventually(reached).await, "it was on its way");
        assert!(stage.origin.ledger().iter().all(|entry| !entry.body_complete), "{:#?}", stage.origin.ledger());
    }
    // As much as may be, in one piece and without a length, passes.
    let (mut sender, body) = streaming();
    let mut request = visit(SHOP, "/digest").map(|_| body);
    *request.method_mut() = http::Method::POST;
    let feeding = tokio::spawn(async move { sender.send_data("x".repeat(100 * 1024).into()).await.unwrap() });
    assert_eq!(stage.h2(SHOP).await.send_stream(request).await.unwrap().status, 200);
    feeding.await.unwrap();
}
