//! What the upstream hears of the visitor: features, `Forwarded`, addresses, and that no identity outlives its request.

mod addresses;
mod disagreements;
mod documentation;
mod streams;

use crate::headers::{Ask, ask_both, with};
use http::Method;
use pullgate_tests::client::H1;
use pullgate_tests::origin::Entry;
use pullgate_tests::stage::{Recipe, Stage, VISITOR, cloudflare, stranger, visit};

const SHOP: &str = "shop.example.com";

/// The usual stage, whose host `shop` has these keys under `visitor`.
fn declaring(keys: &str) -> Recipe {
    let hosts = Recipe::default().hosts.replacen("    routes:", &format!("    visitor: {{{keys}}}\n    routes:"), 1);
    Recipe { hosts, ..Recipe::default() }
}

/// Each feature with headers as Cloudflare sends them.
const SENT: [(&str, &[(&str, &str)]); 6] = [
    ("access", &[("Cf-Access-Jwt-Assertion", "a.b.c"), ("Cf-Access-Authenticated-User-Email", "visitor@example.com")]),
    (
        "location",
        &[
            ("cf-ipcity", "K\u{f6}ln"),
            ("cf-ipcontinent", "EU"),
            ("cf-iplongitude", "6.95000"),
            ("cf-iplatitude", "50.93330"),
            ("cf-region", "\u{ce}le-de-France"),
            ("cf-region-code", "IDF"),
            ("cf-metro-code", "819"),
            ("cf-postal-code", "50667"),
            ("cf-timezone", "Europe/Berlin"),
        ],
    ),
    (
        "bot",
        &[
            ("cf-bot-score", "99"),
            ("cf-verified-bot", "false"),
            ("cf-ja3-hash", "e7d705a3286e19ea42f587b344ee6865"),
            ("cf-ja4", "t13d1516h2_8daaf6152771_b186095e22b6"),
        ],
    ),
    ("true-client-ip", &[("True-Client-IP", VISITOR)]),
    ("waf", &[("Exposed-Credential-Check", "4"), ("Malicious-Uploads-Detection", "1")]),
    ("early-data", &[("Early-Data", "1")]),
];

fn everything() -> Vec<(&'static str, &'static [u8])> {
    SENT.iter().flat_map(|(_, fields)| *fields).map(|(name, value)| (*name, value.as_bytes())).collect()
}

fn asking(fields: &[(&str, &[u8])]) -> Ask {
    with(visit(SHOP, "/seen"), fields)
}

/// The answers of `/seen` over both versions of HTTP: what reached the origin, byte by byte.
async fn seen_by_origin(stage: &Stage, request: &Ask) -> [Vec<u8>; 2] {
    ask_both(stage, request).await.map(|answer| {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200);
        answer.body.to_vec()
    })
}

fn holds(seen: &[u8], name: &str, value: &[u8]) -> bool {
    let line = [name.to_ascii_lowercase().as_bytes(), b": ", value].concat();
    seen.split(|byte| *byte == b'\n').filter(|given| **given == line).count() == 1
}

fn names(seen: &[u8], name: &str) -> bool {
    let start = format!("{}: ", name.to_ascii_lowercase());
    seen.split(|byte| *byte == b'\n').any(|line| line.starts_with(start.as_bytes()))
}

/// Of a proven connection too, the headers of a feature pass where it is declared, unchanged to the byte, and nowhere else.
#[tokio::test]
async fn headers_of_a_feature_pass_only_where_it_is_declared() {
    for declared in ["", "access", "location", "bot", "true-client-ip", "waf", "early-data"] {
        let stage = Stage::with(declaring(&format!("features: [{declared}]"))).await;
        for seen in seen_by_origin(&stage, &asking(&everything())).await {
            for (feature, fields) in SENT {
                for (name, value) in fields {
                    let text = String::from_utf8_lossy(&seen);
                    if feature == declared {
                        assert!(holds(&seen, name, value.as_bytes()), "{declared}: {name} of\n{text}");
                    } else {
                        assert!(!names(&seen, name), "{declared}: {name} in\n{text}");
                    }
                }
            }
        }
    }
}

const ALL: &str = "features: [access, location, bot, true-client-ip, waf, early-data]";

#[tokio::test]
async fn headers_of_features_pass_once_and_in_their_form() {
    let stage = Stage::with(declaring(ALL)).await;
    let (long, token) = ("a".repeat(513), "a".repeat(16 * 1024 + 1));
    let odd: [(&str, &[&[u8]]); 9] = [
        ("cf-ipcity", &[b"K\xf6ln"]),
        ("cf-region", &[b"Berlin", b"Berlin"]),
        ("cf-timezone", &[long.as_bytes()]),
        ("cf-access-jwt-assertion", &[token.as_bytes()]),
        ("cf-access-client-secret", &[b"secret"]),
        ("cf-bot-score", &[b"\xc3\xb6"]),
        ("true-client-ip", &[b"203.0.113.7, 6.6.6.6"]),
        ("cf_ipcity", &[b"Berlin"]),
        ("malicious_uploads_detection", &[b"1"]),
    ];
    let fields: Vec<_> = odd.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, *value))).collect();
    for seen in seen_by_origin(&stage, &asking(&fields)).await {
        for (name, _) in odd {
            assert!(!names(&seen, name), "{name} in\n{}", String::from_utf8_lossy(&seen));
        }
    }
}

