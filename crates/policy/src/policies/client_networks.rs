//! `client-networks`: visitors by address.
//!
//! ```yaml
//! policies:
//!   - {kind: client-networks, allow: [203.0.113.0/24], deny: [203.0.113.66/32]}
//! ```
//!
//! `deny` wins over `allow`. With an empty `allow`, everybody not denied may pass.

use super::{Asked, Policy};
use crate::denial::Reason;
use crate::networks::Networks;

/// Lets visitors pass by their address.
#[derive(Debug)]
pub struct ClientNetworks {
    allow: Networks,
    deny: Networks,
}

impl ClientNetworks {
    /// Visitors in `deny` are refused; so is everybody outside `allow`, where it is not empty.
    #[must_use]
    pub fn new(allow: Networks, deny: Networks) -> Self {
        Self { allow, deny }
    }
}

impl Policy for ClientNetworks {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        let address = asked.visitor.address;
        if self.deny.contains(address) {
            return Err(Reason::NetworkDenied);
        }
        if !self.allow.is_empty() && !self.allow.contains(address) {
            return Err(Reason::NetworkUnlisted);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::{Arrival, judged};

    #[test]
    fn deny_wins_over_allow_and_an_empty_allow_means_everybody() {
        let set = |list: &[&str]| Networks::new(list.iter().map(|network| network.parse().unwrap()));
        let (denied, unlisted) = (Err(Reason::NetworkDenied), Err(Reason::NetworkUnlisted));
        let table: [(&[&str], &[&str], &str, Result<(), Reason>); 14] = [
            (&[], &[], "203.0.113.7", Ok(())),
            (&[], &[], "2001:db8::7", Ok(())),
            (&["203.0.113.0/24"], &[], "203.0.113.0", Ok(())),
            (&["203.0.113.0/24"], &[], "203.0.113.255", Ok(())),
            (&["203.0.113.0/24"], &[], "203.0.112.255", unlisted),
            (&["203.0.113.0/24"], &[], "2001:db8::7", unlisted),
            (&["203.0.113.0/24"], &[], "::ffff:203.0.113.7", Ok(())),
            (&["203.0.113.0/24", "2001:db8::/32"], &[], "2001:db8::7", Ok(())),
            (&[], &["203.0.113.66/32"], "203.0.113.66", denied),
            (&[], &["203.0.113.66/32"], "::ffff:203.0.113.66", denied),
            (&[], &["203.0.113.66/32"], "203.0.113.67", Ok(())),
            (&["203.0.113.0/24"], &["203.0.113.66/32"], "203.0.113.66", denied),
            (&["203.0.113.66/32"], &["203.0.113.0/24"], "203.0.113.66", denied),
            (&["203.0.113.0/24"], &["0.0.0.0/0"], "198.51.100.1", denied),
        ];
        for (allow, deny, visitor, expected) in table {
            let policy = ClientNetworks::new(set(allow), set(deny));
            assert_eq!(judged(&policy, &Arrival::good(), visitor), expected, "{allow:?} {deny:?} {visitor}");
        }
    }

    /// The socket's other end is Cloudflare's: a list that named it would let everybody in.
    #[test]
    fn the_peers_address_has_no_say() {
        let peers = Networks::new([crate::testing::PEER.parse::<std::net::IpAddr>().unwrap().into()]);
        let visitor = crate::testing::VISITOR;
        let allowed = ClientNetworks::new(peers.clone(), Networks::default());
        assert_eq!(judged(&allowed, &Arrival::good(), visitor), Err(Reason::NetworkUnlisted));
        let denied = ClientNetworks::new(Networks::default(), peers);
        assert_eq!(judged(&denied, &Arrival::good(), visitor), Ok(()));
    }
}
