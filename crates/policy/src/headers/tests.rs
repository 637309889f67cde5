//! Tables for header hygiene, and its laws.

mod laws;

use super::*;
use crate::facts::Source;
use crate::testing::{Arrival, PEER, VISITOR, rules, shop, values};

const OWNED_SPELLINGS: &str = "\
    CF-Connecting-IP cf-connecting-ip cf_connecting_ip CF_Connecting_IP cf.connecting.ip \
    Cf-Connecting_Ip cf-connecting-ipv6 CF-Ray CF-Worker CF-Visitor CF-IPCountry Cf-Access-Jwt-Assertion \
    cf- cf_x Cf-Client-Cert-Sha256 cf-cert-verified X-Forwarded-For X-Forwarded_For x_forwarded_for \
    X-Forwarded X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port X-Forwarded-Anything X.Forwarded.For \
    X-Original-Forwarded-For x!forwarded~for True-Client-IP True_Client_IP X-Real-IP X.Real.IP \
    X-Client-IP X_Client_IP X-Cluster-Client-IP Forwarded FORWARDED Client-Cert Client-Cert-Chain \
    client_cert X-Client-Cert X-Client-Cert-Foo X-Client-CertFoo X-SSL-Client-Verify x_ssl_cipher \
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

#[test]
fn of_the_owned_fields_only_cloudflares_own_pass_and_only_once() {
    let long = "a".repeat(513);
    let table: [(&str, &[&[u8]], bool); 22] = [
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
        ("cf-ipcountry", &[b"DEU"], false),
        ("cf-ipcountry", &[b"--"], false),
        ("cf-visitor", &[br#"{"scheme":"https"}"#], true),
        ("cf-visitor", &[br#"{"scheme":"ftp"}"#], false),
        ("cdn-loop", &[b"cloudflare; loops=1"], true),
        ("early-data", &[b"1"], true),
        ("cf-connecting-ip", &[b"203.0.113.7"], false),
        ("cf-access-jwt-assertion", &[b"a"], false),
        ("cf-made-up", &[b"a"], false),
        ("x-forwarded-for", &[b"203.0.113.7"], false),
        ("true-client-ip", &[b"203.0.113.7"], false),
    ];
    for (name, fields, expected) in table {
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::new();
        for value in fields {
            headers.append(&name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(passes(&name, &headers), expected, "{name} {fields:?}");
    }
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
