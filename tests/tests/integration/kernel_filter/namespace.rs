//! The gateway in a network namespace of its own, with IPv6 addresses to choose from, and with a kernel that takes no filters.
//!
//! That needs the right to make one; without it these scenarios say so and pass.
#![allow(clippy::print_stderr, reason = "a scenario that is left out says so")]

use crate::binary::{Running, binary, text};
use pullgate_policy::ranges::BUILTIN;
use pullgate_tests::stage::eventually;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The configuration of a gateway that answers by itself: nothing else lives in its namespace.
fn configuration(listener: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("pullgate-test-").tempdir().unwrap();
    let file = folder.path().join("pullgate.yaml");
    configure(&file, listener, "source: builtin");
    (folder, file)
}

fn configure(file: &Path, listener: &str, ranges: &str) {
    let text = format!(
        "version: 1
runtime: {{state_dir: state}}
admin: {{address: '127.0.0.1:9090'}}
cloudflare: {{ranges: {{{ranges}, extra: [127.0.1.0/24, '2001:db8:1::/48']}}}}
listeners:
  - {{name: http, protocol: http, address: '[::]:8080', {listener}}}
hosts:
  - name: open
    hostnames: [open.example.com]
    origin_pull: {{mode: off}}
    routes: [{{name: all, respond: {{status: 204}}}}]
"
    );
    std::fs::write(file, text).unwrap();
}

/// Whether this process may make network namespaces.
fn may() -> bool {
    let tried = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: no network namespace can be made here");
    }
    may
}

/// What runs a gateway in a namespace of its own, once `before` has been done there.
fn inside(before: &str, file: &Path) -> Command {
    let addresses =
        "ip link set lo up && ip -6 address add 2001:db8:1::1/128 dev lo && ip -6 address add 2001:db8:2::1/128 dev lo";
    let mut command = Command::new("unshare");
    let script = format!("{addresses} && {before} && exec \"$@\"");
    let gateway = binary();
    command.args(["--net", "sh", "-c", &script, "sh"]).arg(gateway).args(["run", "--config"]).arg(file);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a gateway there until it is ready.
async fn running(before: &str, file: &Path) -> Running {
    let running = Running(inside(before, file).spawn().unwrap());
    let ready = || within(&running, "127.0.0.1", "http://127.0.0.1:9090/-/ready").contains("ready");
    assert!(eventually(ready).await);
    running
}

/// What curl gets in the gateway's namespace, from an address of it: the status and the body, or an error's number.
fn within(running: &Running, from: &str, url: &str) -> String {
    let id = running.0.id().to_string();
    let output = Command::new("nsenter")
        .args(["--net", "--target", &id, "curl", "--silent", "--max-time", "2", "--interface", from])
        .args(["--header", "Host: open.example.com", "--header", "CF-Connecting-IP: 203.0.113.7"])
        .args(["--write-out", "%{http_code} %{exitcode}", url])
        .output()
        .unwrap();
    text(&output.stdout)
}

/// curl's exit codes.
const TIMED_OUT: &str = "000 28";
const ENDED: [&str; 2] = ["000 52", "000 56"];

#[tokio::test]
async fn on_a_dual_stack_listener_both_families_are_filtered_by_their_own_networks() {
    if !may() {
        return;
    }
    let (_folder, file) = configuration("kernel_filter: require");
    let running = running("true", &file).await;
    let ways = [
        ("127.0.1.1", "http://127.0.0.1:8080/", "204 0"),
        ("127.0.2.1", "http://127.0.0.1:8080/", TIMED_OUT),
        ("2001:db8:1::1", "http://[::1]:8080/", "204 0"),
        ("2001:db8:2::1", "http://[::1]:8080/", TIMED_OUT),
        ("2001:db8:2::1", "http://[2001:db8:1::1]:8080/", TIMED_OUT),
        ("::1", "http://[::1]:8080/", TIMED_OUT),
    ];
    // Side by side: those who are not answered wait.
    std::thread::scope(|scope| {
        let asked = ways.map(|way| (way, scope.spawn(|| within(&running, way.0, way.1))));
        for ((from, url, expected), answer) in asked {
            assert_eq!(answer.join().unwrap(), expected, "{from} {url}");
        }
    });
    let metrics = within(&running, "127.0.0.1", "http://127.0.0.1:9090/metrics");
    assert!(metrics.contains("pullgate_kernel_filter_active{listener=\"http\"} 1\n"), "{metrics}");
    let turned_away = metrics.lines().filter(|line| line.contains("outcome=\"stranger\""));
    assert!(turned_away.into_iter().all(|line| line.ends_with(" 0")), "{metrics}");
}

/// A kernel that has no memory for a filter refuses it as one does that asks for a capability.
const NO_FILTERS: &str = "echo 0 > /proc/sys/net/core/optmem_max";

#[tokio::test]
async fn where_the_kernel_takes_no_filter_auto_warns_once_and_the_gateway_turns_strangers_away() {
    if !may() {
        return;
    }
    let (_folder, file) = configuration("kernel_filter: auto");
    let running = running(NO_FILTERS, &file).await;
    assert_eq!(within(&running, "127.0.1.1", "http://127.0.0.1:8080/"), "204 0");
    for (from, url) in [("127.0.2.1", "http://127.0.0.1:8080/"), ("2001:db8:2::1", "http://[::1]:8080/")] {
        let ended = within(&running, from, url);
        assert!(ENDED.contains(&ended.as_str()), "{from}: {ended}");
    }
    running.signal("-HUP");
    let metrics = || within(&running, "127.0.0.1", "http://127.0.0.1:9090/metrics");
    assert!(eventually(|| metrics().contains("pullgate_config_generation 2\n")).await);
    for series in [
        "pullgate_kernel_filter_active{listener=\"http\"} 0\n",
        "pullgate_connections_total{listener=\"http\",outcome=\"stranger\"} 2\n",
    ] {
        assert!(metrics().contains(series), "{}", metrics());
    }
    running.signal("-TERM");
    let (status, _, stderr) = running.end().await;
    assert!(status.success(), "{stderr}");
    assert_eq!(stderr.matches("no kernel filter").count(), 1, "{stderr}");
    assert!(stderr.contains("CAP_NET_ADMIN"), "{stderr}");
}

#[tokio::test]
async fn where_the_kernel_takes_no_filter_a_reload_that_requires_one_changes_nothing() {
    if !may() {
        return;
    }
    let (_folder, file) = configuration("kernel_filter: off");
    let running = running(NO_FILTERS, &file).await;
    configure(&file, "kernel_filter: require, sources: [127.0.3.0/24]", "source: builtin");
    running.signal("-HUP");
    let metrics = || within(&running, "127.0.0.1", "http://127.0.0.1:9090/metrics");
    let refused = || metrics().contains("pullgate_config_reloads_total{outcome=\"refused\"} 1\n");
    assert!(eventually(refused).await, "{}", metrics());
    assert_eq!(within(&running, "127.0.1.1", "http://127.0.0.1:8080/"), "204 0");
    running.signal("-TERM");
    let (_, _, stderr) = running.end().await;
    assert!(stderr.contains("listener `http` would have no kernel filter, and requires one"), "{stderr}");
}

/// A feed of ranges in the gateway's namespace, from a folder.
fn feed(gateway: &Running, folder: &Path) -> Running {
    let id = gateway.0.id().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &id, "python3", "-m", "http.server", "8000", "--bind", "127.0.0.1"]);
    command.arg("--directory").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// Whom a new list of Cloudflare's has, the kernel lets through without a reload; and whom it has no longer, no more.
