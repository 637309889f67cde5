//! The work that every peer does, checked answer by answer before a number is believed.

use crate::peers::{Ground, HOSTNAME, Peer};
use pullgate_tests::client::{H1, H2, Tls};
use pullgate_tests::stage::visit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

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
}

/// Connections or streams at a time.
const LANES: u32 = 16;

impl Work {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Handshakes, Self::KeepAlive, Self::Http2, Self::TwentyRequests];

    /// What the table calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Handshakes => "mTLS handshake + 1 request",
            Self::KeepAlive => "keep-alive request, HTTP/1.1",
            Self::Http2 => "request, HTTP/2",
            Self::TwentyRequests => "request at 20 a connection",
        }
    }

    /// Units in one round.
    #[must_use]
    pub const fn units(self) -> u32 {
        match self {
            Self::Handshakes => 1_600,
            Self::KeepAlive | Self::Http2 => 24_000,
            Self::TwentyRequests => 16_000,
        }
    }

    /// Does one round at a peer.
    pub async fn round(self, ground: &Ground, peer: &Peer) {
        let tls = Arc::new(Tls::trusting(&ground.server_ca).presenting(&ground.edge));
        let address = peer.address;
        let each = self.units() / LANES;
        let shared = if self == Self::Http2 { Some(http2(&tls, address).await) } else { None };
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..LANES {
            let from = source(lane);
            let (tls, shared) = (Arc::clone(&tls), shared.clone());
            lanes.spawn(async move {
                match (self, shared) {
                    (Self::Http2, Some(client)) => {
                        for _ in 0..each {
                            assert_eq!(client.send(visit(HOSTNAME, "/")).await.unwrap().status, 200);
                        }
                    }
                    (Self::Handshakes, _) => connections(&tls, from, address, each, 1).await,
                    (Self::TwentyRequests, _) => connections(&tls, from, address, each / 20, 20).await,
                    _ => connections(&tls, from, address, 1, each).await,
                }
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane.unwrap();
        }
    }
}

/// The address that a lane speaks from: each has its own ports, which thousands of closed connections would use up otherwise.
fn source(lane: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + lane).into()
}

async fn http2(tls: &Tls, address: SocketAddr) -> H2 {
    let config = tls.clone().alpn(&["h2"]).client_config();
    H2::tls(Some(source(0)), address, HOSTNAME, config).await.unwrap()
}

async fn connections(tls: &Tls, from: IpAddr, address: SocketAddr, count: u32, requests: u32) {
    let config = tls.clone().alpn(&["http/1.1"]).client_config();
    for _ in 0..count {
        let mut client = H1::tls(Some(from), address, HOSTNAME, Arc::clone(&config)).await.unwrap();
        for _ in 0..requests {
            let answer = client.send(visit(HOSTNAME, "/")).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello from the origin"));
        }
    }
}
