//! Has an instrumented gateway do the work that a guided build is made for: `train BINARY [--quick]`. Every answer is checked, and nothing is measured.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a step of the release build says what it does and stops where it cannot go on"
)]

use pullgate_benches::gateways::{origin, pullgate};
use pullgate_benches::peers::Ground;
use pullgate_benches::work::Work;
use std::path::PathBuf;

/// What a profile needs is every path taken often, not long.
const ROUNDS: u32 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(arguments.next().unwrap());
    let quick = arguments.next().is_some_and(|word| word == "--quick");
    let ground = Ground::new();
    let origin = origin(&ground);
    let gateway = pullgate(&ground, &binary, origin.address);
    for work in Work::ALL {
        for _ in 0..ROUNDS {
            work.round(&ground, &gateway, quick).await;
        }
        println!("train: {}: {} times", work.title(), ROUNDS * work.units(quick));
    }
    // The profile is written when the gateway ends by itself: its drop waits for that.
}
