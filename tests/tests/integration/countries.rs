//! Policy `countries`: who passes by where Cloudflare says they are.

use crate::routing::plain_only;
use http::HeaderValue;
use pullgate_tests::client::H1;
use pullgate_tests::stage::{Recipe, Stage, cloudflare, stranger, visit};

/// One host for each way to list: `open` allows, `watched` allows and observes, `blog` denies, and so does a route of `twin`.
const HOSTS: &str = "hosts:
  - name: open
    hostnames: [open.example.com]
    origin_pull: {mode: off}
    policies: [{kind: countries, allow: [DE, NO]}]
    routes: [{name: all, upstream: shop}]
  - name: watched
    hostnames: [watched.example.com]
    origin_pull: {mode: off}
    policies: [{kind: countries, mode: observe, allow: [DE]}]
    routes: [{name: all, upstream: shop}]
  - name: blog
    hostnames: [blog.example.com]
    origin_pull: {mode: off}
    policies: [{kind: countries, name: no-tor, deny: [T1]}]
    routes: [{name: all, upstream: shop}]
  - name: twin
    hostnames: [twin.example.com]
    origin_pull: {mode: off}
    routes:
      - {name: all, upstream: shop}
      - {name: staff, path: /staff, upstream: shop, policies: [{kind: countries, deny: [XX]}]}
";

fn recipe() -> Recipe {
    Recipe { hosts: HOSTS.into(), ..plain_only() }
}

async fn status(client: &mut H1, host: &str, path: &str, countries: &[&'static str]) -> u16 {
    let mut request = visit(&format!("{host}.example.com"), path);
    for country in countries {
        request.headers_mut().append("cf-ipcountry", HeaderValue::from_static(country));
    }
    client.send(request).await.unwrap().status.as_u16()
}

fn decided(stage: &Stage, host: &str, policy: &str, decision: &str, reason: &str) -> f64 {
    stage.metric(&format!(
        r#"pullgate_policy_decisions_total{{decision="{decision}",host="{host}",policy="{policy}",reason="{reason}"}}"#
    ))
}

#[tokio::test]
async fn visitors_pass_by_country() {
    let stage = Stage::with(recipe()).await;
    let mut client = stage.plain().await;
    let table: [(&str, &str, &[&str], u16); 15] = [
        ("open", "/", &["DE"], 200),
        ("open", "/", &["NO"], 200),
        ("open", "/", &["FR"], 403),
        ("open", "/", &["XX"], 403),
        ("open", "/", &[], 403),
        ("open", "/", &["de"], 403),
        ("open", "/", &["DE", "DE"], 403),
        ("blog", "/", &["DE"], 200),
        ("blog", "/", &["T1"], 403),
        ("blog", "/", &[], 200),
        ("twin", "/", &["XX"], 200),
        ("twin", "/staff", &["DE"], 200),
        ("twin", "/staff", &["XX"], 403),
        ("twin", "/staff", &[], 403),
        ("watched", "/", &["FR"], 200),
    ];
    for (host, path, countries, expected) in table {
        assert_eq!(status(&mut client, host, path, countries).await, expected, "{host}{path} {countries:?}");
    }
    assert_eq!(stage.origin.ledger().len(), 7);
    let lines = stage.access_lines(table.len()).await;
    assert_eq!((&lines[2]["policy"], &lines[2]["reason"]), (&"countries".into(), &"country_unlisted".into()));
    assert_eq!(lines[14]["would_refuse"][0], "countries: country_unlisted");
    assert_eq!(decided(&stage, "open", "countries", "refuse", "country_unlisted"), 2.0);
    assert_eq!(decided(&stage, "open", "countries", "refuse", "country_unknown"), 3.0);
    assert_eq!(decided(&stage, "blog", "no-tor", "refuse", "country_denied"), 1.0);
    assert_eq!(decided(&stage, "twin", "countries", "refuse", "country_denied"), 1.0);
    assert_eq!(decided(&stage, "watched", "countries", "would_refuse", "country_unlisted"), 1.0);
}

/// Where anybody may connect, a stranger's word on a country is not taken: an `allow` lets no stranger in, and a `deny` keeps none out.
#[tokio::test]
async fn a_stranger_is_from_no_country() {
    let listeners = "listeners:\n  - {name: http, address: '127.0.0.1:0', protocol: http, sources: any}\n";
    let stage = Stage::with(Recipe { listeners: listeners.into(), ..recipe() }).await;
    for (from, host, country, expected) in [
        (stranger(), "open", "DE", 403),
        (cloudflare(), "open", "DE", 200),
        (stranger(), "twin", "DE", 403),
        (stranger(), "blog", "T1", 200),
    ] {
        let mut client = H1::plain(Some(from), stage.at("http")).await.unwrap();
        let mut request = visit(&format!("{host}.example.com"), "/staff");
        request.headers_mut().insert("cf-ipcountry", HeaderValue::from_static(country));
        assert_eq!(client.send(request).await.unwrap().status, expected, "{host} {country}");
    }
    let ledger = stage.origin.ledger();
    let told: Vec<_> = ledger.iter().map(|seen| (seen.header("host").unwrap(), seen.header("cf-ipcountry"))).collect();
    assert_eq!(told, [("open.example.com", Some("DE")), ("blog.example.com", None)]);
}
