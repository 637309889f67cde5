//! The one decision: facts in, a ruling out.
//!
//! The order is the product's promise: a source that is admitted no more, a malformed head, an unlisted host, a proof that does not satisfy it, the
//! visitor's address, the method and the size, the route, then the policies in order.

use crate::access::AccessKeys;
use crate::admission::Admissions;
use crate::denial::{Denial, Reason};
use crate::disagreement::Disagreement;
use crate::facts::{Connection, Facts, Request, Source, TrustLevel};
use crate::framing;
use crate::headers::{self, HeaderEdits};
use crate::hosts::{Host, HostIndex, HostTable, normalised};
use crate::origin_pull::{Cause, OriginPull, Verdict};
use crate::policies::{Asked, Attached, Findings, Mode};
use crate::routes::{self, Route, RouteAction, RouteIndex, RouteProtocol, Sought};
use crate::target::Target;
use crate::template::Known;
use crate::visitor::{Visitor, country};
use crate::visitor_certificate::CertificateClaim;
use http::{HeaderValue, StatusCode};
use rustls_pki_types::UnixTime;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The label of the origin-pull check among the policies.
pub const ORIGIN_PULL: &str = "origin-pull";

/// Everything that requests are judged by: one generation of the configuration.
#[derive(Debug)]
pub struct Rules {
    /// The hosts; shared, so that other admissions make no other table.
    pub hosts: Arc<HostTable>,
    /// Which hosts a listener serves, by its name; listeners that serve all are not in it.
    pub listener_hosts: HashMap<Arc<str>, Vec<HostIndex>>,
    /// Who may connect.
    pub admissions: Arc<Admissions>,
    /// The keys of Access teams, as far as they are known.
    pub access_keys: Arc<AccessKeys>,
}

/// What is to be done with a request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Forward it.
    Forward {
        /// Index of the upstream.
        upstream: usize,
        /// The target in place of the received one, where a prefix is stripped.
        target: Option<Vec<u8>>,
        /// Edits of the request's fields.
        edits: HeaderEdits,
    },
    /// Answer it without an upstream.
    Respond {
        /// The status.
        status: StatusCode,
        /// `Location`.
        location: Option<HeaderValue>,
    },
}

/// The leave to pass: nothing reaches an upstream without one, and only [`Rules::decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    action: Action,
    response_edits: HeaderEdits,
    body_bytes: u64,
}

impl Permit {
    /// What is to be done.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The most bytes of request body that may pass.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Edits of the response's fields.
    #[must_use]
    pub fn response_edits(&self) -> &HeaderEdits {
        &self.response_edits
    }
}

/// A refusal that observe mode let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The policy's label.
    pub policy: Arc<str>,
    /// The label of the reason.
    pub reason: &'static str,
}

/// The decision on a request, with what was learned on the way to it.
#[derive(Debug)]
pub struct Ruling {
    /// The host, where the request got that far.
    pub host: Option<HostIndex>,
    /// The route in the host, where the request got that far.
    pub route: Option<RouteIndex>,
    /// The visitor, where the request got that far.
    pub visitor: Option<Visitor>,
    /// What the connection proved: to the requested host, where the request got that far, else to the host of the handshake.
    pub trust: TrustLevel,
    /// Refusals that observe mode let pass.
    pub observed: Vec<Observed>,
    /// What the policies learnt.
    pub findings: Findings,
    /// What the headers of a believed peer disagree on.
    pub disagreements: Vec<Disagreement>,
    /// `Allow`, where the method was refused.
    pub allow: Option<HeaderValue>,
    /// Whether the connection is to end after the answer: the host of its handshake would not take it any more.
    pub ends_connection: bool,
    /// Permit or denial.
    pub outcome: Result<Permit, Denial>,
}

impl Ruling {
    /// A refusal before anything was learned but what the connection proved.
    #[must_use]
    pub fn refused(reason: Reason, trust: TrustLevel) -> Self {
        Self {
            host: None,
            route: None,
            visitor: None,
            trust,
            observed: Vec::new(),
            findings: Findings::default(),
            disagreements: Vec::new(),
            allow: None,
            ends_connection: false,
            outcome: Err(reason.into()),
        }
    }
}

impl Rules {
    /// What a connection proves to the host of its handshake, by the source that it is admitted as now.
    #[must_use]
    pub fn trust_in(&self, connection: &Connection, now: UnixTime) -> TrustLevel {
        let verdict = connection.tls().map(|tls| &tls.verdict);
        let source = self.admissions.source_of(connection);
        source.map_or(TrustLevel::None, |source| TrustLevel::of(source, verdict, now))
    }

