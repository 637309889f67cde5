//! The work that every peer does, checked answer by answer before a number is believed.

use crate::peers::{BODIES, Checks, Ground, HOSTNAME, Peer, SECRET};
use pullgate_tests::client::{H1, H2, Tls};
use pullgate_tests::stage::visit_with;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A kind of work; each counts in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A full mTLS handshake and one request on it.
    Handshakes,
    /// Requests on kept HTTP/1.1 connections.
    KeepAlive,
    /// Requests on one HTTP/2 connection, sixteen at a time.
    Http2,
    /// Twenty requests a connection, HTTP/1.1.
    TwentyRequests,
    /// Bodies of that place in `BODIES`, on kept HTTP/1.1 connections.
    Body(usize),
}

/// What the edge adds to each request.
const EDGE: (&str, &str) = ("x-edge-secret", SECRET);

/// Connections or streams at a time.
const LANES: u32 = 16;

impl Work {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Handshakes,
        Self::KeepAlive,
        Self::Http2,
        Self::TwentyRequests,
        Self::Body(0),
        Self::Body(1),
        Self::Body(2),
    ];

    /// What the table calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Handshakes => "mTLS handshake + 1 request",
            Self::KeepAlive => "keep-alive request, HTTP/1.1",
            Self::Http2 => "request, HTTP/2",
            Self::TwentyRequests => "request at 20 a connection",
            Self::Body(0) => "body of 1 KiB, HTTP/1.1",
            Self::Body(1) => "body of 100 KiB, HTTP/1.1",
            Self::Body(_) => "body of 10 MiB, HTTP/1.1",
        }
    }

    /// Units in one round; a quick one shows that the work happens, and measures nothing.
    #[must_use]
    pub const fn units(self, quick: bool) -> u32 {
        match (self, quick) {
            (Self::Handshakes, false) => 1_600,
            (Self::KeepAlive | Self::Http2, false) => 24_000,
            (Self::TwentyRequests | Self::Body(0), false) => 16_000,
            (Self::Body(1), false) => 3_200,
            (Self::Body(_), false) => 64,
            (Self::Handshakes, true) => 64,
            (Self::Body(2..), true) => 16,
            (_, true) => 320,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Body(place) => BODIES[place].0,
            _ => "/",
        }
    }

    /// Whether this is the body that the path has at the origin.
    fn is_answer(self, body: &[u8]) -> bool {
        match self {
            Self::Body(place) => body.len() == BODIES[place].1 && body.iter().all(|byte| *byte == b'x'),
            _ => body == b"hello from the origin",
        }
    }

    fn check(self, status: u16, body: &[u8]) {
        assert_eq!(status, 200, "{}", self.title());
        assert!(self.is_answer(body), "{}: not the origin's body", self.title());
    }

    /// Does one round at a peer, and says how long each request took, its connection not included.
    pub async fn round(self, ground: &Ground, peer: &Peer, quick: bool) -> Vec<Duration> {
        let tls = Arc::new(Tls::trusting(&ground.server_ca).presenting(&ground.edge));
        let address = peer.address;
        let each = self.units(quick) / LANES;
        let shared = if self == Self::Http2 { Some(http2(&tls, address).await) } else { None };
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..LANES {
            let from = source(lane);
            let (tls, shared) = (Arc::clone(&tls), shared.clone());
            lanes.spawn(async move {
                match (self, shared) {
                    (Self::Http2, Some(client)) => {
                        let mut took = Vec::new();
                        for _ in 0..each {
                            let began = Instant::now();
                            let answer = client.send(visit_with(HOSTNAME, self.path(), EDGE)).await.unwrap();
                            took.push(began.elapsed());
                            self.check(answer.status.as_u16(), &answer.body);
                        }
                        took
                    }
                    (Self::Handshakes, _) => connections(self, &tls, from, address, [each, 1]).await,
                    (Self::TwentyRequests, _) => connections(self, &tls, from, address, [each / 20, 20]).await,
                    _ => connections(self, &tls, from, address, [1, each]).await,
                }
            });
        }
        let mut took = Vec::new();
        while let Some(lane) = lanes.join_next().await {
            took.extend(lane.unwrap());
        }
        assert_eq!(took.len(), self.units(quick) as usize, "{}: requests done", self.title());
        took
    }
}

