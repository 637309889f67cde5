//! Another configuration in the place of the one that serves: what changes at once, what goes on, and what is refused.

use pullgate_tests::client::{H1, Refused, Sessions, Tls, Wire};
use pullgate_tests::pki::Identity;
use pullgate_tests::stage::{Props, Recipe, Stage, VERSIONS, cloudflare, eventually, start, visit};
use rustls::{ClientConfig, ClientConnection};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The usual hosts, with another rule for `shop`.
pub(crate) fn shop_with(origin_pull: &str) -> Recipe {
    let rule = "origin_pull: {mode: require, trust: [zone-ca.pem]}";
    Recipe {
        hosts: Recipe::default().hosts.replacen(rule, &format!("origin_pull: {origin_pull}"), 1),
        ..Recipe::default()
    }
}

async fn connect(stage: &Stage, sni: &str, config: &Arc<ClientConfig>) -> Result<H1, Refused> {
    H1::tls(Some(cloudflare()), stage.at("https"), sni, Arc::clone(config)).await
}

/// Whether a request to `shop` on a fresh connection is served, and whether its session was resumed.
async fn served(stage: &Stage, config: &Arc<ClientConfig>) -> (bool, bool) {
    let Ok(mut client) = connect(stage, "shop.example.com", config).await else { return (false, false) };
    let answer = client.send(visit("shop.example.com", "/")).await;
    (answer.is_ok_and(|answer| answer.status == 200), client.handshake().unwrap().resumed)
}

