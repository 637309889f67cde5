//! A process that has used up its descriptors: it waits, answers who looks after it, and goes on as soon as it can.

use crate::binary::{Running, binary, free_ports, metrics, recipe};
use pullgate_tests::client::{H1, connect, get};
use pullgate_tests::origin::Origin;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, visit};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Descriptors that the gateway has.
const LIMIT: usize = 64;

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Processor time that a process has used.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Fields 14 and 15 of proc_pid_stat(5), in hundredths of a second; the name before them may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

#[tokio::test]
async fn f43_accepting_pauses_without_descriptors_and_goes_on_with_them() {
    let (props, origin) = (Props::new(), Origin::start().await);
    let [https, admin_port] = free_ports();
    let admin = format!("127.0.0.1:{admin_port}");
    let mut recipe: Recipe = recipe(https, admin_port);
    recipe.listeners = recipe.listeners.replace("'}", "', limits: {handshake_timeout: 5m}}");
    let file = props.write(&recipe, &origin.address().to_string());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" run --config \"$1\"")]).arg(binary()).arg(&file);
    let gateway = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let pid = gateway.0.id();
    let at = format!("127.0.0.1:{https}").parse().unwrap();
    let begun = Instant::now();
    let mut crowd = Vec::new();
    while crowd.len() < 2 * LIMIT {
        match connect(Some(cloudflare()), at).await {
            Ok(stream) => crowd.push(stream),
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
        }
    }
    assert!(eventually(|| descriptors(pid) >= LIMIT - 18).await, "{} in use", descriptors(pid));

    // Whoever looks after it is answered, again and again, each time on a new connection.
    for _ in 0..5 {
        let mut client = H1::plain(None, admin.parse().unwrap()).await.unwrap();
        assert_eq!(client.send(get("admin", "/-/healthy")).await.unwrap().status, 200);
        drop(client);
        assert!(eventually(|| descriptors(pid) >= LIMIT - 18).await, "{} in use", descriptors(pid));
    }
    assert!(metrics(&admin).await.contains(r#"pullgate_connections_total{listener="https",outcome="admitted"}"#));

    let (before, begun) = (processor_time(pid), Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let share = (processor_time(pid) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(share < 0.2, "a loop is busy: {share}");

    drop(crowd);
    let released = Instant::now();
    let mut client = H1::tls(
        Some(cloudflare()),
        at,
        "shop.example.com",
        pullgate_tests::client::Tls::trusting(&props.server_ca)
            .presenting(&props.edge())
            .alpn(&["http/1.1"])
            .client_config(),
    )
    .await
    .unwrap();
    assert_eq!(client.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    assert!(released.elapsed() < Duration::from_secs(2), "{:?}", released.elapsed());

    drop(client);
    gateway.signal("-TERM");
    let (status, _, log) = gateway.end().await;
    assert!(status.success(), "{log}");
    let said = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!((said("accepting pauses"), said("accepting again")), (1, 1), "{log}");
}
