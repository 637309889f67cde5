//! CPU per unit of work beside nginx and HAProxy, in alternating rounds on one machine:
//! `peers BINARY [--rounds N] [--work PART_OF_A_TITLE] [--idle CONNECTIONS] [--tsv FILE] [--quick]`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints its table and stops where it cannot go on"
)]

use pullgate_benches::peers::{Ground, Peer, haproxy_gateway, nginx_gateway, origin, pullgate};
use pullgate_benches::work::{Work, idle, logs, refuses_strangers};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// What a run was asked for.
struct Asked {
    binary: PathBuf,
    rounds: usize,
    only: Option<String>,
    idle: u32,
    tsv: Option<PathBuf>,
    quick: bool,
}

impl Asked {
    fn read() -> Self {
        let mut arguments = std::env::args().skip(1).peekable();
        let binary = arguments.next_if(|first| !first.starts_with("--"));
        let mut asked = Self {
            binary: binary.unwrap_or_else(|| "target/release/pullgate".into()).into(),
            rounds: 7,
            only: None,
            idle: 8_000,
            tsv: None,
            quick: false,
        };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--rounds" => asked.rounds = value().parse().unwrap(),
                "--work" => asked.only = Some(value()),
                "--idle" => asked.idle = value().parse().unwrap(),
                "--tsv" => asked.tsv = Some(value().into()),
                "--quick" => (asked.quick, asked.rounds, asked.idle) = (true, 1, 100),
                _ => panic!("{name} is no argument of the bench"),
            }
        }
        assert!(asked.rounds > 0 && asked.idle > 0, "a run takes at least one round and one idle connection");
        asked
    }
}

/// What one peer did of one kind of work.
#[derive(Default)]
struct Measured {
    /// CPU microseconds per unit, round by round.
    cpu: Vec<f64>,
    /// Every request of every round.
    took: Vec<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let asked = Asked::read();
    let ground = Ground::new();
    let origin = origin(&ground);
    let peers = [
        pullgate(&ground, &asked.binary, origin.address),
        nginx_gateway(&ground, origin.address),
        haproxy_gateway(&ground, origin.address),
    ];
    for peer in &peers {
        refuses_strangers(&ground, peer).await;
    }
    let mut tsv =
        String::from("work\tpeer\tcpu_us\tleast\tmost\tratio_to_nginx\tratio_least\tratio_most\tp50_us\tp99_us\n");
    println!("{} alternating rounds: median (least to most)", asked.rounds);
    println!(
        "{:30} {:10} {:>24} {:>22} {:>9} {:>9}",
        "work", "peer", "CPU µs a unit", "ratio to nginx", "p50 µs", "p99 µs"
    );
    for work in Work::ALL {
        if asked.only.as_ref().is_none_or(|only| work.title().contains(only.as_str())) {
            let measured = compare(work, &ground, &peers, &asked).await;
            report(work, &peers, &measured, &mut tsv);
        }
    }
    for peer in &peers {
        let memory = peer.memory() as f64 / f64::from(1 << 20);
        let each = idle(&ground, peer, asked.idle).await / 1024.0;
        println!("memory of {}: {memory:.1} MiB; {each:.1} KiB for each of {} idle connections", peer.name, asked.idle);
    }
    if let Some(file) = asked.tsv {
        std::fs::write(file, tsv).unwrap();
    }
}

/// One kind of work at every peer, in turn.
async fn compare(work: Work, ground: &Ground, peers: &[Peer; 3], asked: &Asked) -> [Measured; 3] {
    let mut measured: [Measured; 3] = Default::default();
    if !asked.quick {
        for peer in peers {
            // The first round warms caches, pools and allocators.
            one(work, ground, peer, false, &mut Measured::default()).await;
        }
    }
    for _ in 0..asked.rounds {
        for (peer, results) in peers.iter().zip(&mut measured) {
            one(work, ground, peer, asked.quick, results).await;
        }
    }
    measured
}

async fn one(work: Work, ground: &Ground, peer: &Peer, quick: bool, results: &mut Measured) {
    let (units, lines, before) = (work.units(quick), peer.logged().lines().count(), peer.cpu());
    results.took.extend(work.round(ground, peer, quick).await);
    results.cpu.push((peer.cpu() - before) as f64 / f64::from(units));
    logs(peer, lines + units as usize).await;
}

/// The lines of one kind of work. A ratio's spread is that of the rounds: each with nginx's round beside it.
fn report(work: Work, peers: &[Peer; 3], measured: &[Measured; 3], tsv: &mut String) {
    let nginx = &measured[1].cpu;
    for (peer, results) in peers.iter().zip(measured) {
        let cpu = Spread::of(results.cpu.clone());
        // A quick round may take nginx less than a tick of the clock.
        let ratio = Spread::of(results.cpu.iter().zip(nginx).map(|(ours, theirs)| ours / theirs.max(0.1)).collect());
        let mut took = results.took.clone();
        took.sort();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_micros();
        println!("{:30} {:10} {cpu:>24.1} {ratio:>22.2} {:>9} {:>9}", work.title(), peer.name, at(50), at(99));
        let (work, peer, p50, p99) = (work.title(), peer.name, at(50), at(99));
        let _ = writeln!(
            tsv,
            "{work}\t{peer}\t{:.2}\t{:.2}\t{:.2}\t{:.3}\t{:.3}\t{:.3}\t{p50}\t{p99}",
            cpu.median, cpu.least, cpu.most, ratio.median, ratio.least, ratio.most
        );
    }
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self { least: rounds[0], median: rounds[rounds.len() / 2], most: rounds[rounds.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let text = format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.least, self.most);
        match f.width() {
            Some(width) => write!(f, "{text:>width$}"),
            None => f.write_str(&text),
        }
    }
}
