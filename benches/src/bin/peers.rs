//! CPU per unit of work beside nginx, HAProxy and bare Pingora, in alternating rounds on one machine.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints its table and stops where it cannot go on"
)]

use clap::Parser;
use pullgate_benches::gateways::{bare_pingora, haproxy_gateway, nginx_gateway, origin, pullgate};
use pullgate_benches::peers::{Ground, Peer};
use pullgate_benches::table::{Row, Spread};
use pullgate_benches::work::{Work, idle, logs, refuses_strangers};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where `benches/peers/run` leaves Pingora without Pullgate.
const BARE_PINGORA: &str = "target/peers/release/bare-pingora";

/// Compares the CPU time of the gateway for a unit of work with that of nginx, HAProxy and bare Pingora.
///
/// It takes both cores of a small machine; nothing else should run.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The gateway to measure
    #[arg(default_value = "target/release/pullgate")]
    binary: PathBuf,
    /// Alternating rounds
    #[arg(long, value_name = "NUMBER", default_value_t = 7, default_value_if("quick", "true", "1"))]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the work in whose title this is
    #[arg(long, value_name = "PART_OF_A_TITLE", value_parser = part_of_a_title)]
    work: Option<String>,
    /// Idle connections to hold at the end
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, default_value_if("quick", "true", "100"))]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    idle: u32,
    /// Write the table for a program too
    #[arg(long, value_name = "FILE")]
    tsv: Option<PathBuf>,
    /// One short round of each work, and 100 connections: it shows that the bench works, and its numbers mean nothing
    #[arg(long, conflicts_with_all = ["rounds", "idle"])]
    quick: bool,
}

fn part_of_a_title(part: &str) -> Result<String, String> {
    if Work::ALL.iter().any(|work| work.title().contains(part)) {
        return Ok(part.to_owned());
    }
    Err(format!("no work is called so; there is: {}", Work::ALL.map(Work::title).join("; ")))
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
    let arguments = Arguments::parse();
    let ground = Ground::new();
    let origin = origin(&ground);
    let peers = peers(&ground, &origin, &arguments);
    for peer in &peers {
        refuses_strangers(&ground, peer).await;
    }
    let mut tsv = format!("{}\n", Row::NAMES);
    println!("{} alternating rounds: median (least to most)", arguments.rounds);
    println!("{}", Row::heading());
    for work in Work::ALL {
        if arguments.work.as_ref().is_none_or(|part| work.title().contains(part.as_str())) {
            let measured = compare(work, &ground, &peers, &arguments).await;
            for row in rows(work, &peers, &measured) {
                println!("{row}");
                tsv += &format!("{}\n", row.tsv());
            }
        }
    }
    for peer in &peers {
        let memory = peer.memory() as f64 / f64::from(1 << 20);
        let each = idle(&ground, peer, arguments.idle).await / 1024.0;
        println!(
            "memory of {}: {memory:.1} MiB; {each:.1} KiB for each of {} idle connections",
            peer.name, arguments.idle
        );
    }
    if let Some(file) = arguments.tsv {
        std::fs::write(file, tsv).unwrap();
    }
}

/// Everybody who takes part. A quick run does without bare Pingora where nobody has built it.
fn peers(ground: &Ground, origin: &Peer, arguments: &Arguments) -> Vec<Peer> {
    let mut peers = vec![
        pullgate(ground, &arguments.binary, origin.address),
        nginx_gateway(ground, origin.address),
        haproxy_gateway(ground, origin.address),
    ];
    let bare = Path::new(BARE_PINGORA);
    if bare.exists() {
        peers.push(bare_pingora(ground, bare, origin.address));
    } else {
        assert!(arguments.quick, "{BARE_PINGORA} is missing: benches/peers/run builds it");
        println!("bare Pingora is left out: {BARE_PINGORA} is missing, benches/peers/run builds it");
    }
    peers
}

/// One kind of work at every peer, in turn.
async fn compare(work: Work, ground: &Ground, peers: &[Peer], arguments: &Arguments) -> Vec<Measured> {
    let mut measured: Vec<Measured> = peers.iter().map(|_| Measured::default()).collect();
    if !arguments.quick {
        for peer in peers {
            // The first round warms caches, pools and allocators.
            one(work, ground, peer, false, &mut Measured::default()).await;
        }
    }
    for _ in 0..arguments.rounds {
        for (peer, results) in peers.iter().zip(&mut measured) {
            one(work, ground, peer, arguments.quick, results).await;
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

/// The rows of one kind of work. A ratio's spread is that of the rounds: each with the other peer's round beside it.
fn rows(work: Work, peers: &[Peer], measured: &[Measured]) -> Vec<Row> {
    let rounds_of = |name: &str| {
        let both = peers.iter().zip(measured);
        both.filter(|(peer, _)| peer.name == name).map(|(_, results)| results.cpu.as_slice()).next()
    };
    let (nginx, pingora) = (rounds_of("nginx").unwrap(), rounds_of("bare-pingora"));
    let row = |(peer, results): (&Peer, &Measured)| {
        let mut took = results.took.clone();
        took.sort();
        let at = |percent: usize| u64::try_from(took[(took.len() - 1) * percent / 100].as_micros()).unwrap();
        Row {
            work: work.title().to_owned(),
            peer: peer.name.to_owned(),
            cpu: Spread::of(results.cpu.clone()),
            to_nginx: Spread::ratio(&results.cpu, nginx),
            to_pingora: pingora.filter(|_| peer.name == "pullgate").map(|pingora| Spread::ratio(&results.cpu, pingora)),
            percentiles: [at(50), at(99)],
        }
    };
    peers.iter().zip(measured).map(row).collect()
}
