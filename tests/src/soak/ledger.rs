//! Who met which request: clients, access log and origin, each by the request's number.

use serde::Deserialize;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often each number was met. A byte a number: a run of hours fits in memory.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Vec<u8>>);

impl Tally {
    /// Meets a number once more.
    pub fn add(&self, number: u64) {
        let mut counts = self.0.lock().unwrap();
        let at = usize::try_from(number).unwrap();
        if counts.len() <= at {
            counts.resize(at + 1, 0);
        }
        counts[at] = counts[at].saturating_add(1);
    }

    /// How often numbers were met, all together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.lock().unwrap().iter().map(|count| u64::from(*count)).sum()
    }

    fn of(&self, number: usize) -> u8 {
        self.0.lock().unwrap().get(number).copied().unwrap_or(0)
    }
}

/// The numbers given out, and who met them.
#[derive(Debug, Default)]
pub struct Ledger {
    issued: AtomicU64,
    /// Right answers, as clients got them.
    pub clients: Tally,
    /// Requests that reached the origin.
    pub origin: Tally,
}

/// Three accounts of the same requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Numbers given out.
    pub issued: u64,
    /// Right answers.
    pub clients: u64,
    /// Lines of the access log for a request that was served.
    pub log: u64,
    /// Requests at the origin.
    pub origin: u64,
    /// Numbers that anybody met never, or more than once.
    pub odd: u64,
    /// The first of these, in words.
    pub examples: Vec<String>,
}

/// Longest list of examples.
const EXAMPLES: usize = 10;

/// Statuses of requests that were served: an answer, or another protocol.
const SERVED: [u16; 2] = [200, 101];

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "url.path", borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    duration_ms: f64,
}

/// One request as the access log has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged {
    /// The request's number.
    pub number: u64,
    /// The status that the client was sent.
    pub status: u16,
    /// How long it took, in milliseconds.
    pub took: f64,
}

/// The numbered requests in an access log, in its order.
///
/// # Panics
/// At a line that is not JSON: two processes that write one log must not cut each other short.
pub(super) fn logged(file: &Path) -> impl Iterator<Item = Logged> {
    let lines = BufReader::new(File::open(file).unwrap()).lines();
    lines.filter_map(|line| {
        let text = line.unwrap();
        let line: Line<'_> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let number = super::backend::number(line.path.as_deref()?)?;
        Some(Logged { number, status: line.status, took: line.duration_ms })
    })
}

impl Ledger {
    /// A number that nobody has.
    pub fn issue(&self) -> u64 {
        self.issued.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers given out so far.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    /// Compares the three accounts. Every number has to be met once by each.
    #[must_use]
    pub fn balance(&self, access_log: &Path) -> Balance {
        let log = Tally::default();
        logged(access_log).filter(|line| SERVED.contains(&line.status)).for_each(|line| log.add(line.number));
        let (mut odd, mut examples) = (0, Vec::new());
        for number in 0..usize::try_from(self.issued()).unwrap() {
            let [clients, log, origin] = [&self.clients, &log, &self.origin].map(|tally| tally.of(number));
            if [clients, log, origin] != [1, 1, 1] {
                odd += 1;
                if examples.len() < EXAMPLES {
                    examples.push(format!("request {number}: client {clients}, log {log}, origin {origin}"));
                }
            }
        }
        let (clients, origin) = (self.clients.sum(), self.origin.sum());
        Balance { issued: self.issued(), clients, log: log.sum(), origin, odd, examples }
    }
}
