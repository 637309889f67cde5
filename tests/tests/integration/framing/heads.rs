//! D 31 over HTTP/1.1: everything that Pingora lets through by default, row by row.

use super::{head, said, statuses};
use pullgate_tests::origin::sha256;
use pullgate_tests::stage::{Stage, VISITOR};

/// A row: what it is, the bytes, the statuses of the answers, the reason that the log gives.
type Row = (&'static str, String, &'static [u16], &'static str);

fn get(fields: &str) -> String {
    head("GET /", &format!("{fields}\r\n"))
}

fn without_host(hosts: &str) -> String {
    format!("GET / HTTP/1.1\r\n{hosts}CF-Connecting-IP: {VISITOR}\r\n\r\n")
}

fn post(fields: &str, body: &str) -> String {
    head("POST /digest", &format!("{fields}\r\n{body}"))
}

fn identity() -> Vec<Row> {
    vec![
        (
            "Connection names CF-Connecting-IP",
            get("Connection: close, CF-Connecting-IP\r\n"),
            &[400],
            "hop_by_hop_identity",
        ),
        (
            "two CF-Connecting-IP",
            get("Connection: close\r\nCF-Connecting-IP: 6.6.6.6\r\n"),
            &[400],
            "visitor_malformed",
        ),
    ]
}

fn hosts() -> Vec<Row> {
    let absolute = "GET http://other.example.com/ HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
    vec![
        ("no Host", without_host("Connection: close\r\n"), &[400], "host_missing"),
        ("an empty Host", without_host("Host:\r\nConnection: close\r\n"), &[400], "host_malformed"),
        (
            "Host with a path",
            without_host("Host: shop.example.com/\r\nConnection: close\r\n"),
            &[400],
            "host_malformed",
        ),
        (
            "Host with a list",
            without_host("Host: shop.example.com, b\r\nConnection: close\r\n"),
            &[400],
            "host_malformed",
        ),
        (
            "Host with a user",
            without_host("Host: a@shop.example.com\r\nConnection: close\r\n"),
            &[400],
            "head_malformed",
        ),
        ("two Hosts", without_host("Host: shop.example.com\r\nHost: shop.example.com\r\n"), &[400], "host_malformed"),
        ("an absolute form of another host", absolute.into(), &[400], "head_malformed"),
        ("an absolute form without TLS", absolute.replace("other", "shop"), &[400], "scheme_mismatched"),
    ]
}

fn lines() -> Vec<Row> {
    let large = format!("X: {}\r\n", "x".repeat(140_000));
    vec![
        ("bare line feeds", get("").replace("\r\n", "\n"), &[400], "head_malformed"),
        ("one bare line feed", get("A: b\nC: d\r\n"), &[400], "head_malformed"),
        ("a bare carriage return", get("A: b\rC: d\r\n"), &[400], "head_malformed"),
        ("an empty line first", format!("\r\n{}", get("")), &[400], "head_malformed"),
        ("NUL in the target", head("GET /\0test", "\r\n"), &[400], "head_malformed"),
        ("a space in the target", head("GET /a b", "\r\n"), &[400], "head_malformed"),
        ("a tab in the target", head("GET /a\tb", "\r\n"), &[400], "head_malformed"),
        ("a fragment in the target", head("GET /a#b", "\r\n"), &[400], "target_malformed"),
        ("an asterisk", head("GET *", "Connection: close\r\n\r\n"), &[400], "target_malformed"),
        ("OPTIONS of an asterisk", head("OPTIONS *", "Connection: close\r\n\r\n"), &[400], "target_malformed"),
        ("a folded field", get("A: b\r\n c\r\n"), &[400], "head_malformed"),
        ("a space before the colon", get("A : b\r\n"), &[400], "head_malformed"),
        ("a field without a name", get(": b\r\n"), &[400], "head_malformed"),
        ("NUL in a value", get("A: b\0c\r\n"), &[400], "head_malformed"),
        ("a control byte in a value", get("A: b\x01c\r\n"), &[400], "head_malformed"),
        ("a version that is none", get("").replace("HTTP/1.1", "HTTP/1.2"), &[400], "head_malformed"),
        ("HTTP/0.9", "GET /\r\n\r\n".into(), &[400], "head_malformed"),
        ("a head above the limit", get(&large), &[431], "head_too_large"),
        ("more fields than the limit", get(&"A: b\r\n".repeat(300)), &[431], "head_too_large"),
        ("TRACE", head("TRACE /", "Connection: close\r\n\r\n"), &[405], "method_unlisted"),
        (
            "CONNECT",
            "CONNECT shop.example.com:443 HTTP/1.1\r\nHost: shop.example.com:443\r\n\r\n".into(),
            &[405],
            "method_unlisted",
        ),
    ]
}

fn framing() -> Vec<Row> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let old = |fields: &str| post(fields, "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0");
    vec![
        (
            "a length and chunks",
            post(&format!("Content-Length: 5\r\n{chunked}"), "0\r\n\r\n"),
            &[400],
            "body_ambiguous",
        ),
        (
            "chunks and a length",
            post(&format!("{chunked}Content-Length: 5\r\n"), "0\r\n\r\n"),
            &[400],
            "body_ambiguous",
        ),
        ("a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), &[400], "body_ambiguous"),
        ("two lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), &[400], "body_ambiguous"),
        (
            "two lengths that differ",
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
            &[400],
            "body_ambiguous",
        ),
        ("a length with a sign", post("Content-Length: +5\r\n", "hello"), &[400], "body_ambiguous"),
        ("a length beyond all", post("Content-Length: 18446744073709551616\r\n", "hello"), &[400], "body_ambiguous"),
        ("a length for CGI", post("Connection: close\r\nContent_Length: 5\r\n", "hello"), &[400], "body_ambiguous"),
        ("an unknown coding", post("Transfer-Encoding: gzip\r\n", ""), &[400], "body_ambiguous"),
        ("chunks in HTTP/1.0", old(chunked), &[400], "body_ambiguous"),
        ("Expect in HTTP/1.0", old("Expect: 100-continue\r\n"), &[417], "expectation_unknown"),
        ("another expectation", get("Connection: close\r\nExpect: x\r\n"), &[417], "expectation_unknown"),
    ]
}

#[tokio::test]
async fn d31_what_no_head_of_http1_may_hold() {
    let stage = Stage::new().await;
    let rows = [identity(), hosts(), lines(), framing()].concat();
    for (count, (what, bytes, expected, reason)) in (1..).zip(rows) {
        let answer = said(&stage, bytes.as_bytes()).await;
        assert_eq!(statuses(&answer), expected, "{what}: {}", String::from_utf8_lossy(&answer));
        let line = stage.access_lines(count).await.pop().unwrap();
        assert_eq!((line["reason"].as_str(), line["decision"].as_str()), (Some(reason), Some("refuse")), "{what}");
        let series = format!(
            r#"pullgate_policy_decisions_total{{decision="refuse",host="none",policy="gate",reason="{reason}"}}"#
        );
        let counted = stage.metric(&series) + stage.metric(&series.replace(r#""none""#, r#""shop""#));
        assert!(counted >= 1.0, "{what}: {}", stage.gateway.metrics().render().unwrap());
    }
    stage.assert_nothing_reached_the_origin();
}

/// The rows of the same table that pass, each as it arrives.
#[tokio::test]
async fn d31_what_passes_arrives_as_it_was_judged() {
    let stage = Stage::new().await;
    let close = "Connection: close\r\n";
    assert_eq!(statuses(&said(&stage, get(&format!("{close}CF_Connecting_IP: 6.6.6.6\r\n")).as_bytes()).await), [200]);
    let entry = &stage.origin.ledger()[0];
    assert!(!entry.headers.iter().any(|(_, value)| value.contains("6.6.6.6")), "{entry:#?}");
    assert_eq!(entry.all("cf-connecting-ip"), [VISITOR]);

    // Cloudflare writes the names of cities as they are.
    assert_eq!(statuses(&said(&stage, get(&format!("{close}X-City: S\u{e3}o Paulo\r\n")).as_bytes()).await), [200]);
    assert_eq!(stage.origin.ledger()[1].all("x-city"), ["S\u{e3}o Paulo"]);

    // An absolute form of this host is its path.
    let absolute = format!(
        "GET https://shop.example.com/a?b HTTP/1.1\r\nHost: shop.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n{close}\r\n"
    );
    assert_eq!(statuses(&said(&stage, absolute.as_bytes()).await), [200]);
    assert_eq!(stage.origin.ledger()[2].target, "/a?b");

    let old = format!("GET /old HTTP/1.0\r\nHost: shop.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n\r\n");
    assert_eq!(statuses(&said(&stage, old.as_bytes()).await), [200]);
    assert_eq!(stage.origin.ledger().len(), 4);
}

/// A body of one chunk, whose size is written like this.
fn chunk(size: &str) -> String {
    format!("{size}\r\nhello\r\n0\r\n\r\n")
}

/// Pingora's parser takes more than RFC 9112 section 7.1 has, and frames the body anew: the origin sees none of it.
#[tokio::test]
async fn d31_chunks_that_are_loosely_written_arrive_framed_anew() {
    let stage = Stage::new().await;
    for (count, size) in (1..).zip(["5", "005", "5 ", "5;", "5;a", "5;a=b", "5;=", "5\t", "5 ; a = \"b\""]) {
        let bytes = post("Connection: close\r\nTransfer-Encoding: chunked\r\n", &chunk(size));
        let answer = said(&stage, bytes.as_bytes()).await;
        assert_eq!(super::answers_in(&answer), [(200, sha256(b"hello"))], "{size:?}");
        let entry = stage.origin.wait_for(count).await.pop().unwrap();
        assert_eq!((entry.body_len, entry.all("transfer-encoding")), (5, vec!["chunked"]), "{size:?}");
        assert_eq!(entry.all("content-length").len(), 0);
    }
    // No size is none: what stands behind it is lost with the connection.
    for (count, size) in (10..).zip(["", ";a"]) {
        let bytes = post("Connection: close\r\nTransfer-Encoding: chunked\r\n", &chunk(size));
        assert_eq!(super::answers_in(&said(&stage, bytes.as_bytes()).await), [(200, sha256(b""))], "{size:?}");
        assert_eq!(stage.origin.wait_for(count).await.pop().unwrap().body_len, 0, "{size:?}");
    }
    for size in ["x", "0x5", "+5", "-1", "5\0", "fffffffffffffffff", " 5", "5,5"] {
        let bytes = post("Connection: close\r\nTransfer-Encoding: chunked\r\n", &chunk(size));
        let answer = said(&stage, bytes.as_bytes()).await;
        let refused = answer.is_empty() || statuses(&answer)[0] == 400;
        assert!(refused, "{size:?}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(stage.origin.ledger().iter().filter(|entry| entry.body_complete).count(), 11);
}
