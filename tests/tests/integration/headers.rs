//! Nothing that a client chose reaches the upstream under a name that the gateway owns.

use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use pullgate_tests::client::{Refused, Response, raw, streaming};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, cloudflare, stranger, visit};

pub(crate) type Ask = Request<Full<bytes::Bytes>>;

pub(crate) fn with(mut request: Ask, fields: &[(&str, &[u8])]) -> Ask {
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

fn bare(fields: &[(&str, &[u8])]) -> Ask {
    with(pullgate_tests::client::get("shop.example.com", "/"), fields)
}

/// The answers over HTTP/1.1 and HTTP/2, from Cloudflare with a good certificate.
pub(crate) async fn ask_both(stage: &Stage, request: &Ask) -> [Result<Response, Refused>; 2] {
    let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
    [one.send(request.clone()).await, two.send(request.clone()).await]
}

async fn refused_both(stage: &Stage, request: &Ask, status: u16, what: &str) {
    for answer in ask_both(stage, request).await {
        let answer = answer.unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        assert_eq!(answer.status, status, "{what}");
    }
    assert!(stage.origin.ledger().is_empty(), "{what}: {:#?}", stage.origin.ledger());
}

/// A 1, in the form of a listener that takes anybody: what a stranger says of visitors is removed.
#[tokio::test]
async fn a1_a_stranger_speaks_for_nobody() {
    let listeners = "listeners:\n  - {name: https, address: '127.0.0.1:0', sources: any}\n  - {name: http, address: '127.0.0.1:0', protocol: http, sources: any}\n";
    let stage = Stage::with(Recipe { listeners: listeners.into(), ..Recipe::default() }).await;
    let claims: [(&str, &[u8]); 4] = [
        ("CF-Connecting-IP", b"6.6.6.6"),
        ("X-Forwarded-For", b"6.6.6.6"),
        ("CF-Ray", b"8c1f0a2b3c4d5e6f-FRA"),
        ("CF-IPCountry", b"DE"),
    ];
    let mut client = pullgate_tests::client::H1::plain(Some(stranger()), stage.at("http")).await.unwrap();
    let request = with(pullgate_tests::client::get("open.example.com", "/"), &claims);
    assert_eq!(client.send(request).await.unwrap().status, 200);
    let seen = &stage.origin.ledger()[0];
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.2.1"]);
    assert!(!seen.headers.iter().any(|(name, _)| name.starts_with("cf-")), "{seen:#?}");

    // The zone's own certificate says who it is from any address.
    let tls = stage.tls().alpn(&["http/1.1"]).client_config();
    let mut proven =
        pullgate_tests::client::H1::tls(Some(stranger()), stage.at("https"), "shop.example.com", tls).await.unwrap();
    assert_eq!(proven.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(stage.origin.ledger()[1].all("x-forwarded-for"), [VISITOR]);
}

#[tokio::test]
async fn a2_a_missing_address_is_refused_or_taken_from_the_socket_and_never_from_x_forwarded_for() {
    let stage = Stage::new().await;
    refused_both(&stage, &bare(&[("X-Forwarded-For", b"6.6.6.6")]), 400, "refuse").await;

    let hosts = Recipe::default().hosts.replacen("    routes:", "    visitor: {missing: source}\n    routes:", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    for answer in ask_both(&stage, &bare(&[("X-Forwarded-For", b"6.6.6.6")])).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert_eq!(seen.all("x-forwarded-for"), ["127.0.1.1"]);
    }
}

#[tokio::test]
async fn a2_another_header_may_carry_the_address() {
    let hosts =
        Recipe::default().hosts.replacen("    routes:", "    visitor: {address_header: X-Visitor}\n    routes:", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    for answer in ask_both(&stage, &bare(&[("X-Visitor", b"198.51.100.9"), ("CF-Connecting-IP", b"6.6.6.6")])).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert_eq!(seen.all("x-forwarded-for"), ["198.51.100.9"]);
        assert_eq!(seen.all("cf-connecting-ip"), ["198.51.100.9"]);
    }
}

#[tokio::test]
async fn a3_anything_but_one_address_is_refused() {
    let stage = Stage::new().await;
    let long = [b'1'; 300];
    let values: [&[u8]; 10] = [
        b"1.2.3.4, 5.6.7.8",
        b"1.2.3.4:80",
        b"1.2.3.4%0a",
        b"",
        &long,
        b"010.1.1.1",
        b"fe80::1%eth0",
        b"[2001:db8::1]",
        b"unknown",
        b"\xff",
    ];
    for value in values {
        refused_both(&stage, &bare(&[("CF-Connecting-IP", value)]), 400, &format!("{value:?}")).await;
    }
    let twice = bare(&[("CF-Connecting-IP", b"1.2.3.4"), ("CF-Connecting-IP", b"1.2.3.4")]);
    refused_both(&stage, &twice, 400, "two lines").await;
    for answer in ask_both(&stage, &bare(&[("CF-Connecting-IP", b"::ffff:1.2.3.4")])).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert_eq!(seen.all("x-forwarded-for"), ["1.2.3.4"]);
        assert_eq!(seen.all("cf-connecting-ip"), ["1.2.3.4"]);
    }
}

/// The right value in one line makes none of another.
#[tokio::test]
async fn a4_a_second_line_goes_with_the_first() {
    let stage = Stage::new().await;
    let fields: [(&str, &[u8]); 6] = [
        ("X-Forwarded-For", VISITOR.as_bytes()),
        ("X-Forwarded-For", b"6.6.6.6"),
        ("X-Forwarded-Proto", b"https"),
        ("X-Forwarded-Proto", b"gopher"),
        ("X-Forwarded-Host", b"shop.example.com"),
        ("X-Forwarded-Host", b"evil.example.com"),
    ];
    for answer in ask_both(&stage, &with(visit("shop.example.com", "/"), &fields)).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    let ledger = stage.origin.ledger();
    assert_eq!(ledger.len(), 2);
    for seen in ledger {
        assert_eq!(seen.all("x-forwarded-for"), [VISITOR]);
        assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
        assert_eq!(seen.all("x-forwarded-host"), ["shop.example.com"]);
    }
}

#[tokio::test]
async fn a4_lookalikes_are_dropped() {
    let stage = Stage::new().await;
    let fields: [(&str, &[u8]); 6] = [
        ("CF_Connecting_IP", b"6.6.6.6"),
        ("Cf.Connecting.Ip", b"6.6.6.6"),
        ("X-Forwarded_For", b"6.6.6.6"),
        ("x_forwarded_for", b"6.6.6.6"),
        ("True_Client_IP", b"6.6.6.6"),
        ("X_Real-IP", b"6.6.6.6"),
    ];
    for answer in ask_both(&stage, &with(visit("shop.example.com", "/"), &fields)).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert!(!seen.headers.iter().any(|(_, value)| value.contains("6.6.6.6")), "{seen:#?}");
        assert_eq!(seen.all("x-forwarded-for"), [VISITOR]);
    }
    // A name with a space before its colon is no HTTP at all (RFC 9112 section 5.1).
    let head =
        b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nCF-Connecting-IP: 1.2.3.4\r\nCf-Connecting-Ip : 6.6.6.6\r\n\r\n";
    let tls = stage.tls().alpn(&["http/1.1"]).client_config();
    let answer = raw(Some(cloudflare()), stage.at("https"), Some(("shop.example.com", tls)), head).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(stage.origin.ledger().len(), 2);
}

