//! Under systemd, which is played here: it passes a socket, and hears how the process does.

use crate::binary::{Running, binary, free_ports, metrics_show, pullgate, recipe, text};
use pullgate_tests::client::{H1, connect};
use pullgate_tests::origin::Origin;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, visit};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Opens a socket, makes it the third descriptor, and becomes the gateway: what systemd does for a service with a socket unit.
const ACTIVATE: &str = "
import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(128)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_FDNAMES=sys.argv[2], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], [sys.argv[3], 'run', '--config', sys.argv[4]])
";

fn activated(port: u16, name: &str, file: &Path, notify: &Path) -> Running {
    let mut command = Command::new("python3");
    command.args(["-c", ACTIVATE, &port.to_string(), name]).arg(binary()).arg(file);
    command.env("NOTIFY_SOCKET", notify).env("WATCHDOG_USEC", "300000");
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn inherited(admin: u16) -> Recipe {
    Recipe {
        listeners: "listeners:\n  - {name: web, address: 'inherited:web', protocol: http}\n".into(),
        hosts: crate::admission::open_host(),
        ..recipe(0, admin)
    }
}

/// The next message that says this; those before it are of no interest. Whoever waits for something else meanwhile stops the process: the
/// queue of messages is short.
fn hears(notified: &UnixDatagram, expected: &str) -> String {
    let mut bytes = [0; 4096];
    loop {
        let length = notified.recv(&mut bytes).unwrap_or_else(|error| panic!("{expected}: {error}"));
        let said = text(&bytes[..length]);
        if said.contains(expected) {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passed_socket_serves_and_systemd_hears_of_it() {
    let (props, origin) = (Props::new(), Origin::start().await);
    let [port, admin] = free_ports();
    let file = props.write(&inherited(admin), &origin.address().to_string());
    let notify = props.path().join("notify");
    let notified = UnixDatagram::bind(&notify).unwrap();
    notified.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut running = activated(port, "web", &file, &notify);
    let ready = hears(&notified, "READY=1");
    assert!(ready.contains(&format!("MAINPID={}\n", running.0.id())), "{ready}");
    hears(&notified, "WATCHDOG=1");
    let at = ([127, 0, 0, 1], port).into();
    let mut client = H1::plain(Some(cloudflare()), at).await.unwrap();
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);

    running.signal("-HUP");
    assert!(hears(&notified, "RELOADING=1").contains("MONOTONIC_USEC="));
    hears(&notified, "READY=1");
    metrics_show(&format!("127.0.0.1:{admin}"), "pullgate_config_generation 2\n").await;

    // The process after it has the socket too, and is the one to look at.
    let upgraded = pullgate(&["upgrade", "--format", "json", "--config", file.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&upgraded.stdout).unwrap_or_else(|_| panic!("{upgraded:?}"));
    hears(&notified, &format!("MAINPID={}\n", report["process"]));
    // What changes now is for the new process: the old one, which finishes what is open, loads nothing and claims nothing.
    std::fs::write(&file, format!("{}\n", std::fs::read_to_string(&file).unwrap())).unwrap();
    hears(&notified, "RELOADING=1");
    let said = hears(&notified, "READY=1");
    assert!(!said.contains("MAINPID"), "{said}");
    drop(client);
    assert!(eventually(|| running.0.try_wait().unwrap().is_some()).await);
    let mut client = H1::plain(Some(cloudflare()), at).await.unwrap();
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    drop(client);
    hears(&notified, "WATCHDOG=1");
    assert!(Command::new("kill").arg(report["process"].to_string()).status().unwrap().success());
    hears(&notified, "STOPPING=1");
    assert!(eventually(|| std::net::TcpStream::connect(at).is_err()).await);
}

#[tokio::test]
async fn a_socket_that_was_not_passed_is_named() {
    let props = Props::new();
    let [port, admin] = free_ports();
    let file = props.write(&inherited(admin), "127.0.0.1:9");
    let notify = props.path().join("notify");
    let (status, _, stderr) = activated(port, "other", &file, &notify).end().await;
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("listener `web`: no socket named `web` was passed to this process"), "{stderr}");
    assert!(connect(Some(cloudflare()), ([127, 0, 0, 1], port).into()).await.is_err());
}
