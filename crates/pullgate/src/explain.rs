//! `pullgate explain`: what every layer would decide about a request, and why, with the lines of the configuration.
//!
//! Nothing is decided here. The question becomes the facts that door and proxy would gather, and the functions judge it that judge live
//! requests: `Admissions::admit`, the host table, `origin_pull::verify`, `head::check`, `Rules::decide`.

mod question;
mod steps;

pub use question::{BadQuestion, LogLine, Question, Url};
pub use steps::{Explanation, Outcome, Step, Verdict};

use crate::ranges::{RangesReportError, ranges_in_force};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::teams::Teams;
use crate::world::{LoadError, System, load, text_of};
use http::{HeaderMap, HeaderName, HeaderValue};
use pullgate_config::Places;
use pullgate_door::Gate;
use pullgate_policy::decide::ORIGIN_PULL;
use pullgate_policy::head::{self, Progress};
use pullgate_policy::hosts::normal_name;
use pullgate_policy::origin_pull::{Leaf, Verdict as ProofVerdict, verify};
use pullgate_policy::{
    Connection, Facts, Host, OriginPull, Peer, Reason, Request, RequestId, Ruling, Security, Source, TlsFacts,
};
use std::path::Path;
use std::sync::Arc;
use steps::{Layer, Trail};