#[tokio::test]
async fn a5_connection_removes_no_identity() {
    let stage = Stage::new().await;
    for nominated in [
        "CF-Connecting-IP",
        "x-forwarded-for",
        "Host",
        "Authorization",
        "Cf-Access-Jwt-Assertion",
        "X_Real_IP",
        "cookie",
    ] {
        let request = with(visit("shop.example.com", "/"), &[("Connection", format!("close, {nominated}").as_bytes())]);
        // HTTP/2 has no Connection field at all: its client cannot even send one.
        let answer = stage.h1("shop.example.com").await.send(request).await.unwrap();
        assert_eq!(answer.status, 400, "{nominated}");
    }
    stage.assert_nothing_reached_the_origin();
    let request = with(visit("shop.example.com", "/"), &[("Connection", b"close, X-Own"), ("X-Own", b"1")]);
    assert_eq!(stage.h1("shop.example.com").await.send(request).await.unwrap().status, 200);
    let seen = &stage.origin.ledger()[0];
    assert_eq!((seen.all("x-own").len(), seen.all("x-forwarded-for")), (0, vec![VISITOR]));
}

#[tokio::test]
async fn a6_trailers_bring_no_identity() {
    let stage = Stage::new().await;
    let chunked = format!(
        "POST /digest HTTP/1.1\r\nHost: shop.example.com\r\nCF-Connecting-IP: {VISITOR}\r\nTransfer-Encoding: chunked\r\nTrailer: CF-Connecting-IP\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nCF-Connecting-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    );
    let tls = stage.tls().alpn(&["http/1.1"]).client_config();
    let answer =
        raw(Some(cloudflare()), stage.at("https"), Some(("shop.example.com", tls)), chunked.as_bytes()).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));

    let client = stage.h2("shop.example.com").await;
    let (mut sender, body) = streaming();
    let mut request = http::Request::post("https://shop.example.com/digest").body(body).unwrap();
    request.headers_mut().insert("cf-connecting-ip", HeaderValue::from_static(VISITOR));
    let feed = async move {
        sender.send_data("hello".into()).await.unwrap();
        let trailers = [("cf-connecting-ip", "6.6.6.6"), ("x-forwarded-for", "6.6.6.6")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        sender.send_trailers(trailers.into_iter().collect()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.send_stream(request), feed);
    assert_eq!(answer.unwrap().status, 200);
    for seen in stage.origin.wait_until(|seen| seen.entries.len() == 2).await.entries {
        assert_eq!(seen.body_len, 5);
        assert!(!seen.headers.iter().any(|(_, value)| value.contains("6.6.6.6")), "{seen:#?}");
    }
}

/// A 7, from a peer that is believed: what Cloudflare sets passes, what it lets through from clients does not.
#[tokio::test]
async fn a7_spoofed_identity_is_removed_or_overwritten() {
    let stage = Stage::new().await;
    let spoofed: [(&str, &[u8]); 24] = [
        ("X-Forwarded-For", b"6.6.6.6, 203.0.113.7"),
        ("X-Forwarded-Host", b"evil.example"),
        ("X-Forwarded-Port", b"666"),
        ("X-Forwarded-Server", b"evil"),
        ("Forwarded", b"for=6.6.6.6"),
        ("X-Real-IP", b"6.6.6.6"),
        ("True-Client-IP", b"6.6.6.6"),
        ("X-Client-IP", b"6.6.6.6"),
        ("X-Cluster-Client-IP", b"6.6.6.6"),
        ("X-Client-Cert", b"evil"),
        ("X-Client-Cert-DN", b"evil"),
        ("X-SSL-Client-Verify", b"SUCCESS"),
        ("Client-Cert", b":evil:"),
        ("Cf-Access-Jwt-Assertion", b"evil"),
        ("Cf-Access-Authenticated-User-Email", b"evil@evil.example"),
        ("Cf-Cert-Verified", b"true"),
        ("Cf-Client-Cert-Sha256", b"evil"),
        ("Via", b"1.1 evil"),
        ("Client-IP", b"6.6.6.6"),
        ("Forwarded-For", b"6.6.6.6"),
        ("X-Remote-IP", b"6.6.6.6"),
        ("Ssl-Client-Verify", b"SUCCESS"),
        ("Remote-User", b"evil"),
        ("Proxy", b"http://evil.example"),
    ];
    let set: [(&str, &[u8]); 6] = [
        ("X-Forwarded-Proto", b"http"),
        ("CF-Visitor", br#"{"scheme":"http"}"#),
        ("CF-IPCountry", b"DE"),
        ("CF-Ray", b"8c1f0a2b3c4d5e6f-FRA"),
        ("CDN-Loop", b"cloudflare; loops=1"),
        ("CF-Worker", b"example.com"),
    ];
    let request = with(with(visit("shop.example.com", "/"), &spoofed), &set);
    for answer in ask_both(&stage, &request).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        for (name, _) in spoofed.iter().skip(2) {
            assert_eq!(seen.all(&name.to_ascii_lowercase()).len(), 0, "{name}: {seen:#?}");
        }
        assert!(
            !seen.headers.iter().any(|(_, value)| value.contains("6.6.6.6") || value.contains("evil")),
            "{seen:#?}"
        );
        assert_eq!(seen.all("x-forwarded-for"), [VISITOR]);
        assert_eq!(seen.all("x-forwarded-host"), ["shop.example.com"]);
        assert_eq!(seen.all("host"), ["shop.example.com"]);
        for (name, value) in set {
            assert_eq!(seen.all(&name.to_ascii_lowercase()), [std::str::from_utf8(value).unwrap()], "{name}");
        }
    }
}

#[tokio::test]
async fn a7_what_cloudflare_never_writes_does_not_pass_under_its_names() {
    let stage = Stage::new().await;
    let odd: [(&str, &[u8]); 6] = [
        ("CF-Visitor", br#"{"scheme":"gopher"}"#),
        ("CF-IPCountry", b"Germany"),
        ("CF-Ray", b"one"),
        ("CF-Ray", b"two"),
        ("X-Forwarded-Proto", b"gopher"),
        ("Early-Data", b"\xc3\xa9"),
    ];
    for answer in ask_both(&stage, &with(visit("shop.example.com", "/"), &odd)).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        for name in ["cf-visitor", "cf-ipcountry", "cf-ray", "early-data"] {
            assert_eq!(seen.all(name).len(), 0, "{name}: {seen:#?}");
        }
        assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    }
}

#[tokio::test]
async fn a8_a_request_that_goes_in_circles_is_stopped() {
    let stage = Stage::new().await;
    for looped in ["pullgate", "cloudflare; loops=1, Pullgate", "cloudflare; loops=17", &["cdn"; 17].join(",")] {
        let request = with(visit("shop.example.com", "/"), &[("CDN-Loop", looped.as_bytes())]);
        refused_both(&stage, &request, 508, looped).await;
    }
    for hops in ["1.1 pullgate", "1.1 a, 2 Pullgate (first)", &["1.1 a"; 17].join(", ")] {
        let request = with(visit("shop.example.com", "/"), &[("Via", hops.as_bytes())]);
        refused_both(&stage, &request, 508, hops).await;
    }
    let straight: [(&str, &[u8]); 2] = [("CDN-Loop", b"cloudflare; loops=2"), ("Via", b"1.1 a")];
    for answer in ask_both(&stage, &with(visit("shop.example.com", "/"), &straight)).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert_eq!((seen.all("cdn-loop"), seen.all("via").len()), (vec!["cloudflare; loops=2"], 0));
    }
}

