//! The binary itself: commands, exit codes, signals. `make test` builds it before this runs.

use crate::requests::post;
use http_body_util::BodyExt;
use pullgate_tests::client::{H1, H2, Tls, curl, get, streaming};
use pullgate_tests::origin::{Origin, pattern, sha256};
pub(crate) use pullgate_tests::ports::free_ports;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, visit};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The binary beside this test's own folder.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("pullgate");
    assert!(path.exists(), "{} is missing: run `make test`, or `cargo build` first", path.display());
    path
}

pub(crate) fn pullgate(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).env_remove("PULLGATE_CONFIG").output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `/metrics` of an admin listener says.
pub(crate) async fn metrics(admin: &str) -> String {
    let mut client = H1::plain(None, admin.parse().unwrap()).await.unwrap();
    client.send(get("admin", "/metrics")).await.unwrap().text()
}

/// Waits until `/metrics` holds a text.
pub(crate) async fn metrics_show(admin: &str, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = metrics(admin).await;
        if seen.contains(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{expected} is not in\n{seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The command that serves a configuration.
pub(crate) fn run(file: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["run", "--config"]).arg(file);
    command
}

/// A running binary that ends with its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(file: &Path) -> Self {
        Self(run(file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    pub(crate) async fn end(mut self) -> (ExitStatus, String, String) {
        let mut status = None;
        assert!(
            eventually(|| {
                status = self.0.try_wait().unwrap();
                status.is_some()
            })
            .await
        );
        let mut output = (String::new(), String::new());
        std::io::Read::read_to_string(&mut self.0.stdout.take().unwrap(), &mut output.0).unwrap();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut output.1).unwrap();
        (status.unwrap(), output.0, output.1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn recipe(https: u16, admin: u16) -> Recipe {
    Recipe {
        head: format!(
            "version: 1\nruntime: {{state_dir: state}}\nadmin: {{address: '127.0.0.1:{admin}'}}\ncloudflare: {{ranges: {{source: builtin, extra: [127.0.1.0/24]}}}}\n"
        ),
        listeners: format!("listeners:\n  - {{name: https, address: '127.0.0.1:{https}'}}\n"),
        ..Recipe::default()
    }
}

#[tokio::test]
async fn run_serves_curl_over_both_versions_and_signals_end_it() {
    let props = Props::new();
    let origin = Origin::start().await;
    let [https, admin] = free_ports();
    let file = props.write(&recipe(https, admin), &origin.address().to_string());
    let edge = props.edge().write(props.path(), "edge");
    props.server_ca.write(props.path(), "server-ca");
    let admin = format!("127.0.0.1:{admin}");
    for (signal, rounds) in [("-TERM", 1), ("-INT", 2)] {
        let running = Running::start(&file);
        assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.code() == Some(0)).await);
        let (ca, chain, key) = (props.path().join("server-ca.pem"), edge.chain.clone(), edge.key.clone());
        for (version, shown) in [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")] {
            let output = curl(&[
                version,
                "--include",
                "--interface",
                "127.0.1.1",
                "--resolve",
                &format!("shop.example.com:{https}:127.0.0.1"),
                "--cacert",
                ca.to_str().unwrap(),
                "--cert",
                chain.to_str().unwrap(),
                "--key",
                key.to_str().unwrap(),
                "--header",
                "CF-Connecting-IP: 203.0.113.7",
                &format!("https://shop.example.com:{https}/"),
            ])
            .await;
            assert!(
                output.stdout.starts_with(shown) && output.stdout.ends_with("hello from the origin\n"),
                "{output:?}"
            );
        }
        assert_eq!(pullgate(&["healthcheck", "--config", file.to_str().unwrap()]).status.code(), Some(0));
        running.signal("-HUP");
        metrics_show(&admin, "pullgate_config_generation 2\n").await;
        running.signal(signal);
        let (status, stdout, stderr) = running.end().await;
        assert_eq!(status.code(), Some(0), "{signal}: {stderr}");
        assert_eq!(stdout.lines().count(), 2, "{stdout}");
        assert!(stdout.lines().all(|line| line.contains(r#""http.response.status_code":200"#)), "{stdout}");
        assert!(stderr.contains("configuration applied") && stderr.contains(r#""message":"ready""#), "{stderr}");
        assert_eq!(origin.ledger().len(), 2 * rounds);
    }
    let gone = pullgate(&["healthcheck", "--address", &admin]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("nothing answers on"), "{gone:?}");
}

#[test]
fn check_reports_and_exits_with_2_for_a_bad_configuration() {
    let props = Props::new();
    let good = props.write(&recipe(8443, 9090), "127.0.0.1:9");
    let output = pullgate(&["check", "-c", good.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).ends_with(": ok: 1 listener, 5 hosts, 1 upstream\n"), "{output:?}");

    let bad = props.write(&Recipe { hosts: "hosts: []\n".into(), ..recipe(8443, 9090) }, "127.0.0.1:9");
    for command in ["check", "run"] {
        let output = pullgate(&[command, "-c", bad.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains("error: hosts:"), "{output:?}");
    }
    let output = pullgate(&["check", "--format", "json", "-c", bad.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &report["ok"], &report["problems"][0]["key"]),
        (Some(2), &false.into(), &"hosts".into())
    );

    let missing = pullgate(&["check", "-c", "no-such-file.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).starts_with("no-such-file.yaml: "), "{missing:?}");
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["run", "--help"], 0),
        (&["--version"], 0),
        (&[], 2),
        (&["rnu"], 2),
        (&["run", "--nope"], 2),
    ] {
        assert_eq!(pullgate(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn the_demo_comes_out_right() {
    let output = pullgate(&["demo", "--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("5 of 5 came out right."), "{}", text(&output.stdout));
}

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// What the kernel says of a process under a name.
fn status_of(id: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    value.trim().to_owned()
}

/// Resident memory of a process, in bytes.
fn resident(id: u32) -> u64 {
    status_of(id, "VmRSS").trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What huge pages round up is memory that nobody uses.
#[tokio::test]
async fn an_idle_gateway_takes_no_huge_pages() {
    let props = Props::new();
    let [https, admin] = free_ports();
    let running = Running::start(&props.write(&recipe(https, admin), "127.0.0.1:9"));
    let (id, admin) = (running.0.id(), format!("127.0.0.1:{admin}"));
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
    assert_eq!(status_of(id, "THP_enabled"), "0");
    // Pages of files, the program's own among them, are not of its making.
    let own: u64 = status_of(id, "RssAnon").trim_end_matches(" kB").parse().unwrap();
    assert!(own < 8 * 1024, "{own} KiB");
}

/// The most memory that a process has while `work` runs, above what it had before, in bytes.
pub(crate) async fn growth_during<T>(id: u32, work: impl Future<Output = T>) -> (T, u64) {
    let before = resident(id);
    let most = std::cell::Cell::new(0);
    let watch = async {
        loop {
            most.set(resident(id).max(most.get()));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        result = work => (result, most.get().saturating_sub(before)),
        () = watch => unreachable!(),
    }
}

/// 1 GiB up over HTTP/1.1 and 1 GiB down over HTTP/2, in flat memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_a_gibibyte_is_streamed_in_flat_memory() {
    const MOST: u64 = 24 * MIB as u64;
    let props = Props::new();
    let origin = Origin::start().await;
    let [https, admin] = free_ports();
    let mut recipe = recipe(https, admin);
    recipe.hosts = recipe.hosts.replacen("    routes:", "    request: {body_bytes: 1GiB}\n    routes:", 1);
    let running = Running::start(&props.write(&recipe, &origin.address().to_string()));
    let (id, admin) = (running.0.id(), format!("127.0.0.1:{admin}"));
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
    let (from, at) = (Some(cloudflare()), format!("127.0.0.1:{https}").parse().unwrap());
    let tls = Tls::trusting(&props.server_ca).presenting(&props.edge());
    let mut one = H1::tls(from, at, "shop.example.com", tls.clone().alpn(&["http/1.1"]).client_config()).await.unwrap();
    let two = H2::tls(from, at, "shop.example.com", tls.alpn(&["h2"]).client_config()).await.unwrap();

    // The first large bodies pay for buffers that stay.
    assert_eq!(one.send(post("/digest", pattern(8 * MIB))).await.unwrap().text(), sha256(&pattern(8 * MIB)));
    assert_eq!(two.send(visit("shop.example.com", &format!("/bytes/{}", 8 * MIB))).await.unwrap().body.len(), 8 * MIB);
    let (mut sender, body) = streaming();
    let chunk = pattern(MIB);
    let feed = tokio::spawn(async move {
        for _ in 0..GIB / MIB {
            sender.send_data(chunk.clone()).await.unwrap();
        }
    });
    let (answer, grown) = growth_during(id, one.send_stream(post("/digest", pattern(0)).map(|_| body))).await;
    feed.await.unwrap();
    let entry = origin.ledger().pop().unwrap();
    assert_eq!((entry.body_len, entry.body_complete, entry.body_sha256), (GIB as u64, true, answer.unwrap().text()));
    assert!(grown < MOST, "up: {} MiB more", grown >> 20);

    let request = visit("shop.example.com", &format!("/bytes/{GIB}")).map(|_| streaming().1);
    let mut answer = two.send_open(request).await.unwrap().into_body();
    let read = async {
        let mut length = 0;
        while let Some(frame) = answer.frame().await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        length
    };
    let (length, grown) = growth_during(id, read).await;
    assert_eq!(length, GIB);
    assert!(grown < MOST, "down: {} MiB more", grown >> 20);
}

/// The running binary's threads of this name.
fn threads(id: u32, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.as_ref().unwrap().path().join("comm")).unwrap_or_default().trim() == name
        })
        .count()
}

#[tokio::test]
async fn workers_log_level_and_log_format_have_their_effect() {
    let origin = Origin::start().await;
    for (log, level, json, lines) in [
        ("{level: debug, format: text, access: off}", "DEBUG stranger turned away", false, 0),
        ("{level: debug}", r#""message":"stranger turned away""#, true, 1),
        ("{level: warn, format: text}", "", false, 1),
    ] {
        let props = Props::new();
        let [http, admin] = free_ports();
        let head = format!(
            "version: 1\nruntime: {{workers: 3, state_dir: state}}\nlog: {log}\nadmin: {{address: '127.0.0.1:{admin}'}}\ncloudflare: {{ranges: {{source: builtin, extra: [127.0.1.0/24]}}}}\n"
        );
        let listeners = format!(
            "listeners:\n  - {{name: http, address: '127.0.0.1:{http}', protocol: http, kernel_filter: off}}\n"
        );
        let recipe = Recipe { head, listeners, hosts: crate::admission::open_host(), ..Recipe::default() };
        let running = Running::start(&props.write(&recipe, &origin.address().to_string()));
        let admin = format!("127.0.0.1:{admin}");
        assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
        // A thread that starts has its parent's name for a moment, and then its own.
        let workers_and_main = || threads(running.0.id(), "pullgate") == 3 + 1;
        assert!(eventually(workers_and_main).await, "{} threads", threads(running.0.id(), "pullgate"));
        let url = format!("http://127.0.0.1:{http}/");
        for (from, served) in [("127.0.1.1", true), ("127.0.2.1", false)] {
            let output = curl(&[
                "--interface",
                from,
                "-H",
                "Host: open.example.com",
                "-H",
                "CF-Connecting-IP: 203.0.113.7",
                &url,
            ])
            .await;
            assert_eq!(output.success, served, "{output:?}");
        }
        running.signal("-TERM");
        let (status, stdout, stderr) = running.end().await;
        assert!(status.success());
        assert!(stderr.contains(level) && (level.is_empty() == stderr.is_empty()), "{log}: {stderr}");
        assert_eq!(stdout.lines().count(), lines, "{stdout}");
        assert_eq!(stdout.starts_with('{'), json && lines > 0, "{stdout}");
        assert!(lines == 0 || json || stdout.contains(" 203.0.113.7 GET open.example.com/ 200 permit "), "{stdout}");
    }
}

/// A reader that goes away (`| head`) ends a command, and is nobody's panic.
#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let props = Props::new();
    let file = props.write(&Recipe::default(), "127.0.0.1:9");
    for words in [&["check"][..], &["ranges", "show"], &["explain", "https://shop.example.com/", "--peer", "127.0.1.1"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(binary());
        command.args(words).args(["--config", file.to_str().unwrap()]).stdout(writer);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    }
}

/// What loads and deserves a second thought is said by `check`, and keeps nothing from starting.
#[test]
fn check_warns_of_what_is_weaker_than_it_looks() {
    let props = Props::new();
    let usual = Recipe::default();
    let hosts = usual.hosts.replacen("trust: [zone-ca.pem]", "trust: [cloudflare]", 1);
    let listeners = usual.listeners.replacen("kernel_filter: off,", "kernel_filter: off, sources: any,", 1);
    let file = props.write(&Recipe { hosts, listeners, ..usual }, "127.0.0.1:9");
    let path = file.to_str().unwrap();
    let output = pullgate(&["check", "--config", path]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for expected in [
        "warning: listeners[0].sources: anybody may connect",
        "warning: listeners[1].protocol: no certificate can be shown here: every request for `shop`, `twin`, `blog` is answered 421",
        "warning: hosts[0].origin_pull: the only proof is the certificate that all Cloudflare accounts share",
        "help: upload a certificate of your own to Cloudflare and name its CA in `trust`",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let json = pullgate(&["check", "--config", path, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["ok"], json["warnings"].as_array().unwrap().len()), (&true.into(), 3));
}
