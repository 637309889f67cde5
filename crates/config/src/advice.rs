//! What works and may not be what somebody wants: a protection that is weaker than it looks, or that locks everybody out.

use crate::loading::Fault;
use crate::model::{Config, Host, Listener, Protocol, ServedHosts, Sources};
use crate::places::Places;
use crate::problem::{Location, Problem};
use pullgate_policy::origin_pull::Anchor;
use pullgate_policy::routes::RouteProtocol;
use pullgate_policy::{Attached, Mode, OriginPull, Route, RouteAction, TrustLevel};

/// What deserves a second thought in a configuration that loads, in the order of the text.
#[must_use]
pub fn advice(text: &str, config: &Config) -> Vec<Problem> {
    let places = Places::of(text);
    let start = Location { line: 1, column: 1 };
    let at = |(key, fault): (String, Fault)| fault.at(places.find(&key).unwrap_or(start), &key);
    let listeners = config.listeners.iter().enumerate().flat_map(|(index, listener)| {
        [anybody(index, listener), unanswered(index, listener, &config.hosts)].into_iter().flatten()
    });
    let hosts = config.hosts.iter().enumerate();
    let hosts = hosts.flat_map(|(index, host)| {
        [shared(index, host), told_by_anybody(index, host), unreachable(index, host)].into_iter().flatten()
    });
    let mut problems: Vec<Problem> = listeners.chain(hosts).map(at).collect();
    problems.sort_by_key(|problem| problem.at);
    problems
}

fn anybody(index: usize, listener: &Listener) -> Option<(String, Fault)> {
    let fault = || {
        Fault::new(
            "anybody may connect: what protects the hosts is their own proof alone, and scanners see the certificates",
        )
        .help("write `sources: cloudflare`, and put what else has to connect into `cloudflare.ranges.extra`")
    };
    (listener.sources == Sources::Any).then(|| (format!("listeners[{index}].sources"), fault()))
}

/// A plain listener on which a host that demands a certificate has nothing to say.
fn unanswered(index: usize, listener: &Listener, hosts: &[Host]) -> Option<(String, Fault)> {
    if listener.protocol != Protocol::Http {
        return None;
    }
    let served = |host: &&Host| match &listener.hosts {
        ServedHosts::All => true,
        ServedHosts::Only(names) => names.contains(&host.rule.name),
    };
    let silent = |host: &&Host| {
        let answers = |route: &Route| {
            matches!(route.action, RouteAction::Respond { .. }) && route.protocol != Some(RouteProtocol::Https)
        };
        matches!(host.rule.origin_pull, OriginPull::Require(_)) && !host.rule.routes.iter().any(answers)
    };
    let names: Vec<String> =
        hosts.iter().filter(served).filter(silent).map(|host| format!("`{}`", host.rule.name)).collect();
    let fault = || {
        Fault::new(format!("no certificate can be shown here: every request for {} is answered 421", names.join(", ")))
            .help("give the host a route with `protocol: http` and `respond` (a redirect to https), or leave it out of `hosts` here")
    };
    (!names.is_empty()).then(|| (format!("listeners[{index}].protocol"), fault()))
}

/// A host that every Cloudflare account can prove enough to.
fn shared(index: usize, host: &Host) -> Option<(String, Fault)> {
    let rule = &host.rule;
    let trust = rule.origin_pull.trust()?;
    // A pin of the shared certificate has its own warning.
    let accepts_shared =
        !trust.is_pinned() && trust.anchors().iter().any(|anchor| anchor.level() < TrustLevel::Account);
    if !accepts_shared || !is_open(host) {
        return None;
    }
    let fault = Fault::new(
        "the only proof is the certificate that all Cloudflare accounts share: another customer of Cloudflare's can send requests here",
    )
    .help("upload a certificate of your own to Cloudflare and name its CA in `trust`, or add a policy that proves the account");
    Some((format!("hosts[{index}].origin_pull"), fault))
}

/// A host that is told of visitors' certificates by whoever connects: they are no secrets.
fn told_by_anybody(index: usize, host: &Host) -> Option<(String, Fault)> {
    host.rule.visitor.client_certificate?;
    if matches!(host.rule.origin_pull, OriginPull::Require(_)) || !is_open(host) {
        return None;
    }
    let fault = Fault::new(
        "no connection proves who it is from: another customer of Cloudflare's can send the certificate of any visitor",
    )
    .help("demand a certificate of your own account in `origin_pull`, or add a policy that proves the account");
    Some((format!("hosts[{index}].visitor.client_certificate"), fault))
}

/// Whether requests are forwarded that no policy asks for a proof of the account.
fn is_open(host: &Host) -> bool {
    let forwards = |route: &&Route| matches!(route.action, RouteAction::Upstream { .. });
    let mut routes = host.rule.routes.iter().filter(forwards);
    !is_proven(&host.rule.policies) && routes.any(|route| !is_proven(&route.policies))
}

/// Whether one of these proves the account to whoever passes.
fn is_proven(policies: &[Attached]) -> bool {
    policies.iter().any(|attached| attached.mode == Mode::Enforce && attached.policy.proves() == TrustLevel::Account)
}

/// A host that demands more than any connection can prove to it.
fn unreachable(index: usize, host: &Host) -> Option<(String, Fault)> {
    let anchors = host.rule.origin_pull.trust().map(|trust| trust.anchors());
    let most = anchors.into_iter().flatten().map(Anchor::level).max().unwrap_or(TrustLevel::Network);
    let too_much = |policies: &[Attached]| {
        policies.iter().position(|attached| attached.mode == Mode::Enforce && attached.policy.demands() > most)
    };
    let of_host = too_much(&host.rule.policies).map(|policy| format!("hosts[{index}].policies[{policy}]"));
    let of_routes = || {
        host.rule.routes.iter().enumerate().find_map(|(route, found)| {
            too_much(&found.policies).map(|policy| format!("hosts[{index}].routes[{route}].policies[{policy}]"))
        })
    };
    let key = of_host.or_else(of_routes)?;
    let fault = Fault::new(format!(
        "everybody is refused: no connection proves more than `{}` to this host, by its `origin_pull`",
        most.label()
    ));
    Some((key, fault.help("name the CA of your own certificate in `origin_pull.trust`, or demand less")))
}
