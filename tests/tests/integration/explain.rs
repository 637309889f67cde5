//! `pullgate explain`: what it says, and that the running gateway decides the same.

use crate::binary::{pullgate, text};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use pullgate::{Outcome, Question, explain};
use pullgate_tests::client::raw;
use pullgate_tests::pki::Identity;
use pullgate_tests::stage::{CLOUDFLARE, Props, Recipe, STRANGER, Stage, VISITOR, cloudflare};
use rustls_pki_types::UnixTime;
use serde_json::Value;

/// The usual hosts; `shop` with policies of both modes and a second route.
fn judged() -> Recipe {
    let usual = Recipe::default();
    let hosts = usual.hosts.replacen(
        "    routes: [{name: all, upstream: shop}]\n",
        "    policies:
      - {kind: workers, zones: [], mode: observe}
      - {kind: client-networks, deny: [198.51.100.0/24]}
      - {kind: proof, least: account}
    routes:
      - {name: all, upstream: shop}
      - {name: moved, path: /old, respond: {status: 301, location: 'https://shop.example.com/new'}}
      - {name: inner, path: /inner, upstream: shop, strip_prefix: true, methods: [GET], policies: [{kind: client-networks, name: inside, allow: [203.0.113.0/24]}]}
",
        1,
    );
    Recipe { hosts, ..usual }
}

fn explained(file: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    pullgate(&[&["explain", "--config", file.to_str().unwrap()], arguments].concat())
}

