//! CPU per unit of work beside nginx, in alternating rounds on one machine: `peers BINARY [ROUNDS [WORK]]`, WORK being part of a title.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its table and stops where it cannot go on"
)]

use pullgate_benches::peers::{Ground, Peer, nginx_gateway, origin, pullgate};
use pullgate_benches::work::Work;
use std::path::PathBuf;

/// CPU microseconds per unit, round by round.
type Rounds = Vec<f64>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(arguments.next().unwrap_or_else(|| "target/release/pullgate".into()));
    let rounds = arguments.next().map_or(7, |text| text.parse().unwrap());
    let only = arguments.next();
    let ground = Ground::new();
    let origin = origin(&ground);
    let peers = [pullgate(&ground, &binary, origin.address), nginx_gateway(&ground, origin.address)];
    println!(
        "{:30} {:>16} {:>16} {:>8}   {rounds} alternating rounds, median (least to most)",
        "CPU µs a unit", peers[0].name, peers[1].name, "ratio"
    );
    for work in
        Work::ALL.into_iter().filter(|work| only.as_ref().is_none_or(|only| work.title().contains(only.as_str())))
    {
        for peer in &peers {
            // The first round warms caches, pools and allocators.
            work.round(&ground, peer).await;
        }
        let mut measured: [Rounds; 2] = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (peer, results) in peers.iter().zip(&mut measured) {
                results.push(one(work, &ground, peer).await);
            }
        }
        let [ours, theirs] = measured.map(Spread::of);
        println!("{:30} {ours:>16} {theirs:>16} {:>8.2}", work.title(), ours.median / theirs.median);
    }
    for peer in &peers {
        println!("memory of {}: {:.1} MiB", peer.name, peer.memory() as f64 / f64::from(1 << 20));
    }
}

async fn one(work: Work, ground: &Ground, peer: &Peer) -> f64 {
    let before = peer.cpu();
    work.round(ground, peer).await;
    (peer.cpu() - before) as f64 / f64::from(work.units())
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut rounds: Rounds) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self { least: rounds[0], median: rounds[rounds.len() / 2], most: rounds[rounds.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.1} ({:.1}–{:.1})", self.median, self.least, self.most))
    }
}
