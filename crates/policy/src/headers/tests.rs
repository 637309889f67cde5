//! Tables for header hygiene, and its laws.

mod laws;

use super::*;
use crate::facts::Source;
use crate::features::Feature;
use crate::hosts::Host;
use crate::testing::{Arrival, PEER, VISITOR, open_host, rules, shop, values};
use crate::visitor::Visitor;

const OWNED_SPELLINGS: &str = "\
    CF-Connecting-IP cf-connecting-ip cf_connecting_ip CF_Connecting_IP cf.connecting.ip \
    Cf-Connecting_Ip cf-connecting-ipv6 CF-Ray CF-Worker CF-Visitor CF-IPCountry Cf-Access-Jwt-Assertion \
    cf- cf_x Cf-Client-Cert-Sha256 cf-cert-verified X-Forwarded-For X-Forwarded_For x_forwarded_for \
    X-Forwarded X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port X-Forwarded-Anything X.Forwarded.For \
    X-Original-Forwarded-For x!forwarded~for True-Client-IP True_Client_IP X-Real-IP X.Real.IP \
    X-Client-IP X_Client_IP X-Cluster-Client-IP Forwarded FORWARDED Client-Cert Client-Cert-Chain \
    client_cert X-Client-Cert X-Client-Cert-Foo X-Client-CertFoo X-SSL-Client-Verify x_ssl_cipher \
    Proxy-Client-IP WL-Proxy-Client-IP wl_proxy_client_ip X-True-Client-IP X-Original-Host X-Host \
    CDN-Loop CDN_Loop Via Early-Data Exposed-Credential-Check Malicious-Uploads-Detection";

const FREE: &str = "\
    Cookie Set-Cookie Authorization Content-Type Content-Length Accept X-Requested-With X-Frame \
    X-Frame-Options Connection If-None-Match Cache-Control Host cf cfx-ray x-ss x-ssl x-forwarde \
    Viability via-x forwarded-x x-real-ip-x true-client-ips cdn-loops early-data-x User-Agent TE \
    Transfer-Encoding Expect Forward Client X-Client -cf-ray _x-real-ip 0";

#[test]
fn names_of_identity_are_owned_in_every_spelling() {
    for (names, expected) in [(OWNED_SPELLINGS, true), (FREE, false)] {
        for name in names.split_whitespace() {
            assert_eq!(is_owned(name), expected, "{name}");
            assert_eq!(is_owned(&name.to_ascii_lowercase()), expected, "{name}");
        }
    }
    assert!(!is_owned(""));
}

fn visitor(address: &str) -> Visitor {
    Visitor { address: address.parse().unwrap(), country: None }
}

