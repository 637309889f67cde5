//! A flood of strangers: connection attempts from addresses that are nobody's, while a good client goes on.

use super::backend::Backend;
use super::beat::beat;
use super::gate::{Gate, Setting};
use super::ledger::Ledger;
use super::load::{Load, Shape};
use super::report::{Figure, figure};
use crate::client::connect;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many strangers, how fast.
#[derive(Debug, Clone, Copy)]
pub struct Strangers {
    /// Attempts, all windows together.
    pub attempts: u32,
    /// Attempts a second while they come.
    pub rate: f64,
    /// Windows of attack, each between two windows of the same length without.
    pub windows: u32,
    /// The listener's keys: `kernel_filter` on or off.
    pub setting: Setting,
}

/// What came of it.
#[derive(Debug)]
pub struct Attacked {
    /// Attempts made.
    pub attempts: u64,
    /// Attempts that the gateway's process saw.
    pub seen: u64,
    /// The good client's 99th percentile without strangers, in microseconds.
    pub idle: u32,
    /// The same under attack.
    pub under_attack: u32,
    /// The good client's right answers.
    pub served: u64,
    /// Its faults.
    pub faults: u64,
    /// The first of these, in words.
    pub examples: Vec<String>,
}

/// How long a stranger waits for an answer to its SYN: less than the first repetition.
const STRANGERS_PATIENCE: Duration = Duration::from_millis(400);

/// Attempts under way at most.
const AT_ONCE: usize = 2000;

/// The good client: kept connections, and fresh ones that have to come in through the same door.
const GOOD: Shape = Shape { ones: 8, twos: 2, streams: 4, rounds: 20.0, fresh: 5.0 };

impl Strangers {
    /// The figure of the issue: 50 000 attempts in 30 s.
    #[must_use]
    pub fn full(setting: Setting) -> Self {
        Self { attempts: 50_000, rate: 50_000.0 / 30.0, windows: 5, setting }
    }

    /// Runs it.
    pub async fn run(self, binary: &Path) -> Attacked {
        let ledger = Arc::new(Ledger::default());
        let backend = Backend::start(Arc::clone(&ledger));
        let gate = Gate::start(binary, backend.address(), self.setting).await;
        let load = Load::start(gate.target(), Arc::clone(&ledger), GOOD);
        let shared = load.shared();
        load.served(200).await;
        let (mut calm, mut stormy) = (Vec::new(), Vec::new());
        let each = self.attempts / self.windows;
        let length = Duration::from_secs_f64(f64::from(each) / self.rate);
        for _ in 0..self.windows {
            let begun = shared.now();
            tokio::time::sleep(length).await;
            calm.push((begun, shared.now()));
            let begun = shared.now();
            attack(gate.target().address, each, self.rate).await;
            stormy.push((begun, shared.now()));
        }
        let counts = load.finish().await;
        let seen = gate.metric(r#"pullgate_connections_total{listener="https",outcome="stranger"}"#).await.unwrap();
        let times = shared.times.lock().unwrap();
        Attacked {
            attempts: u64::from(each * self.windows),
            seen: seen as u64,
            idle: p99(&times, &calm),
            under_attack: p99(&times, &stormy),
            served: counts.served.load(std::sync::atomic::Ordering::Relaxed),
            faults: counts.faults(),
            examples: counts.examples(),
        }
    }
}

/// The 99th percentile of what was answered within some windows.
fn p99(times: &[(f32, u32)], windows: &[(f32, f32)]) -> u32 {
    let within = |at: f32| windows.iter().any(|(begun, ended)| (*begun..*ended).contains(&at));
    let mut took: Vec<u32> = times.iter().filter(|(at, _)| within(*at)).map(|(_, took)| *took).collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().unwrap_or(0)
}

/// Attempts at a steady rate, on a thread of their own so that they do not hold the good client up.
async fn attack(address: SocketAddr, attempts: u32, rate: f64) {
    let flood = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(flood(address, attempts, rate));
    };
    tokio::task::spawn_blocking(flood).await.unwrap();
}

async fn flood(address: SocketAddr, attempts: u32, rate: f64) {
    let mut beat = beat(rate, 0.0);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut trying = JoinSet::new();
    for at in 0..attempts {
        beat.tick().await;
        let place = Arc::clone(&room).acquire_owned().await.unwrap();
        trying.spawn(async move {
            one(address, at).await;
            drop(place);
        });
        while trying.try_join_next().is_some() {}
    }
    while trying.join_next().await.is_some() {}
}

/// One attempt: it waits for the gateway to close, or for nothing at all.
pub(super) async fn one(address: SocketAddr, number: u32) {
    let from = IpAddr::from([127, 0, 2, u8::try_from(1 + number % 250).unwrap()]);
    // How it fails is the gateway's choice: silence, a reset, a close.
    let _ = timeout(STRANGERS_PATIENCE, async {
        let mut stream = connect(Some(from), address).await?;
        stream.read(&mut [0; 1]).await
    })
    .await;
}

impl Attacked {
    /// As figures.
    #[must_use]
    pub fn figures(&self, setting: Setting) -> Vec<Figure> {
        let Self { attempts, seen, idle, under_attack, served, faults, examples } = self;
        let name = format!("{attempts} strangers, kernel_filter: {}", setting.kernel_filter);
        let times = f64::from(*under_attack) / f64::from(*idle).max(1.0);
        let mut figures = vec![
            figure(
                &name,
                format!("p99 idle {idle} µs, under attack {under_attack} µs: × {times:.2}"),
                "× ≤ 2.00",
                times <= 2.0,
            ),
            figure(&name, format!("{served} good requests, faults: {faults}"), "0", *faults == 0),
            figure(&name, format!("{seen} of the attempts reached the process"), "", true),
        ];
        figures.extend(examples.iter().map(|words| figure("", words.clone(), "", false)));
        figures
    }
}