#[tokio::test]
async fn a_reload_takes_hosts_in_and_out_and_is_counted() {
    let stage = Stage::new().await;
    let mut client = stage.h1("shop.example.com").await;
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    let renamed =
        Recipe { hosts: Recipe::default().hosts.replace("twin.example.com", "new.example.com"), ..Recipe::default() };
    assert_eq!(stage.reload(&renamed), Ok(2));
    for (name, status) in [("new.example.com", 200), ("twin.example.com", 421), ("shop.example.com", 200)] {
        assert_eq!(client.send(visit(name, "/")).await.unwrap().status, status, "{name}");
    }
    assert!(stage.h1_as("twin.example.com", stage.tls()).await.is_err());
    stage.metric_becomes("pullgate_config_generation", 2.0).await;
    stage.metric_becomes(r#"pullgate_config_reloads_total{outcome="applied"}"#, 1.0).await;
    let lines = stage.access_lines(4).await;
    assert_eq!(lines.iter().map(|line| line["generation"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 2, 2]);
}

/// What a session is worth dies with any change of what it was worth; nothing else ends it.
#[tokio::test]
async fn c25_sessions_outlive_a_reload_that_changes_nothing_of_their_host() {
    let stage = Stage::new().await;
    let list = |revoked: &[&Identity]| {
        std::fs::write(stage.props.path().join("zone.crl"), stage.props.zone_ca.revocations(revoked)).unwrap();
    };
    list(&[]);
    let other = stage.props.edge();
    for versions in VERSIONS {
        assert!(stage.reload(&Recipe::default()).is_ok());
        let config = stage.tls().versions(versions).sessions(Sessions::PerName).alpn(&["http/1.1"]).client_config();
        let changes = [
            ("nothing", Recipe::default(), true),
            (
                "another host",
                Recipe {
                    hosts: Recipe::default().hosts.replace("twin.example.com", "new.example.com"),
                    ..Recipe::default()
                },
                true,
            ),
            ("a list", shop_with("{mode: require, trust: [zone-ca.pem], crl: zone.crl}"), false),
            ("another CA beside", shop_with("{mode: require, trust: [zone-ca.pem, other-ca.pem]}"), false),
            ("the mode", shop_with("{mode: observe, trust: [zone-ca.pem]}"), false),
            (
                "HTTP/2 off",
                Recipe { head: format!("{}tls: {{http2: false}}\n", Recipe::default().head), ..Recipe::default() },
                false,
            ),
        ];
        for (what, recipe, resumed) in changes {
            assert!(stage.reload(&Recipe::default()).is_ok());
            assert!(served(&stage, &config).await.0);
            assert_eq!(served(&stage, &config).await, (true, true), "{versions:?} before {what}");
            stage.reload(&recipe).unwrap();
            assert_eq!(served(&stage, &config).await, (true, resumed), "{versions:?} {what}");
        }
    }
    // The list that changes is read again although its path is the same.
    let listed = shop_with("{mode: require, trust: [zone-ca.pem], crl: zone.crl}");
    stage.reload(&listed).unwrap();
    let config = stage.tls().sessions(Sessions::PerName).alpn(&["http/1.1"]).client_config();
    assert!(served(&stage, &config).await.0 && served(&stage, &config).await == (true, true));
    list(&[&other]);
    stage.reload(&listed).unwrap();
    assert_eq!(served(&stage, &config).await, (true, false), "another certificate was revoked");
    list(&[&other, &stage.edge]);
    stage.reload(&listed).unwrap();
    assert_eq!(served(&stage, &config).await, (false, false), "this one was");
}

/// A CA leaves the trust, a certificate is revoked or not pinned, a rule begins: neither the kept connection nor the session passes.
#[tokio::test]
async fn c25_a_connection_whose_proof_satisfies_no_more_is_answered_421_and_drained() {
    let pin = "pins: [AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=]";
    let table = [
        ("the CA has left", "{mode: require, trust: [other-ca.pem]}", "unknown_issuer"),
        ("revoked", "{mode: require, trust: [zone-ca.pem], crl: zone.crl}", "revoked"),
        ("not pinned", &format!("{{mode: require, trust: [zone-ca.pem], {pin}}}"), "not_pinned"),
    ];
    for (what, rule, verdict) in table {
        let stage = Stage::new().await;
        let crl = stage.props.zone_ca.revocations(&[&stage.edge]);
        std::fs::write(stage.props.path().join("zone.crl"), crl).unwrap();
        let config = stage.tls().sessions(Sessions::PerName).alpn(&["http/1.1"]).client_config();
        assert!(served(&stage, &config).await.0);
        let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
        assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
        assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 200);

        stage.reload(&shop_with(rule)).unwrap();
        let reached = stage.origin.ledger().len();
        let answer = one.send(visit("shop.example.com", "/")).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (421, Some("close")), "{what}");
        assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 421, "{what}");
        for closed in
            [tokio::time::timeout(PATIENCE, one.closed()).await, tokio::time::timeout(PATIENCE, two.closed()).await]
        {
            assert!(closed.is_ok(), "{what}: the connection stays open");
        }
        assert_eq!(served(&stage, &config).await, (false, false), "{what}: the session");
        assert_eq!(stage.origin.ledger().len(), reached, "{what}");
        let lines = stage.access_lines(5).await;
        for line in &lines[3..5] {
            assert_eq!((&line["policy"], &line["reason"]), (&"origin-pull".into(), &verdict.into()), "{line:#}");
        }
        let counted = format!(
            r#"pullgate_policy_decisions_total{{decision="refuse",host="shop",policy="origin-pull",reason="{verdict}"}}"#
        );
        stage.metric_becomes(&counted, 2.0).await;
        stage
            .metric_becomes(
                &format!(r#"pullgate_origin_pull_total{{host="shop",trust="network",verdict="{verdict}"}}"#),
                1.0,
            )
            .await;
    }
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A client need not heed a GOAWAY, nor answer the PING behind it: it is cut after the time that any may be idle.
#[tokio::test]
async fn a_client_that_does_not_go_is_cut() {
    let listeners = Recipe::default().listeners.replacen("1:0'}", "1:0', limits: {idle_timeout: 2s}}", 1);
    let recipe = |hosts: Recipe| Recipe { listeners: listeners.clone(), ..hosts };
    let stage = Stage::with(recipe(Recipe::default())).await;
    let config = stage.tls().alpn(&["h2"]).client_config();
    let mut wire = Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap();
    // In TLS 1.3 a client has finished before the gateway has judged it.
    let completed = r#"pullgate_handshakes_total{host="shop",outcome="completed",resumed="false"}"#;
    stage.metric_becomes(completed, 1.0).await;
    stage.reload(&recipe(shop_with("{mode: require, trust: [other-ca.pem]}"))).unwrap();
    // Preface, an empty SETTINGS, and GET / on stream 1 (RFC 9113 section 4.1, RFC 7541 appendix A), and not a byte after that.
    let fields = [&[0x82, 0x87, 0x84, 0x41, 16][..], b"shop.example.com"].concat();
    let head = [&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1][..], &fields].concat();
    let request = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &head].concat();
    wire.write_all(&request).await.unwrap();
    wire.flush().await.unwrap();
    let mut answer = Vec::new();
    // The end without a close_notify is an end.
    let ended = tokio::time::timeout(PATIENCE, wire.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection stays open: {answer:02x?}");
    assert_eq!(stage.access_lines(1).await[0]["http.response.status_code"], 421);
}