/// A request that cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It loads and cannot be served.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What counts as Cloudflare is not known.
    #[error(transparent)]
    Ranges(#[from] RangesReportError),
    /// The question makes no sense.
    #[error(transparent)]
    Question(#[from] BadQuestion),
}

/// Explains what a configuration would decide about a request.
///
/// # Errors
/// When the configuration does not load, or the question names what is not in it.
pub fn explain(file: &Path, question: &Question) -> Result<Explanation, ExplainError> {
    let places = Places::of(&text_of(file)?);
    let mut config = load(file)?.config;
    config.cloudflare.list = ranges_in_force(&config, &System::beside(file))?.in_force();
    let listener = question.listener(&config)?;
    let trail = Trail::new(places);
    let limits = config.listeners[listener].limits;
    let upstreams = config.upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect::<Vec<_>>();
    let name = Arc::clone(&config.listeners[listener].name);
    let keys = Teams::last_good(&config, &System::beside(file));
    let snapshot = Snapshot::new(config, keys, None, None)?;
    let asked = Asked {
        question: question.with_visitor(&snapshot.gate().rules.hosts),
        name,
        listener,
        head_bytes: usize::try_from(limits.header_bytes).unwrap_or(usize::MAX),
        most_fields: usize::try_from(limits.header_count).unwrap_or(usize::MAX),
    };
    Ok(asked.judge(snapshot.gate(), trail, &upstreams))
}

/// A question with the listener that it is about.
struct Asked {
    question: Question,
    name: Arc<str>,
    /// Index in the configuration.
    listener: usize,
    head_bytes: usize,
    most_fields: usize,
}

impl Asked {
    fn judge(&self, gate: &Arc<Gate>, mut trail: Trail, upstreams: &[Arc<str>]) -> Explanation {
        let Some(source) = self.admit(gate, &mut trail) else {
            return trail.closed("the connection is closed unheard");
        };
        let security = match self.shake_hands(gate, &mut trail) {
            Ok(security) => security,
            Err(alert) => return trail.closed(alert),
        };
        let connection = Connection {
            listener: Arc::clone(&self.name),
            peer: Peer::new((self.question.peer, 0).into()),
            balancer: self.question.balancer.map(|address| Peer::new((address, 0).into())),
            source,
            admitted_by: Arc::clone(&gate.rules.admissions),
            security,
        };
        let headers = match self.read_head(&mut trail) {
            Ok(headers) => headers,
            Err(reason) => return trail.refused(&reason.into()),
        };
        let request = Request {
            method: &self.question.method,
            scheme: None,
            authority: None,
            target: self.question.url.target.as_bytes(),
            headers: &headers,
        };
        let facts = Facts {
            connection: &connection,
            request,
            now: self.question.now,
            id: RequestId(0),
            most_fields: self.most_fields,
        };
        let ruling = gate.rules.decide(&facts);
        tell(&ruling, gate, &mut trail);
        match &ruling.outcome {
            Ok(permit) => trail.permitted(permit, upstreams),
            Err(denial) => trail.refused(denial),
        }
    }

    /// As the accept loop does it.
    fn admit(&self, gate: &Gate, trail: &mut Trail) -> Option<Source> {
        let (admissions, peer) = (&gate.rules.admissions, self.question.peer);
        let key = format!("listeners[{}].sources", self.listener);
        let listener = &self.name;
        let believed = match (admissions.balancers.get(listener), self.question.balancer) {
            (None, None) => true,
            (Some(networks), Some(balancer)) => networks.contains(balancer),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !believed {
            let key = format!("listeners[{}].proxy_protocol", self.listener);
            let what = match self.question.balancer {
                Some(balancer) => format!("no PROXY header is believed from {balancer}"),
                None => "a PROXY header is demanded, from a balancer (--balancer)".into(),
            };
            trail.add(Layer::Source, Verdict::Refuse, what, &key);
            return None;
        }
        let source = admissions.admit(listener, peer);
        let (verdict, what) = match source {
            Some(Source::Cloudflare) => (Verdict::Pass, format!("{peer} counts as Cloudflare")),
            Some(Source::Listed) => (Verdict::Pass, format!("{peer} is on the listener's own list")),
            Some(Source::Anybody) => {
                (Verdict::Pass, format!("{peer} may connect like anybody, and is not believed for that"))
            }
            None => (Verdict::Refuse, format!("{peer} may not connect to listener `{listener}`")),
        };
        trail.add(Layer::Source, verdict, what, &key);
        source
    }

    /// As the handshake does it.
    fn shake_hands(&self, gate: &Gate, trail: &mut Trail) -> Result<Security, &'static str> {
        let tls = gate.entrances.get(&self.name).is_some_and(|entrance| entrance.tls);
        if !tls {
            return Ok(Security::Plain);
        }
        let sni = self.question.sni.as_deref();
        let listener = format!("listeners[{}].hosts", self.listener);
        let found = match sni {
            Some(name) => normal_name(name).and_then(|name| gate.host(&self.name, &name)),
            None => gate.default_host(&self.name),
        };
        let Some((index, _)) = found else {
            let what = match sni {
                Some(name) => format!("no host answers the SNI {name} on this listener"),
                None => "no SNI, and no host is the default".into(),
            };
            trail.add(Layer::Handshake, Verdict::Refuse, what, &listener);
            return Err("the handshake ends with unrecognized_name, without a certificate");
        };
        let host = gate.rules.hosts.host(index);
        let shown = sni.map_or_else(|| "no SNI".to_owned(), |name| format!("SNI {name}"));
        trail.add(
            Layer::Handshake,
            Verdict::Pass,
            format!("{shown}: host `{}`", host.name),
            &format!("hosts[{index}]"),
        );
        let rule = &host.origin_pull;
        // A client shows its certificate where it is asked for one.
        let chain = rule.trust().map(|_| self.question.chain.clone()).unwrap_or_default();
        let verdict = match rule.trust() {
            None => ProofVerdict::NotRequested,
            Some(trust) => verify(&chain, trust, self.question.now),
        };
        let key = format!("hosts[{index}].origin_pull");
        let (how, what) = proof(rule, &verdict);
        // What is observed is told where the request is judged: it may be for another host.
        if how != Verdict::Observe {
            trail.add(Layer::OriginPull, how, what, &key);
        }
        if how == Verdict::Refuse {
            return Err("the handshake ends with an alert");
        }
        Ok(Security::Tls(Box::new(TlsFacts {
            sni: sni.and_then(normal_name),
            host: host.name.clone(),
            version: "1.3",
            cipher: "",
            resumed: false,
            leaf: chain.first().and_then(Leaf::describe),
            trust: rule.trust().map(|trust| trust.id()),
            chain,
            verdict,
            others: Default::default(),
        })))
    }

    /// As an HTTP/1.1 connection does it.
    fn read_head(&self, trail: &mut Trail) -> Result<HeaderMap, Reason> {
        let head = self.question.head();
        let whole = head::progress(&head, 0, self.head_bytes).and_then(|progress| match progress {
            Progress::Complete(end) if end == head.len() => head::check(&head, self.most_fields),
            Progress::Complete(_) | Progress::Partial(_) => Err(Reason::HeadMalformed),
        });
        let fields = whole.and_then(|_| self.question.fields());
        if let Err(reason) = &fields {
            let key = format!("listeners[{}].limits", self.listener);
            trail.add(Layer::Head, Verdict::Refuse, reason.label().into(), &key);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in fields? {
            let name = HeaderName::from_bytes(&name).map_err(|_| Reason::HeadMalformed)?;
            let value = HeaderValue::from_bytes(&value).map_err(|_| Reason::HeadMalformed)?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}

/// What an origin-pull rule makes of a verdict in the handshake.
fn proof(rule: &OriginPull, verdict: &ProofVerdict) -> (Verdict, String) {
    let said = match verdict {
        ProofVerdict::Verified(proof) => {
            return (Verdict::Pass, format!("verified, proves `{}`: {}", proof.level.label(), proof.anchor));
        }
        ProofVerdict::NotRequested => return (Verdict::Pass, "mode off: no certificate is asked for".into()),
        ProofVerdict::Refused(cause) => cause.label(),
    };
    match rule {
        OriginPull::Require(_) => (Verdict::Refuse, format!("mode require: {said}")),
        OriginPull::Observe(_) | OriginPull::Off => (Verdict::Observe, format!("mode observe: {said}")),
    }
}

/// Puts a ruling on the trail: what passed follows from how far it got.
fn tell(ruling: &Ruling, gate: &Gate, trail: &mut Trail) {
    let denial = ruling.outcome.as_ref().err();
    let Some(index) = ruling.host else {
        let (layer, key) = match denial.map(|denial| denial.reason) {
            Some(Reason::HostUnknown | Reason::SourceUnlisted) => (Layer::Host, "hosts"),
            _ => (Layer::Head, ""),
        };
        let what = denial.map_or("", |denial| denial.label).to_owned();
        trail.add(layer, Verdict::Refuse, what, key);
        return;
    };
    let host = gate.rules.hosts.host(index);
    let at = format!("hosts[{index}]");
    trail.add(Layer::Head, Verdict::Pass, "well-formed".into(), "");
    let key = format!("{at}.hostnames");
    trail.add(
        Layer::Host,
        Verdict::Pass,
        format!("`{}`, which this connection proves `{}` to", host.name, ruling.trust.label()),
        &key,
    );
    tell_proof(ruling, &at, trail);
    let Some(visitor) = ruling.visitor else {
        if let Some(denial) = denial.filter(|denial| denial.policy.is_none()) {
            trail.add(Layer::Visitor, Verdict::Refuse, denial.label.into(), &format!("{at}.visitor"));
        }
        return;
    };
    let country = visitor.country().map(|country| format!(", {country}")).unwrap_or_default();
    let contradictions: Vec<&str> = ruling.disagreements.iter().map(|disagreement| disagreement.label()).collect();
    let told = match contradictions.as_slice() {
        [] => String::new(),
        what => format!(" (the headers contradict each other on: {})", what.join(", ")),
    };
    trail.add(Layer::Visitor, Verdict::Pass, format!("{}{country}{told}", visitor.address), &format!("{at}.visitor"));
    route_and_policies(ruling, host, &at, trail);
}

fn route_and_policies(ruling: &Ruling, host: &Host, at: &str, trail: &mut Trail) {
    let denial = ruling.outcome.as_ref().err();
    let found = ruling.route.map(|index| (index, &host.routes[index]));
    if let Some(denial) = denial.filter(|denial| denial.policy.is_none()) {
        let key = if ruling.route.is_some() { format!("{at}.request") } else { format!("{at}.routes") };
        trail.add(Layer::Route, Verdict::Refuse, denial.label.into(), &key);
        return;
    }
    let Some((route_index, route)) = found else { return };
    trail.add(Layer::Route, Verdict::Pass, format!("`{}`", route.name), &format!("{at}.routes[{route_index}]"));
    let of_host = host.policies.iter().enumerate().map(|(index, policy)| (policy, format!("{at}.policies[{index}]")));
    let of_route = route
        .policies
        .iter()
        .enumerate()
        .map(|(index, policy)| (policy, format!("{at}.routes[{route_index}].policies[{index}]")));
    let mut over = false;
    for (policy, key) in of_host.chain(of_route) {
        let label = &policy.label;
        let refused = denial.filter(|denial| denial.policy.as_ref() == Some(label));
        let observed = ruling.observed.iter().find(|observed| observed.policy == *label);
        let (verdict, what) = match (over, refused, observed) {
            (true, _, _) => (Verdict::Unasked, format!("`{label}`: not asked")),
            (false, Some(denial), _) => (Verdict::Refuse, format!("`{label}`: {}", denial.label)),
            (false, None, Some(seen)) => (Verdict::Observe, format!("`{label}` would refuse: {}", seen.reason)),
            (false, None, None) => (Verdict::Pass, format!("`{label}`")),
        };
        over |= refused.is_some();
        trail.add(Layer::Policy, verdict, what, &key);
    }
}

/// What the origin-pull rule of the requested host says, where it refuses or would.
fn tell_proof(ruling: &Ruling, at: &str, trail: &mut Trail) {
    let by_rule = |label: &Arc<str>| **label == *ORIGIN_PULL;
    let denial = ruling.outcome.as_ref().err().filter(|denial| denial.policy.as_ref().is_some_and(by_rule));
    let observed = ruling.observed.iter().find(|observed| by_rule(&observed.policy));
    let key = format!("{at}.origin_pull");
    if let Some(denial) = denial {
        trail.add(Layer::OriginPull, Verdict::Refuse, denial.label.into(), &key);
    } else if let Some(observed) = observed {
        trail.add(Layer::OriginPull, Verdict::Observe, format!("would refuse: {}", observed.reason), &key);
    }
}
