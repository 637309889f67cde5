//! Whose address the visitor's is: behind Pseudo IPv4, a Worker, a tunnel, Spectrum.

use super::*;
use pullgate_tests::client::connect;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// "Overwrite Headers" at Cloudflare: address and chain carry one of class E, and the visitor's own stands beside it.
#[tokio::test]
async fn behind_pseudo_ipv4_the_visitor_is_the_ipv6_address_for_policies_log_and_upstream() {
    let policy = "    policies: [{kind: client-networks, allow: ['2001:db8::/32', 203.0.113.0/24]}]\n    routes:";
    let hosts = Recipe::default().hosts.replacen("    routes:", policy, 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let from = |address: &str, beside: &[&str]| {
        let mut request = visit(SHOP, "/");
        request.headers_mut().insert("cf-connecting-ip", address.parse().unwrap());
        request.headers_mut().insert("cf-pseudo-ipv4", "240.99.99.99".parse().unwrap());
        for address in beside {
            request.headers_mut().append("cf-connecting-ipv6", address.parse().unwrap());
        }
        request
    };
    // The visitor's address as the policy and the log have it, and whether the upstream hears of it.
    let table: [(&str, &[&str], &str, bool); 5] = [
        ("240.16.0.1", &["2001:db8::7"], "2001:db8::7", true),
        ("240.16.0.1", &[], "240.16.0.1", false),
        ("240.16.0.1", &["2001:db8::7", "2001:db8::8"], "240.16.0.1", false),
        // A visitor's own claim beside an address that is no pseudo one.
        ("198.51.100.7", &["2001:db8::7"], "198.51.100.7", false),
        (VISITOR, &["2001:db8::7"], VISITOR, true),
    ];
    let mut lines = 0;
    for (address, beside, expected, admitted) in table {
        let before = stage.origin.ledger().len();
        for answer in ask_both(&stage, &from(address, beside)).await {
            assert_eq!(answer.unwrap().status, if admitted { 200 } else { 403 }, "{address} {beside:?}");
        }
        lines += 2;
        for line in &stage.access_lines(lines).await[lines - 2..] {
            assert_eq!(line["client.address"], expected, "{address} {beside:?}");
        }
        for seen in &stage.origin.ledger()[before..] {
            assert_eq!((seen.all("x-forwarded-for"), seen.all("cf-connecting-ip")), (vec![expected], vec![expected]));
            let own: &[&str] = if expected.contains(':') { &[expected] } else { &[] };
            assert_eq!(seen.all("cf-connecting-ipv6"), own);
            assert_eq!(seen.all("cf-pseudo-ipv4"), ["240.99.99.99"]);
        }
    }
}

/// Every Worker of other zones comes with one address; which zone's it is, CF-Worker says.
#[tokio::test]
async fn a_worker_of_another_zone_is_known_by_its_zone_and_not_by_its_address() {
    let policy = "    policies: [{kind: workers, zones: [example.com]}]\n    routes:";
    let hosts = Recipe::default().hosts.replacen("    routes:", policy, 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let across = "2a06:98c0:3600::103";
    let from = |zone: &'static str| {
        let mut request = with(visit(SHOP, "/"), &[("CF-Worker", zone.as_bytes()), ("CF-EW-Via", b"15")]);
        request.headers_mut().insert("cf-connecting-ip", across.parse().unwrap());
        request
    };
    for answer in ask_both(&stage, &from("evil.example")).await {
        assert_eq!(answer.unwrap().status, 403);
    }
    stage.assert_nothing_reached_the_origin();
    for answer in ask_both(&stage, &from("example.com")).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert_eq!((seen.all("x-forwarded-for"), seen.all("cf-worker")), (vec![across], vec!["example.com"]));
        assert_eq!(seen.all("cf-ew-via"), ["15"]);
    }
}