/// What Cloudflare sends, from nobody who could be Cloudflare.
#[tokio::test]
async fn a7_whatever_is_declared_nothing_passes_from_a_stranger() {
    let listeners = "listeners:\n  - {name: https, address: '127.0.0.1:0', sources: any}\n  - {name: http, address: '127.0.0.1:0', protocol: http, sources: any}\n";
    let hosts = Recipe::default().hosts.replace(
        "    origin_pull: {mode: off}\n",
        &format!("    origin_pull: {{mode: off}}\n    visitor: {{{ALL}, forwarded: true}}\n"),
    );
    let stage = Stage::with(Recipe { listeners: listeners.into(), hosts, ..Recipe::default() }).await;
    let usual: [(&str, &[u8]); 20] = [
        ("CF-Connecting-IP", b"6.6.6.6"),
        ("CF-Connecting-IPv6", b"2001:db8::6"),
        ("CF-Pseudo-IPv4", b"240.6.6.6"),
        ("CF-IPCountry", b"DE"),
        ("CF-Ray", b"8c1f0a2b3c4d5e6f-FRA"),
        ("CF-Visitor", br#"{"scheme":"https"}"#),
        ("CF-Worker", b"example.com"),
        ("CF-EW-Via", b"15"),
        ("cf-connecting-o2o", b"1"),
        ("CDN-Loop", b"cloudflare; loops=1"),
        ("X-Forwarded-For", b"6.6.6.6"),
        ("X-Forwarded-Proto", b"https"),
        ("X-Forwarded-Host", b"evil.example"),
        ("X-Forwarded-Port", b"666"),
        ("Forwarded", b"for=6.6.6.6"),
        ("X-Real-IP", b"6.6.6.6"),
        ("X-Client-Cert", b"evil"),
        ("X-SSL-Client-Verify", b"SUCCESS"),
        ("Via", b"1.1 evil"),
        ("Cf-Access-Made-Up", b"evil"),
    ];
    let mut client = H1::plain(Some(stranger()), stage.at("http")).await.unwrap();
    let request = with(pullgate_tests::client::get("open.example.com", "/"), &[&usual[..], &everything()].concat());
    assert_eq!(client.send(request).await.unwrap().status, 200);
    let seen = &stage.origin.ledger()[0];
    let own = [
        ("x-forwarded-for", "127.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "open.example.com"),
        ("forwarded", "for=127.0.2.1;proto=http;host=open.example.com"),
    ];
    for (name, _) in usual.iter().chain(&everything()) {
        let name = name.to_ascii_lowercase();
        let expected: Vec<_> = own.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value).collect();
        assert_eq!(seen.all(&name), expected, "{name}");
    }
}

/// RFC 8470: the application is told that a request may be a replay, whatever its method, and answers 425 where that matters to it.
#[tokio::test]
async fn early_data_reaches_the_application_with_its_feature_alone() {
    let asking = |method: Method, value: &'static [u8]| {
        let mut request = with(visit(SHOP, "/status/425"), &[("Early-Data", value)]);
        *request.method_mut() = method;
        request
    };
    let stage = Stage::with(declaring("features: [early-data]")).await;
    let plain = Stage::new().await;
    for method in [Method::GET, Method::POST] {
        for value in [&b"1"[..], b"0"] {
            for answer in ask_both(&stage, &asking(method.clone(), value)).await {
                assert_eq!(answer.unwrap().status, 425);
            }
        }
        for answer in ask_both(&plain, &asking(method, b"1")).await {
            assert_eq!(answer.unwrap().status, 425);
        }
    }
    let told = |seen: Vec<Entry>| seen.iter().map(|entry| entry.all("early-data").join("|")).collect::<Vec<_>>();
    assert_eq!(told(stage.origin.ledger()), ["1"; 8]);
    assert_eq!(told(plain.origin.ledger()), [""; 4]);
}

#[tokio::test]
async fn forwarded_is_set_anew_where_it_is_asked_for_and_removed_where_not() {
    let stage = Stage::with(declaring("forwarded: true")).await;
    let claim: [(&str, &[u8]); 2] = [("Forwarded", b"for=6.6.6.6"), ("Forwarded", b"for=7.7.7.7;by=evil")];
    let from = |visitor: &str, authority: &str| {
        let mut request = with(visit(authority, "/"), &claim);
        request.headers_mut().insert("cf-connecting-ip", visitor.parse().unwrap());
        request
    };
    let table = [
        (from(VISITOR, SHOP), "for=203.0.113.7;proto=https;host=shop.example.com"),
        (from("2001:DB8:0::17", SHOP), r#"for="[2001:db8::17]";proto=https;host=shop.example.com"#),
        (from(VISITOR, "SHOP.example.com:8443"), r#"for=203.0.113.7;proto=https;host="shop.example.com:8443""#),
    ];
    for (request, expected) in table {
        for answer in ask_both(&stage, &request).await {
            assert_eq!(answer.unwrap().status, 200);
        }
        let ledger = stage.origin.ledger();
        for seen in &ledger[ledger.len() - 2..] {
            assert_eq!(seen.all("forwarded"), [expected]);
        }
    }
    let mut twin = stage.h1("twin.example.com").await;
    assert_eq!(twin.send(with(visit("twin.example.com", "/"), &claim)).await.unwrap().status, 200);
    assert_eq!(stage.origin.ledger().last().unwrap().all("forwarded").len(), 0);
}