    /// Judges one request.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Ruling {
        let source = self.admissions.source_of(facts.connection);
        let mut ruling = Ruling::refused(Reason::SourceUnlisted, self.trust_in(facts.connection, facts.now));
        if let Some(source) = source {
            ruling.outcome = self.permit(facts, source, &mut ruling);
        }
        ruling.ends_connection =
            source.is_none() || ruling.outcome.as_ref().is_err_and(is_misdirected) && self.is_outlived(facts);
        ruling
    }

    fn permit(&self, facts: &Facts<'_>, source: Source, ruling: &mut Ruling) -> Result<Permit, Denial> {
        let request = &facts.request;
        if request.headers.len() > facts.most_fields {
            return Err(Reason::HeadTooLarge.into());
        }
        framing::check(facts)?;
        let authority = Authority::of(request)?;
        let target = Target::parse(request.target)?;
        headers::check_connection(request.headers, self.hosts.secrets())?;
        headers::check_loop(request.headers)?;

        let index = self.host_for(facts.connection, &authority.name)?;
        let host = self.hosts.host(index);
        ruling.host = Some(index);
        let protocol = if facts.connection.tls().is_some() { RouteProtocol::Https } else { RouteProtocol::Http };
        let sought = Sought { target: &target, method: request.method, protocol };
        let route = routes::find(&host.routes, &sought);
        let answered_here = route.is_ok_and(|at| matches!(host.routes[at].action, RouteAction::Respond { .. }));
        check_proof(host, facts, source, answered_here, ruling)?;
        ruling.route = route.ok();

        let believed = is_believed(source, ruling.trust);
        let visitor = visitor_of(host, facts, believed)?;
        ruling.visitor = Some(visitor);
        if believed {
            ruling.disagreements = Disagreement::among(request.headers);
        }
        let method = host.request.check_method(request.method);
        if method.is_err() || route == Err(Reason::MethodUnlisted) {
            ruling.allow = routes::allowed(&host.routes, &sought, &host.request.methods);
        }
        method?;
        host.request.check_length(request.headers)?;
        let route = &host.routes[route?];
        let told = host.visitor.client_certificate.filter(|_| believed);
        let certificate = &CertificateClaim::new(told, request.headers);
        let access_keys = &*self.access_keys;
        let asked = Asked { facts, visitor: &visitor, trust: ruling.trust, access_keys, certificate };
        for attached in host.policies.iter().chain(&route.policies) {
            judge(attached, &asked, ruling)?;
        }

        let identity = ruling.findings.identity.as_ref();
        let known = Known { facts, visitor: &visitor, trust: ruling.trust, identity };
        let mut action = action_of(host, route, &target, &authority, &known, certificate, believed);
        if let Action::Forward { edits, .. } = &mut action {
            self.hosts.secrets().withhold(request.headers, edits);
        }
        let response_edits = host.response_headers.fill(&known);
        Ok(Permit { action, response_edits, body_bytes: host.request.body_bytes })
    }

    /// Whether the host of the handshake is gone, or has a rule by now that the connection does not satisfy. What such a connection is
    /// good for, an edge finds out one 421 at a time.
    fn is_outlived(&self, facts: &Facts<'_>) -> bool {
        let Some(tls) = facts.connection.tls() else { return false };
        match self.hosts.named(&tls.host).map(|host| &host.origin_pull) {
            None => true,
            Some(OriginPull::Off | OriginPull::Observe(_)) => false,
            Some(OriginPull::Require(trust)) => !holds(&tls.verdict_against(trust, facts.now), facts.now),
        }
    }

    fn host_for(&self, connection: &Connection, name: &str) -> Result<HostIndex, Reason> {
        let index = self.hosts.find(name).ok_or(Reason::HostUnknown)?;
        match self.listener_hosts.get(&connection.listener) {
            Some(served) if !served.contains(&index) => Err(Reason::HostUnknown),
            _ => Ok(index),
        }
    }
}

fn is_misdirected(denial: &Denial) -> bool {
    denial.reason.status() == StatusCode::MISDIRECTED_REQUEST
}

/// Whether a verdict is worth something still.
fn holds(verdict: &Verdict, now: UnixTime) -> bool {
    matches!(verdict, Verdict::Verified(proof) if now <= proof.valid_until)
}

/// The host that a request names: `:authority` or the absolute form's, and Host, which have to agree.
#[derive(Debug)]
struct Authority<'a> {
    /// As hosts are looked up.
    name: Cow<'a, str>,
    /// With the port, as it goes to the upstream.
    text: Cow<'a, str>,
}

impl<'a> Authority<'a> {
    fn of(request: &Request<'a>) -> Result<Self, Reason> {
        let mut fields = request.headers.get_all(http::header::HOST).iter().map(HeaderValue::as_bytes);
        let field = fields.next();
        if fields.next().is_some() {
            return Err(Reason::HostMalformed);
        }
        let given = match (request.authority, field) {
            (None, None) => return Err(Reason::HostMissing),
            (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
                return Err(Reason::HostMalformed);
            }
            (Some(given), _) | (None, Some(given)) => given,
        };
        Self::parse(given).ok_or(Reason::HostMalformed)
    }

