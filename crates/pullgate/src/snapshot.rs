//! One generation of the configuration, made ready to serve: keys parsed, rules built, upstreams addressed.

use crate::teams::Wanted;
use ipnet::IpNet;
use pullgate_config::{Certificate, Config, Host, KernelFilter, Listener, Protocol, ServedHosts, Sources};
use pullgate_door::{CertificateFiles, Entrance, Filtering, Gate, Gates, HostTls, TlsError, TlsSettings};
use pullgate_metrics::{Expiry, ExpiryKind, Metrics, Tracer};
use pullgate_policy::access::{AccessKeys, Team};
use pullgate_policy::hosts::{HostConflict, HostIndex, HostName, HostTable};
use pullgate_policy::origin_pull::{Leaf, RevocationList, TrustId, hex};
use pullgate_policy::{Admission, Admissions, Networks, OriginPull, Rules};
use pullgate_proxy::{HttpLimits, Server, ServerAddress, Site, Sites, Upstream, UpstreamTimeouts};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

/// What door and proxy see of one generation.
#[derive(Debug)]
pub struct Snapshot {
    gate: Arc<Gate>,
    site: Arc<Site>,
    /// What counts as Cloudflare besides the list of ranges.
    extra: Vec<IpNet>,
    /// What each listener asks of the kernel.
    kernel_filters: HashMap<Arc<str>, KernelFilter>,
    /// Tells it from others: the same text and trusts have the same.
    id: String,
    /// What of it ends, and when.
    expiries: Vec<Expiry>,
    /// The SHA-256 of what may run out in it.
    digests: Arc<HashSet<[u8; 32]>>,
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
pub(crate) struct InForce {
    snapshot: arc_swap::ArcSwap<Snapshot>,
    wanted: Arc<Wanted>,
}

impl InForce {
    /// `wanted` hears of keys that a team should be asked for.
    pub(crate) fn new(snapshot: Snapshot, wanted: Arc<Wanted>) -> Self {
        Self { snapshot: arc_swap::ArcSwap::from_pointee(snapshot), wanted }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn replace(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
    }
}

impl Gates for InForce {
    fn current(&self) -> Arc<Gate> {
        Arc::clone(&self.snapshot.load().gate)
    }
}

impl Sites for InForce {
    fn current(&self) -> Arc<Site> {
        Arc::clone(&self.snapshot.load().site)
    }

    fn want_keys(&self, team: &Team) {
        self.wanted.tell(team);
    }
}

impl Snapshot {
    /// Builds the generation that follows `before`, with the keys of Access teams that are known and what traces its requests. Hosts whose
    /// TLS has not changed keep their sessions.
    ///
    /// # Errors
    /// What the checks at load could not see.
    pub fn new(
        config: Config,
        access_keys: Arc<AccessKeys>,
        tracer: Option<Tracer>,
        before: Option<&Self>,
    ) -> Result<Self, SnapshotError> {
        let id = identity(&config);
        let digests = config.hosts.iter().flat_map(digests_of).collect();
        let Config { text: _, runtime: _, admin: _, log: _, tracing: _, cloudflare, listeners, tls, hosts, upstreams } =
            config;
        let settings = TlsSettings { tls12: tls.tls12, tls13: tls.tls13, http2: tls.http2 };
        let (mut rules, mut tls, mut expiries) = (Vec::new(), Vec::new(), Vec::new());
        for host in hosts {
            expiries.extend(expiries_of(&host));
            tls.push(host_tls(&host, settings, before)?);
            rules.push(host.rule);
        }
        let kernel_filter = |listener: &Listener| (Arc::clone(&listener.name), listener.kernel_filter);
        let kernel_filters = listeners.iter().map(kernel_filter).collect();
        let hosts = Arc::new(HostTable::new(rules)?);
        let admissions = admissions(cloudflare.networks(), &listeners, before);
        let extra = cloudflare.extra;
        let listener_hosts = served_hosts(&listeners, &hosts);
        let rules = Arc::new(Rules { listener_hosts, hosts, admissions, access_keys });
        let gate = Gate { rules: Arc::clone(&rules), tls: tls.into(), entrances: entrances(&listeners) };
        let upstreams = upstreams.into_iter().map(upstream).collect::<Result<_, _>>()?;
        let generation = before.map_or(0, Self::generation) + 1;
        let site = Arc::new(Site { generation, rules, upstreams, limits: http_limits(&listeners), tracer });
        Ok(Self { gate: Arc::new(gate), site, extra, kernel_filters, id, expiries, digests: Arc::new(digests) })
    }

