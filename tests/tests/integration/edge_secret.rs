//! Policy `edge-secret`: who does not bring the secret gets nowhere, and who brings it takes it no further than here.

use crate::binary::{metrics, metrics_show};
use crate::faults::Scene;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use pullgate_tests::client::{H1, H2, Response, Tls};
use pullgate_tests::origin::Entry;
use pullgate_tests::stage::{Props, Recipe, Stage, cloudflare, visit};
use std::path::Path;
use std::process::{Command, Stdio};

const OLD: &str = "old-0123456789abcdef0123456789abcdef";
const NEW: &str = "new-fedcba9876543210";
const OTHER: &str = "the secret of another host";

/// `shop` takes two values of one secret; `watched` the same and observes; `twin` has another one, on one route; `open` has none.
const HOSTS: &str = "hosts:
  - name: shop
    hostnames: [shop.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: require, trust: [zone-ca.pem]}
    policies: [{kind: edge-secret, header: X-Edge-Secret, values: [{file: edge-old}, {file: edge-new}]}]
    routes: [{name: all, upstream: shop}, {name: here, path: /here, respond: {status: 204}}]
  - name: watched
    hostnames: [watched.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: off}
    policies: [{kind: edge-secret, mode: observe, header: X-Edge-Secret, values: [{file: edge-new}]}]
    routes: [{name: all, upstream: shop}]
  - name: twin
    hostnames: [twin.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: off}
    routes:
      - {name: all, upstream: shop}
      - name: staff
        path: /staff
        upstream: shop
        policies: [{kind: edge-secret, name: staff-secret, header: X_Other_Secret, values: [{file: edge-other}]}]
  - name: open
    hostnames: [open.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: off}
    routes: [{name: all, upstream: shop}]
";

fn recipe() -> Recipe {
    Recipe { hosts: HOSTS.into(), ..Recipe::default() }
}