#[test]
fn every_layer_says_what_it_decides_and_where_that_is_written() {
    let props = Props::new();
    let file = props.write(&judged(), "127.0.0.1:9");
    let certificate = props.path().join("edge.pem");
    props.edge().write(props.path(), "edge");
    let certificate = certificate.to_str().unwrap();
    let visitor = format!("CF-Connecting-IP: {VISITOR}");
    let good =
        ["https://shop.example.com/inner/x?y", "--peer", CLOUDFLARE, "--certificate", certificate, "-H", &visitor];
    let output = explained(&file, &[&good[..], &["-H", "CF-Worker: other.example"]].concat());
    assert!(output.status.success(), "{output:?}");
    let configuration = std::fs::read_to_string(&file).unwrap();
    let line = |of: &str| 1 + configuration.lines().position(|line| line.contains(of)).unwrap();
    let said = text(&output.stdout);
    for expected in [
        format!("✓ source       {CLOUDFLARE} counts as Cloudflare\n"),
        format!("✓ handshake    SNI shop.example.com: host `shop`  (line {}: hosts[0])\n", line("name: shop")),
        format!(
            "✓ origin pull  verified, proves `account`: CN=zone CA  (line {}: hosts[0].origin_pull)\n",
            line("origin_pull: {mode: require")
        ),
        format!("✓ visitor      {VISITOR}\n"),
        format!("✓ route        `inner`  (line {}: hosts[0].routes[2])\n", line("name: inner")),
        format!(
            "~ policy       `workers` would refuse: worker_unlisted  (line {}: hosts[0].policies[0])\n",
            line("kind: workers")
        ),
        format!("✓ policy       `inside`  (line {}: hosts[0].routes[2].policies[0])\n", line("name: inner")),
        "forwarded to upstream `shop`, as /x?y\n".into(),
        "  = host: shop.example.com\n".into(),
        format!("  = x-forwarded-for: {VISITOR}\n"),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }

    let denied = explained(&file, &[&good[..], &["-H", "CF-Connecting-IP: 198.51.100.1"]].concat());
    assert!(
        text(&denied.stdout).ends_with("refused: 400, reason visitor_malformed\n"),
        "two lines are two: {denied:?}"
    );
    let contrary = explained(&file, &[&good[..], &["-H", "X-Forwarded-For: 192.0.2.9"]].concat());
    let told = format!("✓ visitor      {VISITOR} (the headers contradict each other on: address)\n");
    assert!(text(&contrary.stdout).contains(&told), "{contrary:?}");
    let other = [&good[..5], &["-H", "CF-Connecting-IP: 198.51.100.1"]].concat();
    let denied = text(&explained(&file, &other).stdout);
    assert!(denied.contains("✗ policy       `client-networks`: network_denied"), "{denied}");
    assert!(denied.contains("  policy       `proof`: not asked"), "{denied}");
    assert!(denied.ends_with("refused: 403, reason network_denied, policy client-networks\n"), "{denied}");

    let table = [
        (vec!["https://shop.example.com/", "--peer", STRANGER], "closed unheard"),
        (vec!["https://shop.example.com/", "--peer", CLOUDFLARE], "the handshake ends with an alert"),
        (vec!["https://other.example.com/", "--peer", CLOUDFLARE], "unrecognized_name, without a certificate"),
        (
            vec!["https://shop.example.com/", "--peer", CLOUDFLARE, "--no-sni"],
            "unrecognized_name, without a certificate",
        ),
        (
            vec!["https://blog.example.com/", "--peer", CLOUDFLARE, "--sni", "open.example.com"],
            "421, reason not_presented, policy origin-pull",
        ),
        (
            vec!["https://shop.example.com/old", "--peer", CLOUDFLARE, "--certificate", certificate, "-H", &visitor],
            "itself: 301, Location: https://shop.example.com/new",
        ),
        (
            vec!["http://shop.example.com/old", "--peer", CLOUDFLARE, "-H", &visitor],
            "403, reason proof_too_weak, policy proof",
        ),
        (
            vec!["https://open.example.com/", "--peer", CLOUDFLARE, "-X", "TRACE", "-H", &visitor],
            "405, reason method_unlisted",
        ),
        (
            vec!["https://open.example.com/", "--peer", CLOUDFLARE, "-H", "Host: a, b", "-H", &visitor],
            "400, reason host_malformed",
        ),
        (vec!["https://open.example.com/a b", "--peer", CLOUDFLARE], "400, reason head_malformed"),
    ];
    for (arguments, expected) in table {
        let said = explained(&file, &arguments);
        assert!(said.status.success() && text(&said.stdout).trim_end().ends_with(expected), "{arguments:?}: {said:?}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_told_so() {
    let props = Props::new();
    let file = props.write(&judged(), "127.0.0.1:9");
    let table = [
        (vec!["shop.example.com", "--peer", CLOUDFLARE], 2, "is not an absolute URL; write https://"),
        (vec!["https://shop.example.com"], 2, "--peer"),
        (vec![], 2, "required"),
        (
            vec!["https://a.b/", "--peer", CLOUDFLARE, "--listener", "htps"],
            1,
            "there is no listener `htps`; there are `https`, `http`",
        ),
        (vec!["https://a.b/", "--peer", CLOUDFLARE, "--certificate", "/nowhere"], 1, "/nowhere cannot be read"),
        (vec!["--log-line", "{}"], 2, "not one of Pullgate's access log"),
    ];
    for (arguments, code, expected) in table {
        let output = explained(&file, &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {output:?}");
    }
    std::fs::write(&file, "listeners: []\n").unwrap();
    assert_eq!(explained(&file, &["https://a.b/", "--peer", CLOUDFLARE]).status.code(), Some(2));
}

#[tokio::test]
async fn a_line_of_the_access_log_is_explained_again() {
    let stage = Stage::with(judged()).await;
    let mut client = stage.h1("shop.example.com").await;
    let mut asked = pullgate_tests::stage::visit("shop.example.com", "/inner/a?b=c");
    asked.headers_mut().insert("cf-connecting-ip", "198.51.100.7".parse().unwrap());
    assert_eq!(client.send(asked).await.unwrap().status, 403);
    let line = stage.access_lines(1).await[0].to_string();
    let file = stage.props.path().join("pullgate.yaml");
    let without = explained(&file, &["--log-line", &line]);
    assert_eq!(without.status.code(), Some(1), "{without:?}");
    assert!(text(&without.stderr).contains("give it with --certificate"), "{without:?}");
    stage.edge.write(stage.props.path(), "edge");
    stage.props.edge().write(stage.props.path(), "another");
    let with = |name: &str, more: &[&str]| {
        let certificate = stage.props.path().join(name);
        explained(&file, &[&["--log-line", &line, "--certificate", certificate.to_str().unwrap()], more].concat())
    };
    let wrong = with("another.pem", &[]);
    assert!(wrong.status.code() == Some(1) && text(&wrong.stderr).contains("has the SHA-256"), "{wrong:?}");
    let right = text(&with("edge.pem", &[]).stdout);
    assert!(right.ends_with("refused: 403, reason network_denied, policy client-networks\nthe line says: refuse, reason network_denied\n"), "{right}");
    let json: Value =
        serde_json::from_slice(&with("edge.pem", &["--format", "json", "-H", "CF-Connecting-IP: 203.0.113.1"]).stdout)
            .unwrap();
    assert_eq!((&json["outcome"]["decision"], &json["outcome"]["target"]), (&"forward".into(), &"/a?b=c".into()));
}

/// A line tells the visitor's address, and the host where it stands.
#[tokio::test]
async fn a_line_of_a_host_with_a_field_of_its_own_is_explained_by_that_field() {
    let usual = Recipe::default();
    let field = "    visitor: {address_header: X-Visitor}\n    routes:";
    let hosts = usual.hosts.replace("    routes:", field);
    let stage = Stage::with(Recipe { hosts, ..usual }).await;
    let mut asked = pullgate_tests::stage::visit("open.example.com", "/");
    asked.headers_mut().insert("x-visitor", VISITOR.parse().unwrap());
    assert_eq!(stage.h1("open.example.com").await.send(asked).await.unwrap().status, 200);
    let line = stage.access_lines(1).await[0].to_string();
    let said = text(&explained(&stage.props.path().join("pullgate.yaml"), &["--log-line", &line]).stdout);
    assert!(
        said.contains(&format!("✓ visitor      {VISITOR}  (line")) && said.contains("forwarded to upstream"),
        "{said}"
    );
}

/// One request, as both sides get it.
#[derive(Debug, Clone)]
struct Case {
    sni: &'static str,
    host: &'static str,
    target: &'static str,
    method: &'static str,
    certificate: Option<usize>,
    headers: Vec<&'static str>,
}

const NAMES: [&str; 6] = [
    "shop.example.com",
    "twin.example.com",
    "blog.example.com",
    "open.example.com",
    "watched.example.com",
    "a.shop.example.com",
];

const HOSTS: [&str; 8] = [
    "shop.example.com",
    "blog.example.com",
    "open.example.com",
    "watched.example.com",
    "nobody.example.com",
    "SHOP.example.com:443",
    "shop example",
    "[::1]",
];

const TARGETS: [&str; 11] = [
    "/",
    "/inner",
    "/inner/x?y=1",
    "/old",
    "/inner/../old",
    "/%69nner",
    "/inner;/x",
    "/a%2Fb",
    "*",
    "/a#b",
    "/a\u{e9}",
];

const FIELDS: [&str; 13] = [
    "CF-Connecting-IP: 203.0.113.7",
    "CF-Connecting-IP: 198.51.100.7",
    "CF-Connecting-IP: nobody",
    "CF-Worker: example.com",
    "CF_Connecting_IP: 6.6.6.6",
    "X-Forwarded-For: 6.6.6.6",
    "Connection: close, CF-Connecting-IP",
    "CDN-Loop: cloudflare; loops=99",
    "Content-Length: 104857601",
    "Content-Length: x",
    "Content_Length: 5",
    "Expect: x",
    "Bad Name: x",
];

fn cases() -> impl Strategy<Value = Case> {
    let method = prop_oneof![8 => Just("GET"), 1 => Just("TRACE"), 1 => Just("DELETE")];
    let headers = prop_oneof![
        3 => Just(vec!["CF-Connecting-IP: 203.0.113.7"]),
        3 => proptest::collection::vec(select(&FIELDS[..]), 0..3),
    ];
    let certificate = proptest::option::weighted(0.8, 0usize..2);
    let asked = (select(&NAMES[..]), select(&HOSTS[..]), select(&TARGETS[..]), method, certificate, headers);
    (asked, any::<bool>()).prop_map(|((sni, host, target, method, certificate, headers), same)| {
        let host = if same { sni } else { host };
        Case { sni, host, target, method, certificate, headers }
    })
}

/// What the running gateway says: its status and reason, or none where the handshake did not get that far.
async fn live(
    stage: &Stage,
    case: &Case,
    identities: &[Identity; 2],
    line: usize,
) -> Option<(u64, Option<String>, String)> {
    let Case { sni, host, target, method, certificate, headers } = case;
    let tls = match certificate {
        Some(index) => stage.bare_tls().presenting(&identities[*index]),
        None => stage.bare_tls(),
    };
    let head: String = headers.iter().map(|field| format!("{field}\r\n")).collect();
    let bytes = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n");
    let config = tls.alpn(&["http/1.1"]).client_config();
    let came = raw(Some(cloudflare()), stage.at("https"), Some((sni, config)), bytes.as_bytes()).await.ok()?;
    assert!(came.starts_with(b"HTTP/1.1 "), "{case:?}: {}", String::from_utf8_lossy(&came));
    let lines = stage.access_lines(line + 1).await;
    let line = &lines[line];
    let text = |key: &str| line[key].as_str().map(str::to_owned);
    Some((line["http.response.status_code"].as_u64().unwrap(), text("reason"), text("decision").unwrap()))
}

/// What explain says, in the same words.
fn told(stage: &Stage, case: &Case, identities: &[Identity; 2]) -> Option<(u64, Option<String>, String)> {
    let Case { sni, host, target, method, certificate, headers } = case;
    let url = pullgate::Url { https: true, authority: (*host).into(), target: (*target).into() };
    let mut question = Question::new(cloudflare(), url, UnixTime::now());
    question.sni = Some((*sni).into());
    question.method = method.parse().unwrap();
    question.chain = certificate.map(|index| identities[index].chain()).unwrap_or_default();
    question.headers = ["Connection: close"].iter().chain(headers).map(|field| field.as_bytes().to_vec()).collect();
    let explanation = explain(&stage.props.path().join("pullgate.yaml"), &question).unwrap();
    let observed = explanation.steps.iter().any(|step| step.verdict == pullgate::Verdict::Observe);
    let passed = if observed { "would_refuse" } else { "permit" };
    match explanation.outcome {
        Outcome::Closed { .. } => None,
        Outcome::Refuse { status, reason, .. } => Some((status.into(), Some(reason.into()), "refuse".into())),
        Outcome::Respond { status, .. } => Some((status.into(), None, passed.into())),
        Outcome::Forward { .. } => Some((200, None, passed.into())),
    }
}

/// The property: whatever is asked, with whatever certificate, explain says what the running gateway does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_and_the_running_gateway_agree() {
    let stage = Stage::with(judged()).await;
    let other = stage.props.other_ca.leaf().common_name("edge").issue();
    let identities = [stage.props.edge(), other];
    let (mut runner, strategy) = (TestRunner::default(), cases());
    let (mut lines, mut ends) = (0, std::collections::BTreeMap::new());
    for _ in 0..200 {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        let decided = live(&stage, &case, &identities, lines).await;
        assert_eq!(told(&stage, &case, &identities), decided, "{case:?}");
        lines += usize::from(decided.is_some());
        *ends.entry(decided.map(|(status, reason, _)| (status, reason))).or_insert(0) += 1;
    }
    assert!(ends.len() >= 6, "these cases say little: {ends:?}");
}
