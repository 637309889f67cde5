//! What is seen from outside: metrics, access log, admin listener; and what is never seen.

use crate::routing::plain_only;
use http::HeaderValue;
use pullgate_tests::client::{H1, get, raw};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, stranger, visit};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

async fn admin(stage: &Stage, path: &str) -> pullgate_tests::client::Response {
    H1::plain(None, stage.gateway.admin_address()).await.unwrap().send(get("admin", path)).await.unwrap()
}

#[tokio::test]
async fn the_admin_listener_answers() {
    let stage = Stage::new().await;
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    stage.access_lines(1).await;
    assert_eq!(admin(&stage, "/-/healthy").await.text(), "healthy\n");
    assert_eq!(admin(&stage, "/-/ready").await.text(), "ready\n");
    assert_eq!(admin(&stage, "/nothing").await.status, 404);
    let metrics = admin(&stage, "/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for series in [
        r#"pullgate_connections_total{listener="https",outcome="admitted"} 1"#,
        r#"pullgate_handshakes_total{host="shop",outcome="completed",resumed="false"} 1"#,
        r#"pullgate_origin_pull_total{host="shop",trust="account",verdict="verified"} 1"#,
        r#"pullgate_requests_total{code="200",host="shop",method="GET",route="all"} 1"#,
        r#"pullgate_request_duration_seconds_count{host="shop",route="all"} 1"#,
        r#"pullgate_ranges_prefixes{family="ipv4"} 16"#,
        r#"pullgate_ranges_prefixes{family="ipv6"} 7"#,
        "pullgate_config_generation 1",
        "pullgate_handshake_duration_seconds_count 1",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_start_time_seconds ",
    ] {
        assert!(metrics.text().contains(series), "{series}:\n{}", metrics.text());
    }
    let mut post = get("admin", "/metrics");
    *post.method_mut() = http::Method::POST;
    assert_eq!(H1::plain(None, stage.gateway.admin_address()).await.unwrap().send(post).await.unwrap().status, 405);
    // The admin listener is not to be had through the others.
    assert_eq!(
        stage.plain().await.send(visit("open.example.com", "/-/ready")).await.unwrap().text(),
        "hello from the origin\n"
    );
}

