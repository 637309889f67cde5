//! The running binary while things change around it: files, commands, other processes in its place.

use crate::binary::{Running, binary, free_ports, metrics, metrics_show, pullgate, recipe, text};
use pullgate_tests::client::{H1, H2, Tls};
use pullgate_tests::origin::Origin;
use pullgate_tests::pki::Identity;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, visit};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A running gateway, and what a client needs.
struct Life {
    props: Props,
    origin: Origin,
    file: PathBuf,
    https: u16,
    admin: String,
    edge: Identity,
}

impl Life {
    async fn new() -> Self {
        let (props, origin) = (Props::new(), Origin::start().await);
        let [https, admin] = free_ports();
        let file = props.write(&recipe(https, admin), &origin.address().to_string());
        let edge = props.edge();
        Self { props, origin, file, https, admin: format!("127.0.0.1:{admin}"), edge }
    }

    fn recipe(&self) -> Recipe {
        recipe(self.https, self.admin.rsplit(':').next().unwrap().parse().unwrap())
    }

    fn write(&self, recipe: &Recipe) {
        self.props.write(recipe, &self.origin.address().to_string());
    }

    async fn ready(&self) {
        assert!(eventually(|| pullgate(&["healthcheck", "--address", &self.admin]).status.success()).await);
    }

    fn tls(&self, protocol: &str) -> Arc<rustls::ClientConfig> {
        Tls::trusting(&self.props.server_ca).presenting(&self.edge).alpn(&[protocol]).client_config()
    }

    async fn h1(&self) -> H1 {
        let at = ([127, 0, 0, 1], self.https).into();
        H1::tls(Some(cloudflare()), at, "shop.example.com", self.tls("http/1.1")).await.unwrap()
    }

    async fn h2(&self) -> H2 {
        let at = ([127, 0, 0, 1], self.https).into();
        H2::tls(Some(cloudflare()), at, "shop.example.com", self.tls("h2")).await.unwrap()
    }

    fn command(&self, words: &[&str]) -> std::process::Output {
        pullgate(&[words, &["--config", self.file.to_str().unwrap()]].concat())
    }
}

