//! What refuses in the handshake, and what does not.

use pullgate_tests::client::{Refused, Sni, Tls, Versions, connect, openssl_s_client};
use pullgate_tests::pki::{Authority, Identity};
use pullgate_tests::stage::{Props, RESUMING, Recipe, Stage, VERSIONS, cloudflare, refusal, visit};
use rustls::{AlertDescription, ClientConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One client certificate that must not pass, with the verdict it gets.
async fn refused_with(verdict: &str, make: impl Fn(&Props) -> Option<Identity>) {
    let stage = Stage::new().await;
    for (round, versions) in (1..).zip(VERSIONS) {
        let tls = match make(&stage.props) {
            Some(identity) => stage.bare_tls().presenting(&identity),
            None => stage.bare_tls(),
        };
        let refused = attempt(&stage, tls.versions(versions)).await;
        assert!(refused.alert().is_some(), "{versions:?}: {refused:?}");
        let counted = format!(r#"pullgate_origin_pull_total{{host="shop",trust="network",verdict="{verdict}"}}"#);
        stage.metric_becomes(&counted, f64::from(round)).await;
        let refusals = r#"pullgate_handshakes_total{host="shop",outcome="certificate_refused",resumed="false"}"#;
        stage.metric_becomes(refusals, f64::from(round)).await;
    }
    stage.assert_nothing_reached_the_origin();
}

/// In TLS 1.3 a client learns of its refused certificate with the first answer.
async fn attempt(stage: &Stage, tls: Tls) -> Refused {
    match stage.h1_as("shop.example.com", tls).await {
        Err(refused) => refused,
        Ok(mut client) => client.send(visit("shop.example.com", "/")).await.unwrap_err(),
    }
}

#[tokio::test]
async fn no_certificate() {
    refused_with("not_presented", |_| None).await;
}

#[tokio::test]
async fn an_expired_certificate() {
    refused_with("expired", |props| Some(props.zone_ca.leaf().expired().issue())).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_yet_valid() {
    refused_with("not_yet_valid", |props| Some(props.zone_ca.leaf().not_yet_valid().issue())).await;
}

#[tokio::test]
async fn a_server_certificate() {
    refused_with("wrong_usage", |props| Some(props.zone_ca.leaf().usage_server().issue())).await;
}

#[tokio::test]
async fn a_key_that_may_not_sign() {
    refused_with("wrong_usage", |props| Some(props.zone_ca.leaf().key_usage_without_signature().issue())).await;
}

#[tokio::test]
async fn a_certificate_of_another_ca() {
    refused_with("unknown_issuer", |props| Some(props.other_ca.leaf().issue())).await;
}

#[tokio::test]
async fn a_self_signed_certificate() {
    refused_with("unknown_issuer", |_| Some(Identity::self_signed("edge"))).await;
}

#[tokio::test]
async fn a_forged_issuer_of_the_same_name() {
    refused_with("bad_signature", |props| Some(props.zone_ca.twin().leaf().issue())).await;
}

#[tokio::test]
async fn a_leaf_signed_by_a_leaf() {
    refused_with("unknown_issuer", |props| Some(props.edge().leaf().issue())).await;
}

#[tokio::test]
async fn a_missing_intermediate() {
    refused_with("unknown_issuer", |props| Some(props.zone_ca.intermediate("intermediate").leaf().issue().alone()))
        .await;
}

#[tokio::test]
async fn a_certificate_whose_key_the_client_does_not_hold() {
    let stage = Stage::new().await;
    let stolen = stage.edge.with_key_of(&Identity::self_signed("thief"));
    for versions in VERSIONS {
        // Observe lets bad certificates pass, never an unproven one.
        for sni in ["shop.example.com", "watched.example.com"] {
            let tls = stage.bare_tls().presenting(&stolen).versions(versions);
            let refused = match stage.h1_as(sni, tls).await {
                Err(refused) => refused,
                Ok(mut client) => client.send(visit(sni, "/")).await.unwrap_err(),
            };
            assert!(refused.alert().is_some(), "{versions:?} {sni}: {refused:?}");
        }
    }
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn certificates_that_pass() {
    let stage = Stage::new().await;
    let intermediate = stage.props.zone_ca.intermediate("intermediate");
    let good = [
        ("without extended key usage", stage.props.zone_ca.leaf().no_usage().issue()),
        ("for client authentication", stage.props.zone_ca.leaf().usage_client().issue()),
        ("under an intermediate that it brings", intermediate.leaf().issue()),
    ];
    for (round, (what, identity)) in (1..).zip(good) {
        for versions in VERSIONS {
            let tls = stage.bare_tls().presenting(&identity).versions(versions);
            let mut client = stage.h1_as("shop.example.com", tls).await.unwrap();
            assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200, "{what} {versions:?}");
        }
        stage
            .metric_becomes(
                r#"pullgate_origin_pull_total{host="shop",trust="account",verdict="verified"}"#,
                f64::from(round) * 2.0,
            )
            .await;
    }
    assert!(
        stage.metric(r#"pullgate_certificate_not_after_timestamp_seconds{host="shop",kind="observed",sha256=""}"#)
            > 1e9
    );
}

/// The expired CA of 2015 has the name, serial and key of today's; only its dates tell them apart.
const EXPIRED_SHARED_CA: &str = include_str!("authenticated_origin_pull_ca_2015_expired.pem");

#[test]
fn the_expired_shared_ca_refuses_to_load() {
    let props = Props::new();
    std::fs::write(props.path().join("expired.pem"), EXPIRED_SHARED_CA).unwrap();
    let hosts = Recipe::default().hosts.replacen("[zone-ca.pem]", "[expired.pem]", 1);
    let problems = refusal(&props, &Recipe { hosts, ..Recipe::default() });
    assert!(problems.contains("hosts[0].origin_pull.trust"), "{problems}");
    assert!(problems.contains("in force"), "{problems}");
}

#[tokio::test]
async fn the_shared_ca_is_compiled_in_and_refuses_the_zones_own_certificate() {
    let hosts = Recipe::default().hosts.replacen("trust: [zone-ca.pem]", "trust: [cloudflare]", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let refused = attempt(&stage, stage.tls()).await;
    assert_eq!(refused.alert(), Some(AlertDescription::UnknownCA));
    // 2029-11-01T17:00:00Z, its own end.
    let end = stage.metric(
        r#"pullgate_certificate_not_after_timestamp_seconds{host="shop",kind="trust",sha256="9a1ac2b4be15f9f2"}"#,
    );
    assert!(end == 1_888_246_800.0, "{end}");
}

#[tokio::test]
async fn an_unknown_name_sees_an_alert_and_no_certificate() {
    let stage = Stage::new().await;
    for versions in VERSIONS {
        let refused = stage.h1_as("unknown.example.com", stage.tls().versions(versions)).await.unwrap_err();
        assert_eq!(refused.alert(), Some(AlertDescription::UnrecognisedName), "{refused:?}");
    }
    let at = stage.at("https").to_string();
    let seen =
        openssl_s_client(&["-connect", &at, "-bind", "127.0.1.1", "-servername", "unknown.example.com"], b"").await;
    assert!(seen.stdout.contains("no peer certificate available"), "{seen:?}");
    stage.metric_becomes(r#"pullgate_handshakes_total{host="none",outcome="unknown_name",resumed="false"}"#, 3.0).await;
}

#[tokio::test]
async fn a_missing_name_is_answered_by_the_default_host_alone() {
    let stage = Stage::new().await;
    let refused = stage.h1_as("shop.example.com", stage.tls().nameless()).await.unwrap_err();
    assert_eq!(refused.alert(), Some(AlertDescription::UnrecognisedName), "{refused:?}");
    stage.metric_becomes(r#"pullgate_handshakes_total{host="none",outcome="missing_name",resumed="false"}"#, 1.0).await;

    let hosts = Recipe::default().hosts.replacen("- name: shop\n", "- name: shop\n    default: true\n", 1);
    let stage = Stage::with(Recipe { hosts, ..Recipe::default() }).await;
    let tls = stage.tls().nameless();
    assert_eq!(tls.sni, Sni::Withheld);
    let mut client = stage.h1_as("shop.example.com", tls).await.unwrap();
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    // The default answers a missing name, never an unknown one.
    let refused = stage.h1_as("unknown.example.com", stage.tls()).await.unwrap_err();
    assert_eq!(refused.alert(), Some(AlertDescription::UnrecognisedName), "{refused:?}");
}

#[tokio::test]
async fn names_are_compared_without_case_and_wildcards_stand_for_one_label() {
    let stage = Stage::new().await;
    for name in ["SHOP.example.COM", "a.shop.example.com"] {
        assert_eq!(stage.h1(name).await.send(visit("shop.example.com", "/")).await.unwrap().status, 200, "{name}");
    }
    let refused = stage.h1_as("a.b.shop.example.com", stage.tls()).await.unwrap_err();
    assert_eq!(refused.alert(), Some(AlertDescription::UnrecognisedName), "{refused:?}");
}

#[tokio::test]
async fn a_client_hello_in_many_packets_is_read_whole() {
    let stage = Stage::new().await;
    let config = stage.tls().client_config();
    let mut session = ClientConnection::new(config, "shop.example.com".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    // With the post-quantum key share a ClientHello is larger than a packet by itself.
    assert!(hello.len() > 1_400, "{}", hello.len());
    let mut stream = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in hello {
        stream.write_all(&[byte]).await.unwrap();
    }
    let mut first = [0; 3];
    stream.read_exact(&mut first).await.unwrap();
    // A handshake record: the ServerHello.
    assert_eq!(first[0], 22);
}

#[tokio::test]
async fn a_session_is_resumed_at_its_own_host_alone() {
    let stage = Stage::new().await;
    for versions in VERSIONS {
        for sessions in RESUMING {
            let config = stage.tls().versions(versions).sessions(sessions).alpn(&["http/1.1"]).client_config();
            let connect = async |sni: &str| {
                pullgate_tests::client::H1::tls(Some(cloudflare()), stage.at("https"), sni, config.clone())
                    .await
                    .unwrap()
            };
            let mut first = connect("shop.example.com").await;
            assert_eq!(first.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
            let mut again = connect("shop.example.com").await;
            assert_eq!(again.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
            assert!(again.handshake().unwrap().resumed, "{versions:?} {sessions:?}");
            let other = connect("twin.example.com").await;
            assert!(!other.handshake().unwrap().resumed, "{versions:?} {sessions:?}");
        }
    }
}

/// The session of a host that asks for nothing opens no guarded one.
#[tokio::test]
async fn a_session_of_an_open_host_opens_no_guarded_one() {
    let stage = Stage::new().await;
    for versions in VERSIONS {
        for sessions in RESUMING {
            let config = stage.bare_tls().versions(versions).sessions(sessions).alpn(&["http/1.1"]).client_config();
            let at = stage.at("https");
            let mut open = pullgate_tests::client::H1::tls(Some(cloudflare()), at, "open.example.com", config.clone())
                .await
                .unwrap();
            assert_eq!(open.send(visit("open.example.com", "/")).await.unwrap().status, 200);
            let reached = stage.origin.ledger().len();
            let guarded =
                match pullgate_tests::client::H1::tls(Some(cloudflare()), at, "shop.example.com", config).await {
                    Err(refused) => refused,
                    Ok(mut client) => client.send(visit("shop.example.com", "/")).await.unwrap_err(),
                };
            assert!(guarded.alert().is_some(), "{versions:?} {sessions:?} {guarded:?}");
            assert_eq!(stage.origin.ledger().len(), reached);
        }
    }
}

#[tokio::test]
async fn tls_versions_and_http2_are_offered_as_configured() {
    let head = format!("{}tls: {{versions: ['1.3'], http2: false}}\n", Recipe::default().head);
    let stage = Stage::with(Recipe { head, ..Recipe::default() }).await;
    let refused = stage.h1_as("shop.example.com", stage.tls().versions(Versions::Tls12)).await.unwrap_err();
    assert_eq!(refused.alert(), Some(AlertDescription::ProtocolVersion));
    let both = stage.tls().alpn(&["h2", "http/1.1"]).client_config();
    let client =
        pullgate_tests::client::H1::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", both).await.unwrap();
    let handshake = client.handshake().unwrap();
    assert_eq!(handshake.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(format!("{:?}", handshake.group), "Some(X25519MLKEM768)");
}

#[tokio::test]
async fn no_old_protocol_and_no_ca_names_are_shown() {
    let stage = Stage::new().await;
    let at = stage.at("https").to_string();
    for old in ["-tls1", "-tls1_1"] {
        let arguments = [
            "-connect",
            &at,
            "-bind",
            "127.0.1.1",
            "-servername",
            "shop.example.com",
            old,
            "-cipher",
            "ALL:@SECLEVEL=0",
        ];
        let seen = openssl_s_client(&arguments, b"").await;
        assert!(seen.stdout.contains("no peer certificate available"), "{old}: {seen:?}");
    }
    let arguments = ["-connect", &at, "-bind", "127.0.1.1", "-servername", "shop.example.com", "-tls1_2"];
    let seen = openssl_s_client(&arguments, b"").await;
    assert!(seen.stdout.contains("No client certificate CA names sent"), "{seen:?}");
}

#[test]
fn an_own_certificate_that_has_expired_warns() {
    let props = Props::new();
    let authority = Authority::new("server CA");
    authority.leaf().dns(&["shop.example.com"]).usage_server().expired().issue().write(props.path(), "server");
    let file = props.write(&Recipe::default(), "127.0.0.1:9");
    let warnings = pullgate::load(&file).unwrap().warnings.to_string();
    assert!(warnings.contains("expired"), "{warnings}");
}
