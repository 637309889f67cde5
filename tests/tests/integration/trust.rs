//! Trust is checked per request against the requested host, and plain listeners have none to show.

use pullgate_tests::client::{H1, H2, Refused, Response, Sessions, Tls};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, visit};
use rustls::AlertDescription;
use std::sync::Arc;
use std::time::Duration;

/// One connection over either version of HTTP.
enum Client {
    One(H1),
    Two(H2),
}

impl Client {
    async fn both(stage: &Stage, sni: &str, tls: &Tls) -> [Self; 2] {
        [
            Self::One(stage.h1_as(sni, tls.clone()).await.unwrap()),
            Self::Two(stage.h2_as(sni, tls.clone()).await.unwrap()),
        ]
    }

    async fn ask(&mut self, host: &str) -> Result<Response, Refused> {
        match self {
            Self::One(client) => client.send(visit(host, "/")).await,
            Self::Two(client) => client.send(visit(host, "/")).await,
        }
    }
}

#[tokio::test]
async fn sni_and_host_may_differ_where_the_proof_satisfies_the_host() {
    let stage = Stage::new().await;
    let table = [
        ("shop", "twin", 200, "the same trust"),
        ("twin", "shop", 200, "the same trust"),
        ("shop", "open", 200, "a host that asks for nothing"),
        ("shop", "watched", 200, "observe"),
        ("watched", "shop", 200, "verified while observing"),
        ("shop", "blog", 421, "another trust"),
        ("shop", "unknown", 421, "no such host"),
    ];
    for (sni, host, status, why) in table {
        for mut client in Client::both(&stage, &format!("{sni}.example.com"), &stage.tls()).await {
            // Before and after a good request alike.
            for _ in 0..2 {
                let answer = client.ask(&format!("{host}.example.com")).await.unwrap();
                assert_eq!(answer.status, status, "{sni} to {host}: {why}");
                assert_eq!(client.ask(&format!("{sni}.example.com")).await.unwrap().status, 200, "{sni} after {host}");
            }
        }
    }
    let hosts: Vec<_> = stage.origin.ledger().iter().map(|entry| entry.header("host").unwrap().to_owned()).collect();
    assert!(!hosts.iter().any(|host| host.starts_with("blog") || host.starts_with("unknown")), "{hosts:?}");
}

#[tokio::test]
async fn a_connection_without_proof_reaches_no_guarded_host() {
    let stage = Stage::new().await;
    for sni in ["open.example.com", "watched.example.com"] {
        for mut client in Client::both(&stage, sni, &stage.bare_tls()).await {
            for host in ["shop.example.com", "a.shop.example.com", "blog.example.com"] {
                let answer = client.ask(host).await.unwrap();
                assert_eq!(answer.status, 421, "{sni} to {host}");
                assert_eq!(answer.text(), "421 Misdirected Request\n");
            }
        }
    }
    stage.assert_nothing_reached_the_origin();
    for (host, requests) in [("shop", 8.0), ("blog", 4.0)] {
        let counted = format!(
            r#"pullgate_policy_decisions_total{{decision="refuse",host="{host}",policy="origin-pull",reason="not_presented"}}"#
        );
        stage.metric_becomes(&counted, requests).await;
    }
}