#[tokio::test]
async fn h49_reload_tells_what_became_of_it() {
    let life = Life::new().await;
    let nobody = life.command(&["reload"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(text(&nobody.stderr).contains("no running gateway answers on"), "{nobody:?}");
    let _running = Running::start(&life.file);
    life.ready().await;

    let applied = life.command(&["reload"]);
    assert_eq!((applied.status.code(), text(&applied.stderr).as_str()), (Some(0), ""), "{applied:?}");
    assert!(text(&applied.stdout).ends_with("pullgate.yaml: in force as generation 2\n"), "{applied:?}");
    let json: serde_json::Value =
        serde_json::from_slice(&life.command(&["reload", "--format", "json"]).stdout).unwrap();
    assert_eq!((&json["applied"], &json["generation"]), (&true.into(), &3.into()));

    life.write(&Recipe { hosts: "hosts: []\n".into(), ..life.recipe() });
    let refused = life.command(&["reload"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = text(&refused.stderr);
    assert!(said.contains("error: hosts:") && said.contains("the configuration before serves on"), "{said}");
    metrics_show(&life.admin, "pullgate_config_reloads_total{outcome=\"refused\"} 1").await;
    assert_eq!(life.h1().await.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    // A text that is no YAML does not say where the gateway is to be found: nobody is asked.
    std::fs::write(&life.file, "listeners: [").unwrap();
    let unasked = life.command(&["reload"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert!(text(&unasked.stderr).contains("this is not YAML"), "{unasked:?}");
}

#[tokio::test]
async fn the_control_socket_is_for_its_user_alone() {
    let life = Life::new().await;
    let running = Running::start(&life.file);
    life.ready().await;
    let folder = life.props.path().join("state");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(eventually(|| folder.join("control.sock").exists()).await);
    assert_eq!((mode(&folder), mode(&folder.join("control.sock"))), (0o700, 0o600));
    // What a killed process leaves stands in nobody's way.
    running.signal("-KILL");
    drop(running);
    let _next = Running::start(&life.file);
    life.ready().await;
    assert!(eventually(|| life.command(&["reload"]).status.success()).await);
}

/// Files that change by being replaced, by being written to, and by the link above them.
#[tokio::test]
async fn changed_files_are_loaded_again_by_themselves() {
    let life = Life::new().await;
    let folder = life.props.path().to_owned();
    let [first, second, data] = ["first", "second", "..data"].map(|name| folder.join(name));
    let ca = |into: &Path, other: bool| {
        std::fs::create_dir_all(into).unwrap();
        let authority = if other { &life.props.other_ca } else { &life.props.zone_ca };
        std::fs::write(into.join("ca.pem"), authority.pem()).unwrap();
    };
    ca(&first, false);
    ca(&second, true);
    symlink(&first, &data).unwrap();
    let hosts = life.recipe().hosts.replacen("[zone-ca.pem]", "[..data/ca.pem]", 1);
    let mounted = Recipe { hosts, ..life.recipe() };
    life.write(&mounted);
    let _running = Running::start(&life.file);
    life.ready().await;
    assert_eq!(life.h1().await.send(visit("shop.example.com", "/")).await.unwrap().status, 200);

    symlink(&second, folder.join("..next")).unwrap();
    std::fs::rename(folder.join("..next"), &data).unwrap();
    metrics_show(&life.admin, "pullgate_config_generation 2\n").await;
    let refused = life.h1().await.send(visit("shop.example.com", "/")).await;
    assert!(refused.is_err(), "{refused:?}");

    // A new certificate over the old one.
    let before = life.props.server_ca.leaf().dns(&["shop.example.com", "new.example.com"]).usage_server().issue();
    before.write(&folder, "server");
    metrics_show(&life.admin, "pullgate_config_generation 3\n").await;

    // What cannot be used is refused once, not again and again; what mends it is loaded.
    life.write(&Recipe { hosts: "hosts: []\n".into(), ..life.recipe() });
    metrics_show(&life.admin, "pullgate_config_reloads_total{outcome=\"refused\"} 1\n").await;
    life.write(&life.recipe());
    metrics_show(&life.admin, "pullgate_config_generation 4\n").await;
    assert!(metrics(&life.admin).await.contains("pullgate_config_reloads_total{outcome=\"refused\"} 1\n"));

    // The last change is that none counts any more.
    let head = life.recipe().head.replace("state_dir: state", "state_dir: state, watch: false");
    life.write(&Recipe { head, ..life.recipe() });
    metrics_show(&life.admin, "pullgate_config_generation 5\n").await;
    life.write(&life.recipe());
    assert!(text(&life.command(&["reload"]).stdout).ends_with("generation 6\n"));
}

/// What clients have got, and whether they are to go on.
#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    stop: AtomicBool,
}

/// Sends one request after another until it is told to stop, on connections that are renewed when the gateway announces their end.
async fn keep_asking(life: Arc<Life>, protocol: &'static str, load: Arc<Load>) {
    let mut one = None;
    let mut two = None;
    let path = "/";
    while !load.stop.load(Ordering::Relaxed) {
        let answer = if protocol == "h2" {
            if two.is_none() {
                two = Some(life.h2().await);
            }
            match two.as_ref().unwrap().send(visit("shop.example.com", path)).await {
                Ok(answer) => answer,
                // GOAWAY: the stream was never opened, and the connection is over.
                Err(pullgate_tests::client::Refused::Ended) => {
                    two = None;
                    continue;
                }
                // So has one that the GOAWAY passed on its way (RFC 9113 section 6.8).
                Err(pullgate_tests::client::Refused::Http(error))
                    if error.is_canceled()
                        || error.is_closed()
                        || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)") =>
                {
                    two = None;
                    continue;
                }
                Err(error) => panic!("{path}: {error:?}"),
            }
        } else {
            if one.is_none() {
                one = Some(life.h1().await);
            }
            let answer = one.as_mut().unwrap().send(visit("shop.example.com", path)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}"));
            if answer.header("connection") == Some("close") {
                one = None;
            }
            answer
        };
        assert_eq!(answer.status, 200, "{path}");
        load.answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h50_upgrades_under_load_lose_nothing() {
    let life = Arc::new(Life::new().await);
    let mut running = Running::start(&life.file);
    life.ready().await;
    assert!(eventually(|| life.props.path().join("state/control.sock").exists()).await);
    let load = Arc::new(Load::default());
    let clients: Vec<_> = ["http/1.1", "h2", "http/1.1", "h2"]
        .map(|protocol| tokio::spawn(keep_asking(Arc::clone(&life), protocol, Arc::clone(&load))))
        .into();
    let mut serving = running.0.id();
    let mut started = Started(Vec::new());
    for round in 0..4 {
        let asked = Arc::clone(&life);
        let output =
            tokio::task::spawn_blocking(move || asked.command(&["upgrade", "--format", "json"])).await.unwrap();
        assert!(output.status.success(), "round {round}: {output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["before"], serving);
        serving = report["process"].as_u64().unwrap().try_into().unwrap();
        started.0.push(serving);
        let before = load.answered.load(Ordering::Relaxed);
        assert!(eventually(|| load.answered.load(Ordering::Relaxed) > before + 40).await, "round {round}");
    }
    assert!(
        eventually(|| running.0.try_wait().unwrap().is_some_and(|status| status.success())).await,
        "the first one ended"
    );
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let answered = load.answered.load(Ordering::Relaxed);
    assert_eq!(life.origin.ledger().len(), answered, "every request reached the origin once");
    // The same admin address, another process.
    assert!(metrics(&life.admin).await.contains("pullgate_config_generation 1\n"));
}

/// Processes that a running gateway started: they end with the test.
pub(crate) struct Started(pub(crate) Vec<u32>);

impl Drop for Started {
    fn drop(&mut self) {
        for process in &self.0 {
            // It may have ended by itself.
            let _ = Command::new("kill").arg(process.to_string()).stderr(Stdio::null()).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h50_a_new_process_that_fails_changes_nothing() {
    let life = Life::new().await;
    let mut running = Running::start(&life.file);
    life.ready().await;
    let mut client = life.h1().await;
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert!(eventually(|| life.props.path().join("state/control.sock").exists()).await);
    let script = |name: &str, text: &str| {
        let path = life.props.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let crashing = script("crashing", "#!/bin/sh\nkill -SEGV $$\n");
    let missing = life.props.path().join("nowhere");
    for (program, why) in
        [(&crashing, "ended before it served: signal: 11"), (&missing, "cannot be started: No such file")]
    {
        let output = life.command(&["upgrade", "--program", program.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(why), "{output:?}");
    }
    let good = std::fs::read_to_string(&life.file).unwrap();
    std::fs::write(&life.file, good.replace("mode: require", "mode: requires")).unwrap();
    let output = life.command(&["upgrade"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("did you mean `require`?"), "{output:?}");
    std::fs::write(&life.file, good).unwrap();

    // Two at once: one waits for a program that never asks, the other one is told.
    let held = life.props.path().join("held");
    std::fs::write(&held, "").unwrap();
    let waits = format!("#!/bin/sh\ntouch '{0}.seen'\nwhile [ -e '{0}' ]; do sleep 0.05; done\n", held.display());
    let sleeping = script("sleeping", &waits);
    let first = Command::new(binary())
        .args(["upgrade", "--config", life.file.to_str().unwrap(), "--program", sleeping.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(eventually(|| held.with_extension("seen").exists()).await);
    let second = life.command(&["upgrade"]);
    assert!(text(&second.stderr).contains("an upgrade is under way already"), "{second:?}");
    std::fs::remove_file(held).unwrap();
    assert!(text(&first.wait_with_output().unwrap().stderr).contains("ended before it served"));

    assert!(running.0.try_wait().unwrap().is_none());
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200, "the same connection");
    assert_eq!(life.h2().await.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
}

/// What changes while a process drains is for the one after it: it loads nothing, and does not refuse it either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_loads_nothing() {
    let life = Life::new().await;
    let running = Running::start(&life.file);
    life.ready().await;
    assert!(eventually(|| life.props.path().join("state/control.sock").exists()).await);
    let mut held = life.h1().await;
    assert_eq!(held.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    running.signal("-TERM");
    assert!(eventually(|| !pullgate(&["healthcheck", "--address", &life.admin]).status.success()).await);
    let output = life.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("the gateway is ending"), "{output:?}");
    assert!(!metrics(&life.admin).await.contains("pullgate_config_reloads_total{outcome=\"refused\"} 1"));
    drop(held);
    assert!(running.end().await.0.success());
}

#[tokio::test]
async fn there_is_nothing_to_take_over_from_nobody() {
    let life = Life::new().await;
    let output = life.command(&["run", "--take-over"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("there is nothing to take over"), "{output:?}");
}
