//! Idle connections: how many fit, and what each costs beside nginx.

use super::backend::{Backend, answer_to};
use super::gate::{Gate, HOSTNAME, Setting, Target, edge};
use super::ledger::Ledger;
use super::nginx::{self, Nginx};
use super::report::{Figure, bytes, figure};
use crate::client::{H1, H2};
use crate::stage::visit;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// So many idle connections.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// How many at the same time.
    pub count: u32,
}

/// What they cost, in bytes of resident memory for each.
#[derive(Debug)]
pub struct Idled {
    /// Connections of HTTP/1.1 that were held.
    pub held: usize,
    /// Each at Pullgate, over HTTP/1.1 and HTTP/2.
    pub ours: [u64; 2],
    /// Each at nginx, where it is installed.
    pub theirs: Option<[u64; 2]>,
}

/// Handshakes under way at most while they come.
const AT_ONCE: usize = 64;

/// One connection of either protocol, with one request behind it.
enum Held {
    One(#[allow(dead_code, reason = "it is held, nothing else")] H1),
    Two(#[allow(dead_code, reason = "it is held, nothing else")] H2),
}

impl Idle {
    /// Runs it.
    pub async fn run(self, binary: &Path) -> Idled {
        let ledger = Arc::new(Ledger::default());
        let backend = Backend::start(Arc::clone(&ledger));
        let (mut held, mut ours, mut theirs) = (0, [0; 2], nginx::version().map(|_| [0; 2]));
        for http2 in [false, true] {
            let gate = Gate::start(binary, backend.address(), Setting::default()).await;
            let target = gate.target();
            let (count, each) = cost(&target, self.count, http2, &ledger, || gate.resident()).await;
            held = if http2 { held.min(count) } else { count };
            ours[usize::from(http2)] = each;
            if let Some(theirs) = &mut theirs {
                let nginx = Nginx::start(gate.props(), backend.address()).await;
                let each = cost(&nginx.target(&target), self.count, http2, &ledger, || nginx.resident()).await.1;
                theirs[usize::from(http2)] = each;
            }
        }
        Idled { held, ours, theirs }
    }
}

/// How many connections stood, and what each cost. The first ones pay for what stays: they are made and dropped before.
async fn cost(
    target: &Target,
    count: u32,
    http2: bool,
    ledger: &Arc<Ledger>,
    resident: impl Fn() -> u64,
) -> (usize, u64) {
    const FIRST: u32 = 64;
    drop(hold(target, FIRST, http2, ledger).await);
    let before = resident();
    let held = hold(target, count, http2, ledger).await;
    let grown = resident().saturating_sub(before);
    (held.len(), grown / (held.len() as u64).max(1))
}

/// Connections that have had an answer and say nothing more.
async fn hold(target: &Target, count: u32, http2: bool, ledger: &Arc<Ledger>) -> Vec<Held> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut coming = JoinSet::new();
    for at in 0..count {
        let (target, room, number) = (target.clone(), Arc::clone(&room), ledger.issue());
        coming.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            come(&target, at, http2, number).await
        });
    }
    coming.join_all().await.into_iter().flatten().collect()
}

async fn come(target: &Target, at: u32, http2: bool, number: u64) -> Option<Held> {
    let from = Some(edge(u8::try_from(at % 250).ok()?));
    let request = visit(HOSTNAME, &format!("/r/{number}"));
    let (held, answer) = if http2 {
        let connection = H2::tls(from, target.address, HOSTNAME, Arc::clone(&target.two)).await.ok()?;
        let answer = connection.send(request).await.ok()?;
        (Held::Two(connection), answer)
    } else {
        let mut connection = H1::tls(from, target.address, HOSTNAME, Arc::clone(&target.one)).await.ok()?;
        let answer = connection.send(request).await.ok()?;
        (Held::One(connection), answer)
    };
    (answer.text() == answer_to(number, 0)).then_some(held)
}

impl Idled {
    /// As figures.
    #[must_use]
    pub fn figures(&self, plan: Idle) -> Vec<Figure> {
        let name = format!("{} idle mTLS connections", plan.count);
        let mut figures = vec![figure(
            &name,
            format!("{} held", self.held),
            &plan.count.to_string(),
            self.held == plan.count as usize,
        )];
        for (at, protocol) in ["HTTP/1.1", "HTTP/2"].into_iter().enumerate() {
            let ours = self.ours[at];
            figures.push(match self.theirs.map(|theirs| theirs[at]) {
                None => figure(&name, format!("{protocol}: {} each; nginx is not installed", bytes(ours)), "", true),
                Some(theirs) => {
                    let ratio = ours as f64 / (theirs as f64).max(1.0);
                    let measured = format!("{protocol}: {} each, nginx {}: × {ratio:.2}", bytes(ours), bytes(theirs));
                    // HTTP/2 is told for its own sake: its library keeps buffers and tables for each connection.
                    let (bar, holds) = if at == 0 { ("× ≤ 1.50", ratio <= 1.5) } else { ("", true) };
                    figure(&name, measured, bar, holds)
                }
            });
        }
        figures
    }
}
