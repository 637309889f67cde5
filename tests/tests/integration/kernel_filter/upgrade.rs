//! The filter while one process takes over from another.

use crate::binary::{Running, free_ports, metrics, pullgate, recipe, text};
use crate::running::Started;
use pullgate_tests::client::connect;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, stranger};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// A program that is given the sockets, takes their filters off (`SO_DETACH_FILTER`), and goes away.
const SPOILER: &str = "#!/usr/bin/env python3
import array, json, os, socket
control = socket.socket(socket.AF_UNIX)
control.connect('CONTROL')
control.sendall(b'{\"ask\":\"sockets\"}\\n')
line = b''
while not line.endswith(b'\\n'):
    line += control.recv(1)
for _ in json.loads(line)['labels']:
    _, control_data, _, _ = control.recvmsg(1, socket.CMSG_SPACE(4))
    fds = array.array('i', control_data[0][2][:4])
    try:
        socket.socket(fileno=fds[0]).setsockopt(socket.SOL_SOCKET, 27, 0)
        open('DONE', 'w').close()
    except OSError:
        pass
os._exit(3)
";

fn dropped(text: &str) -> f64 {
    let series = "pullgate_kernel_filter_dropped_total{listener=\"https\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0.0, |value| value.parse().unwrap())
}

/// Whether the kernel lets an address connect.
async fn connects(from: IpAddr, to: SocketAddr, admin: &str) -> bool {
    let before = dropped(&metrics(admin).await);
    let refused = async {
        while dropped(&metrics(admin).await) <= before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        connected = connect(Some(from), to) => connected.map(|_| true).unwrap(),
        () = refused => false,
    }
}

#[tokio::test]
async fn the_filter_outlives_an_upgrade_that_fails_and_follows_one_that_does_not() {
    let props = Props::new();
    let [https, admin] = free_ports();
    let at = SocketAddr::from(([127, 0, 0, 1], https));
    let listening = |sources: &str| {
        let line = format!("{{name: https, address: '{at}', kernel_filter: require, sources: [{sources}]}}");
        Recipe { listeners: format!("listeners:\n  - {line}\n"), ..recipe(https, admin) }
    };
    let file = props.write(&listening("127.0.1.0/24"), "127.0.0.1:9");
    let mut running = Running::start(&file);
    let admin = format!("127.0.0.1:{admin}");
    let control = props.path().join("state/control.sock");
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success() && control.exists()).await);
    assert!(connects(cloudflare(), at, &admin).await && !connects(stranger(), at, &admin).await);

    let (program, spoilt) = (props.path().join("spoiler"), props.path().join("spoilt"));
    let script = SPOILER.replace("CONTROL", control.to_str().unwrap()).replace("DONE", spoilt.to_str().unwrap());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let config = file.to_str().unwrap();
    let output = pullgate(&["upgrade", "--config", config, "--program", program.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(spoilt.exists(), "it had the sockets: {}", text(&output.stderr));
    // The command may know that the program has ended before the gateway does.
    let deadline = Instant::now() + Duration::from_secs(10);
    while connects(stranger(), at, &admin).await {
        assert!(Instant::now() < deadline, "the filter is not put back");
    }
    assert!(connects(cloudflare(), at, &admin).await);

    props.write(&listening("127.0.2.0/24"), "127.0.0.1:9");
    let output = pullgate(&["upgrade", "--config", config, "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let _next = Started(vec![answer["process"].as_u64().unwrap().try_into().unwrap()]);
    assert!(eventually(|| running.0.try_wait().unwrap().is_some()).await, "the first one ended");
    assert!(connects(stranger(), at, &admin).await && !connects(cloudflare(), at, &admin).await);
}