/// Prometheus's own linter.
#[tokio::test]
async fn promtool_is_content_with_the_metrics() {
    let stage = Stage::new().await;
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    let _ = stage.h1_as("unknown.example.com", stage.tls()).await;
    let mut plain = stage.plain().await;
    plain.send(visit("shop.example.com", "/")).await.unwrap();
    stage.access_lines(2).await;
    let text = admin(&stage, "/metrics").await.text();
    let mut promtool = tokio::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: `make setup` installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = promtool.wait_with_output().await.unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn an_access_line_says_who_asked_what_and_how_it_ended() {
    let stage = Stage::new().await;
    let mut request = visit("shop.example.com", "/a%20path?x=1&y=2");
    for (name, value) in
        [("user-agent", "Mozilla/5.0"), ("cf-ray", "8c1f0a2b3c4d5e6f-FRA"), ("cf-worker", "example.com")]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    stage.h2("shop.example.com").await.send(request).await.unwrap();
    let line = &stage.access_lines(1).await[0];
    let expected = [
        ("client.address", "203.0.113.7"),
        ("network.peer.address", "127.0.1.1"),
        ("network.protocol.version", "2"),
        ("http.request.method", "GET"),
        ("server.address", "shop.example.com"),
        ("url.path", "/a%20path"),
        ("url.query", "x=1&y=2"),
        ("user_agent.original", "Mozilla/5.0"),
        ("cf.ray", "8c1f0a2b3c4d5e6f-FRA"),
        ("cf.worker", "example.com"),
        ("tls.protocol.version", "1.3"),
        ("tls.client.subject", "CN=edge"),
        ("tls.server.name", "shop.example.com"),
        ("origin_pull.verdict", "verified"),
        ("trust", "account"),
        ("listener", "https"),
        ("host", "shop"),
        ("http.route", "all"),
        ("decision", "permit"),
        ("upstream", "shop"),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name} in {line:#}");
    }
    assert_eq!(
        (line["http.response.status_code"].as_u64(), line["http.response.body.size"].as_u64()),
        (Some(200), Some(22))
    );
    assert_eq!(line["generation"], 1);
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn hostile_values_stay_in_their_field_and_secrets_stay_out() {
    let head = Recipe::default().head.replace("access: access.log", "access: access.log, redact: {query: [token]}");
    let stage = Stage::with(Recipe { head, hosts: crate::admission::open_host(), ..plain_only() }).await;
    let head = b"GET /a\"b'\xe2\x80\xa8?token=SECRET&to%6ben=SECRET&x=1 HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: 203.0.113.7\r\n\
        User-Agent: \"},{\"a\":\xff\xe2\x80\xa8\xc2\x9b31m\r\nAuthorization: Bearer SECRET\r\nCookie: a=SECRET\r\nCF-Access-Client-Secret: SECRET\r\nConnection: close\r\n\r\n";
    let answer = raw(Some(cloudflare()), stage.at("http"), None, head).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let ray = format!(
        "GET / HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: 203.0.113.7\r\nCF-Ray: {}\r\nConnection: close\r\n\r\n",
        "r".repeat(10_000)
    );
    raw(Some(cloudflare()), stage.at("http"), None, ray.as_bytes()).await.unwrap();
    let lines = stage.access_lines(2).await;
    let text = std::fs::read_to_string(stage.props.path().join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("SECRET"), "{text}");
    assert_eq!(lines[0]["url.query"], "token=REDACTED&to%6ben=REDACTED&x=1");
    assert_eq!(lines[0]["url.path"], "/a\"b'\u{2028}");
    assert_eq!(lines[0]["user_agent.original"], "\"},{\"a\":\u{fffd}\u{2028}\u{9b}31m");
    assert!(lines.iter().all(|line| line["cf.ray"].as_str().is_none_or(|ray| ray.len() <= 64)));
    assert_eq!(lines[1]["cf.ray"].as_str().map(str::len), Some(64));
}

/// Hosts, paths, methods and names of a request never become labels.
#[tokio::test]
async fn hostile_requests_add_no_series() {
    let stage = Stage::with(Recipe { hosts: crate::admission::open_host(), ..plain_only() }).await;
    let series =
        || stage.gateway.metrics().render().unwrap().lines().filter(|line| line.starts_with("pullgate_")).count();
    let mut client = stage.plain().await;
    let mut ask = async |number: usize| {
        let mut request = visit(&format!("h{number}.example.com"), &format!("/{number}"));
        *request.method_mut() = format!("M{number}").parse().unwrap();
        client.send(request).await.unwrap();
        let mut request = visit("open.example.com", &format!("/{number}"));
        *request.method_mut() = format!("M{number}").parse().unwrap();
        client.send(request).await.unwrap();
    };
    for number in 0..10 {
        ask(number).await;
    }
    stage.access_lines(20).await;
    let before = series();
    for number in 10..2_000 {
        ask(number).await;
    }
    stage.access_lines(4_000).await;
    assert_eq!(series(), before);
}

#[tokio::test]
async fn refusals_tell_a_client_nothing() {
    let stage = Stage::new().await;
    let mut client = stage.plain().await;
    for (host, status) in [("unknown.example.com", 421), ("shop.example.com", 421)] {
        let answer = client.send(visit(host, "/")).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, "421 Misdirected Request\n"));
        let names: Vec<_> = answer
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .filter(|name| !["date", "connection"].contains(name))
            .collect();
        assert_eq!(names, ["cache-control", "content-type", "content-length"], "{:?}", answer.headers);
    }
    let lines = stage.access_lines(2).await;
    assert_eq!((&lines[0]["reason"], &lines[1]["reason"]), (&"host_unknown".into(), &"plain_connection".into()));
    assert_eq!(lines[1]["policy"], "origin-pull");
}

#[tokio::test]
async fn open_connections_are_counted_up_and_down() {
    let stage = Stage::new().await;
    let open = r#"pullgate_connections_open{listener="https"}"#;
    let (one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
    stage.metric_becomes(open, 2.0).await;
    drop((one, two));
    stage.metric_becomes(open, 0.0).await;
    drop(H1::plain(Some(stranger()), stage.at("https")).await);
    stage.metric_becomes(open, 0.0).await;
}