    fn parse(given: &'a [u8]) -> Option<Self> {
        let given = std::str::from_utf8(given).ok()?;
        // The colon of a port stands after the brackets of an IPv6 address.
        let (name, port) = match given.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (given, None),
        };
        let name = normalised(name)?;
        let text = match port {
            None => name.clone(),
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Cow::Owned(format!("{name}:{}", port.parse::<u16>().ok()?))
            }
            Some(_) => return None,
        };
        Some(Self { name, text })
    }
}

/// Whether the requested host's own origin-pull rule is satisfied by this connection; what the connection proves to that host stands in
/// the ruling either way.
fn check_proof(
    host: &Host,
    facts: &Facts<'_>,
    source: Source,
    answered_here: bool,
    ruling: &mut Ruling,
) -> Result<(), Denial> {
    let now = facts.now;
    let trust = host.origin_pull.trust();
    let verdict = facts.connection.tls().zip(trust).map(|(tls, trust)| tls.verdict_against(trust, now));
    ruling.trust = TrustLevel::of(source, verdict.as_ref(), now);
    if trust.is_none() {
        return Ok(());
    }
    let (reason, label) = match verdict {
        None => (Reason::PlainConnection, Reason::PlainConnection.label()),
        Some(Verdict::Verified(proof)) if now <= proof.valid_until => return Ok(()),
        Some(Verdict::Verified(_)) => (Reason::ProofExpired, Cause::Expired.label()),
        Some(Verdict::Refused(cause)) => (Reason::ProofMissing, cause.label()),
        Some(Verdict::NotRequested) => (Reason::ProofMissing, Verdict::NotRequested.label()),
    };
    match host.origin_pull {
        // What the gateway answers by itself on a plain listener needs no proof: a redirect to https.
        _ if reason == Reason::PlainConnection && answered_here => Ok(()),
        OriginPull::Require(_) => Err(Denial { label, ..Denial::by(ORIGIN_PULL.into(), reason) }),
        OriginPull::Observe(_) | OriginPull::Off => {
            ruling.observed.push(Observed { policy: ORIGIN_PULL.into(), reason: label });
            Ok(())
        }
    }
}

/// Whether what the peer says of visitors is taken: it was admitted for who it is, or it has proved more.
fn is_believed(source: Source, trust: TrustLevel) -> bool {
    source != Source::Anybody || trust >= TrustLevel::Edge
}

fn visitor_of(host: &Host, facts: &Facts<'_>, believed: bool) -> Result<Visitor, Reason> {
    headers::check_nomination(facts.request.headers, &host.visitor.address_header)?;
    let peer = facts.connection.peer.address().ip();
    if !believed {
        return Ok(Visitor { address: peer, country: None });
    }
    let headers = facts.request.headers;
    Ok(Visitor { address: host.visitor.address(headers, peer)?, country: country(headers) })
}

fn judge(attached: &Attached, asked: &Asked<'_>, ruling: &mut Ruling) -> Result<(), Denial> {
    match (attached.policy.examine(asked, &mut ruling.findings), attached.mode) {
        (Ok(()), _) => Ok(()),
        (Err(reason), Mode::Enforce) => Err(Denial::by(Arc::clone(&attached.label), reason)),
        (Err(reason), Mode::Observe) => {
            ruling.observed.push(Observed { policy: Arc::clone(&attached.label), reason: reason.label() });
            Ok(())
        }
    }
}

fn action_of(
    host: &Host,
    route: &Route,
    target: &Target<'_>,
    authority: &Authority<'_>,
    known: &Known<'_>,
    certificate: &CertificateClaim<'_>,
    believed: bool,
) -> Action {
    match &route.action {
        RouteAction::Respond { status, location } => {
            Action::Respond { status: *status, location: location.as_ref().map(|location| location.fill(known)) }
        }
        RouteAction::Upstream { index, strip_prefix } => {
            let mut edits = headers::identity_edits(known, &host.visitor, &authority.text, believed);
            if !believed {
                // The operator may have named any field; an application that reads it takes it for the visitor's address.
                edits.remove.push(host.visitor.address_header.clone());
            }
            edits.set.extend(certificate.forwarded());
            edits.extend(&host.headers, known);
            let target = strip_prefix.then(|| stripped(route, target));
            Action::Forward { upstream: *index, target, edits }
        }
    }
}

/// The target without the route's prefix, from a slash.
fn stripped(route: &Route, target: &Target<'_>) -> Vec<u8> {
    let rest = &target.path[route.path.prefix().len()..];
    // One slash: an application may take what follows two for the name of a host.
    let mut stripped = vec![b'/'];
    stripped.extend(rest.iter().skip_while(|byte| matches!(byte, b'/' | b'\\')));
    if let Some(query) = target.query {
        stripped.push(b'?');
        stripped.extend_from_slice(query);
    }
    stripped
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
