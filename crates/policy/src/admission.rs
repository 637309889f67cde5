//! Who may connect to a listener.

use crate::facts::{Connection, Source};
use crate::networks::Networks;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Who may connect to one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Addresses that count as Cloudflare.
    Cloudflare,
    /// These networks.
    Networks(Networks),
    /// Anybody.
    Anybody,
}

/// Who may connect: one generation of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admissions {
    /// What counts as Cloudflare.
    pub cloudflare: Networks,
    /// By the listener's name.
    pub listeners: HashMap<Arc<str>, Admission>,
    /// Whose announcements of peers are believed, and demanded, by the listener's name; the other listeners take none.
    pub balancers: HashMap<Arc<str>, Networks>,
}

/// Who may connect to a listener that nobody configured.
static NOBODY: Networks = Networks::none();

impl Admissions {
    /// Whether an address may connect to a listener, and as what.
    #[must_use]
    pub fn admit(&self, listener: &str, address: IpAddr) -> Option<Source> {
        match self.listeners.get(listener)? {
            Admission::Cloudflare => self.cloudflare.contains(address).then_some(Source::Cloudflare),
            Admission::Networks(networks) => networks.contains(address).then_some(Source::Listed),
            Admission::Anybody if self.cloudflare.contains(address) => Some(Source::Cloudflare),
            Admission::Anybody => Some(Source::Anybody),
        }
    }

    /// The networks whose packets come to a listener; none where everybody's may. Behind balancers these are theirs.
    #[must_use]
    pub fn networks(&self, listener: &str) -> Option<&Networks> {
        if let Some(balancers) = self.balancers.get(listener) {
            return Some(balancers);
        }
        match self.listeners.get(listener) {
            Some(Admission::Cloudflare) => Some(&self.cloudflare),
            Some(Admission::Networks(networks)) => Some(networks),
            Some(Admission::Anybody) => None,
            None => Some(&NOBODY),
        }
    }

    /// As what a connection is admitted now; it may have been let in by another generation.
    pub(crate) fn source_of(self: &Arc<Self>, connection: &Connection) -> Option<Source> {
        if Arc::ptr_eq(self, &connection.admitted_by) {
            return Some(connection.source);
        }
        let came_as_now = match (self.balancers.get(&connection.listener), connection.balancer) {
            (None, None) => true,
            (Some(believed), Some(balancer)) => believed.contains(balancer.address().ip()),
            _ => false,
        };
        self.admit(&connection.listener, connection.peer.address().ip()).filter(|_| came_as_now)
    }
}
