//! Slow clients: each kind holds a connection as cheaply as it can, and is cut when its time is over.

use super::backend::{Backend, LARGE};
use super::gate::{Gate, HOSTNAME, Setting, Target, edge};
use super::ledger::{Ledger, logged};
use super::load::{Load, Shape};
use super::report::{Figure, bytes, figure};
use crate::client::Wire;
use crate::stage::VISITOR;
use rustls::ClientConnection;
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What a slow client is slow with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sends its ClientHello byte by byte.
    Handshake,
    /// Sends the head of a request byte by byte.
    Header,
    /// Announces a body and sends a part of it.
    Body,
    /// Asks for much and reads nothing.
    Reader,
}

/// So many slow clients of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    /// The kind.
    pub kind: Kind,
    /// How many at the same time.
    pub count: u32,
}

/// What came of it.
#[derive(Debug)]
pub struct Slowed {
    /// The kind.
    pub kind: Kind,
    /// Slow clients that got as far as they meant to.
    pub held: usize,
    /// Open at the same time, by the gateway's own count and beside the good client's.
    pub open: f64,
    /// How long they were let be, in seconds from the moment their time-out began, the shortest first.
    pub lasted: Vec<f64>,
    /// How much memory the gateway had more while it held them, in bytes.
    pub grown: u64,
    /// The good client's right answers meanwhile.
    pub served: u64,
    /// Its faults.
    pub faults: u64,
    /// The first of these, in words.
    pub examples: Vec<String>,
}

/// The time-out of each kind: short, so that the run is short.
const LIMIT: Duration = Duration::from_secs(8);

/// How much later a client may learn of its end on a machine that is busy with it, in seconds.
const LATE: f64 = 2.5;

const LIMITS: &str = "handshake_timeout: 8s, header_timeout: 8s, body_timeout: 8s, write_timeout: 8s";

/// Handshakes under way at most while the slow clients come.
const AT_ONCE: usize = 64;

/// Between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(500);

/// How long a reader that was cut reads what is left.
const READS: Duration = Duration::from_secs(3);

/// When a slow client gives up on being cut.
const GIVES_UP: Duration = Duration::from_secs(45);

/// The good client.
const GOOD: Shape = Shape { ones: 4, twos: 2, streams: 4, rounds: 10.0, fresh: 4.0 };

impl Slow {
    /// The kinds with so many clients of each.
    #[must_use]
    pub fn all(count: u32) -> [Self; 4] {
        [Kind::Handshake, Kind::Header, Kind::Body, Kind::Reader].map(|kind| Self { kind, count })
    }

    /// Runs it.
    pub async fn run(self, binary: &Path) -> Slowed {
        let ledger = Arc::new(Ledger::default());
        let backend = Backend::start(Arc::clone(&ledger));
        let setting = Setting { limits: LIMITS, ..Setting::default() };
        let mut gate = Gate::start(binary, backend.address(), setting).await;
        let load = Load::start(gate.target(), Arc::clone(&ledger), GOOD);
        load.served(100).await;
        let before = gate.resident();
        let (mut open, mut most) = (0.0_f64, before);
        let mut few_since = None;
        let (over, told) = watch::channel(false);
        let mut holding = Box::pin(hold(gate.target(), self, Arc::clone(&ledger), told));
        let ends = loop {
            tokio::select! {
                ends = &mut holding => break ends,
                () = tokio::time::sleep(LOOK) => {}
            }
            most = most.max(gate.resident());
            let now = gate.metric("pullgate_connections_open").await.unwrap_or(0.0);
            open = open.max(now);
            let waiting = open < f64::from(self.count) / 2.0 || now >= FEW;
            few_since = if waiting { None } else { few_since.or(Some(Instant::now())) };
            over.send_replace(few_since.is_some_and(|since| since.elapsed() > LIMIT + LOOK));
        };
        let counts = load.finish().await;
        gate.end().await;
        let mut lasted: Vec<f64> = ends.iter().filter_map(|end| end.seconds(&gate)).collect();
        lasted.sort_by(f64::total_cmp);
        Slowed {
            kind: self.kind,
            held: ends.len(),
            open,
            lasted,
            grown: most - before,
            served: counts.served.load(std::sync::atomic::Ordering::Relaxed),
            faults: counts.faults(),
            examples: counts.examples(),
        }
    }
}

