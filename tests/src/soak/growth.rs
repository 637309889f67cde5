//! The long run: a mixed load with a reload a minute, and a memory that does not grow.

use super::backend::Backend;
use super::gate::{Gate, Setting};
use super::ledger::{Balance, Ledger};
use super::load::{Load, Shape};
use super::report::{Figure, bytes, figure};
use super::surroundings::surround;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// The whole run.
    pub length: Duration,
    /// Between two reloads.
    pub reload_every: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Grown {
    /// Reloads done.
    pub reloads: u32,
    /// Resident memory by the second, in bytes.
    pub samples: Vec<u64>,
    /// File descriptors before the load.
    pub descriptors_before: usize,
    /// File descriptors after it.
    pub descriptors_after: usize,
    /// The three accounts.
    pub balance: Balance,
    /// Faults of good clients.
    pub faults: u64,
    /// The first of these, in words.
    pub examples: Vec<String>,
}

/// The good clients' part.
const GOOD: Shape = Shape { ones: 8, twos: 2, streams: 4, rounds: 15.0, fresh: 5.0 };

/// Memory is compared from this share of the run on: the fourth of ten minutes.
const SETTLED: f64 = 0.4;

/// Samples that are averaged, a second each.
const SMOOTH: usize = 15;

/// How much memory may grow, in bytes.
const MOST: u64 = 2 * 1024 * 1024;

/// How long descriptors may take to come back: longer than an idle upstream connection is kept.
const SETTLING: Duration = Duration::from_secs(20);

impl Growth {
    /// So many minutes with a reload in each.
    #[must_use]
    pub fn minutes(minutes: u32) -> Self {
        Self { length: Duration::from_secs(60) * minutes, reload_every: Duration::from_secs(60) }
    }

    /// Runs it.
    pub async fn run(self, binary: &Path) -> Grown {
        let ledger = Arc::new(Ledger::default());
        let backend = Backend::start(Arc::clone(&ledger));
        let mut gate = Gate::start(binary, backend.address(), Setting::default()).await;
        // The admin listener's connections are counted too: one is asked for now, as later.
        let descriptors_before = gate.descriptors();
        let mut load = Load::start(gate.target(), Arc::clone(&ledger), GOOD);
        surround(&mut load);
        let (begun, mut reloads, mut samples) = (Instant::now(), 0, Vec::new());
        let mut second = tokio::time::interval(Duration::from_secs(1));
        while begun.elapsed() < self.length {
            second.tick().await;
            samples.push(gate.resident());
            if begun.elapsed() >= self.reload_every * (reloads + 1) {
                gate.reload().await;
                reloads += 1;
            }
        }
        let counts = load.finish().await;
        gate.back().await;
        let descriptors_after = settled(&gate, descriptors_before).await;
        gate.end().await;
        Grown {
            reloads,
            samples,
            descriptors_before,
            descriptors_after,
            balance: ledger.balance(&gate.access_log()),
            faults: counts.faults(),
            examples: counts.examples(),
        }
    }
}

/// The descriptors, once they are as few as before or it has taken long enough.
async fn settled(gate: &Gate, before: usize) -> usize {
    let deadline = Instant::now() + SETTLING;
    while gate.descriptors() > before && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    gate.descriptors()
}

impl Grown {
    /// Memory at the point where it should have settled, and at the end, in bytes.
    #[must_use]
    pub fn memory(&self) -> [u64; 2] {
        let count = self.samples.len();
        let settled = (count as f64 * SETTLED) as usize;
        [settled, count].map(|end| {
            let window = &self.samples[end.saturating_sub(SMOOTH)..end];
            window.iter().sum::<u64>() / (window.len() as u64).max(1)
        })
    }

    /// As figures.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let name = format!("{} s of mixed load, {} reloads", self.samples.len(), self.reloads);
        let [settled, end] = self.memory();
        let Balance { issued, clients, log, origin, odd, examples } = &self.balance;
        let grown = end.saturating_sub(settled);
        let memory = format!("{} at two fifths, {} at the end: {} more", bytes(settled), bytes(end), bytes(grown));
        let mut figures = vec![
            figure(&name, memory, "≤ 2 MiB more", grown <= MOST),
            figure(
                &name,
                format!("{} descriptors before, {} after", self.descriptors_before, self.descriptors_after),
                "no more",
                self.descriptors_after <= self.descriptors_before,
            ),
            figure(&name, format!("faults: {}", self.faults), "0", self.faults == 0),
            figure(
                &name,
                format!("{issued} sent, {clients} answered, {log} in the log, {origin} at the origin"),
                "the same requests",
                *odd == 0,
            ),
        ];
        figures.extend(self.examples.iter().chain(examples).map(|words| figure("", words.clone(), "", false)));
        figures
    }
}
