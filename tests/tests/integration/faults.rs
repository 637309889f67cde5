//! Faults of our own and of what is around: panics, stuck threads, outputs that take nothing, clocks that jump, little memory.
//!
//! A test is named after the scenario that it plays, h51 to h53, and e39 for the clock.

mod clock;
mod logs;
mod memory;
mod panics;
mod stuck;

use crate::binary::{Running, free_ports, metrics, pullgate, run};
use pullgate_tests::client::H1;
use pullgate_tests::origin::Origin;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, visit};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A gateway as a process, with an origin.
pub(crate) struct Scene {
    pub(crate) props: Props,
    pub(crate) running: Running,
    pub(crate) origin: Origin,
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) admin: String,
}

impl Scene {
    /// Starts it with these logs, by `command` made out of the usual one.
    pub(crate) async fn start(log: &str, command: impl FnOnce(Command, &Props) -> Command) -> Self {
        let (props, origin) = (Props::new(), Origin::start().await);
        let [http, https, admin] = free_ports();
        let head = format!(
            "version: 1\nruntime: {{state_dir: state}}\nlog: {log}\nadmin: {{address: '127.0.0.1:{admin}'}}\ncloudflare: {{ranges: {{source: builtin, extra: [127.0.1.0/24]}}}}\n"
        );
        let listeners =
            Recipe::default().listeners.replacen(":0", &format!(":{https}"), 1).replacen(":0", &format!(":{http}"), 1);
        let recipe = Recipe { head, listeners, ..Recipe::default() };
        let file = props.write(&recipe, &origin.address().to_string());
        let running = Running(command(run(&file), &props).spawn().unwrap());
        let scene = Self { props, running, origin, http, https, admin: format!("127.0.0.1:{admin}") };
        assert!(eventually(|| pullgate(&["healthcheck", "--address", &scene.admin]).status.success()).await);
        scene
    }

    /// Starts it without any output.
    pub(crate) async fn quiet() -> Self {
        let silent = |mut command: Command, _: &Props| {
            command.stderr(Stdio::null());
            command
        };
        Self::start("{level: error, access: off}", silent).await
    }

    /// Sends this many requests on a connection of their own; all are answered.
    pub(crate) async fn serves(&self, count: usize) {
        let mut client = H1::plain(Some(cloudflare()), ([127, 0, 0, 1], self.http).into()).await.unwrap();
        for number in 0..count {
            assert_eq!(client.send(visit("open.example.com", &format!("/{number}"))).await.unwrap().status, 200);
        }
    }

    pub(crate) async fn dropped(&self, log: &str) -> u64 {
        let series = format!("pullgate_log_dropped_total{{log=\"{log}\"}} ");
        let seen = metrics(&self.admin).await;
        seen.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    }

    /// Waits until at least one more line was dropped than `before`.
    pub(crate) async fn drops_more(&self, log: &str, before: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.dropped(log).await <= before {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The same command, as the arguments of a shell script.
pub(crate) fn through_a_shell(command: &Command, script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell
}