const LOOK: Duration = Duration::from_millis(200);

/// Connections that the good client has open, and some: what may be left of the slow ones then has its own time-out behind it when that
/// time has passed once more.
const FEW: f64 = 20.0;

/// How a slow client learnt of its end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The connection ended so long after the time-out began.
    After(Duration),
    /// A reader does not see it; the access log has the time, from the request on.
    Logged(u64),
    /// It was not cut.
    Never,
}

impl End {
    fn seconds(self, gate: &Gate) -> Option<f64> {
        match self {
            Self::After(time) => Some(time.as_secs_f64()),
            Self::Logged(number) => {
                let line = logged(&gate.access_log()).find(|line| line.number == number)?;
                Some(line.took / 1e3)
            }
            Self::Never => None,
        }
    }
}

/// All slow clients of a run, to the end of each.
async fn hold(target: Target, slow: Slow, ledger: Arc<Ledger>, told: watch::Receiver<bool>) -> Vec<End> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut clients = JoinSet::new();
    for at in 0..slow.count {
        let (target, room, ledger, told) = (target.clone(), Arc::clone(&room), Arc::clone(&ledger), told.clone());
        clients.spawn(async move {
            let place = room.acquire_owned().await.unwrap();
            match slow.kind {
                Kind::Handshake => {
                    // The gateway's clock begins when it accepts, which may be before this side hears of it.
                    let begun = Instant::now();
                    let stream = tcp(&target, at).await?;
                    drop(place);
                    handshake(stream, &target, begun).await
                }
                Kind::Header => {
                    let wire = secured(&target, at).await?;
                    drop(place);
                    header(wire).await
                }
                Kind::Body => {
                    let wire = secured(&target, at).await?;
                    drop(place);
                    body(wire).await
                }
                Kind::Reader => {
                    let number = ledger.issue();
                    let wire = answered(secured(&target, at).await?, number).await?;
                    drop(place);
                    reader(wire, number, told).await
                }
            }
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// A connection with a small segment size, as over the Internet: on loopback the kernel would take megabytes for a client that does not
/// read.
async fn tcp(target: &Target, number: u32) -> Option<TcpStream> {
    const SEGMENT: u32 = 1400;
    const WINDOW: usize = 8 * 1024;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.set_tcp_mss(SEGMENT).ok()?;
    socket.set_recv_buffer_size(WINDOW).ok()?;
    socket.set_nonblocking(true).ok()?;
    let from = edge(u8::try_from(number % 250).ok()?);
    socket.bind(&SocketAddr::new(from, 0).into()).ok()?;
    tokio::net::TcpSocket::from_std_stream(socket.into()).connect(target.address).await.ok()
}

async fn secured(target: &Target, number: u32) -> Option<Wire> {
    let stream = tcp(target, number).await?;
    timeout(GIVES_UP, Wire::secure(stream, HOSTNAME, Arc::clone(&target.one))).await.ok()?.ok()
}

async fn handshake(stream: TcpStream, target: &Target, begun: Instant) -> Option<End> {
    let mut session = ClientConnection::new(Arc::clone(&target.one), HOSTNAME.try_into().ok()?).ok()?;
    let mut hello = Vec::new();
    session.write_tls(&mut hello).ok()?;
    Some(drip(stream, begun, &hello).await)
}

async fn header(wire: Wire) -> Option<End> {
    let head = format!("GET / HTTP/1.1\r\nHost: {HOSTNAME}\r\nX: ");
    Some(drip(wire, Instant::now(), head.as_bytes()).await)
}

async fn body(mut wire: Wire) -> Option<End> {
    let begun = Instant::now();
    let head = format!(
        "POST /r/none HTTP/1.1\r\nHost: {HOSTNAME}\r\nCF-Connecting-IP: {VISITOR}\r\nContent-Length: 1000\r\n\r\na part"
    );
    wire.write_all(head.as_bytes()).await.ok()?;
    wire.flush().await.ok()?;
    Some(drip(wire, begun, b"").await)
}

/// A byte now and then, until the other side ends the connection.
async fn drip(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite, begun: Instant, bytes: &[u8]) -> End {
    let (mut read, mut write) = tokio::io::split(stream);
    let dripping = async {
        for byte in bytes {
            if write.write_all(&[*byte]).await.is_err() || write.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
    };
    let ending = async {
        let mut scratch = [0; 4096];
        // A reset is as good an end as a close.
        while read.read(&mut scratch).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! {
        () = ending => End::After(begun.elapsed()),
        () = dripping => End::Never,
        () = tokio::time::sleep(GIVES_UP) => End::Never,
    }
}

/// A connection on which an answer has begun that is too long for it.
async fn answered(mut wire: Wire, number: u64) -> Option<Wire> {
    let head = format!("GET /large/{number} HTTP/1.1\r\nHost: {HOSTNAME}\r\nCF-Connecting-IP: {VISITOR}\r\n\r\n");
    wire.write_all(head.as_bytes()).await.ok()?;
    wire.flush().await.ok()?;
    timeout(GIVES_UP, wire.read_exact(&mut [0; 12])).await.ok()?.ok()?;
    Some(wire)
}

/// Reads nothing until the gateway has let all readers go.
async fn reader(mut wire: Wire, number: u64, mut told: watch::Receiver<bool>) -> Option<End> {
    // Where that does not come the answer does, as a whole.
    let _ = timeout(GIVES_UP, told.wait_for(|over| *over)).await;
    // What the kernel holds still comes; a whole answer would mean that nobody was cut. Whether the end of a connection that nobody owns
    // any more comes too is up to the kernel.
    let mut came = 0;
    let mut scratch = [0; 16 * 1024];
    let reading = async {
        while let Ok(count @ 1..) = wire.read(&mut scratch).await {
            came += count as u64;
        }
    };
    let _ = timeout(READS, reading).await;
    Some(if came < LARGE { End::Logged(number) } else { End::Never })
}

impl Slowed {
    /// Whether all were cut, none before its time was over and none so many seconds after.
    #[must_use]
    pub fn cut_within(&self, late: f64) -> bool {
        let (Some(first), Some(last)) = (self.lasted.first(), self.lasted.last()) else { return false };
        let limit = LIMIT.as_secs_f64();
        self.lasted.len() == self.held && *first >= limit && *last < limit + late
    }

    /// As figures.
    #[must_use]
    pub fn figures(&self, plan: Slow) -> Vec<Figure> {
        let name = format!("{} slow clients: {}", plan.count, format!("{:?}", plan.kind).to_lowercase());
        let count = plan.count as usize;
        let at = |part: usize| {
            self.lasted.get((self.lasted.len() * part / 100).min(self.lasted.len().max(1) - 1)).copied().unwrap_or(0.0)
        };
        let limit = LIMIT.as_secs_f64();
        // The time-out is between two writes: what the kernel takes once more for a reader that does not read begins it anew.
        let late = if self.kind == Kind::Reader { limit + LATE } else { LATE };
        let times =
            format!("{} cut, after {:.2} s to {:.2} s, median {:.2} s", self.lasted.len(), at(0), at(100), at(50));
        let mut figures = vec![
            figure(
                &name,
                format!("{} came, {} open at once", self.held, self.open),
                &count.to_string(),
                self.held == count && self.open >= f64::from(plan.count),
            ),
            figure(&name, times, &format!("all, {limit} s to {} s", limit + late), self.cut_within(late)),
            figure(&name, format!("{} good requests, faults: {}", self.served, self.faults), "0", self.faults == 0),
            figure(
                &name,
                format!("{} more memory, {} each", bytes(self.grown), bytes(self.grown / count.max(1) as u64)),
                "",
                true,
            ),
        ];
        figures.extend(self.examples.iter().map(|words| figure("", words.clone(), "", false)));
        figures
    }
}