/// A 9: HTTP/2 frames that an HTTP library does not make by itself.
#[tokio::test]
async fn a9_malformed_http2_requests_reach_nobody() {
    let stage = Stage::new().await;
    let lists: [(&str, &[(&str, &str)]); 16] = [
        ("NUL in a value", &[(":path", "/"), ("a", "b\0c")]),
        ("carriage return in a value", &[(":path", "/"), ("cookie", "a=b\rc")]),
        ("method twice", &[(":path", "/"), (":method", "POST")]),
        ("CONNECT beside GET", &[(":path", "/"), (":method", "CONNECT")]),
        ("no path", &[("a", "b")]),
        ("path with a space", &[(":path", "/a b")]),
        ("uppercase name", &[(":path", "/"), ("X-Upper", "1")]),
        ("colon in a name", &[(":path", "/"), ("a:b", "1")]),
        ("line feed in a value", &[(":path", "/"), ("a", "b\r\nc: d")]),
        ("connection", &[(":path", "/"), ("connection", "close")]),
        ("te", &[(":path", "/"), ("te", "gzip")]),
        ("transfer-encoding", &[(":path", "/"), ("transfer-encoding", "chunked")]),
        ("unknown pseudo header", &[(":path", "/"), (":extra", "1")]),
        ("pseudo header after a field", &[("a", "b"), (":path", "/")]),
        ("path twice", &[(":path", "/"), (":path", "/other")]),
        ("path without slash", &[(":path", "other")]),
    ];
    for (what, list) in lists {
        let (status, bytes) = crate::requests::raw_http2(&stage, list).await;
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{what}: {status:?} {bytes:?}");
    }
    let differing = [(":path", "/"), ("host", "twin.example.com")];
    let (status, _) = crate::requests::raw_http2(&stage, &differing).await;
    assert!(status.is_none_or(|status| status == 400), "{status:?}");
    stage.assert_nothing_reached_the_origin();
    // A fragment is cut off by the HTTP/2 library before anybody can look: what is judged and forwarded is what stands before it.
    let (status, _) = crate::requests::raw_http2(&stage, &[(":path", "/a#b"), ("fine", "1")]).await;
    assert_eq!((status, stage.origin.ledger()[0].target.as_str()), (Some(200), "/a"));
}