#[test]
fn of_the_owned_fields_only_cloudflares_own_pass_and_only_once() {
    let long = "a".repeat(513);
    let table: [(&str, &[&[u8]], bool); 33] = [
        ("cf-ray", &[b"8f0d1c2b3a4e5f60-FRA"], true),
        ("cf-ray", &[], false),
        ("cf-ray", &[b"a", b"a"], false),
        ("cf-ray", &[b"\xff"], false),
        ("cf-ray", &[b"a\tb"], false),
        ("cf-ray", &[&long.as_bytes()[1..]], true),
        ("cf-ray", &[long.as_bytes()], false),
        ("cf_ray", &[b"a"], false),
        ("cf.worker", &[b"example.com"], false),
        ("cf-worker", &[b"example.com"], true),
        ("cf-ipcountry", &[b"DE"], true),
        ("cf-ipcountry", &[b"T1"], true),
        ("cf-ipcountry", &[b"de"], false),
        ("cf-ipcountry", &[b"DEU"], false),
        ("cf-ipcountry", &[b"--"], false),
        ("cf-visitor", &[br#"{"scheme":"https"}"#], true),
        ("cf-visitor", &[br#"{"scheme":"ftp"}"#], false),
        ("cdn-loop", &[b"cloudflare; loops=1"], true),
        // The visitor's, or a visitor's own.
        ("cf-connecting-ipv6", &[b"2001:DB8::7"], true),
        ("cf-connecting-ipv6", &[b"2001:db8::8"], false),
        ("cf-connecting-ipv6", &[b"2001:db8::7", b"2001:db8::7"], false),
        ("cf-pseudo-ipv4", &[b"240.16.0.1"], true),
        ("cf-pseudo-ipv4", &[b"203.0.113.7"], false),
        ("cf-pseudo-ipv4", &[b"240.16.0.1, 240.16.0.2"], false),
        // With features that nobody declared.
        ("early-data", &[b"1"], false),
        ("cf-ipcity", &[b"Berlin"], false),
        ("cf-bot-score", &[b"99"], false),
        ("cf-connecting-ip", &[b"203.0.113.7"], false),
        ("cf-access-jwt-assertion", &[b"a"], false),
        ("cf-made-up", &[b"a"], false),
        ("x-forwarded-for", &[b"203.0.113.7"], false),
        ("true-client-ip", &[b"203.0.113.7"], false),
        ("exposed-credential-check", &[b"1"], false),
    ];
    for (name, fields, expected) in table {
        assert_eq!(passing(name, fields, &[]), expected, "{name} {fields:?}");
    }
}

fn passing(name: &str, fields: &[&[u8]], features: &[Feature]) -> bool {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    for value in fields {
        headers.append(&name, HeaderValue::from_bytes(value).unwrap());
    }
    passes(&name, &headers, &visitor("2001:db8::7"), features.iter().copied().collect())
}

#[test]
fn headers_of_a_feature_pass_where_it_is_declared_and_look_like_it() {
    use Feature::{Access, Bot, Location, TrueClientIp, Waf};
    let (token, long) = ("a".repeat(16 * 1024), "\u{f6}".repeat(257));
    let table: [(Feature, &str, &[&[u8]], bool); 35] = [
        (Access, "cf-access-jwt-assertion", &[b"a.b.c"], true),
        (Access, "cf-access-jwt-assertion", &[token.as_bytes()], true),
        (Access, "cf-access-jwt-assertion", &[&[token.as_bytes(), b"a"].concat()], false),
        (Access, "cf-access-jwt-assertion", &[b"a.b.c", b"a.b.c"], false),
        (Access, "cf-access-jwt-assertion", &[b"\xc3\xb6"], false),
        (Access, "cf-access-authenticated-user-email", &[b"a@example.com"], true),
        // What clients show to the edge.
        (Access, "cf-access-client-id", &[b"a.access"], false),
        (Access, "cf-access-client-secret", &[b"a"], false),
        (Access, "cf-access-token", &[b"a.b.c"], false),
        (Access, "cf-access-made-up", &[b"a"], false),
        (Location, "cf-ipcity", &["K\u{f6}ln".as_bytes()], true),
        (Location, "cf-ipcity", &["\u{6771}\u{4eac}".as_bytes()], true),
        (Location, "cf-ipcity", &[b"K\xf6ln"], false),
        (Location, "cf-ipcity", &["a\u{85}b".as_bytes()], false),
        (Location, "cf-ipcity", &[b"a\tb"], false),
        (Location, "cf-ipcity", &[long.as_bytes()], false),
        (Location, "cf-ipcity", &[&long.as_bytes()[2..]], true),
        (Location, "cf-ipcity", &[b"Berlin", b"Berlin"], false),
        (Location, "cf-ipcontinent", &[b"EU"], true),
        (Location, "cf-iplongitude", &[b"-6.95"], true),
        (Location, "cf-iplatitude", &[b"50.93"], true),
        (Location, "cf-region", &["\u{ce}le-de-France".as_bytes()], true),
        (Location, "cf-region-code", &[b"IDF"], true),
        (Location, "cf-metro-code", &[b"819"], true),
        (Location, "cf-postal-code", &[b"50667"], true),
        (Location, "cf-timezone", &[b"Europe/Berlin"], true),
        (Bot, "cf-bot-score", &[b"99"], true),
        (Bot, "cf-verified-bot", &[b"true"], true),
        (Bot, "cf-ja3-hash", &[b"0123"], true),
        (Bot, "cf-ja4", &["\u{f6}".as_bytes()], false),
        (TrueClientIp, "true-client-ip", &[b"203.0.113.7"], true),
        (TrueClientIp, "true-client-ip", &[b"203.0.113.7, 6.6.6.6"], false),
        (Waf, "exposed-credential-check", &[b"1"], true),
        (Waf, "malicious-uploads-detection", &[b"1"], true),
        (Waf, "malicious_uploads_detection", &[b"1"], false),
    ];
    for (feature, name, fields, expected) in table {
        assert_eq!(passing(name, fields, &[feature]), expected, "{feature:?} {name} {fields:?}");
        let others: Vec<_> = Feature::ALL.into_iter().filter(|other| *other != feature).collect();
        assert!(!passing(name, fields, &others), "{name} without {feature:?}");
    }
    for sent in SENT {
        assert!(is_owned(sent.name), "{}", sent.name);
        assert_eq!(feature_of(&HeaderName::from_static(sent.name)), sent.feature);
    }
    assert_eq!(feature_of(&HeaderName::from_static("early-data")), Some(Feature::EarlyData));
    assert_eq!(feature_of(&HeaderName::from_static("cf-made-up")), None);
}

fn declaring(features: &[Feature], forwarded: bool) -> crate::decide::Rules {
    let features = features.iter().copied().collect();
    rules(vec![Host { visitor: VisitorRule { features, forwarded, ..VisitorRule::default() }, ..shop() }])
}

/// RFC 8470 section 5.1: once told, early data is not taken back, however it was told.
#[test]
fn early_data_is_told_with_its_feature_and_from_a_believed_peer() {
    let table: [(&[&str], &[&str]); 5] =
        [(&[], &[]), (&["1"], &["1"]), (&["0"], &["1"]), (&["1", "1"], &["1"]), (&["\u{f6}"], &["1"])];
    for (fields, expected) in table {
        for method in ["GET", "POST"] {
            let arrival = fields.iter().fold(Arrival::good(), |arrival, value| arrival.with("early-data", value));
            let arrival = arrival.asks(method, "/");
            let declared = arrival.forwarded(&declaring(&[Feature::EarlyData], false));
            assert_eq!(values(&declared, "early-data"), expected, "{fields:?}");
            let others: Vec<_> = Feature::ALL.into_iter().filter(|other| *other != Feature::EarlyData).collect();
            assert_eq!(values(&arrival.forwarded(&declaring(&others, false)), "early-data").len(), 0, "{fields:?}");
            let stranger = arrival.admitted_as(Source::Anybody);
            let told = stranger.forwarded(&declaring(&Feature::ALL, false));
            assert_eq!(values(&told, "early-data").len(), 0, "{fields:?}");
        }
    }
}

/// RFC 7239 sections 4 and 6, and its example of an IPv6 address.
#[test]
fn forwarded_says_one_hop_where_it_is_asked_for() {
    let arrival = |visitor: &str, host: &str| {
        let arrival = Arrival::good().without("cf-connecting-ip").with("cf-connecting-ip", visitor).to(host);
        arrival.with("forwarded", "for=6.6.6.6").with("forwarded", "for=7.7.7.7")
    };
    let shop = "shop.example.com";
    let table = [
        (arrival(VISITOR, shop), "for=203.0.113.7;proto=https;host=shop.example.com"),
        (arrival(VISITOR, shop).plain(), "for=203.0.113.7;proto=http;host=shop.example.com"),
        (
            arrival("2001:DB8:cafe::17", shop).with("x-forwarded-proto", "http"),
            r#"for="[2001:db8:cafe::17]";proto=http;host=shop.example.com"#,
        ),
        (arrival(VISITOR, "SHOP.example.com:8443"), r#"for=203.0.113.7;proto=https;host="shop.example.com:8443""#),
        (arrival(VISITOR, shop).admitted_as(Source::Anybody), "for=173.245.48.9;proto=https;host=shop.example.com"),
    ];
    for (arrival, expected) in table {
        assert_eq!(values(&arrival.forwarded(&declaring(&[], true)), "forwarded"), [expected]);
        assert_eq!(values(&arrival.forwarded(&declaring(&[], false)), "forwarded").len(), 0);
    }
    let bracketed = open_host("v6", &["[::1]"]);
    let visitor = VisitorRule { forwarded: true, ..VisitorRule::default() };
    let headers = arrival(VISITOR, "[::1]:80").forwarded(&rules(vec![Host { visitor, ..bracketed }]));
    assert_eq!(values(&headers, "forwarded"), [r#"for=203.0.113.7;proto=https;host="[::1]:80""#]);
}

/// The address that Pseudo IPv4 has overwritten is the visitor's in every field that says it, and no other field is believed beside it.
#[test]
fn the_upstream_hears_of_the_ipv6_address_behind_a_pseudo_one() {
    let rules = declaring(&[], true);
    let named = |address: &str| Arrival::good().without("cf-connecting-ip").with("cf-connecting-ip", address);
    let headers = named("240.16.0.1").with("cf-connecting-ipv6", "2001:db8::7").forwarded(&rules);
    for name in ["cf-connecting-ip", "cf-connecting-ipv6", "x-forwarded-for"] {
        assert_eq!(values(&headers, name), ["2001:db8::7"], "{name}");
    }
    assert_eq!(values(&headers, "forwarded"), [r#"for="[2001:db8::7]";proto=https;host=shop.example.com"#]);
    let headers = named(VISITOR).with("cf-connecting-ipv6", "2001:db8::7").forwarded(&rules);
    assert_eq!((values(&headers, "cf-connecting-ip"), values(&headers, "cf-connecting-ipv6")), (vec![VISITOR], vec![]));
    // Pseudo IPv4 that adds a header.
    let headers = named("2001:db8::7").with("cf-pseudo-ipv4", "240.16.0.1").forwarded(&rules);
    assert_eq!(
        (values(&headers, "x-forwarded-for"), values(&headers, "cf-pseudo-ipv4")),
        (vec!["2001:db8::7"], vec!["240.16.0.1"])
    );
}

#[test]
fn connection_names_no_field_that_decisions_depend_on() {
    let table: [(&[&str], bool); 30] = [
        (&[], true),
        (&[""], true),
        (&["close"], true),
        (&["keep-alive, Upgrade"], true),
        (&["TE", "X-Hop"], true),
        (&[",, close ,"], true),
        (&["x-request-id"], true),
        (&["cf"], true),
        (&["close, CF-Connecting-IP"], false),
        (&["cf_connecting_ip"], false),
        (&["close", "keep-alive,\tX-Forwarded-For"], false),
        (&["X_Forwarded_For"], false),
        (&["x-forwarded-host"], false),
        (&["Forwarded"], false),
        (&["X-Real-IP"], false),
        (&["True-Client-IP"], false),
        (&["Cf-Access-Jwt-Assertion"], false),
        (&["Client-Cert"], false),
        (&["cdn-loop"], false),
        (&["Host"], false),
        (&["AUTHORIZATION"], false),
        (&["Cookie"], false),
        (&["origin"], false),
        (&["Content-Type"], false),
        (&["content-length "], false),
        (&["close, \u{fe}"], false),
        (&["\"x\""], false),
        (&["a b"], false),
        (&["a,b,c,d,e,f,g,h"], true),
        (&["a,b,c,d", "e,f,g,h,i"], false),
    ];
    for (fields, expected) in table {
        let mut headers = HeaderMap::new();
        for value in fields {
            headers.append(CONNECTION, HeaderValue::from_str(value).unwrap());
        }
        let expected = if expected { Ok(()) } else { Err(Reason::HopByHopIdentity) };
        assert_eq!(check_connection(&headers, &SecretNames::default()), expected, "{fields:?}");
    }
    let headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_bytes(b"close, \xff").unwrap())]);
    assert_eq!(check_connection(&headers, &SecretNames::default()), Err(Reason::HopByHopIdentity));
}

#[test]
fn a_request_with_too_many_hops_behind_it_is_stopped() {
    let (sixteen, seventeen) = (["1.1 a"; 16].join(", "), ["1.1 a"; 17].join(","));
    let table: [(&[&str], bool); 9] = [
        (&["1.1 shop"], true),
        (&[&sixteen], true),
        (&[&seventeen], false),
        (&[&sixteen, "1.1 b"], false),
        (&["1.1 pullgate"], false),
        (&["1.0 fred, HTTP/2 PullGate (first)"], false),
        (&["1.0 fred", "1.1 pullgate"], false),
        (&["1.1 pullgate.example, pullgate"], true),
        (&[""], true),
    ];
    for (fields, expected) in table {
        let mut headers = HeaderMap::new();
        for value in fields {
            headers.append(VIA, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(check_loop(&headers), if expected { Ok(()) } else { Err(Reason::Loop) }, "{fields:?}");
    }
}

#[test]
fn a_request_does_not_go_round_in_circles() {
    let sixteen = ["cloudflare"; 16].join(",");
    let seventeen = ["cloudflare"; 17].join(", ");
    let table: [(&[&str], bool); 17] = [
        (&[], true),
        (&["cloudflare"], true),
        (&["cloudflare; loops=1", "fastly, akamai;v=1.0"], true),
        (&["cloudflare; loops=16"], true),
        (&["cloudflare; loops=17"], false),
        (&["cloudflare; subreqs=17"], true),
        (&["cloudflare; loops=9, cloudflare;loops=7"], true),
        (&["cloudflare; loops=9", "cloudflare; loops=8"], false),
        (&["cloudflare; loops=4294967295, a"], false),
        (&["cloudflare; loops=1; loops=17"], false),
        (&[&sixteen], true),
        (&[&seventeen], false),
        (&["pullgate"], false),
        (&["PullGate; v=1"], false),
        (&["cloudflare; loops=1,pullgate"], false),
        (&["cloudflare", "pullgate"], false),
        (&["not-pullgate, pullgate.example"], true),
    ];
    for (fields, expected) in table {
        let mut headers = HeaderMap::new();
        for value in fields {
            headers.append("cdn-loop", HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(check_loop(&headers), if expected { Ok(()) } else { Err(Reason::Loop) }, "{fields:?}");
    }
}

/// What the upstream gets under one name, from a peer that is believed and from one that is not.
#[test]
fn identity_reaches_the_upstream_as_the_gateway_says_it() {
    let rules = rules(vec![shop()]);
    let scheme = |scheme: &str| format!(r#"{{"scheme":"{scheme}"}}"#);
    let (http, https) = (scheme("http"), scheme("https"));
    let (ray, long) = ("8f0d1c2b3a4e5f60-FRA", "a".repeat(600));
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let table: [(Fields<'_>, &str, &[&str], &[&str]); 28] = [
        (&[], "cf-connecting-ip", &[VISITOR], &[]),
        (&[], "x-forwarded-for", &[VISITOR], &[PEER]),
        (
            &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2, 3.3.3.3")],
            "x-forwarded-for",
            &[VISITOR],
            &[PEER],
        ),
        (&[("X_Forwarded_For", "1.1.1.1")], "x_forwarded_for", &[], &[]),
        (&[("x-forwarded-host", "evil.example")], "x-forwarded-host", &["shop.example.com"], &["shop.example.com"]),
        (&[("x-forwarded-port", "1")], "x-forwarded-port", &[], &[]),
        (&[("x-forwarded-proto", "http")], "x-forwarded-proto", &["http"], &["https"]),
        (&[("x-forwarded-proto", "gopher")], "x-forwarded-proto", &["https"], &["https"]),
        (&[("x-forwarded-proto", "http"), ("x-forwarded-proto", "http")], "x-forwarded-proto", &["https"], &["https"]),
        (&[("cf-visitor", &http)], "x-forwarded-proto", &["http"], &["https"]),
        (&[("cf-visitor", &https), ("x-forwarded-proto", "http")], "x-forwarded-proto", &["http"], &["https"]),
        (&[("cf-visitor", "{}")], "x-forwarded-proto", &["https"], &["https"]),
        (&[("cf-visitor", &http)], "cf-visitor", &[&http], &[]),
        (&[("cf-ray", ray)], "cf-ray", &[ray], &[]),
        (&[("cf-ray", ray), ("cf-ray", ray)], "cf-ray", &[], &[]),
        (&[("cf-ray", &long)], "cf-ray", &[], &[]),
        (&[("CF_Ray", ray)], "cf_ray", &[], &[]),
        (&[("cdn-loop", "cloudflare; loops=1")], "cdn-loop", &["cloudflare; loops=1"], &[]),
        (&[("cf-ipcountry", "DE")], "cf-ipcountry", &["DE"], &[]),
        (&[("cf-worker", "example.com")], "cf-worker", &["example.com"], &[]),
        (&[("cf-access-jwt-assertion", "a.b.c")], "cf-access-jwt-assertion", &[], &[]),
        (&[("true-client-ip", VISITOR)], "true-client-ip", &[], &[]),
        (&[("forwarded", "for=1.1.1.1")], "forwarded", &[], &[]),
        (&[("via", "1.1 shop")], "via", &[], &[]),
        (&[("client-cert", ":AA==:")], "client-cert", &[], &[]),
        (&[("x-ssl-client-verify", "SUCCESS")], "x-ssl-client-verify", &[], &[]),
        (
            &[("authorization", "Bearer a"), ("authorization", "b")],
            "authorization",
            &["Bearer a", "b"],
            &["Bearer a", "b"],
        ),
        (&[("x-request-id", "1")], "x-request-id", &["1"], &["1"]),
    ];
    for (fields, name, believed, unbelieved) in table {
        for (source, expected) in
            [(Source::Cloudflare, believed), (Source::Listed, believed), (Source::Anybody, unbelieved)]
        {
            let arrival = Arrival::good().admitted_as(source);
            let arrival = fields.iter().fold(arrival, |arrival, (name, value)| arrival.with(name, value));
            assert_eq!(values(&arrival.forwarded(&rules), name), expected, "{fields:?} {source:?}");
        }
    }
    let plain = Arrival::good().plain().forwarded(&rules);
    assert_eq!(values(&plain, "x-forwarded-proto"), ["http"]);
}

#[test]
fn cookie_crumbs_become_one_field() {
    let rules = rules(vec![shop()]);
    let hundred: Vec<_> = (0..100).map(|at| format!("c{at}={at}")).collect();
    for crumbs in [vec![], vec!["a=1".to_owned()], vec!["a=1".into(), "b=2; c=3".into()], hundred] {
        let arrival = crumbs.iter().fold(Arrival::good(), |arrival, crumb| arrival.with("cookie", crumb));
        let expected: Vec<_> = (!crumbs.is_empty()).then(|| crumbs.join("; ")).into_iter().collect();
        assert_eq!(values(&arrival.forwarded(&rules), "cookie"), expected);
    }
    let raw = Arrival::good().with("cookie", b"a=\xff").with("cookie", "b=1").forwarded(&rules);
    assert_eq!(raw.get(COOKIE).unwrap().as_bytes(), b"a=\xff; b=1");
}

#[test]
fn removals_come_first_and_a_replacement_leaves_one_line() {
    let name = HeaderName::from_static;
    let edits = HeaderEdits {
        remove: vec![name("a"), name("b"), name("absent")],
        set: vec![(name("b"), HeaderValue::from_static("2")), (name("c"), HeaderValue::from_static("3"))],
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("c", "y"), ("d", "x")] {
        headers.append(name, HeaderValue::from_static(value));
    }
    crate::testing::apply(&edits, &mut headers);
    let table: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["2"]), ("c", &["3"]), ("d", &["x"])];
    for (name, expected) in table {
        assert_eq!(values(&headers, name), expected, "{name}");
    }
}