    /// The same generation with another list of ranges; nothing where the list admits the same.
    pub(crate) fn with_ranges(&self, list: &[IpNet]) -> Option<Self> {
        let rules = &self.gate.rules;
        let cloudflare = Networks::new(list.iter().chain(&self.extra).copied());
        if cloudflare == rules.admissions.cloudflare {
            return None;
        }
        let admissions = Admissions { cloudflare, ..(*rules.admissions).clone() };
        Some(self.with(Arc::new(admissions), Arc::clone(&rules.access_keys)))
    }

    /// The same generation with other keys of Access teams; nothing where they are the same.
    pub(crate) fn with_access_keys(&self, keys: Arc<AccessKeys>) -> Option<Self> {
        let rules = &self.gate.rules;
        (*keys != *rules.access_keys).then(|| self.with(Arc::clone(&rules.admissions), keys))
    }

    /// The same generation with what is learnt while it serves. Hosts, TLS and upstreams are shared, with their sessions and counters.
    fn with(&self, admissions: Arc<Admissions>, access_keys: Arc<AccessKeys>) -> Self {
        let rules = &self.gate.rules;
        let rules = Arc::new(Rules {
            hosts: Arc::clone(&rules.hosts),
            listener_hosts: rules.listener_hosts.clone(),
            admissions,
            access_keys,
        });
        let gate =
            Gate { rules: Arc::clone(&rules), tls: Arc::clone(&self.gate.tls), entrances: self.gate.entrances.clone() };
        let Site { generation, rules: _, upstreams, limits, tracer } = &*self.site;
        let (upstreams, limits, tracer) = (Arc::clone(upstreams), limits.clone(), tracer.clone());
        let site = Site { generation: *generation, rules, upstreams, limits, tracer };
        Self {
            gate: Arc::new(gate),
            site: Arc::new(site),
            extra: self.extra.clone(),
            kernel_filters: self.kernel_filters.clone(),
            id: self.id.clone(),
            expiries: self.expiries.clone(),
            digests: Arc::clone(&self.digests),
        }
    }

    /// Whether an address may connect to a listener.
    pub(crate) fn admits(&self, listener: &str, address: IpAddr) -> bool {
        self.gate.rules.admissions.admit(listener, address).is_some()
    }

    /// Shows in the metrics how many prefixes count as Cloudflare.
    pub(crate) fn show_ranges(&self, metrics: &Metrics) {
        let (ipv4, ipv6) = self.gate.rules.admissions.cloudflare.prefixes();
        metrics.ranges(ipv4, ipv6);
    }

    /// The SHA-256 of what may run out in it and serves.
    pub(crate) fn digests(&self) -> Arc<HashSet<[u8; 32]>> {
        Arc::clone(&self.digests)
    }

    /// Whom the kernel is to let through to a listener.
    pub(crate) fn filtering(&self, listener: &str) -> Filtering {
        let filter = self.kernel_filters.get(listener).copied().unwrap_or(KernelFilter::Off);
        match (filter, self.gate.rules.admissions.networks(listener).cloned()) {
            (KernelFilter::Off, _) | (_, None) => Filtering::Off,
            (KernelFilter::Auto, Some(networks)) => Filtering::Auto(networks),
            (KernelFilter::Require, Some(networks)) => Filtering::Require(networks),
        }
    }

    /// What the door sees of it.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Counted from 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.site.generation
    }

    /// Shows in the metrics what is in force, in place of what was.
    pub(crate) fn show(&self, metrics: &Metrics, before: Option<&Self>) {
        self.show_ranges(metrics);
        metrics.configuration(self.generation(), &self.id, before.map(|before| before.id.as_str()));
        metrics.expiries(&self.expiries, before.map_or(&[], |before| &before.expiries));
        // A label may stand for another rule than before, wherever the text has changed.
        let changed = before.filter(|before| before.id != self.id);
        for old in changed.into_iter().flat_map(|before| before.gate.rules.hosts.hosts()) {
            for policy in old.observing() {
                metrics.forget_observed(old.name.as_str(), policy);
            }
            let new = self.gate.rules.hosts.named(&old.name);
            if new.is_none_or(|new| !is_same_rule(&new.origin_pull, &old.origin_pull)) {
                metrics.forget_origin_pull(old.name.as_str());
            }
        }
    }

