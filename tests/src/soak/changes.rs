//! Change under load: reload after reload, upgrade after upgrade, and not a request lost.

use super::backend::Backend;
use super::gate::{Gate, Setting};
use super::ledger::{Balance, Ledger};
use super::load::{Load, Shape};
use super::report::{Figure, figure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What to change, and under which load.
#[derive(Debug, Clone, Copy)]
pub struct Changes {
    /// Reloads, one after the other.
    pub reloads: u32,
    /// Upgrades, spread over the reloads.
    pub upgrades: u32,
    /// Requests served between two changes.
    pub between: u64,
    /// The load.
    pub shape: Shape,
}

/// What came of it.
#[derive(Debug)]
pub struct Changed {
    /// Requests a second, right answers alone.
    pub rate: f64,
    /// Answers with another status or body.
    pub failed: u64,
    /// Connections refused.
    pub refused: u64,
    /// Connections broken, handshakes failed, silence.
    pub reset: u64,
    /// Connections that the gateway had announced to end.
    pub moved: u64,
    /// Requests of HTTP/2 asked again, as the gateway had not taken them.
    pub again: u64,
    /// The three accounts.
    pub balance: Balance,
    /// The first faults, in words.
    pub examples: Vec<String>,
}

impl Changes {
    /// The figure of the design: 200 reloads and 20 upgrades at a thousand requests a second and more.
    #[must_use]
    pub fn full() -> Self {
        let shape = Shape { ones: 16, twos: 4, streams: 4, rounds: 40.0, fresh: 20.0 };
        Self { reloads: 200, upgrades: 20, between: 300, shape }
    }

    /// Runs it.
    pub async fn run(self, binary: &Path) -> Changed {
        let ledger = Arc::new(Ledger::default());
        let backend = Backend::start(Arc::clone(&ledger));
        let mut gate = Gate::start(binary, backend.address(), Setting::default()).await;
        let begun = Instant::now();
        let load = Load::start(gate.target(), Arc::clone(&ledger), self.shape);
        let counts = load.counts();
        let mut until = self.between;
        load.served(until).await;
        let changes = self.reloads.max(self.upgrades);
        for at in 0..changes {
            if falls(at, self.reloads, changes) {
                gate.reload().await;
            }
            if falls(at, self.upgrades, changes) {
                gate.upgrade().await;
            }
            until = counts.served.load(Ordering::Relaxed) + self.between;
            load.served(until).await;
        }
        let counts = load.finish().await;
        let seconds = begun.elapsed().as_secs_f64();
        gate.end().await;
        let [served, failed, refused, reset, moved, again] =
            [&counts.served, &counts.failed, &counts.refused, &counts.reset, &counts.moved, &counts.again]
                .map(|count| count.load(Ordering::Relaxed));
        let balance = ledger.balance(&gate.access_log());
        let rate = f64::from(u32::try_from(served).unwrap()) / seconds;
        Changed { rate, failed, refused, reset, moved, again, balance, examples: counts.examples() }
    }
}

/// Whether one of `count` events, spread evenly over `all` steps, falls on step `at`.
fn falls(at: u32, count: u32, all: u32) -> bool {
    (at + 1) * count / all != at * count / all
}

impl Changed {
    /// As figures, with the least rate that counts.
    #[must_use]
    pub fn figures(&self, plan: &Changes, least_rate: f64) -> Vec<Figure> {
        let Balance { issued, clients, log, origin, odd, examples } = &self.balance;
        let name = format!("{} reloads, {} upgrades", plan.reloads, plan.upgrades);
        let none = |what: &str, count: u64| figure(&name, format!("{what}: {count}"), "0", count == 0);
        let mut figures = vec![
            figure(
                &name,
                format!("{:.0} requests/s", self.rate),
                &format!("≥ {least_rate:.0}"),
                self.rate >= least_rate,
            ),
            none("failed", self.failed),
            none("refused", self.refused),
            none("reset", self.reset),
            figure(
                &name,
                format!("{issued} sent, {clients} answered, {log} in the log, {origin} at the origin"),
                "the same requests",
                *odd == 0,
            ),
            figure(
                &name,
                format!("{} connections moved, {} HTTP/2 requests asked again", self.moved, self.again),
                "",
                true,
            ),
        ];
        figures.extend(self.examples.iter().chain(examples).map(|words| figure("", words.clone(), "", false)));
        figures
    }
}
