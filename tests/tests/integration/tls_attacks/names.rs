//! Names: a connection for one host that asks for another, and names that are nobody's.

use super::{OPEN, SHOP, ask, openssl_get, saw_no_certificate, served};
use pullgate_tests::client::Tls;
use pullgate_tests::stage::{Props, Recipe, Stage, visit};

/// Both versions of HTTP, on a connection for `sni`; without one there is no name in the ClientHello.
async fn statuses(stage: &Stage, sni: Option<&str>, tls: Tls, hosts: &[&str]) -> [Vec<u16>; 2] {
    let tls = if sni.is_none() { tls.nameless() } else { tls };
    let sni = sni.unwrap_or(OPEN);
    let (mut one, two) = (stage.h1_as(sni, tls.clone()).await.unwrap(), stage.h2_as(sni, tls).await.unwrap());
    let mut statuses = [Vec::new(), Vec::new()];
    for host in hosts {
        statuses[0].push(one.send(visit(host, "/")).await.unwrap().status.as_u16());
        statuses[1].push(two.send(visit(host, "/")).await.unwrap().status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn c22_the_default_host_is_no_way_to_a_guarded_one() {
    let hosts = Recipe::default().hosts.replacen("- name: open\n", "- name: open\n    default: true\n", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let asked = [SHOP, OPEN, SHOP, "a.shop.example.com", "blog.example.com", OPEN];
    for tls in [stage.bare_tls(), stage.tls()] {
        let seen = statuses(&stage, None, tls, &asked).await;
        assert_eq!(seen, [const { &[421, 200, 421, 421, 421, 200] }; 2]);
    }
    assert!(stage.origin.ledger().iter().all(|entry| entry.header("host") == Some(OPEN)));
}

/// One certificate serves both names; what it covers says nothing about who may come.
#[tokio::test]
async fn c22_a_wildcard_host_is_no_way_to_a_guarded_name_within_it() {
    let host = |name: &str, hostname: &str, rule: &str| {
        format!(
            "  - name: {name}\n    hostnames: ['{hostname}']\n    certificate: {{chain: wide.pem, key: wide.key}}
    origin_pull: {{{rule}}}\n    routes: [{{name: all, upstream: shop}}]\n"
        )
    };
    let hosts = [
        "hosts:\n".to_owned(),
        host("wide", "*.wide.example.com", "mode: off"),
        host("inner", "inner.wide.example.com", "mode: require, trust: [zone-ca.pem]"),
        host("other", "other.wide.example.com", "mode: require, trust: [other-ca.pem]"),
    ];
    let props = Props::new();
    props.server_ca.leaf().dns(&["*.wide.example.com"]).issue().write(props.path(), "wide");
    let stage = Stage::set(props, Recipe { hosts: hosts.concat(), ..Recipe::default() }).await;
    let [any, inner, other] = ["any.wide.example.com", "inner.wide.example.com", "other.wide.example.com"];
    let seen = statuses(&stage, Some(any), stage.tls(), &[inner, any, inner, other, any]).await;
    assert_eq!(seen, [const { &[421, 200, 421, 421, 200] }; 2]);
    let seen = statuses(&stage, Some(inner), stage.tls(), &[other, inner, any, other, inner]).await;
    assert_eq!(seen, [const { &[421, 200, 200, 421, 200] }; 2]);
    assert!(ask(&stage, inner, stage.bare_tls(), inner).await.unwrap_err().alert().is_some());
}

/// A library would normalise these names or refuse to send them; openssl sends what it is told.
#[tokio::test]
async fn c23_names_that_are_nobodys_see_an_alert_and_no_certificate() {
    let stage = Stage::new().await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    let names = [
        "unknown.example.com",
        "",
        "127.0.0.1",
        "::1",
        "xn--shp-tna.example.com",
        "sh\u{f6}p.example.com",
        "shop.example.com..",
        ".shop.example.com",
        "*.shop.example.com",
        "shop_example.com",
        "shop.example.com:443",
        "shop.example.com/",
        "a.b.shop.example.com",
        "com",
        ".",
    ];
    for name in names {
        let output = openssl_get(&stage, name, SHOP, Some(&edge), &[]).await;
        assert!(saw_no_certificate(&output) && !served(&output), "{name:?}: {output:?}");
    }
    stage.assert_nothing_reached_the_origin();
    // The final dot of an absolute name says nothing.
    for name in [SHOP, "SHOP.example.COM", "a.shop.example.com", "shop.example.com."] {
        let output = openssl_get(&stage, name, SHOP, Some(&edge), &[]).await;
        assert!(served(&output), "{name:?}: {output:?}");
    }
}

/// A name in its ASCII form is a name like any other.
#[tokio::test]
async fn c23_a_punycode_name_is_found_in_any_case() {
    let hosts = Recipe::default().hosts.replacen("[twin.example.com]", "[xn--shp-tna.example.com]", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    for name in ["xn--shp-tna.example.com", "XN--SHP-TNA.example.com"] {
        assert!(served(&openssl_get(&stage, name, name, Some(&edge), &[]).await), "{name}");
        assert!(!served(&openssl_get(&stage, name, name, None, &[]).await), "{name}");
    }
}

/// RFC 6066 knows no address as a name: it is passed over, as if no name had come. Whoever sends one may see the default
/// host's certificate, and needs one of its own as anybody does.
#[tokio::test]
async fn c23_an_address_for_a_name_is_a_missing_one() {
    let hosts = Recipe::default().hosts.replacen("- name: shop\n", "- name: shop\n    default: true\n", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    for name in ["", "127.0.0.1", "::1"] {
        assert!(!served(&openssl_get(&stage, name, SHOP, None, &[]).await), "{name:?}");
        assert!(stage.origin.ledger().is_empty());
    }
    for name in ["", "127.0.0.1", "::1"] {
        assert!(served(&openssl_get(&stage, name, SHOP, Some(&edge), &[]).await), "{name:?}");
    }
    // What is neither a name nor an address is refused, default or not.
    for name in ["sh\u{f6}p.example.com", "shop.example.com..", "unknown.example.com"] {
        let output = openssl_get(&stage, name, SHOP, Some(&edge), &[]).await;
        assert!(saw_no_certificate(&output) && !served(&output), "{name:?}: {output:?}");
    }
}
