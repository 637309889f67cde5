//! The load of good clients: kept connections of both protocols and a share of fresh ones, each request with a number.

use super::attempt::{Fault, over_one, over_two};
use super::backend::answer_to;
use super::beat::beat;
use super::gate::{HOSTNAME, Target};
use super::ledger::Ledger;
use crate::client::{H1, H2, Refused, Response};
use crate::stage::{cloudflare, visit};
use http::StatusCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Kept connections of HTTP/1.1.
    pub ones: u32,
    /// Kept connections of HTTP/2.
    pub twos: u32,
    /// Requests at a time on each of these.
    pub streams: u32,
    /// Rounds a second on each kept connection: a request, or one on each stream.
    pub rounds: f64,
    /// Fresh connections a second and protocol, each for one request.
    pub fresh: f64,
}

impl Shape {
    /// Requests a second that it means.
    #[must_use]
    pub fn rate(&self) -> f64 {
        f64::from(self.ones + self.twos * self.streams) * self.rounds + 2.0 * self.fresh
    }
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answered rightly.
    pub served: AtomicU64,
    /// Answered wrongly: another status, or another body.
    pub failed: AtomicU64,
    /// No connection.
    pub refused: AtomicU64,
    /// The handshake failed, or the connection broke, or nothing came.
    pub reset: AtomicU64,
    /// Connections that the gateway ended and had announced to end.
    pub moved: AtomicU64,
    /// Asked again on another connection of HTTP/2, since the gateway had not taken the request.
    pub again: AtomicU64,
    /// The first faults, in words.
    pub examples: Mutex<Vec<String>>,
}

/// Longest list of examples.
const EXAMPLES: usize = 10;

/// How often a request may be asked again.
const AGAIN: usize = 5;

impl Counts {
    /// Faults of any kind.
    #[must_use]
    pub fn faults(&self) -> u64 {
        [&self.failed, &self.refused, &self.reset].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The first faults, in words.
    #[must_use]
    pub fn examples(&self) -> Vec<String> {
        self.examples.lock().unwrap().clone()
    }

    fn note(&self, count: &AtomicU64, words: String) {
        count.fetch_add(1, Ordering::Relaxed);
        let mut examples = self.examples.lock().unwrap();
        if examples.len() < EXAMPLES {
            examples.push(words);
        }
    }
}

/// A load that is under way.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// What the clients of a load share.
pub(super) struct Shared {
    pub(super) target: Target,
    pub(super) ledger: Arc<Ledger>,
    pub(super) counts: Arc<Counts>,
    /// When each right answer came and how long it took: seconds since the start, microseconds.
    pub(super) times: Mutex<Vec<(f32, u32)>>,
    begun: Instant,
    ending: AtomicBool,
}

impl Load {
    /// Starts the clients.
    #[must_use]
    pub fn start(target: Target, ledger: Arc<Ledger>, shape: Shape) -> Self {
        let shared = Arc::new(Shared {
            target,
            ledger,
            counts: Arc::default(),
            times: Mutex::default(),
            begun: Instant::now(),
            ending: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for at in 0..shape.ones {
            tasks.spawn(kept_one(Arc::clone(&shared), shape.rounds, f64::from(at) / f64::from(shape.ones)));
        }
        for at in 0..shape.twos {
            let phase = f64::from(at) / f64::from(shape.twos);
            tasks.spawn(kept_two(Arc::clone(&shared), shape.rounds, phase, shape.streams));
        }
        if shape.fresh > 0.0 {
            tasks.spawn(fresh(Arc::clone(&shared), shape.fresh));
        }
        Self { shared, tasks }
    }

    /// What became of the requests so far.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.counts)
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs something else beside the clients, which has to look at [`Shared::goes_on`].
    pub(super) fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until so many requests were served. Fails when nothing was for a minute.
    pub async fn served(&self, count: u64) {
        let served = || self.shared.counts.served.load(Ordering::Relaxed);
        let (mut last, mut since) = (served(), Instant::now());
        while last < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if served() != last {
                (last, since) = (served(), Instant::now());
            }
            assert!(since.elapsed() < STANDSTILL, "nothing served for a minute: {:?}", self.shared.counts);
        }
    }

    /// Lets every client finish the request that it is in.
    pub async fn finish(mut self) -> Arc<Counts> {
        self.shared.ending.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        Arc::clone(&self.shared.counts)
    }
}

const STANDSTILL: Duration = Duration::from_secs(60);

impl Shared {
    pub(super) fn goes_on(&self) -> bool {
        !self.ending.load(Ordering::Relaxed)
    }

    /// Seconds since the start.
    pub(super) fn now(&self) -> f32 {
        self.begun.elapsed().as_secs_f32()
    }

    pub(super) async fn connect_one(&self) -> Result<H1, Refused> {
        let Target { address, one, .. } = &self.target;
        H1::tls(Some(cloudflare()), *address, HOSTNAME, Arc::clone(one)).await
    }

    async fn connect_two(&self) -> Result<H2, Refused> {
        let Target { address, two, .. } = &self.target;
        H2::tls(Some(cloudflare()), *address, HOSTNAME, Arc::clone(two)).await
    }

