//! A door with three hosts, and who answers which name there, written a second time.

use crate::issued::Asked;
use pullgate_door::{CertificateFiles, Gate, Gates, HostTls, TlsSettings};
use pullgate_policy::{HeaderRules, Host, HostName, HostTable, OriginPull, Rules, VisitorRule};
use std::collections::HashMap;
use std::sync::Arc;

/// The host with a certificate demanded, and the default where there is one.
pub const SHOP: &str = "shop";

/// The host that asks for nothing.
pub const BLOG: &str = "blog";

/// The host of a wildcard, which observes.
pub const WILD: &str = "wild";

/// A listener that serves every host.
pub const EVERY: &str = "every";

/// A listener that serves [`BLOG`] alone.
pub const BLOG_ONLY: &str = "blog-only";

/// One generation that never changes.
#[derive(Debug)]
pub struct Door {
    gate: Arc<Gate>,
    /// Whether [`SHOP`] answers those who ask for no name.
    has_default: bool,
}

impl Gates for Door {
    fn current(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }
}

impl Door {
    /// The door, with a default host or without.
    #[must_use]
    pub fn new(has_default: bool) -> Self {
        let trust = Arc::new(Asked::Both.trust());
        let hosts = [
            host(SHOP, "shop.example.com", has_default, OriginPull::Require(Arc::clone(&trust))),
            host(BLOG, "blog.example.com", false, OriginPull::Off),
            host(WILD, "*.example.net", false, OriginPull::Observe(trust)),
        ];
        let tls = hosts.iter().map(|host| Some(tls(host.origin_pull.clone()))).collect();
        let hosts = HostTable::new(hosts.into()).expect("they claim different names");
        let listener_hosts = HashMap::from([(BLOG_ONLY.into(), vec![1])]);
        let rules = Arc::new(Rules {
            hosts: Arc::new(hosts),
            listener_hosts,
            admissions: Arc::default(),
            access_keys: Arc::default(),
        });
        Self { gate: Arc::new(Gate { rules, tls, entrances: HashMap::new() }), has_default }
    }

    /// Who has to answer a name on a listener.
    #[must_use]
    pub fn answers(&self, listener: &str, name: Option<&str>) -> Option<&'static str> {
        let name = name.map(str::to_ascii_lowercase);
        let host = match name.as_deref().map(|name| name.strip_suffix('.').unwrap_or(name)) {
            None => self.has_default.then_some(SHOP),
            Some("shop.example.com") => Some(SHOP),
            Some("blog.example.com") => Some(BLOG),
            Some(name) => name.strip_suffix(".example.net").filter(|label| !label.contains('.')).map(|_| WILD),
        };
        host.filter(|host| listener == EVERY || *host == BLOG)
    }
}

fn host(name: &str, hostname: &str, default: bool, origin_pull: OriginPull) -> Host {
    Host {
        name: HostName::new(name),
        hostnames: vec![hostname.parse().expect("it is a hostname")],
        default,
        origin_pull,
        visitor: VisitorRule::default(),
        request: pullgate_policy::request::RequestLimits::default(),
        headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        policies: vec![],
        routes: vec![],
    }
}

fn tls(origin_pull: OriginPull) -> HostTls {
    let chain = include_bytes!("../pki/server.pem");
    let key = include_bytes!("../pki/server.key");
    let settings = TlsSettings { tls12: true, tls13: true, http2: true };
    HostTls::new(&[CertificateFiles { chain, key, ocsp: None }], origin_pull, settings, None)
        .expect("fuzz/mint makes them fit")
}
