//! What the tests of this crate share: CAs made at run time, hosts, and requests on their way into a decision.

use crate::access::Key;
use crate::admission::Admissions;
use crate::decide::{Action, Rules, Ruling};
use crate::denial::Reason;
use crate::facts::{Connection, Facts, Peer, Request, RequestId, Security, Source, TlsFacts, TrustLevel};
use crate::headers::HeaderRules;
use crate::hosts::{Host, HostName, HostTable};
use crate::origin_pull::{self, Anchor, OriginPull, Trust, Verdict};
use crate::policies::{Asked, Attached, Mode, Policy};
use crate::routes::{Route, RouteAction};
use crate::visitor::{Visitor, VisitorRule, country};
use crate::visitor_certificate::{CertificateClaim, CertificateFields};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::test_runner::Config;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, SigningKey,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// The present of every test, in seconds: 2026-09-21.
pub(crate) const NOW: u64 = 1_790_000_000;

/// The validity of what a test does not date itself.
const YEAR: u64 = 365 * 24 * 3600;

pub(crate) const fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// A law holds for this many generated cases; nothing is written to disk when it does not.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Certificate parameters, valid from a year ago for two years; a test edits what it is about.
pub(crate) fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    valid(&mut params, NOW - YEAR, NOW + YEAR);
    params
}

/// Sets the first and the last second of validity.
pub(crate) fn valid(params: &mut CertificateParams, from: u64, to: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from);
    params.not_after = epoch + Duration::from_secs(to);
}

/// A certificate authority with its key.
pub(crate) struct Ca {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    pub(crate) fn root_with(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (ca_params(name, edit), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, certificate }
    }

    /// An intermediate CA under this one.
    pub(crate) fn intermediate(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (ca_params(name, edit), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        Self { params, key, certificate }
    }

    /// Another certificate of this root, with the same name and key.
    pub(crate) fn reissued(&self, from: u64, to: u64) -> Certificate {
        let mut params = self.params.clone();
        valid(&mut params, from, to);
        params.self_signed(&self.key).unwrap()
    }

    /// A client's certificate, without KeyUsage and extended key usage as Cloudflare's recipe makes it.
    pub(crate) fn leaf(&self, edit: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = named("zone.example.com");
        edit(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer()).unwrap()
    }

    /// The chain of a good client: the leaf alone.
    pub(crate) fn client(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf(|_| {}).der().clone()]
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub(crate) fn anchor(&self) -> Anchor {
        anchor(&self.certificate)
    }

    /// The trust in this CA alone.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        Arc::new(Trust::new(vec![self.anchor()], at(NOW)).unwrap())
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// Signs a revocation list, whether or not this CA may.
    pub(crate) fn list(&self, list: CertificateRevocationListParams) -> Vec<u8> {
        let mut params = self.params.clone();
        params.key_usages.push(KeyUsagePurpose::CrlSign);
        list.signed_by(&Issuer::from_params(&params, &self.key)).unwrap().der().to_vec()
    }
}

fn ca_params(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    edit(&mut params);
    params
}

pub(crate) fn anchor(certificate: &Certificate) -> Anchor {
    Anchor::from_der(certificate.der()).unwrap()
}

/// A host without origin pull or policies, all of whose paths lead to upstream 0.
pub(crate) fn open_host(name: &str, hostnames: &[&str]) -> Host {
    Host {
        name: HostName::new(name),
        hostnames: hostnames.iter().map(|name| name.parse().unwrap()).collect(),
        default: false,
        origin_pull: OriginPull::Off,
        visitor: VisitorRule::default(),
        request: crate::request::RequestLimits::default(),
        headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        policies: vec![],
        routes: vec![route("/")],
    }
}

/// The host that [`Arrival`] asks for.
pub(crate) fn shop() -> Host {
    open_host("shop", &["shop.example.com"])
}

/// A route to upstream 0, labelled by its path.
pub(crate) fn route(path: &str) -> Route {
    Route {
        name: path.into(),
        path: path.parse().unwrap(),
        protocol: None,
        methods: None,
        action: RouteAction::Upstream { index: 0, strip_prefix: false },
        policies: vec![],
    }
}

/// By these every arrival was let in, as whatever its test says.
static ADMISSIONS: LazyLock<Arc<Admissions>> = LazyLock::new(Arc::default);

pub(crate) fn rules(hosts: Vec<Host>) -> Rules {
    Rules {
        hosts: Arc::new(HostTable::new(hosts).unwrap()),
        listener_hosts: HashMap::new(),
        admissions: Arc::clone(&ADMISSIONS),
        access_keys: Arc::default(),
    }
}

/// A team's key. There are two, made once with `openssl genpkey`: to make one takes longer than all tests together.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    pair: KeyPair,
}

pub(crate) static ONE: LazyLock<Signer> = LazyLock::new(|| Signer::of("one", include_str!("testing/one.pem")));
pub(crate) static TWO: LazyLock<Signer> = LazyLock::new(|| Signer::of("two", include_str!("testing/two.pem")));

impl Signer {
    fn of(id: &'static str, pem: &str) -> Self {
        Self { id, pair: KeyPair::from_pem_and_sign_algo(pem, &PKCS_RSA_SHA256).unwrap() }
    }

    /// What is published of it: `n` and `e`.
    pub(crate) fn published(&self) -> (String, String) {
        let (_, key) = RSAPublicKey::from_der(self.pair.der_bytes()).unwrap();
        (base64url(key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus)), base64url(key.exponent))
    }

    pub(crate) fn key(&self) -> Key {
        let (modulus, exponent) = self.published();
        Key::new(self.id, &modulus, &exponent).unwrap()
    }

    /// A token: header and claims as they are given.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = self.pair.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", base64url(&signature))
    }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A policy that answers the same to everybody.
