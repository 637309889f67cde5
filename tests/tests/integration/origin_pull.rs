//! Origin-pull trust from outside: pins, revocation lists, ML-DSA, levels; and what a refusal tells whom.

use crate::binary::{Running, free_ports, metrics_show, pullgate, recipe};
use crate::reload::shop_with;
use base64::Engine as _;
use pullgate_tests::client::{H1, H2, Refused, Response, Tls};
use pullgate_tests::origin::Origin;
use pullgate_tests::pki::{Authority, Credentials, Identity, KeyKind};
use pullgate_tests::stage::{Props, Recipe, Stage, VERSIONS, cloudflare, eventually, refusal, visit};
use sha2::Digest as _;
use x509_parser::prelude::FromDer as _;

/// A request to `shop`, over either version of HTTP and TLS.
async fn asked(stage: &Stage, identity: impl Into<Credentials> + Clone) -> Vec<Result<Response, Refused>> {
    let mut answers = Vec::new();
    for versions in VERSIONS {
        let tls = stage.bare_tls().presenting(identity.clone()).versions(versions);
        answers.push(match stage.h1_as("shop.example.com", tls.clone()).await {
            Ok(mut client) => client.send(visit("shop.example.com", "/")).await,
            Err(refused) => Err(refused),
        });
        answers.push(match stage.h2_as("shop.example.com", tls).await {
            Ok(client) => client.send(visit("shop.example.com", "/")).await,
            Err(refused) => Err(refused),
        });
    }
    answers
}

/// Every way of asking ends in the handshake, with this verdict.
async fn refused(stage: &Stage, identity: &Identity, verdict: &str) {
    let before = stage.verdicts("shop", verdict);
    for answer in asked(stage, identity).await {
        assert!(answer.as_ref().is_err_and(|refused| refused.alert().is_some()), "{verdict}: {answer:?}");
    }
    stage.verdicts_become("shop", verdict, before + 4.0).await;
}