    /// Enters an answer to a request with so many bytes of body.
    pub(super) fn judge(&self, number: u64, body: u64, answer: &Response, begun: Instant) {
        if answer.status == StatusCode::OK && answer.body == answer_to(number, body) {
            self.ledger.clients.add(number);
            self.counts.served.fetch_add(1, Ordering::Relaxed);
            let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
            self.times.lock().unwrap().push((self.now(), took));
        } else {
            self.counts.note(&self.counts.failed, format!("request {number}: {} {}", answer.status, answer.text()));
        }
    }

    pub(super) fn fault(&self, number: u64, fault: Fault, what: &str, refused: &Refused) {
        let count = if fault == Fault::Refused { &self.counts.refused } else { &self.counts.reset };
        let at = self.now();
        self.counts.note(count, format!("request {number}, {what}, {at:.2} s: {fault:?}: {refused:?}"));
    }

    pub(super) fn moved(&self) {
        self.counts.moved.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the gateway announces with this answer that the connection ends.
pub(super) fn announces_end(answer: &Response) -> bool {
    answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

async fn kept_one(shared: Arc<Shared>, rounds: f64, phase: f64) {
    let mut beat = beat(rounds, phase);
    let mut kept = None;
    while shared.goes_on() {
        beat.tick().await;
        let number = shared.ledger.issue();
        kept = ask_one(&shared, kept, number, "HTTP/1.1").await;
    }
}

/// One request over HTTP/1.1, and the connection for the next.
async fn ask_one(shared: &Shared, kept: Option<H1>, number: u64, what: &str) -> Option<H1> {
    let begun = Instant::now();
    let asked = async {
        let mut connection = match kept {
            Some(connection) => connection,
            None => shared.connect_one().await?,
        };
        let answer = connection.send(visit(HOSTNAME, &format!("/r/{number}"))).await?;
        Ok((answer, connection))
    };
    match asked.await {
        Ok((answer, connection)) => {
            shared.judge(number, 0, &answer, begun);
            if !announces_end(&answer) {
                return Some(connection);
            }
            shared.moved();
        }
        Err(refused) => shared.fault(number, over_one(&refused), what, &refused),
    }
    None
}

async fn kept_two(shared: Arc<Shared>, rounds: f64, phase: f64, streams: u32) {
    let mut beat = beat(rounds, phase);
    let mut kept = None;
    while shared.goes_on() {
        beat.tick().await;
        let numbers = (0..streams).map(|_| shared.ledger.issue()).collect();
        kept = ask_two(&shared, kept, numbers, "HTTP/2").await;
    }
}

/// Requests at the same time over HTTP/2, and the connection for the next. What the gateway did not take is asked again elsewhere.
async fn ask_two(shared: &Arc<Shared>, mut kept: Option<H2>, mut numbers: Vec<u64>, what: &str) -> Option<H2> {
    for _ in 0..AGAIN {
        let connection = match kept {
            Some(connection) => connection,
            None => match shared.connect_two().await {
                Ok(connection) => connection,
                Err(refused) => {
                    numbers.iter().for_each(|number| shared.fault(*number, over_one(&refused), what, &refused));
                    return None;
                }
            },
        };
        numbers = send_all(shared, &connection, numbers, what).await;
        if numbers.is_empty() {
            return Some(connection);
        }
        shared.moved();
        shared.counts.again.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        kept = None;
    }
    numbers.iter().for_each(|number| shared.fault(*number, Fault::NotTaken, what, &Refused::Deadline));
    None
}

/// The numbers of the requests that have to be asked again.
async fn send_all(shared: &Arc<Shared>, connection: &H2, numbers: Vec<u64>, what: &str) -> Vec<u64> {
    let mut sending = JoinSet::new();
    for number in numbers {
        let connection = connection.clone();
        let begun = Instant::now();
        sending.spawn(async move { (number, begun, connection.send(visit(HOSTNAME, &format!("/r/{number}"))).await) });
    }
    let mut left = Vec::new();
    while let Some(sent) = sending.join_next().await {
        let (number, begun, answer) = sent.unwrap();
        match answer {
            Ok(answer) => shared.judge(number, 0, &answer, begun),
            Err(refused) => match over_two(&refused) {
                Fault::NotSent | Fault::NotTaken => left.push(number),
                fault => shared.fault(number, fault, what, &refused),
            },
        }
    }
    left
}

/// Connections for one request each, of both protocols.
async fn fresh(shared: Arc<Shared>, a_second: f64) {
    let mut beat = beat(a_second, 0.5);
    let mut asking = JoinSet::new();
    while shared.goes_on() {
        beat.tick().await;
        let [one, two] = [shared.ledger.issue(), shared.ledger.issue()];
        let shared = Arc::clone(&shared);
        asking.spawn(async move {
            ask_one(&shared, None, one, "a fresh HTTP/1.1").await;
            ask_two(&shared, None, vec![two], "a fresh HTTP/2").await;
        });
        while asking.try_join_next().is_some() {}
    }
    while asking.join_next().await.is_some() {}
}
