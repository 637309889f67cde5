//! Hosts, routes and the operator's own header edits; and the policies, end to end.

use http::{HeaderValue, Request};
use http_body_util::Full;
use pullgate_tests::client::raw;
use pullgate_tests::stage::{Recipe, Stage, cloudflare, visit};

async fn open_stage(host: &str) -> Stage {
    let hosts =
        format!("hosts:\n  - name: open\n    hostnames: [open.example.com]\n    origin_pull: {{mode: off}}\n{host}");
    Stage::with(Recipe { hosts, ..plain_only() }).await
}

pub(crate) fn plain_only() -> Recipe {
    let listeners = "listeners:\n  - {name: http, address: '127.0.0.1:0', protocol: http}\n";
    Recipe { listeners: listeners.into(), ..Recipe::default() }
}

fn ask(method: &str, target: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = visit("open.example.com", target);
    *request.method_mut() = method.parse().unwrap();
    request
}

#[tokio::test]
async fn routes_by_path_and_method() {
    let stage = open_stage(
        "    routes:
      - {name: api, path: /api, methods: [GET, POST], upstream: shop, strip_prefix: true}
      - {name: status, path: =/api/status, respond: {status: 204}}
      - {name: gone, path: /gone, respond: {status: 410}}
      - {name: moved, path: /moved, respond: {status: 308, location: 'https://open.example.com/new'}}
      - {name: site, path: /site, upstream: shop}
",
    )
    .await;
    let mut client = stage.plain().await;
    let table = [
        ("GET", "/api/x?y=/api", 200),
        ("GET", "/api", 200),
        ("POST", "/api/state/x", 200),
        ("PUT", "/api/x", 405),
        ("PUT", "/api/status", 204),
        ("GET", "/gone/x", 410),
        ("GET", "/moved", 308),
        ("GET", "/site/a%2Fb", 200),
        ("GET", "/apix", 404),
        ("GET", "/", 404),
        ("GET", "/site/../gone", 400),
        ("GET", "/site/%2e%2e/gone", 400),
        ("GET", "//site", 400),
    ];
    for (method, target, status) in table {
        let answer = client.send(ask(method, target)).await.unwrap();
        assert_eq!(answer.status, status, "{method} {target}");
    }
    let targets: Vec<_> = stage.origin.ledger().iter().map(|entry| entry.target.clone()).collect();
    assert_eq!(targets, ["/x?y=/api", "/", "/state/x", "/site/a%2Fb"]);
    stage.metric_becomes(r#"pullgate_requests_total{code="405",host="open",method="PUT",route="none"}"#, 1.0).await;
    stage.metric_becomes(r#"pullgate_requests_total{code="204",host="open",method="PUT",route="status"}"#, 1.0).await;
}

/// The use of a plain listener: everything is sent to the same place over https, the host's guard stays where it is.
#[tokio::test]
async fn a_route_of_one_protocol_redirects_the_same_hostname() {
    let routes = "routes:
      - {name: to-https, protocol: http, respond: {status: 301, location: 'https://shop.example.com{request.target}'}}
      - {name: site, protocol: https, upstream: shop}
      - {name: guarded, path: /guarded, upstream: shop}";
    let hosts = Recipe::default().hosts.replacen("routes: [{name: all, upstream: shop}]", routes, 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let mut plain = stage.plain().await;
    for target in ["/", "/a%2Fb?c=d&e", "//evil.example/"] {
        let answer = plain.send(visit("shop.example.com", target)).await.unwrap();
        let location = format!("https://shop.example.com{target}");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (301, Some(location.as_str())));
    }
    assert_eq!(plain.send(visit("shop.example.com", "/guarded")).await.unwrap().status, 421);
    stage.assert_nothing_reached_the_origin();
    let mut secure = stage.h1("shop.example.com").await;
    assert_eq!(secure.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(secure.send(visit("shop.example.com", "/guarded")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_refused_method_is_told_which_are_taken() {
    let stage = open_stage(
        "    routes: [{name: all, upstream: shop}, {name: read, path: /read, methods: [GET, HEAD], upstream: shop}, {name: write, path: /read, methods: [POST], upstream: shop}]\n",
    )
    .await;
    let mut client = stage.plain().await;
    for (method, target, allow) in
        [("PUT", "/read", "GET, HEAD, POST"), ("TRACE", "/", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
    {
        let answer = client.send(ask(method, target)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allow)));
    }
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn absolute_form_targets_count_as_their_path() {
    let stage = open_stage("    routes: [{name: site, path: /site, upstream: shop}]\n").await;
    let ask = async |target: &str| {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: 203.0.113.7\r\nConnection: close\r\n\r\n"
        );
        String::from_utf8(raw(Some(cloudflare()), stage.at("http"), None, head.as_bytes()).await.unwrap()).unwrap()
    };
    assert!(ask("http://open.example.com/site?x").await.starts_with("HTTP/1.1 200 "));
    assert!(ask("http://open.example.com/other").await.starts_with("HTTP/1.1 404 "));
    assert!(ask("http://other.example.com/site").await.starts_with("HTTP/1.1 400 "));
    assert!(ask("*").await.starts_with("HTTP/1.1 400 "));
    let ledger = stage.origin.ledger();
    assert_eq!(
        (ledger.len(), ledger[0].target.as_str(), ledger[0].all("host")),
        (1, "/site?x", vec!["open.example.com"])
    );
}

#[tokio::test]
async fn the_operators_header_edits() {
    let stage = open_stage(
        "    headers: {set: {X-Real-IP: '{visitor.address}', X-Kept: 'a{b}c'}, remove: [Cookie, X-Gone]}
    response_headers: {set: {Strict-Transport-Security: max-age=63072000}, remove: [Server, X-Powered-By]}
    routes: [{name: all, upstream: shop}]
",
    )
    .await;
    let mut request = ask("GET", "/headers");
    for name in ["cookie", "x-gone", "x-real-ip", "x-kept"] {
        request.headers_mut().insert(name, HeaderValue::from_static("client"));
    }
    let answer = stage.plain().await.send(request).await.unwrap();
    assert_eq!(
        (answer.header("server"), answer.header("x-powered-by"), answer.header("x-kept")),
        (None, None, Some("yes"))
    );
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000"));
    let seen = &stage.origin.ledger()[0];
    assert_eq!((seen.all("x-real-ip"), seen.all("x-kept")), (vec!["203.0.113.7"], vec!["a{b}c"]));
    assert_eq!((seen.all("cookie").len(), seen.all("x-gone").len()), (0, 0));
}

#[tokio::test]
async fn policies_enforce_and_observe_in_order() {
    let stage = open_stage(
        "    policies:
      - {kind: client-networks, name: watched-networks, mode: observe, allow: [198.51.100.0/24]}
      - {kind: workers, zones: [example.com]}
    routes:
      - {name: all, upstream: shop}
      - {name: staff, path: /staff, upstream: shop, policies: [{kind: client-networks, allow: [203.0.113.0/24], deny: [203.0.113.66/32]}]}
",
    )
    .await;
    let table = [
        ("/", "203.0.113.7", None, 200),
        ("/", "203.0.113.7", Some("example.com"), 200),
        ("/", "203.0.113.7", Some("EXAMPLE.com"), 200),
        ("/", "203.0.113.7", Some("evil.example"), 403),
        ("/", "203.0.113.7", Some("example.com, evil.example"), 403),
        ("/staff", "203.0.113.7", None, 200),
        ("/staff/x", "203.0.113.66", None, 403),
        ("/staff", "198.51.100.7", None, 403),
        ("/x/../staff", "198.51.100.7", None, 400),
        ("/%73taff", "198.51.100.7", None, 400),
        ("/", "198.51.100.7", None, 200),
    ];
    let mut client = stage.plain().await;
    for (target, visitor, worker, status) in table {
        let mut request = ask("GET", target);
        request.headers_mut().insert("cf-connecting-ip", visitor.parse().unwrap());
        if let Some(worker) = worker {
            request.headers_mut().insert("cf-worker", worker.parse().unwrap());
        }
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.status, status, "{target} {visitor} {worker:?}");
        if status == 403 {
            assert_eq!(answer.text(), "403 Forbidden\n");
        }
    }
    let counted = |policy: &str, decision: &str, reason: &str| {
        stage.metric(&format!(
            r#"pullgate_policy_decisions_total{{decision="{decision}",host="open",policy="{policy}",reason="{reason}"}}"#
        ))
    };
    stage.access_lines(table.len()).await;
    assert_eq!(counted("watched-networks", "would_refuse", "network_unlisted"), 7.0);
    assert_eq!(counted("watched-networks", "permit", ""), 2.0);
    assert_eq!(counted("workers", "refuse", "worker_unlisted"), 1.0);
    assert_eq!(counted("workers", "refuse", "worker_malformed"), 1.0);
    assert_eq!(counted("workers", "permit", ""), 7.0);
    assert_eq!(counted("client-networks", "refuse", "network_denied"), 1.0);
    assert_eq!(counted("client-networks", "refuse", "network_unlisted"), 1.0);
    assert_eq!(counted("client-networks", "permit", ""), 1.0);
    assert_eq!(counted("gate", "refuse", "target_ambiguous"), 2.0);
    assert_eq!(stage.origin.ledger().len(), 5);
}
