//! The facts that decisions are made from: plain data, gathered by the door and the proxy.

use crate::admission::Admissions;
use crate::hosts::HostName;
use crate::origin_pull::{self, Leaf, Trust, TrustId, Verdict};
use http::{HeaderMap, Method};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who is connected: an address of Cloudflare's, never the visitor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(SocketAddr);

impl Peer {
    /// The peer at an address; an IPv4-mapped IPv6 address becomes the IPv4 one.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Address and port.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

/// Why a peer was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Its address is in Cloudflare's ranges.
    Cloudflare,
    /// Its address is in the listener's own list.
    Listed,
    /// The listener takes anybody: nothing that this peer says of visitors is believed.
    Anybody,
}

/// What a connection proves about who opened it, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustLevel {
    /// Nothing.
    None,
    /// An admitted address: somebody inside Cloudflare's network, or on the operator's list.
    Network,
    /// The origin-pull certificate that all of Cloudflare's accounts share.
    Edge,
    /// A certificate under a CA that is not Cloudflare's: the operator's own account.
    Account,
}

impl TrustLevel {
    /// Every level there is, weakest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Network, Self::Edge, Self::Account];

    /// The word in logs, metrics and `{connection.trust}`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Network => "network",
            Self::Edge => "edge",
            Self::Account => "account",
        }
    }
}

impl TrustLevel {
    /// What an address and a verdict prove together; without a verdict, the address alone.
    #[must_use]
    pub fn of(source: Source, verdict: Option<&Verdict>, now: UnixTime) -> Self {
        let by_address = match source {
            Source::Cloudflare | Source::Listed => Self::Network,
            Source::Anybody => Self::None,
        };
        match verdict {
            Some(Verdict::Verified(proof)) if now <= proof.valid_until => proof.level.max(by_address),
            _ => by_address,
        }
    }
}

/// What a finished TLS handshake says.
#[derive(Debug)]
pub struct TlsFacts {
    /// The name the client asked for, lowercase; none where it sent none and a default host answered.
    pub sni: Option<String>,
    /// The host whose certificate was shown.
    pub host: HostName,
    /// Protocol version as OpenTelemetry writes it: `1.2` or `1.3`.
    pub version: &'static str,
    /// The suite's IANA name.
    pub cipher: &'static str,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// The client's chain, leaf first; empty where none was presented.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the leaf says of itself.
    pub leaf: Option<Leaf>,
    /// The verdict against the trust of `host`.
    pub verdict: Verdict,
    /// The trust that `verdict` was made against; none where the host asks for no certificate.
    pub trust: Option<TrustId>,
    /// Verdicts against the trust of other hosts that were asked for on this connection.
    pub others: OtherVerdicts,
}

/// A memory of verdicts for hosts other than the one of the handshake: `verify` is pure, and asking twice costs signatures.
#[derive(Debug, Default)]
pub struct OtherVerdicts(Mutex<VecDeque<(TrustId, Verdict)>>);

/// Trusts remembered on one connection; one that goes through more hosts than that in turn verifies again.
const REMEMBERED: usize = 16;

impl TlsFacts {
    /// The verdict of this connection's chain against a trust.
    #[must_use]
    pub fn verdict_against(&self, trust: &Trust, now: UnixTime) -> Verdict {
        if self.trust == Some(trust.id()) {
            return self.verdict.clone();
        }
        let remembered =
            self.others.lock().iter().find(|(id, _)| *id == trust.id()).map(|(_, verdict)| verdict.clone());
        remembered.unwrap_or_else(|| {
            // Not under the lock: the other streams of the connection would wait for the signatures.
            let verdict = origin_pull::verify(&self.chain, trust, now);
            self.others.remember(trust.id(), verdict.clone());
            verdict
        })
    }
}

impl OtherVerdicts {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(TrustId, Verdict)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, trust: TrustId, verdict: Verdict) {
        let mut known = self.lock();
        // The oldest goes: a connection that outlives many generations asks for the newest.
        while known.len() >= REMEMBERED {
            known.pop_front();
        }
        known.push_back((trust, verdict));
    }
}

/// Whether a connection is encrypted, and what the handshake said.
#[derive(Debug)]
pub enum Security {
    /// A plain `http` listener.
    Plain,
    /// A finished handshake.
    Tls(Box<TlsFacts>),
}

/// What is known of a connection: gathered once, true for each of its requests.
#[derive(Debug)]
pub struct Connection {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The socket's other end; behind a balancer, the one that it announced.
    pub peer: Peer,
    /// The balancer that announced the peer, where one did (PROXY protocol).
    pub balancer: Option<Peer>,
    /// Why the peer was let in.
    pub source: Source,
    /// By which rules: later ones may not let it in.
    pub admitted_by: Arc<Admissions>,
    /// Encryption.
    pub security: Security,
}

impl Connection {
    /// The handshake's facts, where there was one.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsFacts> {
        match &self.security {
            Security::Plain => None,
            Security::Tls(facts) => Some(facts),
        }
    }
}

/// A random identity of one request, sixteen lowercase hexadecimal digits when shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A request head as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// `:scheme` (HTTP/2, beside an `:authority`) or the scheme of an absolute-form target (HTTP/1.1).
    pub scheme: Option<&'a str>,
    /// `:authority` (HTTP/2) or the authority of an absolute-form target (HTTP/1.1).
    pub authority: Option<&'a [u8]>,
    /// The target, raw: path and query.
    pub target: &'a [u8],
    /// The fields, in order, Host among them.
    pub headers: &'a HeaderMap,
}

/// Everything a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The request.
    pub request: Request<'a>,
    /// The present, in whole seconds.
    pub now: UnixTime,
    /// The request's identity.
    pub id: RequestId,
    /// The most fields that its head may have.
    pub most_fields: usize,
}

#[cfg(test)]
impl OtherVerdicts {
    /// The trusts that are remembered, the oldest first.
    pub(crate) fn remembered(&self) -> Vec<TrustId> {
        self.lock().iter().map(|(id, _)| *id).collect()
    }
}