    /// The TLS of the host with a label.
    fn tls(&self, name: &HostName) -> Option<&HostTls> {
        let index = self.gate.rules.hosts.hosts().iter().position(|host| host.name == *name)?;
        self.gate.tls.get(index)?.as_ref()
    }
}

fn is_same_rule(one: &OriginPull, other: &OriginPull) -> bool {
    let trusts = one.trust().map(|trust| trust.id()) == other.trust().map(|trust| trust.id());
    trusts && std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// What tells a configuration from others, sixteen hexadecimal digits: its text, and the trusts of its hosts, whose files the text only
/// names.
pub(crate) fn identity(config: &Config) -> String {
    let mut hash = Sha256::new_with_prefix(config.text);
    for host in &config.hosts {
        let trust = host.rule.origin_pull.trust().map(|trust| trust.id());
        hash.update(trust.as_ref().map_or(&[0; 32], TrustId::as_bytes));
    }
    hex(&hash.finalize()[..8])
}

fn digests_of(host: &Host) -> Vec<[u8; 32]> {
    let files = host.certificates.iter().flat_map(|files| [Some(&files.chain), files.ocsp.as_ref()]).flatten();
    let lists = host.rule.origin_pull.trust().into_iter().flat_map(|trust| trust.revocations());
    files.map(|file| Sha256::digest(file).into()).chain(lists.map(RevocationList::fingerprint)).collect()
}

fn host_tls(host: &Host, settings: TlsSettings, before: Option<&Snapshot>) -> Result<Option<HostTls>, SnapshotError> {
    if host.certificates.is_empty() {
        return Ok(None);
    }
    let files: Vec<_> = host
        .certificates
        .iter()
        .map(|files| CertificateFiles { chain: &files.chain, key: &files.key, ocsp: files.ocsp.as_deref() })
        .collect();
    let before = before.and_then(|before| before.tls(&host.rule.name));
    HostTls::new(&files, host.rule.origin_pull.clone(), settings, before)
        .map(Some)
        .map_err(|source| SnapshotError::Tls { host: host.rule.name.to_string(), source })
}

fn expiries_of(host: &Host) -> Vec<Expiry> {
    let expiry = |kind, sha256, end: UnixTime| Expiry {
        kind,
        host: host.rule.name.to_string(),
        sha256,
        not_after: end.as_secs(),
    };
    let leaf = |files: &Certificate| Leaf::describe(&CertificateDer::from_pem_slice(&files.chain).ok()?);
    let own = host.certificates.iter().filter_map(leaf);
    let trust = host.rule.origin_pull.trust();
    let anchors = trust.into_iter().flat_map(|trust| trust.anchors());
    let lists = trust.into_iter().flat_map(|trust| trust.revocations());
    own.map(|leaf| expiry(ExpiryKind::Own, leaf.sha256, leaf.not_after))
        .chain(anchors.map(|anchor| expiry(ExpiryKind::Trust, anchor.sha256(), anchor.not_after())))
        .chain(lists.map(|list| expiry(ExpiryKind::Crl, list.sha256(), list.next_update())))
        .collect()
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

/// Who may connect; the same as before where nothing has changed, so that nobody who was let in has to be asked again.
fn admissions(cloudflare: Networks, listeners: &[Listener], before: Option<&Snapshot>) -> Arc<Admissions> {
    let admission = |sources: &Sources| match sources {
        Sources::Cloudflare => Admission::Cloudflare,
        Sources::Any => Admission::Anybody,
        Sources::Networks(networks) => Admission::Networks(networks.clone()),
    };
    let by_name = |listener: &Listener| (Arc::clone(&listener.name), admission(&listener.sources));
    let believed = |listener: &Listener| Some((Arc::clone(&listener.name), listener.proxy_protocol.clone()?));
    let balancers = listeners.iter().filter_map(believed).collect();
    let now = Admissions { cloudflare, listeners: listeners.iter().map(by_name).collect(), balancers };
    match before.map(|before| &before.gate.rules.admissions) {
        Some(before) if **before == now => Arc::clone(before),
        _ => Arc::new(now),
    }
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

/// How each listener takes connections, by its name.
fn entrances(listeners: &[Listener]) -> HashMap<Arc<str>, Arc<Entrance>> {
    let of = |listener: &Listener| Entrance {
        tls: listener.protocol == Protocol::Https,
        connections: listener.limits.connections.get(),
        connections_per_source: listener.limits.connections_per_source.map(NonZeroUsize::get),
        handshake_timeout: listener.limits.handshake_timeout,
    };
    listeners.iter().map(|listener| (Arc::clone(&listener.name), Arc::new(of(listener)))).collect()
}

/// The limits of each listener's connections, by its name.
fn http_limits(listeners: &[Listener]) -> HashMap<Arc<str>, HttpLimits> {
    let of = |listener: &Listener| HttpLimits {
        header: listener.limits.header_timeout,
        body: listener.limits.body_timeout,
        write: listener.limits.write_timeout,
        idle: listener.limits.idle_timeout,
        head_bytes: usize::try_from(listener.limits.header_bytes).unwrap_or(usize::MAX),
        head_fields: usize::try_from(listener.limits.header_count).unwrap_or(usize::MAX),
        streams: listener.limits.http2_streams,
        requests: listener.limits.requests_per_connection.map(NonZeroU64::get),
    };
    listeners.iter().map(|listener| (Arc::clone(&listener.name), of(listener))).collect()
}
