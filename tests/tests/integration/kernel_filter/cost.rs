//! What a refused stranger costs the gateway: nothing, with the filter.
#![allow(clippy::print_stdout, reason = "a figure that BENCHMARKING.md may quote")]

use crate::binary::{Running, free_ports, metrics_show, pullgate};
use pullgate_tests::stage::{Props, Recipe, STRANGER, eventually};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

/// Strangers who try.
const STRANGERS: u32 = 5_000;

/// How many of them at once: the queue of connections to accept has room for 4096 on many systems, and who is dropped there is not counted.
const AT_ONCE: u32 = 1_000;

/// The time that all threads of a process have had a processor, in nanoseconds.
fn processor_time(id: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let of = |path: &Path| std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
    tasks.map(|task| of(&task.unwrap().path()).split(' ').next().unwrap_or("0").parse::<u64>().unwrap_or(0)).sum()
}

/// The same, once what came before is done with.
async fn processor_time_at_rest(id: u32) -> u64 {
    let mut before = None;
    let is_at_rest = || before.replace(processor_time(id)) == Some(processor_time(id));
    assert!(eventually(is_at_rest).await);
    processor_time(id)
}

/// Connects from a stranger's address and goes away at once, answered or not.
fn knock(to: SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(STRANGER.parse().unwrap(), 0).into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    // It is under way when this returns.
    let _ = socket.connect(&to.into());
    drop(TcpStream::from(socket));
}

#[tokio::test]
async fn strangers_cost_the_gateway_no_processor_time() {
    let filtered = cost("require", r#"pullgate_kernel_filter_dropped_total{listener="https"}"#).await;
    let closed = cost("off", r#"pullgate_connections_total{listener="https",outcome="stranger"}"#).await;
    println!("{STRANGERS} strangers: {filtered} ns behind the filter, {closed} ns without");
    // What is left is what the gateway does without strangers too, once in a while.
    assert!(filtered < closed / 20, "{filtered} ns behind the filter, {closed} ns without");
}

/// Nanoseconds that a gateway spends on strangers, all of whom it counts in this series.
async fn cost(filter: &str, counted: &str) -> u64 {
    let props = Props::new();
    let [https, admin] = free_ports();
    let at = SocketAddr::from(([127, 0, 0, 1], https));
    let listeners = format!("listeners:\n  - {{name: https, address: '{at}', kernel_filter: {filter}}}\n");
    let recipe = Recipe { listeners, ..crate::binary::recipe(https, admin) };
    let running = Running::start(&props.write(&recipe, "127.0.0.1:9"));
    let admin = format!("127.0.0.1:{admin}");
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
    let before = processor_time_at_rest(running.0.id()).await;
    for _ in 0..STRANGERS / AT_ONCE {
        (0..AT_ONCE).for_each(|_| knock(at));
        if filter == "off" {
            processor_time_at_rest(running.0.id()).await;
        }
    }
    let spent = processor_time(running.0.id()) - before;
    metrics_show(&admin, &format!("{counted} {STRANGERS}\n")).await;
    spent
}