async fn passes(stage: &Stage, identity: &Identity) {
    for answer in asked(stage, identity).await {
        assert_eq!(answer.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_pin_lets_its_key_pass_alone() {
    let props = Props::new();
    let (mine, other) = (props.edge(), props.edge());
    let chain = mine.chain();
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&chain[0]).unwrap();
    let pin = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(leaf.public_key().raw));
    let stage =
        Stage::set(props, shop_with(&format!("{{mode: require, trust: [zone-ca.pem], pins: ['{pin}']}}"))).await;
    passes(&stage, &mine).await;
    refused(&stage, &other, "not_pinned").await;
    // On a connection to another host as well.
    let mut client = stage.h1_as("twin.example.com", stage.bare_tls().presenting(&other)).await.unwrap();
    assert_eq!(client.send(visit("twin.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_a_list_that_says_nothing_refuses_all() {
    let props = Props::new();
    let (kept, revoked) = (props.edge(), props.edge());
    let below = props.zone_ca.intermediate("middle");
    let write = |name: &str, list: String| std::fs::write(props.path().join(name), list).unwrap();
    write("zone.crl", props.zone_ca.revocations(&[&revoked]));
    write("forged.crl", props.zone_ca.twin().revocations(&[]));
    write("stale.crl", props.zone_ca.lapsed_revocations());
    write("both.crl", props.zone_ca.revocations(&[]) + &below.revocations(&[]));
    let rule = |crl: &str| shop_with(&format!("{{mode: require, trust: [zone-ca.pem], crl: {crl}}}"));
    let stage = Stage::set(props, rule("zone.crl")).await;
    passes(&stage, &kept).await;
    refused(&stage, &revoked, "revoked").await;
    refused(&stage, &below.leaf().issue(), "revocation_unknown").await;
    stage.reload(&rule("both.crl")).unwrap();
    passes(&stage, &below.leaf().issue()).await;
    stage.reload(&rule("forged.crl")).unwrap();
    refused(&stage, &kept, "revocation_unknown").await;
    let Stage { props, .. } = stage;
    // At the start nothing better serves: a stale list warns, and refuses whatever it covers.
    let file = props.write(&rule("stale.crl"), "127.0.0.1:9");
    let warnings = pullgate::load(&file).unwrap().warnings.to_string();
    assert!(warnings.contains("is not in force: it ends ") && warnings.contains("fetch a new one"), "{warnings}");
    let stage = Stage::set(props, rule("stale.crl")).await;
    refused(&stage, &kept, "crl_stale").await;
}

#[test]
fn a_list_that_cannot_be_read_or_covers_no_ca_refuses_to_load() {
    let props = Props::new();
    std::fs::write(props.path().join("zone.crl"), props.zone_ca.revocations(&[])).unwrap();
    std::fs::write(props.path().join("cut.crl"), props.zone_ca.revocations(&[]).replace("-----END X509 CRL-----", ""))
        .unwrap();
    let table = [
        ("[zone-ca.pem], crl: nowhere.crl", "crl: cannot read `nowhere.crl`"),
        ("[zone-ca.pem], crl: cut.crl", "crl: `cut.crl`: no revocation list in PEM form"),
        ("[zone-ca.pem], crl: zone-ca.pem", "crl: `zone-ca.pem`: no revocation list in PEM form"),
        ("[zone-ca.pem, other-ca.pem], crl: zone.crl", "crl: no list here is issued by CN=other CA"),
        ("[cloudflare], crl: zone.crl", "crl: no list here is issued by C=US, O=CloudFlare"),
    ];
    for (rule, expected) in table {
        let problems = refusal(&props, &shop_with(&format!("{{mode: require, trust: {rule}}}")));
        assert!(problems.contains(expected), "{problems}");
    }
}

/// Cloudflare takes them since June 2026, for TLS 1.3 alone.
#[tokio::test]
async fn ml_dsa_certificates_pass_in_tls13_and_not_before() {
    for kind in KeyKind::ML_DSA {
        let props = Props::new();
        let (post_quantum, other) =
            (Authority::with_key("post-quantum CA", kind), Authority::with_key("post-quantum CA", kind));
        post_quantum.write(props.path(), "pq-ca");
        let stage = Stage::set(props, shop_with("{mode: require, trust: [pq-ca.pem]}")).await;
        let pass: Vec<bool> = asked(&stage, &post_quantum.leaf().key(kind).issue())
            .await
            .into_iter()
            .map(|answer| answer.is_ok_and(|answer| answer.status == 200))
            .collect();
        assert_eq!(pass, [false, false, true, true], "{kind:?}");
        // A classical leaf under a post-quantum CA has no such bound.
        passes(&stage, &post_quantum.leaf().issue()).await;
        let forged = asked(&stage, &other.leaf().key(kind).issue()).await;
        assert!(forged.iter().all(Result::is_err), "{kind:?} {forged:?}");
        stage.verdicts_become("shop", "bad_signature", 2.0).await;
        let stolen = post_quantum.leaf().key(kind).issue().with_key_of(&other.leaf().key(kind).issue());
        assert!(asked(&stage, &stolen).await.iter().all(Result::is_err), "{kind:?}");
    }
}

#[test]
fn the_origin_ca_is_refused_as_trust() {
    let props = Props::new();
    let root = include_str!("../../../crates/policy/src/origin_pull/tests/origin_ca_rsa_root.pem");
    std::fs::write(props.path().join("origin-ca.pem"), root).unwrap();
    let problems = refusal(&props, &shop_with("{mode: require, trust: [origin-ca.pem]}"));
    assert!(
        problems.contains("hosts[0].origin_pull.trust[0]: `origin-ca.pem`: ") && problems.contains("every account"),
        "{problems}"
    );
}

/// The level of a proof is a fact for policies: in front of a route, whatever the host observes.
#[tokio::test]
async fn a_route_can_demand_more_proof_than_its_host() {
    let routes = "routes: [{name: all, upstream: shop}, {name: admin, path: /admin, upstream: shop, policies: [{kind: proof, least: account}]}]";
    let hosts = Recipe::default().hosts.replace("watched.example.com]\n", "watched.example.com]\n    # observed\n");
    let at = hosts.find("    # observed").unwrap();
    let (before, after) = hosts.split_at(at);
    let hosts = format!("{before}{}", after.replacen("routes: [{name: all, upstream: shop}]", routes, 1));
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let stranger = stage.props.other_ca.leaf().issue();
    for (tls, admin) in [(stage.tls(), 200), (stage.bare_tls(), 403), (stage.bare_tls().presenting(&stranger), 403)] {
        let mut client = stage.h1_as("watched.example.com", tls).await.unwrap();
        assert_eq!(client.send(visit("watched.example.com", "/")).await.unwrap().status, 200);
        assert_eq!(client.send(visit("watched.example.com", "/admin")).await.unwrap().status, admin);
    }
    let counted =
        r#"pullgate_policy_decisions_total{decision="refuse",host="watched",policy="proof",reason="proof_too_weak"}"#;
    stage.metric_becomes(counted, 2.0).await;
    assert_eq!(stage.plain().await.send(visit("watched.example.com", "/admin")).await.unwrap().status, 403);
}

/// What was presented is in the log of the one who has to mend it, and in nobody's answer.
#[tokio::test]
async fn a_refused_handshake_tells_the_operator_what_was_presented() {
    let props = Props::new();
    let [https, admin] = free_ports();
    let origin = Origin::start().await;
    let running = Running::start(&props.write(&recipe(https, admin), &origin.address().to_string()));
    let admin = format!("127.0.0.1:{admin}");
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.code() == Some(0)).await);
    let at = format!("127.0.0.1:{https}").parse().unwrap();
    let expired = props.zone_ca.leaf().common_name("old edge").expired().issue();
    let config = Tls::trusting(&props.server_ca).presenting(&expired).client_config();
    const ATTEMPTS: usize = 100;
    // All at once: more in a second than the log takes, however slow the machine is.
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..ATTEMPTS {
        let config = config.clone();
        attempts.spawn(async move {
            if let Ok(mut client) = H1::tls(Some(cloudflare()), at, "Shop.example.com", config).await {
                client.send(visit("shop.example.com", "/")).await.unwrap_err();
            }
        });
    }
    attempts.join_all().await;
    metrics_show(&admin, r#"pullgate_origin_pull_total{host="shop",trust="network",verdict="expired"} 100"#).await;
    running.signal("-TERM");
    let (_, _, stderr) = running.end().await;
    let lines: Vec<serde_json::Value> = stderr
        .lines()
        .filter(|line| line.contains("handshake refused"))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let chain = expired.chain();
    let sha256: String = sha2::Sha256::digest(&chain[0]).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        ("listener", "https"),
        ("host", "shop"),
        ("sni", "shop.example.com"),
        ("outcome", "certificate_refused"),
        ("verdict", "expired"),
        ("subject", "CN=old edge"),
        ("issuer", "CN=zone CA"),
        ("serial", &expired.serial().to_ascii_lowercase()),
        ("sha256", &sha256),
        ("message", "handshake refused: the client's certificate is not accepted: expired"),
    ];
    for (name, value) in expected {
        assert_eq!(lines[0][name], value, "{name} in {:#}", lines[0]);
    }
    assert!(lines[0]["peer"].as_str().unwrap().starts_with("127.0.1.1:"), "{:#}", lines[0]);
    assert!(lines[0]["not_after"].as_str().unwrap().ends_with('Z'), "{:#}", lines[0]);
    // Some a second, and the later ones say how many were held back.
    let held_back: usize =
        lines.iter().filter_map(|line| line["held_back"].as_str()).map(|count| count.parse::<usize>().unwrap()).sum();
    assert!(
        lines.len() < ATTEMPTS && lines.len() + held_back <= ATTEMPTS,
        "{} lines, {held_back} held back",
        lines.len()
    );
    assert!(origin.ledger().is_empty());
}

#[tokio::test]
async fn an_access_line_says_what_was_presented() {
    let stage = Stage::new().await;
    let stranger = stage.props.other_ca.leaf().common_name("stranger").issue();
    let client = H2::tls(
        Some(cloudflare()),
        stage.at("https"),
        "watched.example.com",
        stage.bare_tls().presenting(&stranger).alpn(&["h2"]).client_config(),
    );
    client.await.unwrap().send(visit("watched.example.com", "/")).await.unwrap();
    let line = &stage.access_lines(1).await[0];
    let expected = [
        ("tls.client.subject", "CN=stranger"),
        ("tls.client.issuer", "CN=other CA"),
        ("tls.client.serial_number", &stranger.serial().to_ascii_lowercase()),
        ("origin_pull.verdict", "unknown_issuer"),
        ("trust", "network"),
        ("decision", "would_refuse"),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name} in {line:#}");
    }
    assert!(line["tls.client.not_after"].as_str().unwrap().ends_with('Z'), "{line:#}");
}

/// The label of the level beside the verdict.
#[tokio::test]
async fn metrics_say_what_a_certificate_proves() {
    let stage = Stage::new().await;
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    stage.metric_becomes(r#"pullgate_origin_pull_total{host="shop",trust="account",verdict="verified"}"#, 1.0).await;
}