#[derive(Debug)]
pub(crate) struct Says(pub(crate) Result<(), Reason>);

impl Policy for Says {
    fn judge(&self, _: &Asked<'_>) -> Result<(), Reason> {
        self.0
    }
}

pub(crate) fn attached(label: &str, mode: Mode, policy: impl Policy + 'static) -> Attached {
    Attached { label: label.into(), mode, policy: Arc::new(policy) }
}

/// The answer of one policy to an arrival of a visitor from an address, whose country is what the arrival's fields say.
pub(crate) fn judged(policy: &impl Policy, arrival: &Arrival, visitor: &str) -> Result<(), Reason> {
    judged_with(policy, arrival, visitor, None)
}

/// The same where `fields` tell of the visitor's certificate.
pub(crate) fn judged_with(
    policy: &impl Policy,
    arrival: &Arrival,
    visitor: &str,
    fields: Option<CertificateFields>,
) -> Result<(), Reason> {
    let visitor = Visitor { address: visitor.parse().unwrap(), country: country(&arrival.headers) };
    let (access_keys, facts) = (&Default::default(), &arrival.facts());
    let certificate = &CertificateClaim::new(fields, &arrival.headers);
    policy.judge(&Asked { facts, visitor: &visitor, trust: TrustLevel::Network, access_keys, certificate })
}

/// A request on its connection, good enough for an open host until a test spoils it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: Connection,
    pub(crate) method: Method,
    pub(crate) scheme: Option<&'static str>,
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) now: UnixTime,
}

/// The address of Cloudflare's that arrivals come from.
pub(crate) const PEER: &str = "173.245.48.9";

/// The visitor that [`PEER`] names.
pub(crate) const VISITOR: &str = "203.0.113.7";

impl Arrival {
    /// A visitor's request through Cloudflare, without a certificate.
    pub(crate) fn good() -> Self {
        Self::bare().with("host", "shop.example.com").with("cf-connecting-ip", VISITOR)
    }

    /// A request without any field.
    pub(crate) fn bare() -> Self {
        let address = PEER.parse::<IpAddr>().unwrap();
        Self {
            connection: Connection {
                listener: "https".into(),
                peer: Peer::new((address, 40_000).into()),
                balancer: None,
                source: Source::Cloudflare,
                admitted_by: Arc::clone(&ADMISSIONS),
                security: handshake(vec![], None, at(NOW)),
            },
            method: Method::GET,
            scheme: None,
            authority: None,
            target: b"/".to_vec(),
            headers: HeaderMap::new(),
            now: at(NOW),
        }
    }

    pub(crate) fn admitted_as(mut self, source: Source) -> Self {
        self.connection.source = source;
        self
    }

    /// On a plain `http` listener.
    pub(crate) fn plain(mut self) -> Self {
        self.connection.security = Security::Plain;
        self
    }

    /// On a connection that showed a chain at [`NOW`] to a host with this trust.
    pub(crate) fn shown(mut self, chain: Vec<CertificateDer<'static>>, trust: &Arc<Trust>) -> Self {
        self.connection.security = handshake(chain, Some(trust), at(NOW));
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// For another host, by its Host field.
    pub(crate) fn to(self, host: &str) -> Self {
        self.without("host").with("host", host)
    }

    pub(crate) fn scheme(self, scheme: &'static str) -> Self {
        Self { scheme: Some(scheme), ..self }
    }

    pub(crate) fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.into());
        self
    }

    pub(crate) fn asks(mut self, method: &str, target: &str) -> Self {
        self.method = method.parse().unwrap();
        self.target = target.into();
        self
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        let request = Request {
            method: &self.method,
            scheme: self.scheme,
            authority: self.authority.as_deref(),
            target: &self.target,
            headers: &self.headers,
        };
        Facts { connection: &self.connection, request, now: self.now, id: RequestId(0xfeed), most_fields: 256 }
    }

    pub(crate) fn ruling(&self, rules: &Rules) -> Ruling {
        rules.decide(&self.facts())
    }

    /// The reason of the denial, or nothing for a permit.
    pub(crate) fn outcome(&self, rules: &Rules) -> Result<(), Reason> {
        self.ruling(rules).outcome.map(|_| ()).map_err(|denial| denial.reason)
    }

    /// The fields as the upstream gets them.
    pub(crate) fn forwarded(&self, rules: &Rules) -> HeaderMap {
        let permit = self.ruling(rules).outcome.unwrap();
        let Action::Forward { edits, .. } = permit.action() else { panic!("{permit:?}") };
        let mut headers = self.headers.clone();
        crate::testing::apply(edits, &mut headers);
        headers
    }
}

fn handshake(chain: Vec<CertificateDer<'static>>, trust: Option<&Arc<Trust>>, now: UnixTime) -> Security {
    Security::Tls(Box::new(TlsFacts {
        sni: Some("shop.example.com".into()),
        host: HostName::new("shop"),
        version: "1.3",
        cipher: "TLS13_AES_128_GCM_SHA256",
        resumed: false,
        leaf: None,
        verdict: trust.map_or(Verdict::NotRequested, |trust| origin_pull::verify(&chain, trust, now)),
        trust: trust.map(|trust| trust.id()),
        chain,
        others: Default::default(),
    }))
}

/// The values of a field, in order.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Carries edits out on a map.
pub(crate) fn apply(edits: &crate::HeaderEdits, headers: &mut http::HeaderMap) {
    for edit in edits.each() {
        match edit {
            crate::headers::Edit::Remove(name) => drop(headers.remove(name)),
            crate::headers::Edit::Set(name, value) => drop(headers.insert(name, value.clone())),
        }
    }
}
