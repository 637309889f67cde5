//! What is written and answered: each line is one line, and nothing in it is a secret.
//!
//! A test is named after the scenario that it plays, i54 to i57.

use crate::binary::{Running, metrics};
use crate::faults::{Scene, through_a_shell};
use http::HeaderValue;
use pullgate_tests::client::{H1, H2, Tls, raw};
use pullgate_tests::hello::{Hello, greet};
use pullgate_tests::pki::Identity;
use pullgate_tests::stage::{Props, Recipe, Stage, VISITOR, cloudflare, eventually, visit};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const SHOP: &str = "shop.example.com";

fn piped(mut command: Command, _: &Props) -> Command {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the process and gives what it has written: access log and process log.
async fn written(scene: Scene) -> (String, String) {
    let Scene { running, origin, props, .. } = scene;
    running.signal("-TERM");
    let (status, stdout, stderr) = running.end().await;
    drop((origin, props));
    assert!(status.success(), "{stderr}");
    (stdout, stderr)
}

#[tokio::test]
async fn i54_the_admin_listener_is_on_loopback_and_not_behind_the_door() {
    let props = Props::new();
    let head = "version: 1\n".into();
    let config = pullgate::load(&props.write(&Recipe { head, ..Recipe::default() }, "127.0.0.1:9")).unwrap().config;
    assert!(config.admin.address.ip().is_loopback());
    let stage = Stage::new().await;
    let admin = stage.gateway.admin_address();
    let tls = stage.tls().client_config();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE"] {
        let asked = format!("{method} /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        let answer = raw(None, admin, None, asked.as_bytes()).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{method}: {}", String::from_utf8_lossy(&answer));
    }
    let (address, localhost) = (admin.to_string(), format!("localhost:{}", admin.port()));
    for (target, host) in [
        ("/metrics".to_owned(), address.as_str()),
        ("/metrics".to_owned(), "localhost"),
        ("/metrics".to_owned(), SHOP),
        (format!("http://{address}/metrics"), address.as_str()),
        (format!("http://{localhost}/metrics"), SHOP),
        ("/-/status".to_owned(), "admin"),
    ] {
        let asked = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nCF-Connecting-IP: {VISITOR}\r\nConnection: close\r\n\r\n"
        );
        for (at, tls) in [("http", None), ("https", Some((SHOP, tls.clone())))] {
            let answer = raw(Some(cloudflare()), stage.at(at), tls, asked.as_bytes()).await.unwrap();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with("HTTP/1.1 ") && !answer.contains("pullgate_"), "{target} {host}: {answer}");
        }
    }
}

/// Line ends, a terminal's escape, quotes, a separator of Unicode.
const HOSTILE: &str = "x\r\n{\"injected\":1}\u{1b}[31m\"'\u{2028}y";

/// Hostile bytes wherever a log takes something from a client: path, Host, User-Agent, SNI, the certificate's subject.
async fn say_hostile_things(scene: &Scene) {
    let [http, https] = [scene.http, scene.https].map(|port| ([127, 0, 0, 1], port).into());
    let head = b"GET /a\"b'\xe2\x80\xa8\xff HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: 203.0.113.7\r\n\
        User-Agent: \"},{\"a\":\xff\xe2\x80\xa8\xc2\x9b31m\r\nConnection: close\r\n\r\n";
    raw(Some(cloudflare()), http, None, head).await.unwrap();
    for host in ["a\"b", "a\x1b[31m", "a\u{2028}b", "[::1]%0a"] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(Some(cloudflare()), http, None, head.as_bytes()).await.unwrap();
    }
    greet(https, &Hello::to(HOSTILE.as_bytes()).record()).await;
    greet(https, &Hello::to(b"\xff\xfe\r\n.example.com").record()).await;
    for (ca, is_served) in [(&scene.props.zone_ca, true), (&scene.props.other_ca, false)] {
        let edge: Identity = ca.leaf().common_name(HOSTILE).issue();
        let tls = Tls::trusting(&scene.props.server_ca).presenting(&edge).client_config();
        let served = match H1::tls(Some(cloudflare()), https, SHOP, tls).await {
            Ok(mut client) => client.send(visit(SHOP, "/")).await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(served, is_served);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i55_hostile_values_stay_within_their_line() {
    let scene = Scene::start("{level: debug}", piped).await;
    say_hostile_things(&scene).await;
    let (access, process) = written(scene).await;
    for line in access.lines().chain(process.lines()) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["injected"].is_null() && line["timestamp"].is_string(), "{line}");
    }
    assert_eq!(access.lines().count(), 6, "{access}");
    assert!(access.contains("\\r\\n") && process.contains("handshake refused"), "{access}{process}");

    let scene = Scene::start("{level: debug, format: text}", piped).await;
    say_hostile_things(&scene).await;
    let (access, process) = written(scene).await;
    assert_eq!(access.lines().count(), 6, "{access}");
    for line in access.lines().chain(process.lines()) {
        assert!(line.starts_with("20") && !line.chars().any(char::is_control), "{line:?}");
    }
    assert!(process.contains("handshake refused"), "{process}");
}