/// A Worker of the zone itself may choose the address (it sets X-Real-IP, and Cloudflare follows). It is believed: it acts for the zone.
#[tokio::test]
async fn a_worker_of_the_zone_chooses_the_address_and_the_log_says_that_it_was_one() {
    let stage = Stage::new().await;
    let mut request = with(
        visit(SHOP, "/"),
        &[("CF-Worker", b"example.com"), ("X-Real-IP", b"192.0.2.1"), ("X-Forwarded-For", b"203.0.113.7")],
    );
    request.headers_mut().insert("cf-connecting-ip", "192.0.2.1".parse().unwrap());
    for answer in ask_both(&stage, &request).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    for seen in stage.origin.ledger() {
        assert_eq!((seen.all("x-forwarded-for"), seen.all("x-real-ip").len()), (vec!["192.0.2.1"], 0));
    }
    for line in stage.access_lines(2).await {
        assert_eq!((&line["client.address"], &line["cf.worker"]), (&"192.0.2.1".into(), &"example.com".into()));
        // What the Worker did not choose as well gives it away.
        assert_eq!(line["disagreements"], serde_json::json!(["address"]));
    }
}

/// cloudflared on the same machine: its address is listed, so that what it says of visitors is believed, and nobody else connects.
#[tokio::test]
async fn a_tunnel_is_a_source_that_is_listed_by_its_address() {
    let listeners = "listeners:
  - {name: tunnel, kernel_filter: off, address: '127.0.0.1:0', protocol: http, sources: [127.0.0.1/32]}
";
    let stage =
        Stage::with(Recipe { listeners: listeners.into(), hosts: crate::admission::open_host(), ..Recipe::default() })
            .await;
    let request =
        with(visit("open.example.com", "/"), &[("CF-Visitor", br#"{"scheme":"https"}"#), ("Cf-Warp-Tag-Id", b"tag")]);
    let local = IpAddr::from([127, 0, 0, 1]);
    let mut tunnel = H1::plain(Some(local), stage.at("tunnel")).await.unwrap();
    assert_eq!(tunnel.send(request.clone()).await.unwrap().status, 200);
    let seen = &stage.origin.ledger()[0];
    assert_eq!((seen.all("x-forwarded-for"), seen.all("cf-connecting-ip")), (vec![VISITOR], vec![VISITOR]));
    // The connection is plain, and the visitor's was not.
    assert_eq!((seen.all("x-forwarded-proto"), seen.all("cf-warp-tag-id")), (vec!["https"], vec!["tag"]));
    assert_eq!(stage.access_lines(1).await[0]["trust"], "network");
    for other in [cloudflare(), stranger()] {
        let refused = async { H1::plain(Some(other), stage.at("tunnel")).await?.send(request.clone()).await }.await;
        assert!(refused.is_err(), "{other}: {refused:?}");
    }
    assert_eq!(stage.origin.ledger().len(), 1);
}

/// Spectrum passes TCP on and announces the visitor itself: there is no edge behind the header that could speak for anybody else.
#[tokio::test]
async fn behind_spectrum_the_visitor_is_who_is_announced_and_speaks_for_nobody() {
    let listeners = "listeners:
  - {name: http, kernel_filter: off, address: '127.0.0.1:0', protocol: http, sources: any, proxy_protocol: {from: [127.0.1.0/24]}}
";
    let stage =
        Stage::with(Recipe { listeners: listeners.into(), hosts: crate::admission::open_host(), ..Recipe::default() })
            .await;
    let head = "GET / HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: 6.6.6.6\r\nCF-IPCountry: DE\r\nConnection: close\r\n\r\n";
    for (visitor, family, to) in [("198.51.100.9", "TCP4", "127.0.0.1"), ("2001:db8::9", "TCP6", "::1")] {
        let mut stream = connect(Some(cloudflare()), stage.at("http")).await.unwrap();
        let announced = format!("PROXY {family} {visitor} {to} 40000 443\r\n{head}");
        stream.write_all(announced.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        let ledger = stage.origin.ledger();
        let seen = ledger.last().unwrap();
        assert_eq!(seen.all("x-forwarded-for"), [visitor]);
        assert!(!seen.headers.iter().any(|(name, _)| name.starts_with("cf-")), "{seen:#?}");
        let line = stage.access_lines(ledger.len()).await.pop().unwrap();
        assert_eq!((&line["client.address"], &line["balancer.address"]), (&visitor.into(), &"127.0.1.1".into()));
    }
}