fn write_secrets(folder: &Path) {
    // As `openssl rand` writes it, and as an editor of Windows does.
    for (name, text) in
        [("edge-old", format!("{OLD}\n")), ("edge-new", NEW.into()), ("edge-other", format!("{OTHER}\r\n"))]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

async fn stage() -> Stage {
    let props = Props::new();
    write_secrets(props.path());
    Stage::set(props, recipe()).await
}

fn bringing(host: &str, path: &str, fields: &[(&str, &[u8])]) -> Request<Full<bytes::Bytes>> {
    let mut request = visit(&format!("{host}.example.com"), path);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

/// The answers over HTTP/1.1 and HTTP/2, on connections with the zone's own certificate.
async fn ask_both(stage: &Stage, request: &Request<Full<bytes::Bytes>>) -> [Response; 2] {
    let (mut one, two) = (stage.h1("shop.example.com").await, stage.h2("shop.example.com").await);
    [one.send(request.clone()).await.unwrap(), two.send(request.clone()).await.unwrap()]
}

/// The fields of a request that hold anything of a secret, by name or by value.
fn carried(seen: &Entry) -> Vec<&(String, String)> {
    let told = |(name, value): &&(String, String)| {
        let name: String =
            name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        name == "x-edge-secret"
            || name == "x-other-secret"
            || [OLD, NEW, OTHER].iter().any(|secret| value.contains(secret))
    };
    seen.headers.iter().filter(told).collect()
}

fn decided(stage: &Stage, host: &str, policy: &str, decision: &str, reason: &str) -> f64 {
    stage.metric(&format!(
        r#"pullgate_policy_decisions_total{{decision="{decision}",host="{host}",policy="{policy}",reason="{reason}"}}"#
    ))
}

/// B 18: another tenant of Cloudflare's comes from its addresses, with any header but the one that it does not know.
#[tokio::test]
async fn b18_without_the_secret_nobody_gets_through() {
    let stage = stage().await;
    let both = format!("{OLD}, {NEW}");
    let table: [(&[(&str, &[u8])], &str); 11] = [
        (&[], "secret_missing"),
        (&[("X_Edge_Secret", OLD.as_bytes())], "secret_missing"),
        (&[("X-Other-Secret", OLD.as_bytes()), ("Cookie", OLD.as_bytes())], "secret_missing"),
        (&[("X-Edge-Secret", b"")], "secret_wrong"),
        (&[("X-Edge-Secret", OTHER.as_bytes())], "secret_wrong"),
        (&[("X-Edge-Secret", &OLD.as_bytes()[..35])], "secret_wrong"),
        (&[("X-Edge-Secret", b"old-0123456789abcdef0123456789abcdeF")], "secret_wrong"),
        (&[("X-Edge-Secret", both.as_bytes())], "secret_wrong"),
        (&[("X-Edge-Secret", OLD.as_bytes()), ("X-Edge-Secret", OLD.as_bytes())], "secret_repeated"),
        (&[("X-Edge-Secret", OLD.as_bytes()), ("X-Edge-Secret", NEW.as_bytes())], "secret_repeated"),
        (&[("X-Edge-Secret", b"\xff")], "secret_wrong"),
    ];
    for (at, (fields, reason)) in table.iter().enumerate() {
        for path in ["/", "/here"] {
            for answer in ask_both(&stage, &bringing("shop", path, fields)).await {
                assert_eq!((answer.status.as_u16(), answer.text().as_str()), (403, "403 Forbidden\n"), "{fields:?}");
            }
        }
        let line = &stage.access_lines(4 * at + 4).await[4 * at];
        assert_eq!((&line["policy"], &line["reason"]), (&"edge-secret".into(), &(*reason).into()), "{fields:?}");
    }
    stage.assert_nothing_reached_the_origin();
    assert_eq!(decided(&stage, "shop", "edge-secret", "refuse", "secret_missing"), 12.0);
    assert_eq!(decided(&stage, "shop", "edge-secret", "refuse", "secret_wrong"), 24.0);
    assert_eq!(decided(&stage, "shop", "edge-secret", "refuse", "secret_repeated"), 8.0);
}

/// Whatever the host, the route and the mode, and whatever else it is called.
#[tokio::test]
async fn no_upstream_gets_a_secret() {
    let stage = stage().await;
    let spelled = |value: &'static str| {
        let names =
            ["X_Edge_Secret", "x.edge.secret", "X-Edge_Secret", "X-Other-Secret", "x_other_secret", "X~OTHER-secret"];
        names.map(|name| (name, value.as_bytes()))
    };
    let table = [
        ("shop", "/", OLD, 200),
        ("shop", "/", NEW, 200),
        ("shop", "/here", NEW, 204),
        ("watched", "/", NEW, 200),
        ("watched", "/", OLD, 200),
        ("twin", "/", OLD, 200),
        ("open", "/", NEW, 200),
    ];
    for (host, path, secret, status) in table {
        let fields = [&[("X-Edge-Secret", secret.as_bytes()), ("X-Kept", b"1")][..], &spelled(secret)].concat();
        for answer in ask_both(&stage, &bringing(host, path, &fields)).await {
            assert_eq!(answer.status, status, "{host}{path}");
        }
    }
    let staff =
        bringing("twin", "/staff", &[("x_other_secret", OTHER.as_bytes()), ("x-other-secret", b"1"), ("X-Kept", b"1")]);
    for answer in ask_both(&stage, &staff).await {
        assert_eq!(answer.status, 200);
    }
    let ledger = stage.origin.ledger();
    assert_eq!(ledger.len(), 14);
    for seen in &ledger {
        assert_eq!((carried(seen), seen.all("x-kept")), (vec![], vec!["1"]), "{seen:#?}");
    }
    assert_eq!(decided(&stage, "watched", "edge-secret", "would_refuse", "secret_wrong"), 2.0);
    assert_eq!(decided(&stage, "watched", "edge-secret", "permit", ""), 2.0);
    assert_eq!(decided(&stage, "twin", "staff-secret", "permit", ""), 2.0);
}

#[tokio::test]
async fn connection_takes_no_secret_away() {
    let stage = stage().await;
    for nominated in ["X-Edge-Secret", "x_edge_secret", "X-Other-Secret"] {
        for host in ["shop", "open"] {
            let connection = format!("close, {nominated}");
            let fields = [("Connection", connection.as_bytes()), ("X-Edge-Secret", OLD.as_bytes())];
            let answer = stage.h1("shop.example.com").await.send(bringing(host, "/", &fields)).await.unwrap();
            assert_eq!(answer.status, 400, "{nominated} to {host}");
        }
    }
    stage.assert_nothing_reached_the_origin();
    stage.metric_becomes(
        r#"pullgate_policy_decisions_total{decision="refuse",host="none",policy="gate",reason="hop_by_hop_identity"}"#,
        6.0,
    ).await;
}

/// Two values let the secret change without a moment in which nobody passes.
#[tokio::test]
async fn a_reload_exchanges_one_value_and_refuses_a_bad_one() {
    let stage = stage().await;
    let opens = async |secret: &str| {
        let fields = [("X-Edge-Secret", secret.as_bytes())];
        stage.h2("shop.example.com").await.send(bringing("shop", "/", &fields)).await.unwrap().status == 200
    };
    let newest = "newest-0123456789";
    assert_eq!((opens(OLD).await, opens(NEW).await, opens(newest).await), (true, true, false));
    std::fs::write(stage.props.path().join("edge-old"), newest).unwrap();
    assert_eq!(stage.reload(&recipe()), Ok(2));
    assert_eq!((opens(OLD).await, opens(NEW).await, opens(newest).await), (false, true, true));

    std::fs::write(stage.props.path().join("edge-old"), "too short").unwrap();
    let refused = stage.reload(&recipe()).unwrap_err();
    assert!(refused.contains("hosts[0].policies[0].values[0].file: `edge-old`: a secret of fewer"), "{refused}");
    assert!(!refused.contains("too short"), "{refused}");
    assert_eq!((opens(OLD).await, opens(NEW).await, opens(newest).await), (false, true, true));
}

/// Requests with the right secret, a wrong one and two, to a host that enforces, one that observes and one that has none.
async fn bring(scene: &Scene) -> String {
    let at = ([127, 0, 0, 1], scene.https).into();
    let tls = Tls::trusting(&scene.props.server_ca).presenting(&scene.props.edge());
    let [one, two] = ["http/1.1", "h2"].map(|alpn| tls.clone().alpn(&[alpn]).client_config());
    let mut one = H1::tls(Some(cloudflare()), at, "shop.example.com", one).await.unwrap();
    let two = H2::tls(Some(cloudflare()), at, "shop.example.com", two).await.unwrap();
    let mut answers = String::new();
    for host in ["shop", "watched", "open"] {
        for fields in [&[OLD][..], &["wrong SECRET", "SECRET"], &["wrong SECRET"]] {
            let fields: Vec<_> = fields.iter().map(|value| ("X-Edge-Secret", value.as_bytes())).collect();
            let request = bringing(host, "/status/500", &fields);
            answers += &one.send(request.clone()).await.unwrap().text();
            answers += &two.send(request).await.unwrap().text();
        }
    }
    answers
}

/// I 56, for what the policy itself knows and is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i56_no_log_series_or_answer_holds_a_secret() {
    let scene = Scene::start("{level: trace}", |mut command: Command, props: &Props| {
        write_secrets(props.path());
        let file = props.path().join("pullgate.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (head, rest) = text.split_once("hosts:\n").unwrap();
        let upstreams = rest.split_once("upstreams:\n").unwrap().1;
        std::fs::write(&file, format!("{head}{HOSTS}upstreams:\n{upstreams}")).unwrap();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    })
    .await;
    let answers = bring(&scene).await;
    // The files are watched. One whose secret will not do is named, and not shown.
    std::fs::write(scene.props.path().join("edge-next"), "another SECRET of some length").unwrap();
    std::fs::rename(scene.props.path().join("edge-next"), scene.props.path().join("edge-old")).unwrap();
    metrics_show(&scene.admin, "pullgate_config_generation 2\n").await;
    std::fs::write(scene.props.path().join("edge-old"), format!("{OLD}\nSECRET")).unwrap();
    metrics_show(&scene.admin, "pullgate_config_reloads_total{outcome=\"refused\"} 1\n").await;
    let series = metrics(&scene.admin).await;
    let Scene { running, origin, props, .. } = scene;
    running.signal("-TERM");
    let (status, access, process) = running.end().await;
    assert!(status.success() && process.contains("values[0].file: `edge-old`: a header carries one line"), "{process}");
    assert_eq!(access.lines().count(), 18, "{access}");
    for (place, text) in [("access", &access), ("process", &process), ("metrics", &series), ("answers", &answers)] {
        for secret in [OLD, NEW, OTHER, "SECRET"] {
            assert_eq!(text.lines().find(|line| line.contains(secret)), None, "{place}");
        }
    }
    assert_eq!(origin.ledger().len(), 14);
    for seen in origin.ledger() {
        assert_eq!(carried(&seen), Vec::<&(String, String)>::new());
    }
    drop(props);
}
