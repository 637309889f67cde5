//! H 51: outputs that take nothing. What cannot be written is dropped and counted, requests go on, and lines stay whole.

use super::{Scene, through_a_shell};
use crate::binary::metrics_show;
use pullgate_tests::stage::{Props, eventually};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn is_line(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object())
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads: it takes 64 KiB, the writer as much, the queue its 8192 lines, and the rest is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h51_a_log_that_nobody_reads_holds_up_nobody() {
    let mut scene = Scene::start("{level: error}", |mut command, _| {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    })
    .await;
    const SENT: usize = 10_000;
    scene.serves(SENT).await;
    let dropped = scene.dropped("access").await;
    assert!(dropped > 0);
    let mut lines = BufReader::new(scene.running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let written = SENT - usize::try_from(dropped).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let lines_read: Vec<String> = lines.by_ref().take(written).collect();
        (lines_read, lines)
    });
    let (seen, mut lines) = reading.await.unwrap();
    assert!(seen.iter().all(|line| is_line(line)));
    scene.serves(1).await;
    let last = tokio::task::spawn_blocking(move || lines.next().unwrap()).await.unwrap();
    assert!(is_line(&last), "{last}");
    assert_eq!(scene.dropped("access").await, dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h51_a_log_whose_reader_is_gone_ends_nobody() {
    let mut scene = Scene::start("{level: debug}", |mut command, _| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    })
    .await;
    drop((scene.running.0.stdout.take(), scene.running.0.stderr.take()));
    for log in ["access", "process"] {
        let before = scene.dropped(log).await;
        scene.serves(10).await;
        // Something to say, at `debug`: a stranger.
        drop(std::net::TcpStream::connect(("127.0.0.1", scene.http)));
        scene.drops_more(log, before).await;
    }
    scene.serves(10).await;
    assert!(scene.running.0.try_wait().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h51_full_devices_and_a_closed_standard_error_end_nobody() {
    let full_everywhere = |mut command: Command, _: &Props| {
        command.stdout(full()).stderr(full());
        command
    };
    let scene = Scene::start("{level: info}", full_everywhere).await;
    scene.serves(10).await;
    metrics_show(&scene.admin, "pullgate_log_dropped_total{log=\"access\"} 10\n").await;
    assert!(scene.dropped("process").await > 0, "what it says at its start");
    let scene = Scene::start("{level: info, access: /dev/full}", full_everywhere).await;
    scene.serves(10).await;
    metrics_show(&scene.admin, "pullgate_log_dropped_total{log=\"access\"} 10\n").await;
    let scene = Scene::start("{level: info}", |command, _| through_a_shell(&command, "exec \"$@\" 2>&- >&-")).await;
    scene.serves(10).await;
    assert_eq!(scene.origin.ledger().len(), 10);
}

/// A limit on the size of files is a disk that is full, and takes again when the limit is lifted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h51_lines_are_whole_when_a_full_disk_takes_again() {
    let limited = "trap '' XFSZ; ulimit -S -f 20; exec \"$@\" 2>/dev/null";
    let scene =
        Scene::start("{level: error, access: access.log}", |command, _| through_a_shell(&command, limited)).await;
    let read = || std::fs::read_to_string(scene.props.path().join("access.log")).unwrap();
    scene.serves(100).await;
    scene.drops_more("access", 0).await;
    let id = scene.running.0.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status().unwrap().success());
    scene.serves(10).await;
    let whole = async || 110 - usize::try_from(scene.dropped("access").await).unwrap();
    let expected = whole().await;
    assert!(eventually(|| read().lines().count() == expected).await, "{expected}: {}", read());
    assert!(read().lines().all(is_line), "{}", read());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h51_sigusr1_opens_the_access_log_anew() {
    let scene = Scene::start("{level: error, access: access.log}", |mut command, _| {
        command.stderr(Stdio::null());
        command
    })
    .await;
    let [log, rotated] = ["access.log", "access.log.1"].map(|name| scene.props.path().join(name));
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    scene.serves(3).await;
    assert!(eventually(|| lines(&log) == 3).await);
    std::fs::rename(&log, &rotated).unwrap();
    scene.serves(2).await;
    assert!(eventually(|| lines(&rotated) == 5).await, "until it is told, it writes where it wrote");
    scene.running.signal("-USR1");
    let deadline = Instant::now() + Duration::from_secs(10);
    while lines(&log) == 0 {
        assert!(Instant::now() < deadline, "nothing comes to the new file");
        scene.serves(1).await;
    }
    let moved = lines(&rotated);
    scene.serves(4).await;
    assert!(eventually(|| lines(&rotated) + lines(&log) == scene.origin.ledger().len()).await);
    assert_eq!(lines(&rotated), moved, "nothing more comes to the old one");
}
