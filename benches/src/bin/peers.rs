//! CPU per unit of work beside nginx, HAProxy and bare Pingora, in alternating rounds on one machine:
//! `peers BINARY [--rounds N] [--work PART_OF_A_TITLE] [--idle CONNECTIONS] [--tsv FILE] [--quick]`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints its table and stops where it cannot go on"
)]

use pullgate_benches::gateways::{bare_pingora, haproxy_gateway, nginx_gateway, origin, pullgate};
use pullgate_benches::peers::{Ground, Peer};
use pullgate_benches::table::{Row, Spread};
use pullgate_benches::work::{Work, idle, logs, refuses_strangers};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where `benches/peers/run` leaves Pingora without Pullgate.
const BARE_PINGORA: &str = "target/peers/release/bare-pingora";

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
            idle: 10_000,
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
    let peers = peers(&ground, &origin, &asked);
    for peer in &peers {
        refuses_strangers(&ground, peer).await;
    }
    let mut tsv = format!("{}\n", Row::NAMES);
    println!("{} alternating rounds: median (least to most)", asked.rounds);
    println!("{}", Row::heading());
    for work in Work::ALL {
        if asked.only.as_ref().is_none_or(|only| work.title().contains(only.as_str())) {
            let measured = compare(work, &ground, &peers, &asked).await;
            for row in rows(work, &peers, &measured) {
                println!("{row}");
                tsv += &format!("{}\n", row.tsv());
            }
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

/// Everybody who takes part. A quick run does without bare Pingora where nobody has built it.
fn peers(ground: &Ground, origin: &Peer, asked: &Asked) -> Vec<Peer> {
    let mut peers = vec![
        pullgate(ground, &asked.binary, origin.address),
        nginx_gateway(ground, origin.address),
        haproxy_gateway(ground, origin.address),
    ];
    let bare = Path::new(BARE_PINGORA);
    if bare.exists() {
        peers.push(bare_pingora(ground, bare, origin.address));
    } else {
        assert!(asked.quick, "{BARE_PINGORA} is missing: benches/peers/run builds it");
        println!("bare Pingora is left out: {BARE_PINGORA} is missing, benches/peers/run builds it");
    }
    peers
}

/// One kind of work at every peer, in turn.
async fn compare(work: Work, ground: &Ground, peers: &[Peer], asked: &Asked) -> Vec<Measured> {
    let mut measured: Vec<Measured> = peers.iter().map(|_| Measured::default()).collect();
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