/// A peer that lets in whom the others refuse does less than they do: its numbers are not comparable, unless its `checks` say so. Ends
/// with a request whose line ends the log of all this.
pub async fn refuses_strangers(ground: &Ground, peer: &Peer) {
    let stranger = Tls::trusting(&ground.server_ca).alpn(&["http/1.1"]).client_config();
    if let Ok(mut client) = H1::tls(Some(source(0)), peer.address, HOSTNAME, stranger).await {
        // TLS 1.3 tells of a missing certificate with the first answer; nginx answers it over HTTP.
        if let Ok(answer) = client.send(visit_with(HOSTNAME, "/", EDGE)).await {
            assert_eq!(answer.status.as_u16(), 400, "{} answers a client without a certificate", peer.name);
        }
    }
    let tls = Tls::trusting(&ground.server_ca).presenting(&ground.edge).alpn(&["http/1.1"]).client_config();
    let wrong = match peer.checks {
        Checks::All => 403,
        Checks::Certificate => 200,
    };
    for (secret, path, status) in [("fedcba9876543210fedcba9876543210", "/wrong", wrong), (SECRET, "/ready", 200)] {
        let mut client = H1::tls(Some(source(0)), peer.address, HOSTNAME, Arc::clone(&tls)).await.unwrap();
        let answer = client.send(visit_with(HOSTNAME, path, ("x-edge-secret", secret))).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{} on {path}", peer.name);
    }
    logged(peer, "/ready", |log| log.contains("/ready")).await;
}

/// Waits for the log to have this many lines, and fails if it gets others.
pub async fn logs(peer: &Peer, lines: usize) {
    logged(peer, "a line for each request", |log| log.lines().count() >= lines).await;
    assert_eq!(peer.logged().lines().count(), lines, "lines in the access log of {}", peer.name);
}

async fn logged(peer: &Peer, what: &str, is_there: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_there(&peer.logged()) {
        assert!(Instant::now() < deadline, "the access log of {} has not got {what}", peer.name);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Memory that each of `count` idle connections takes, in bytes, each with one request behind it. Each serves another one at the end:
/// a connection that a peer has closed takes none.
pub async fn idle(ground: &Ground, peer: &Peer, count: u32) -> f64 {
    let tls = Tls::trusting(&ground.server_ca).presenting(&ground.edge).alpn(&["http/1.1"]).client_config();
    let before = peer.memory();
    let mut held = Vec::new();
    for number in 0..count {
        let mut client = H1::tls(Some(source(number % LANES)), peer.address, HOSTNAME, Arc::clone(&tls)).await.unwrap();
        greeted(&mut client).await;
        held.push(client);
    }
    let taken = peer.memory().saturating_sub(before);
    for client in &mut held {
        greeted(client).await;
    }
    taken as f64 / f64::from(count)
}

async fn greeted(client: &mut H1) {
    let answer = client.send(visit_with(HOSTNAME, "/", EDGE)).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
}

/// The address that a lane speaks from: each has its own ports, which thousands of closed connections would use up otherwise.
fn source(lane: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + lane).into()
}

async fn http2(tls: &Tls, address: SocketAddr) -> H2 {
    let config = tls.clone().alpn(&["h2"]).client_config();
    H2::tls(Some(source(0)), address, HOSTNAME, config).await.unwrap()
}

async fn connections(
    work: Work,
    tls: &Tls,
    from: IpAddr,
    address: SocketAddr,
    [count, requests]: [u32; 2],
) -> Vec<Duration> {
    let config = tls.clone().alpn(&["http/1.1"]).client_config();
    let mut took = Vec::new();
    for _ in 0..count {
        let mut client = H1::tls(Some(from), address, HOSTNAME, Arc::clone(&config)).await.unwrap();
        for _ in 0..requests {
            let began = Instant::now();
            let answer = client.send(visit_with(HOSTNAME, work.path(), EDGE)).await.unwrap();
            took.push(began.elapsed());
            work.check(answer.status.as_u16(), &answer.body);
        }
    }
    took
}