#[tokio::test]
async fn ranges_that_come_and_go_come_and_go_in_the_kernel() {
    const RANGE: &str = "11.22.33.0/24";
    if !may() {
        return;
    }
    let (folder, file) = configuration("kernel_filter: off");
    configure(
        &file,
        "kernel_filter: require",
        "source: api, url: 'http://127.0.0.1:8000/ips', refresh: 1s, removal_grace: 0s",
    );
    let publish = |more: &[&str]| {
        let (v6, v4): (Vec<&str>, Vec<&str>) =
            BUILTIN.iter().chain(more).copied().partition(|prefix| prefix.contains(':'));
        let list = serde_json::json!({"ipv4_cidrs": v4, "ipv6_cidrs": v6, "etag": more.len().to_string()});
        let answer = serde_json::json!({"result": list, "success": true, "errors": [], "messages": []});
        let (next, name) = (folder.path().join("next"), folder.path().join("ips"));
        std::fs::write(&next, answer.to_string()).unwrap();
        std::fs::rename(next, name).unwrap();
    };
    publish(&[]);
    let addresses = "ip address add 11.22.33.44/32 dev lo && ip address add 173.245.48.1/32 dev lo";
    let running = running(addresses, &file).await;
    let _feed = feed(&running, folder.path());
    let get = |from: &str| within(&running, from, "http://127.0.0.1:8080/");
    assert_eq!((get("173.245.48.1"), get("11.22.33.44")), ("204 0".into(), TIMED_OUT.into()));
    publish(&[RANGE]);
    assert!(eventually(|| get("11.22.33.44") == "204 0").await);
    publish(&[]);
    assert!(eventually(|| get("11.22.33.44") == TIMED_OUT).await);
    assert_eq!(get("173.245.48.1"), "204 0");
    let metrics = within(&running, "127.0.0.1", "http://127.0.0.1:9090/metrics");
    assert!(metrics.contains("pullgate_config_generation 1\n"), "{metrics}");
}

#[tokio::test]
async fn where_the_kernel_takes_no_filter_require_does_not_start() {
    if !may() {
        return;
    }
    let (_folder, file) = configuration("kernel_filter: require");
    let mut child = Running(inside(NO_FILTERS, &file).spawn().unwrap());
    assert!(eventually(|| child.0.try_wait().unwrap().is_some()).await, "it runs");
    let (status, _, stderr) = child.end().await;
    assert_eq!(status.code(), Some(1), "{stderr}");
    for part in
        ["listener `http` would have no kernel filter, and requires one; `auto` would go on without", "CAP_NET_ADMIN"]
    {
        assert!(stderr.contains(part), "{stderr}");
    }
}