#[tokio::test]
async fn a10_cookie_crumbs_are_joined_once() {
    let stage = Stage::new().await;
    let crumbs: Vec<(&str, Vec<u8>)> =
        (0..100).map(|number| ("cookie", format!("c{number}={number}").into_bytes())).collect();
    let fields: Vec<(&str, &[u8])> = crumbs.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    for answer in ask_both(&stage, &with(visit("shop.example.com", "/"), &fields)).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    let joined = (0..100).map(|number| format!("c{number}={number}")).collect::<Vec<_>>().join("; ");
    for seen in stage.origin.ledger() {
        assert_eq!(seen.all("cookie"), [joined.as_str()]);
    }
    // A crumb with a line break would end the field of HTTP/1.1 that it is joined to.
    for smuggled in ["a=1\rX-Real-IP: 6.6.6.6", "a=1\r\nX-Real-IP: 6.6.6.6", "a=1\n"] {
        let crumbs = [(":path", "/"), ("cookie", "b=2"), ("cookie", smuggled)];
        let (status, bytes) = crate::requests::raw_http2(&stage, &crumbs).await;
        assert!(status.is_none_or(|status| status == 400), "{smuggled:?}: {status:?} {bytes:?}");
    }
    assert_eq!(stage.origin.ledger().len(), 2);
}
