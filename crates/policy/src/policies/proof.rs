//! `proof`: how much a connection has to prove, for a host or for some of its routes.
//!
//! ```yaml
//! policies:
//!   - {kind: proof, least: account}
//! ```
//!
//! The levels, weakest first: `network` (an admitted address), `edge` (the origin-pull certificate that all Cloudflare accounts share),
//! `account` (a certificate under a CA that is not Cloudflare's). What counts is what was proved to the requested host and is in force
//! now. A plain connection proves its address at most.

use super::{Asked, Policy};
use crate::denial::Reason;
use crate::facts::TrustLevel;

/// Refuses requests of connections that prove less than a level.
#[derive(Debug)]
pub struct Proof {
    least: TrustLevel,
}

impl Proof {
    /// Connections that prove `least` or more may pass.
    #[must_use]
    pub fn new(least: TrustLevel) -> Self {
        Self { least }
    }
}

impl Policy for Proof {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        if asked.trust >= self.least { Ok(()) } else { Err(Reason::ProofTooWeak) }
    }

    fn proves(&self) -> TrustLevel {
        self.least
    }

    fn demands(&self) -> TrustLevel {
        self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Arrival;
    use crate::visitor::Visitor;
    use crate::visitor_certificate::CertificateClaim;

    #[test]
    fn a_connection_proves_the_level_or_more() {
        let levels = [TrustLevel::None, TrustLevel::Network, TrustLevel::Edge, TrustLevel::Account];
        let (arrival, visitor) = (Arrival::good(), Visitor { address: [192, 0, 2, 1].into(), country: None });
        let certificate = CertificateClaim::new(None, &arrival.headers);
        for (rank, least) in levels.into_iter().enumerate() {
            for (proved, trust) in levels.into_iter().enumerate() {
                let asked = Asked { facts: &arrival.facts(), visitor: &visitor, trust, certificate: &certificate };
                let expected = if proved >= rank { Ok(()) } else { Err(Reason::ProofTooWeak) };
                assert_eq!(Proof::new(least).judge(&asked), expected, "{trust:?} for {least:?}");
            }
        }
    }
}