#[tokio::test]
async fn observe_lets_through_and_counts() {
    let stage = Stage::new().await;
    let strange = stage.bare_tls().presenting(&stage.props.other_ca.leaf().issue());
    for (reason, tls) in [("not_presented", stage.bare_tls()), ("unknown_issuer", strange)] {
        for mut client in Client::both(&stage, "watched.example.com", &tls).await {
            assert_eq!(client.ask("watched.example.com").await.unwrap().status, 200);
        }
        let verdict = format!(r#"pullgate_origin_pull_total{{host="watched",trust="network",verdict="{reason}"}}"#);
        stage.metric_becomes(&verdict, 2.0).await;
        let decision = format!(
            r#"pullgate_policy_decisions_total{{decision="would_refuse",host="watched",policy="origin-pull",reason="{reason}"}}"#
        );
        stage.metric_becomes(&decision, 2.0).await;
    }
    let lines = stage.access_lines(4).await;
    assert!(lines.iter().all(|line| line["decision"] == "would_refuse"), "{lines:#?}");
    assert_eq!(lines[0]["would_refuse"][0], "origin-pull: not_presented");
}

#[tokio::test]
async fn the_proof_is_told_to_the_upstream_where_asked() {
    let headers = "    headers: {set: {X-Trust: '{connection.trust}', X-Request: '{request.id}', X-Country: '{visitor.country}'}}\n";
    let hosts = Recipe::default().hosts.replace("    routes:", &format!("{headers}    routes:"));
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    stage.plain().await.send(visit("open.example.com", "/")).await.unwrap();
    let ledger = stage.origin.ledger();
    assert_eq!(ledger[0].all("x-trust"), ["account"]);
    assert_eq!(ledger[1].all("x-trust"), ["network"]);
    assert_eq!(ledger[1].all("x-country"), ["XX"]);
    let id = ledger[0].header("x-request").unwrap();
    assert_eq!(id.len(), 16);
    assert_eq!(stage.access_lines(2).await[0]["request_id"], id);
    assert_ne!(ledger[1].header("x-request").unwrap(), id);
}

#[tokio::test]
async fn a_plain_listener_shows_nothing_of_a_guarded_host_but_its_own_answers() {
    let routes = "routes: [{name: all, upstream: shop}, {name: moved, path: /moved, respond: {status: 301, location: 'https://shop.example.com/'}}]";
    let hosts = Recipe::default().hosts.replacen("routes: [{name: all, upstream: shop}]", routes, 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let mut client = stage.plain().await;
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
    let moved = client.send(visit("shop.example.com", "/moved/here")).await.unwrap();
    assert_eq!((moved.status.as_u16(), moved.header("location")), (301, Some("https://shop.example.com/")));
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    // Observe counts what require would refuse.
    assert_eq!(client.send(visit("watched.example.com", "/")).await.unwrap().status, 200);
    let counted = r#"pullgate_policy_decisions_total{decision="would_refuse",host="watched",policy="origin-pull",reason="plain_connection"}"#;
    stage.metric_becomes(counted, 1.0).await;
    let hosts: Vec<_> = stage.origin.ledger().iter().map(|entry| entry.header("host").unwrap().to_owned()).collect();
    assert_eq!(hosts, ["open.example.com", "watched.example.com"]);
}

#[tokio::test]
async fn a_listener_serves_the_hosts_it_names() {
    let listeners = "listeners:
  - {name: https, address: '127.0.0.1:0', hosts: [shop]}
  - {name: other, address: '127.0.0.1:0', hosts: [twin, blog, watched]}
  - {name: http, address: '127.0.0.1:0', protocol: http, hosts: [open]}
";
    let hosts = Recipe::default().hosts.replacen(
        "hostnames: [open.example.com]\n    certificate: {chain: server.pem, key: server.key}",
        "hostnames: [open.example.com]",
        1,
    );
    let stage = Stage::with(Recipe { listeners: listeners.into(), hosts, ..Recipe::default() }).await;
    for elsewhere in ["twin.example.com", "open.example.com"] {
        let refused = stage.h1_as(elsewhere, stage.tls()).await.unwrap_err();
        assert_eq!(refused.alert(), Some(AlertDescription::UnrecognisedName), "{elsewhere}: {refused:?}");
    }
    let mut client = stage.h1("shop.example.com").await;
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    for elsewhere in ["twin.example.com", "open.example.com"] {
        assert_eq!(client.send(visit(elsewhere, "/")).await.unwrap().status, 421, "{elsewhere}");
    }
    let mut plain = stage.plain().await;
    assert_eq!(plain.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(plain.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
}

/// A proof ends with its certificate, on the connection that showed it and in the session that remembers it.
#[tokio::test]
async fn a_proof_ends_with_its_certificate() {
    let stage = Stage::new().await;
    let soon = stage.props.zone_ca.leaf().validity(time::Duration::DAY * -1, time::Duration::seconds(6)).issue();
    let tls = stage.bare_tls().presenting(&soon).sessions(Sessions::PerName).alpn(&["http/1.1"]).client_config();
    let connect = async || H1::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", Arc::clone(&tls)).await;
    let mut kept = connect().await.unwrap();
    assert_eq!(kept.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    let mut resumed = connect().await.unwrap();
    assert_eq!(resumed.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert!(resumed.handshake().unwrap().resumed);

    // The one thing that has to pass is time.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(kept.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
    assert_eq!(stage.access_lines(3).await[2]["reason"], "expired");
    // Not a resumption that is cut off: a handshake in which a client could show what it has by now.
    let late = match connect().await {
        Err(refused) => refused,
        Ok(mut client) => client.send(visit("shop.example.com", "/")).await.unwrap_err(),
    };
    assert_eq!(late.alert(), Some(AlertDescription::CertificateExpired), "{late:?}");
    assert_eq!(stage.origin.ledger().len(), 2);
    stage.metric_becomes(r#"pullgate_origin_pull_total{host="shop",trust="network",verdict="expired"}"#, 1.0).await;
}
