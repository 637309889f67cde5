//! What the door needs of one generation of the configuration.

use crate::tls::HostTls;
use pullgate_policy::hosts::HostIndex;
use pullgate_policy::{Networks, Rules, Source};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Who may connect to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Addresses that count as Cloudflare.
    Cloudflare,
    /// These networks.
    Networks(Networks),
    /// Anybody.
    Anybody,
}

/// One generation: who may connect, and which host answers which name with which certificate.
#[derive(Debug)]
pub struct Gate {
    /// What counts as Cloudflare.
    pub cloudflare: Networks,
    /// Admission by the listener's name.
    pub admissions: HashMap<Arc<str>, Admission>,
    /// The rules, for the host table.
    pub rules: Arc<Rules>,
    /// TLS by host index; none for a host that no `https` listener serves.
    pub tls: Vec<Option<HostTls>>,
}

/// The generation in force.
pub trait Gates: Send + Sync + 'static {
    /// The gate that new connections pass.
    fn current(&self) -> Arc<Gate>;
}

impl Gate {
    /// Whether an address may connect to a listener, and as what.
    #[must_use]
    pub fn admit(&self, listener: &str, address: IpAddr) -> Option<Source> {
        match self.admissions.get(listener)? {
            Admission::Cloudflare => self.cloudflare.contains(address).then_some(Source::Cloudflare),
            Admission::Networks(networks) => networks.contains(address).then_some(Source::Listed),
            Admission::Anybody if self.cloudflare.contains(address) => Some(Source::Cloudflare),
            Admission::Anybody => Some(Source::Anybody),
        }
    }

    /// The host that answers a name on a listener, with its TLS.
    pub(crate) fn host(&self, listener: &str, name: &str) -> Option<(HostIndex, &HostTls)> {
        self.served(listener, self.rules.hosts.find(name)?)
    }

    /// The host that answers a missing name on a listener.
    pub(crate) fn default_host(&self, listener: &str) -> Option<(HostIndex, &HostTls)> {
        self.served(listener, self.rules.hosts.default_host()?)
    }

    fn served(&self, listener: &str, index: HostIndex) -> Option<(HostIndex, &HostTls)> {
        let served = self.rules.listener_hosts.get(listener).is_none_or(|hosts| hosts.contains(&index));
        let tls = self.tls.get(index)?.as_ref()?;
        served.then_some((index, tls))
    }
}