/// Requests that carry a secret wherever one is carried, over both versions; some end in errors.
async fn carry_secrets(scene: &Scene) -> String {
    let at = ([127, 0, 0, 1], scene.https).into();
    let tls = Tls::trusting(&scene.props.server_ca).presenting(&scene.props.edge());
    let [one, two] = ["http/1.1", "h2"].map(|alpn| tls.clone().alpn(&[alpn]).client_config());
    let mut one = H1::tls(Some(cloudflare()), at, SHOP, one).await.unwrap();
    let two = H2::tls(Some(cloudflare()), at, SHOP, two).await.unwrap();
    let mut answers = String::new();
    for (host, path) in [(SHOP, "/?token=SECRET&x=1"), (SHOP, "/status/500?token=SECRET"), ("blog.example.com", "/")] {
        let mut request = visit(host, path);
        for (name, value) in [
            ("authorization", "Bearer SECRET"),
            ("proxy-authorization", "Basic SECRET"),
            ("cookie", "session=SECRET"),
            ("cf-access-client-secret", "SECRET"),
            ("cf-access-jwt-assertion", "SECRET.SECRET.SECRET"),
            ("x-edge-secret", "SECRET"),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answers += &one.send(request.clone()).await.unwrap().text();
        answers += &two.send(request).await.unwrap().text();
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i56_secrets_are_in_no_log_at_any_level_in_no_series_and_in_no_answer() {
    for level in ["info", "debug", "trace"] {
        let log = format!("{{level: {level}, redact: {{query: [token]}}}}");
        let scene = Scene::start(&log, piped).await;
        let key = std::fs::read_to_string(scene.props.path().join("server.key")).unwrap();
        // Any line of the key, in the base64 of its file.
        let key = key.lines().nth(1).unwrap()[..32].to_owned();
        let answers = carry_secrets(&scene).await;
        let series = metrics(&scene.admin).await;
        scene.running.signal("-HUP");
        crate::binary::metrics_show(&scene.admin, "pullgate_config_generation 2\n").await;
        let (access, process) = written(scene).await;
        assert_eq!(access.lines().count(), 6, "{access}");
        assert!(access.contains("token=REDACTED"), "{access}");
        for (place, text) in [("access", &access), ("process", &process), ("metrics", &series), ("answers", &answers)] {
            for secret in ["SECRET", &key] {
                let found = text.lines().find(|line| line.contains(secret));
                assert_eq!(found, None, "{level}: {place}");
            }
        }
    }
}

/// How a process ends that is told to leave an image of its memory.
fn aborted(command: Command, props: &Props) -> Command {
    let mut shell = through_a_shell(&command, "ulimit -c unlimited; exec \"$@\"");
    shell.current_dir(props.path()).stdout(Stdio::null()).stderr(Stdio::null());
    shell
}

#[tokio::test]
async fn i56_no_core_file_holds_the_keys() {
    let mut scene = Scene::start("{level: error}", aborted).await;
    let mut sleep = Command::new("sleep");
    sleep.arg("30");
    let mut other = Running(aborted(sleep, &scene.props).spawn().unwrap());
    let ended = |running: &mut Running| {
        running.signal("-ABRT");
        running.0.wait().unwrap()
    };
    let is_there = |running: &Running, name: &str| {
        std::fs::read_to_string(format!("/proc/{}/comm", running.0.id())).unwrap().trim() == name
    };
    // The shell has to have become what it runs.
    assert!(eventually(|| is_there(&other, "sleep")).await);
    let (gateway, other) = (ended(&mut scene.running), ended(&mut other));
    assert_eq!((gateway.signal(), other.signal()), (Some(6), Some(6)));
    assert!(other.core_dumped(), "this system leaves no image of any process: the test shows nothing here");
    assert!(!gateway.core_dumped());
}

#[tokio::test]
async fn i57_answers_name_no_version_and_no_address() {
    let upstreams = "upstreams:\n  shop: {servers: [ORIGIN]}\n  dead: {servers: ['127.0.0.1:9']}\n";
    let hosts = "hosts:\n  - name: open\n    hostnames: [open.example.com]\n    origin_pull: {mode: off}\n    routes:\n      \
        - {name: dead, path: /dead, upstream: dead}\n      - {name: get, path: /get, methods: [GET], upstream: shop}\n";
    let recipe = Recipe { hosts: hosts.into(), upstreams: upstreams.into(), ..crate::routing::plain_only() };
    let stage = Stage::with(recipe).await;
    let long = format!("X: {}\r\n", "y".repeat(200_000));
    let origin = stage.origin.address().to_string();
    for (line, more, status) in [
        ("GET /dead HTTP/1.1\r\nHost: open.example.com", "", 503),
        ("POST /get HTTP/1.1\r\nHost: open.example.com", "", 405),
        ("GET /nothing HTTP/1.1\r\nHost: open.example.com", "", 404),
        ("GET / HTTP/1.1\r\nHost: other.example.com", "", 421),
        ("GET /get HTTP/1.1\r\nHost: open.example.com", "X: a\0b\r\n", 400),
        ("GET /get HTTP/1.1\r\nHost: open.example.com", long.as_str(), 431),
        ("GET / /get HTTP/1.1\r\nHost: open.example.com", "", 400),
    ] {
        let asked = format!("{line}\r\nCF-Connecting-IP: {VISITOR}\r\n{more}Connection: close\r\n\r\n");
        let answer = raw(Some(cloudflare()), stage.at("http"), None, asked.as_bytes()).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{line}: {answer}");
        for told in [
            "pullgate",
            "pingora",
            "hyper",
            "rust",
            "\r\nserver:",
            "\r\nvia:",
            "127.0.0.1",
            &origin,
            env!("CARGO_PKG_VERSION"),
        ] {
            assert!(!answer.contains(told), "{line}: {told} in {answer}");
        }
    }
}
