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