#[tokio::test]
async fn a_connection_without_a_certificate_ends_when_its_host_begins_to_require_one() {
    let open = "{mode: off}";
    let stage = Stage::with(shop_with(open)).await;
    let (mut one, two) = (
        stage.h1_as("shop.example.com", stage.bare_tls()).await.unwrap(),
        stage.h2_as("shop.example.com", stage.bare_tls()).await.unwrap(),
    );
    assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    stage.reload(&Recipe::default()).unwrap();
    assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
    assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
    assert!(tokio::time::timeout(PATIENCE, two.closed()).await.is_ok());
}

/// Who may connect is asked again where the answer has changed: an address that is taken off the list is not served on what it has open.
#[tokio::test]
async fn a_source_that_is_admitted_no_more_is_sent_away() {
    let wide = "cloudflare: {ranges: {source: builtin, extra: [127.0.1.0/24]}}";
    let head = |to: &str| Recipe { head: Recipe::default().head.replace(wide, to), ..Recipe::default() };
    let stage = Stage::new().await;
    let (mut one, two, mut plain) =
        (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await, stage.plain().await);
    // The same list in another order admits the same.
    stage.reload(&head("cloudflare: {ranges: {source: builtin, extra: [127.0.1.0/25, 127.0.1.128/25]}}")).unwrap();
    assert_eq!(one.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(plain.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    let reached = stage.origin.ledger().len();
    stage.reload(&head("cloudflare: {ranges: {source: builtin, extra: [127.0.9.0/24]}}")).unwrap();
    for answer in [
        one.send(visit("shop.example.com", "/")).await.unwrap(),
        two.send(visit("open.example.com", "/")).await.unwrap(),
        plain.send(visit("open.example.com", "/")).await.unwrap(),
    ] {
        assert_eq!(answer.status, 421);
    }
    for closed in [
        tokio::time::timeout(PATIENCE, one.closed()).await,
        tokio::time::timeout(PATIENCE, two.closed()).await,
        tokio::time::timeout(PATIENCE, plain.closed()).await,
    ] {
        assert!(closed.is_ok());
    }
    assert!(stage.h1_as("shop.example.com", stage.tls()).await.is_err());
    assert_eq!(stage.origin.ledger().len(), reached);
    let lines = stage.access_lines(6).await;
    assert!(lines[3..].iter().all(|line| line["reason"] == "source_unlisted" && line["trust"] == "none"), "{lines:#?}");
}

/// One that asked at the wrong door is not sent away from its own.
#[tokio::test]
async fn a_refusal_of_another_host_drains_nothing() {
    let stage = Stage::new().await;
    let two = stage.h2("shop.example.com").await;
    for _ in 0..3 {
        assert_eq!(two.send(visit("blog.example.com", "/")).await.unwrap().status, 421);
        assert_eq!(two.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    }
}

/// The verdict is made by the trust in force when the handshake ends, not by the one it began with.
#[tokio::test]
async fn a_handshake_that_a_reload_overtakes_is_judged_by_the_new_trust() {
    let stage = Stage::new().await;
    let gone =
        Recipe { hosts: Recipe::default().hosts.replacen("- name: shop", "- name: renamed", 1), ..Recipe::default() };
    let overtakers = [None, Some(shop_with("{mode: require, trust: [other-ca.pem]}")), Some(gone)];
    for (round, overtaker) in overtakers.iter().enumerate() {
        stage.reload(&Recipe::default()).unwrap();
        let mut handshake = HalfWay::begin(&stage, stage.tls()).await;
        if let Some(recipe) = overtaker {
            stage.reload(recipe).unwrap();
        }
        let answer = handshake.finish_and_ask().await;
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), overtaker.is_none(), "{answer}");
        let completed = stage.metric(r#"pullgate_handshakes_total{host="shop",outcome="completed",resumed="false"}"#);
        assert_eq!(completed, 1.0, "round {round}");
    }
    stage.metric_becomes(r#"pullgate_handshakes_total{host="shop",outcome="failed",resumed="false"}"#, 1.0).await;
    let refused = r#"pullgate_handshakes_total{host="shop",outcome="certificate_refused",resumed="false"}"#;
    stage.metric_becomes(refused, 1.0).await;
    assert_eq!(stage.origin.ledger().len(), 1);
}

/// A client that has read the server's flight and not sent its own.
struct HalfWay {
    session: ClientConnection,
    stream: tokio::net::TcpStream,
}

impl HalfWay {
    async fn begin(stage: &Stage, tls: Tls) -> Self {
        let config = tls.alpn(&["http/1.1"]).client_config();
        let session = ClientConnection::new(config, "shop.example.com".try_into().unwrap()).unwrap();
        let stream = pullgate_tests::client::connect(Some(cloudflare()), stage.at("https")).await.unwrap();
        let mut half_way = Self { session, stream };
        half_way.send().await;
        while half_way.session.is_handshaking() {
            assert!(half_way.receive().await > 0);
        }
        half_way
    }

    async fn send(&mut self) {
        let mut flight = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut flight).unwrap();
        }
        self.stream.write_all(&flight).await.unwrap();
    }

    async fn receive(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        if count > 0 {
            self.session.read_tls(&mut &bytes[..count]).unwrap();
            // An alert is an end like any other.
            let _ = self.session.process_new_packets();
        }
        count
    }

    async fn finish_and_ask(&mut self) -> String {
        let request =
            b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nCF-Connecting-IP: 203.0.113.7\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut self.session.writer(), request).unwrap();
        self.send().await;
        while self.receive().await > 0 {}
        let mut answer = Vec::new();
        // The end without a close_notify is an end.
        let _ = std::io::Read::read_to_end(&mut self.session.reader(), &mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A new process knows no session of the old one.
#[tokio::test]
async fn c25_a_session_does_not_outlive_the_process() {
    let stage = Stage::new().await;
    for versions in VERSIONS {
        let config = stage.tls().versions(versions).sessions(Sessions::PerName).alpn(&["http/1.1"]).client_config();
        assert!(served(&stage, &config).await.0 && served(&stage, &config).await == (true, true));
        let next = start(&stage.props.path().join("pullgate.yaml")).await.unwrap();
        let mut client =
            H1::tls(Some(cloudflare()), next.address("https").unwrap(), "shop.example.com", Arc::clone(&config))
                .await
                .unwrap();
        assert!(!client.handshake().unwrap().resumed, "{versions:?}");
        assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
        tokio::task::spawn_blocking(move || next.stop()).await.unwrap();
    }
}

#[tokio::test]
async fn c29_a_bad_reload_keeps_what_serves_and_names_the_place() {
    let stage = Stage::new().await;
    let (folder, server_ca) = (stage.props.path().to_owned(), &stage.props.server_ca);
    let good = std::fs::read(folder.join("server.key")).unwrap();
    server_ca.leaf().dns(&["shop.example.com"]).usage_server().expired().issue().write(&folder, "expired");
    std::fs::write(folder.join("stale.crl"), stage.props.zone_ca.lapsed_revocations()).unwrap();
    Identity::self_signed("another").write(&folder, "another");
    let default = Recipe::default;
    let hosts = |from: &str, to: &str| Recipe { hosts: default().hosts.replacen(from, to, 1), ..default() };
    let table = [
        (hosts("server.key", "another.key"), "hosts[0].certificate.key: this key does not belong to the certificate"),
        (hosts("server.key", "nowhere.key"), "hosts[0].certificate.key: cannot read `nowhere.key`"),
        (hosts("server.key", "zone-ca.pem"), "hosts[0].certificate.key: it has no unencrypted private key"),
        (
            hosts("server.pem, key: server.key", "expired.pem, key: expired.key"),
            "hosts[0].certificate.chain: the certificate expired on",
        ),
        (hosts("[zone-ca.pem]", "[zone-ca.pem], crl: stale.crl"), "hosts[0].origin_pull.crl: the list of CN=zone CA"),
        (hosts("mode: require", "mode: requires"), "did you mean `require`?"),
        (hosts("hostnames: [twin", "hostnames: [shop"), "the hostname `shop.example.com` is given twice"),
        (Recipe { hosts: "hosts: [\n".into(), ..default() }, "pullgate.yaml:"),
        (Recipe { hosts: String::new(), ..default() }, "hosts: missing"),
        (
            Recipe {
                listeners: default().listeners.replace("127.0.0.1:0', protocol", "192.0.2.1:1', protocol"),
                ..default()
            },
            "listener `http` cannot listen on 192.0.2.1:1",
        ),
        (
            Recipe {
                head: default().head.replace("workers: 2", "workers: 3, upstream_idle: 7").replace("access.log", "off"),
                ..default()
            },
            "changed, and fixed until a restart or an upgrade: runtime.workers, runtime.upstream_idle, log.access",
        ),
    ];
    let mut kept = stage.h1("shop.example.com").await;
    assert_eq!(table.len(), 11);
    for (refused, (recipe, expected)) in (1..).zip(&table) {
        let error = stage.reload(recipe).unwrap_err();
        assert!(error.contains(expected), "{error}\n{expected}");
        for client in [&mut kept, &mut stage.h1("shop.example.com").await] {
            assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200, "{expected}");
        }
        stage.metric_becomes(r#"pullgate_config_reloads_total{outcome="refused"}"#, f64::from(refused)).await;
    }
    assert_eq!(stage.metric("pullgate_config_generation"), 1.0);
    std::fs::write(folder.join("server.key"), good).unwrap();
    assert_eq!(stage.reload(&default()), Ok(2));
    assert!(eventually(|| stage.metric("pullgate_config_generation") == 2.0).await);
}

/// What has run out where it serves is no worse than itself: it must not keep a leaked CA in force elsewhere.
#[tokio::test]
async fn what_serves_although_it_has_run_out_stands_in_the_way_of_no_reload() {
    let props = Props::new();
    props.server_ca.leaf().dns(&["shop.example.com"]).usage_server().expired().issue().write(props.path(), "expired");
    std::fs::write(props.path().join("stale.crl"), props.zone_ca.lapsed_revocations()).unwrap();
    let hosts = |trust: &str| {
        let expired =
            Recipe::default().hosts.replacen("server.pem, key: server.key", "expired.pem, key: expired.key", 1);
        expired.replacen("[zone-ca.pem]", "[zone-ca.pem], crl: stale.crl", 1).replace("[other-ca.pem]", trust)
    };
    let stage = Stage::set(props, Recipe { hosts: hosts("[other-ca.pem]"), ..Recipe::default() }).await;
    assert_eq!(stage.reload(&Recipe { hosts: hosts("[zone-ca.pem]"), ..Recipe::default() }), Ok(2));
    let mut blog = stage.h1("blog.example.com").await;
    assert_eq!(blog.send(visit("blog.example.com", "/")).await.unwrap().status, 200);
}

/// What is not shown any more raises no alarm any more.
#[tokio::test]
async fn c29_the_ends_of_what_is_in_force_are_shown_and_no_others() {
    let stage = Stage::new().await;
    let shown = |kind: &str, host: &str| {
        let text = stage.gateway.metrics().render().unwrap();
        let start =
            format!(r#"pullgate_certificate_not_after_timestamp_seconds{{host="{host}",kind="{kind}",sha256=""#);
        text.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect::<Vec<_>>()
    };
    std::fs::write(stage.props.path().join("zone.crl"), stage.props.zone_ca.revocations(&[])).unwrap();
    let [zone] = shown("trust", "shop").try_into().unwrap();
    assert_eq!((shown("own", "shop").len(), shown("crl", "shop").len()), (1, 0));
    stage.reload(&shop_with("{mode: require, trust: [zone-ca.pem], crl: zone.crl}")).unwrap();
    assert_eq!((shown("trust", "shop"), shown("crl", "shop").len()), (vec![zone.clone()], 1));
    stage.reload(&shop_with("{mode: require, trust: [other-ca.pem, cloudflare]}")).unwrap();
    let both = shown("trust", "shop");
    assert!(both.len() == 2 && !both.contains(&zone), "{both:?}");
    assert!(both.iter().any(|line| line.ends_with(r#"sha256="9a1ac2b4be15f9f2"} 1888246800"#)), "{both:?}");
    assert_eq!(shown("crl", "shop").len(), 0);
    // Another host that trusts it shows it still.
    assert_eq!(shown("trust", "twin").len(), 1);
    // The leaf that was seen under a former rule, and what was counted under it, say nothing of this one.
    stage.reload(&Recipe::default()).unwrap();
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    assert_eq!((shown("observed", "shop").len(), stage.verdicts("shop", "verified")), (1, 1.0));
    stage.reload(&shop_with("{mode: off}")).unwrap();
    assert_eq!((shown("observed", "shop").len(), stage.verdicts("shop", "verified")), (0, 0.0));
}
