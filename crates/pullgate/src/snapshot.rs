//! One generation of the configuration, made ready to serve: keys parsed, rules built, upstreams addressed.

use pullgate_config::{Config, Listener, Protocol, ServedHosts, Sources};
use pullgate_door::{Admission, Gate, Gates, HostTls, ListenerSettings, TlsError, TlsSettings};
use pullgate_metrics::{CertificateKind, Metrics};
use pullgate_policy::Rules;
use pullgate_policy::hosts::{HostConflict, HostIndex, HostName, HostTable};
use pullgate_policy::origin_pull::{Anchor, Leaf};
use pullgate_proxy::{Server, ServerAddress, Site, Sites, Timeouts, Upstream, UpstreamTimeouts};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use std::sync::Arc;

/// What door and proxy see of one generation.
#[derive(Debug)]
pub struct Snapshot {
    gate: Arc<Gate>,
    site: Arc<Site>,
}

/// A configuration that loaded and cannot be served all the same.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A host's TLS.
    #[error("host `{host}`")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        source: TlsError,
    },
    /// Hosts that cannot stand beside each other.
    #[error(transparent)]
    Hosts(#[from] HostConflict),
    /// An upstream's server.
    #[error("upstream `{0}`: {1}")]
    Upstream(String, String),
}

/// The generation in force, where door and proxy look it up.
#[derive(Debug)]
pub(crate) struct InForce(arc_swap::ArcSwap<Snapshot>);

impl InForce {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self(arc_swap::ArcSwap::from_pointee(snapshot))
    }
}

impl Gates for InForce {
    fn current(&self) -> Arc<Gate> {
        Arc::clone(&self.0.load().gate)
    }
}

impl Sites for InForce {
    fn current(&self) -> Arc<Site> {
        Arc::clone(&self.0.load().site)
    }
}

impl Snapshot {
    /// Builds a generation from a configuration, and shows its expiry dates.
    ///
    /// # Errors
    /// What the checks at load could not see.
    pub fn new(generation: u64, config: Config, metrics: &Metrics) -> Result<Self, SnapshotError> {
        let Config { runtime: _, admin: _, log: _, cloudflare, listeners, tls, hosts, upstreams } = config;
        let settings = TlsSettings { tls12: tls.tls12, tls13: tls.tls13, http2: tls.http2 };
        let mut rules = Vec::with_capacity(hosts.len());
        let mut certificates = Vec::with_capacity(hosts.len());
        for host in hosts {
            let tls = host.certificate.map(|certificate| {
                show_expiry(&host.rule, &certificate.chain, metrics);
                HostTls::new(&certificate.chain, &certificate.key, host.rule.origin_pull.clone(), settings)
            });
            certificates.push(
                tls.transpose().map_err(|source| SnapshotError::Tls { host: host.rule.name.to_string(), source })?,
            );
            rules.push(host.rule);
        }
        let hosts = HostTable::new(rules)?;
        let rules = Arc::new(Rules { listener_hosts: served_hosts(&listeners, &hosts), hosts });
        let (ipv4, ipv6) = cloudflare.prefixes();
        metrics.ranges(ipv4, ipv6);
        metrics.generation(generation);
        let gate =
            Gate { cloudflare, admissions: admissions(&listeners), rules: Arc::clone(&rules), tls: certificates };
        let upstreams = upstreams.into_iter().map(upstream).collect::<Result<_, _>>()?;
        Ok(Self { gate: Arc::new(gate), site: Arc::new(Site { generation, rules, upstreams }) })
    }
}

fn show_expiry(host: &pullgate_policy::Host, chain: &[u8], metrics: &Metrics) {
    let leaf = CertificateDer::from_pem_slice(chain).ok().and_then(|der| Leaf::describe(&der));
    if let Some(leaf) = leaf {
        metrics.certificate(CertificateKind::Own, host.name.as_str(), leaf.not_after.as_secs());
    }
    let now = UnixTime::now();
    let anchors = host.origin_pull.trust().into_iter().flat_map(|trust| trust.anchors());
    if let Some(first) = anchors.filter(|anchor| anchor.in_force(now)).map(Anchor::not_after).min() {
        metrics.certificate(CertificateKind::Trust, host.name.as_str(), first.as_secs());
    }
}

fn served_hosts(listeners: &[Listener], hosts: &HostTable) -> HashMap<Arc<str>, Vec<HostIndex>> {
    let index_of = |name: &HostName| hosts.hosts().iter().position(|host| host.name == *name);
    listeners
        .iter()
        .filter_map(|listener| match &listener.hosts {
            ServedHosts::All => None,
            ServedHosts::Only(names) => Some((Arc::clone(&listener.name), names.iter().filter_map(index_of).collect())),
        })
        .collect()
}

fn admissions(listeners: &[Listener]) -> HashMap<Arc<str>, Admission> {
    let admission = |sources: &Sources| match sources {
        Sources::Cloudflare => Admission::Cloudflare,
        Sources::Any => Admission::Anybody,
        Sources::Networks(networks) => Admission::Networks(networks.clone()),
    };
    listeners.iter().map(|listener| (Arc::clone(&listener.name), admission(&listener.sources))).collect()
}

fn upstream(group: pullgate_config::Upstream) -> Result<Upstream, SnapshotError> {
    let pullgate_config::UpstreamTimeouts { connect, read, write, idle } = group.timeouts;
    let timeouts = UpstreamTimeouts { connect, read, write, idle };
    let servers = group.servers.into_iter().map(|server| {
        let (label, address) = match server {
            pullgate_config::Server::Tcp { label, address } => (label, ServerAddress::Tcp(address)),
            pullgate_config::Server::Unix(path) => {
                (format!("unix:{}", path.display()).into(), ServerAddress::Unix(path))
            }
        };
        Server::new(label, &address, timeouts)
            .map_err(|error| SnapshotError::Upstream(group.name.to_string(), error.to_string()))
    });
    Ok(Upstream::new(Arc::clone(&group.name), servers.collect::<Result<_, _>>()?))
}

/// What the door needs to know of a listener before it opens.
pub(crate) fn listener_settings(listener: &Listener) -> ListenerSettings {
    ListenerSettings {
        name: Arc::clone(&listener.name),
        address: listener.address,
        ipv6_only: listener.ipv6_only,
        tls: listener.protocol == Protocol::Https,
        handshake_timeout: listener.limits.handshake_timeout,
    }
}

/// The time-outs of every listener's connections, by its name.
pub(crate) fn timeouts(listeners: &[Listener]) -> HashMap<Arc<str>, Timeouts> {
    let of = |listener: &Listener| Timeouts {
        header: listener.limits.header_timeout,
        body: listener.limits.body_timeout,
        write: listener.limits.write_timeout,
        idle: listener.limits.idle_timeout,
    };
    listeners.iter().map(|listener| (Arc::clone(&listener.name), of(listener))).collect()
}
