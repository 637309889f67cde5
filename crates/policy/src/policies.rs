//! What a policy is, and the register of all kinds.
//!
//! Adding a kind touches six places: its reasons, its file here, its line in the register below, its variant in the configuration, its
//! example in `conf/`, its page in `docs/policies/`. CONTRIBUTING.md walks through it.

use crate::access::{AccessKeys, Identity, KeyFeed, Team};
use crate::denial::Reason;
use crate::facts::{Facts, TrustLevel};
use crate::visitor::Visitor;
use crate::visitor_certificate::CertificateClaim;
use http::HeaderName;
use std::fmt;
use std::sync::Arc;

macro_rules! register {
    ($($module:ident :: $policy:ident = $kind:literal,)+) => {
        $(mod $module; pub use $module::$policy;)+

        /// Every kind of policy, as the configuration names it.
        pub const KINDS: &[&str] = &[$($kind,)+];

        $(impl $policy {
            /// The name of this kind in the configuration, and the default label.
            pub const KIND: &'static str = $kind;
        })+
    };
}

register! {
    access::Access = "access",
    client_certificate::ClientCertificate = "client-certificate",
    client_networks::ClientNetworks = "client-networks",
    countries::Countries = "countries",
    edge_secret::EdgeSecret = "edge-secret",
    proof::Proof = "proof",
    workers::Workers = "workers",
}

pub use access::{ASSERTION, Cookie};

/// What a policy judges.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Connection and request.
    pub facts: &'a Facts<'a>,
    /// Who is asking.
    pub visitor: &'a Visitor,
    /// What the connection proves to the requested host.
    pub trust: TrustLevel,
    /// The keys of Access teams, as far as they are known.
    pub access_keys: &'a AccessKeys,
    /// What the request says of the visitor's certificate.
    pub certificate: &'a CertificateClaim<'a>,
}

/// What policies learn on their way to an answer, for those who come after them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Who a token of Cloudflare Access says is asking, where a policy has verified it.
    pub identity: Option<Identity>,
    /// Teams of which a token names a key that is not known: they may have a new one.
    pub unknown_keys: Vec<Team>,
}

/// A rule over facts: no I/O, no clock, no state.
pub trait Policy: fmt::Debug + Send + Sync {
    /// Lets the request pass, or names the reason why not.
    ///
    /// # Errors
    /// The reason, one of the policy's own.
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason>;

    /// What a request that passes has proved about the connection or its sender, beyond what the origin-pull rule asks.
    fn proves(&self) -> TrustLevel {
        TrustLevel::None
    }

    /// The least that a connection has to prove, without which nobody passes.
    fn demands(&self) -> TrustLevel {
        TrustLevel::None
    }

    /// The same, for a policy that learns something which counts after it.
    ///
    /// # Errors
    /// As [`Policy::judge`].
    fn examine(&self, asked: &Asked<'_>, _findings: &mut Findings) -> Result<(), Reason> {
        self.judge(asked)
    }

    /// The keys that have to be fetched for this policy, where it needs some.
    fn key_feed(&self) -> Option<&KeyFeed> {
        None
    }

    /// The field in which requests bring a secret to this policy, if it wants one: no upstream gets it, whatever the host of a request.
    fn secret_header(&self) -> Option<&HeaderName> {
        None
    }
}

/// Whether a refusal counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The request is refused.
    Enforce,
    /// The request passes; the refusal is counted and logged as `would_refuse`.
    Observe,
}

/// A policy at its place in a host or route.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Its label: `name`, or the kind where none is given.
    pub label: Arc<str>,
    /// Whether its refusals count.
    pub mode: Mode,
    /// The rule.
    pub policy: Arc<dyn Policy>,
}
