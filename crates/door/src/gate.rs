//! What the door needs of one generation of the configuration.

use crate::entrance::Entrance;
use crate::tls::HostTls;
use pullgate_policy::Rules;
use pullgate_policy::hosts::HostIndex;
use std::collections::HashMap;
use std::sync::Arc;

/// One generation: who may connect, and which host answers which name with which certificate.
#[derive(Debug)]
pub struct Gate {
    /// The rules, for the host table and for who may connect.
    pub rules: Arc<Rules>,
    /// TLS by host index; none for a host that no `https` listener serves.
    pub tls: Arc<[Option<HostTls>]>,
    /// How each listener takes connections, by its name.
    pub entrances: HashMap<Arc<str>, Arc<Entrance>>,
}

/// The generation in force.
pub trait Gates: Send + Sync + 'static {
    /// The gate that new connections pass.
    fn current(&self) -> Arc<Gate>;
}

impl Gate {
    /// The host that answers a name on a listener, with its TLS.
    #[must_use]
    pub fn host(&self, listener: &str, name: &str) -> Option<(HostIndex, &HostTls)> {
        self.served(listener, self.rules.hosts.find(name)?)
    }

    /// The host that answers a missing name on a listener.
    #[must_use]
    pub fn default_host(&self, listener: &str) -> Option<(HostIndex, &HostTls)> {
        self.served(listener, self.rules.hosts.default_host()?)
    }

    fn served(&self, listener: &str, index: HostIndex) -> Option<(HostIndex, &HostTls)> {
        let served = self.rules.listener_hosts.get(listener).is_none_or(|hosts| hosts.contains(&index));
        let tls = self.tls.get(index)?.as_ref()?;
        served.then_some((index, tls))
    }
}
