//! `pullgate check --would-refuse`: what a running gateway let pass in observe mode, by host, before anybody enforces it.

use crate::healthcheck::{AdminError, ask};
use crate::snapshot::identity;
use pullgate_config::Config;
use pullgate_policy::decide::ORIGIN_PULL;
use pullgate_policy::{Host, OriginPull};
use serde_json::{Value, json};
use std::fmt;

/// What was observed, host by host, since the gateway started, or since the host's rule changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the configuration's order.
    pub hosts: Vec<HostReport>,
}

/// What was observed on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostReport {
    /// Its label.
    pub host: String,
    /// `off`, `observe` or `require`.
    pub mode: &'static str,
    /// Handshakes with a certificate that `require` takes; none where the host asks for no certificate.
    pub verified: Option<u64>,
    /// Handshakes whose certificate `require` refuses, by verdict.
    pub refused: Vec<(String, u64)>,
    /// Whether anything of it is in observe mode.
    pub observes: bool,
    /// The labels of policies in observe mode that no request has got to yet.
    pub unasked: Vec<String>,
    /// Requests that passed in observe mode and that enforcing would refuse, by policy and reason.
    pub requests: Vec<(String, String, u64)>,
}

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WouldRefuseError {
    /// The gateway does not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// What it counts was judged by other rules.
    #[error(
        "the running gateway serves another configuration than this file, or its files have changed since: reload it first"
    )]
    Other,
}

/// Asks the gateway that runs with a configuration.
///
/// # Errors
/// When its admin listener does not answer, or another configuration is in force there.
pub fn would_refuse(config: &Config) -> Result<Report, WouldRefuseError> {
    let text = ask(config.admin.address, "/metrics")?;
    let in_force = format!("pullgate_config_info{{id=\"{}\"}} 1", identity(config));
    if text.lines().any(|line| line == in_force) { Ok(Report::of(config, &text)) } else { Err(WouldRefuseError::Other) }
}

impl Report {
    fn of(config: &Config, text: &str) -> Self {
        let samples: Vec<Sample<'_>> = text.lines().filter_map(Sample::parse).collect();
        let hosts = config.hosts.iter().map(|host| {
            let rule = &host.rule;
            let mode = match rule.origin_pull {
                OriginPull::Off => "off",
                OriginPull::Observe(_) => "observe",
                OriginPull::Require(_) => "require",
            };
            HostReport::of(rule.name.as_str(), mode, &observing(rule), &samples)
        });
        Self { hosts: hosts.collect() }
    }

    /// Whether enforcing now would refuse nothing that was seen, and enough was seen to say so.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.hosts.iter().all(HostReport::is_clear)
    }

    /// The same for machines.
    #[must_use]
    pub fn json(&self) -> Value {
        let hosts = self.hosts.iter().map(|host| {
            let refused = host.refused.iter().map(|(verdict, count)| json!({"verdict": verdict, "count": count}));
            let requests = host
                .requests
                .iter()
                .map(|(policy, reason, count)| json!({"policy": policy, "reason": reason, "count": count}));
            json!({
                "host": host.host,
                "mode": host.mode,
                "verified": host.verified,
                "refused": refused.collect::<Vec<_>>(),
                "would_refuse": requests.collect::<Vec<_>>(),
            })
        });
        json!({"clear": self.is_clear(), "hosts": hosts.collect::<Vec<_>>()})
    }
}

/// The labels of what a host observes: its origin-pull rule, its policies, those of its routes.
fn observing(host: &Host) -> Vec<&str> {
    let origin_pull = matches!(host.origin_pull, OriginPull::Observe(_)).then_some(ORIGIN_PULL);
    origin_pull.into_iter().chain(host.observing()).collect()
}

impl HostReport {
    fn of(host: &str, mode: &'static str, observing: &[&str], samples: &[Sample<'_>]) -> Self {
        let of_host = |name: &'static str| {
            samples.iter().filter(move |sample| sample.name == name && sample.label("host") == Some(host))
        };
        let handshakes = || of_host("pullgate_origin_pull_total");
        let is_verified = |sample: &&Sample<'_>| sample.label("verdict") == Some("verified");
        let refused = handshakes().filter(|sample| !is_verified(sample) && sample.value > 0);
        let observed = of_host("pullgate_policy_decisions_total")
            .filter(|sample| sample.label("decision") == Some("would_refuse") && sample.value > 0)
            // What is enforced by now was observed before.
            .filter(|sample| sample.label("policy").is_some_and(|policy| observing.contains(&policy)));
        // The origin-pull rule permits without a word; its handshakes are counted.
        let is_asked = |policy: &str| {
            let of_policy = |sample: &&Sample<'_>| sample.label("policy") == Some(policy) && sample.value > 0;
            policy == ORIGIN_PULL || of_host("pullgate_policy_decisions_total").any(|sample| of_policy(&sample))
        };
        let text = |sample: &Sample<'_>, label: &str| sample.label(label).unwrap_or_default().to_owned();
        Self {
            host: host.to_owned(),
            mode,
            observes: !observing.is_empty(),
            unasked: observing.iter().filter(|policy| !is_asked(policy)).map(|policy| (*policy).to_owned()).collect(),
            verified: (mode != "off").then(|| handshakes().filter(is_verified).map(|sample| sample.value).sum()),
            refused: refused.map(|sample| (text(sample, "verdict"), sample.value)).collect(),
            requests: observed.map(|sample| (text(sample, "policy"), text(sample, "reason"), sample.value)).collect(),
        }
    }

    fn is_clear(&self) -> bool {
        self.requests.is_empty() && self.unasked.is_empty() && !self.is_unseen() && !self.refuses_handshakes()
    }

    /// Whether a certificate is observed and nobody has shown one yet.
    fn is_unseen(&self) -> bool {
        self.mode == "observe" && self.verified == Some(0)
    }

    /// What observe mode let pass; what `require` refuses is refused already.
    fn refuses_handshakes(&self) -> bool {
        self.mode == "observe" && !self.refused.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.hosts.iter().map(|host| host.host.chars().count()).max().unwrap_or(0).max("host".len());
        writeln!(
            f,
            "{:width$}  {:8}  {:>10}  {:>10}  requests that enforcing would refuse",
            "host", "mode", "verified", "refused"
        )?;
        for host in &self.hosts {
            let refused: u64 = host.refused.iter().map(|(_, count)| count).sum();
            let (verified, refused) = match host.verified {
                Some(verified) => (verified.to_string(), refused.to_string()),
                None => ("-".to_owned(), "-".to_owned()),
            };
            writeln!(f, "{:width$}  {:8}  {verified:>10}  {refused:>10}  {}", host.host, host.mode, requests(host))?;
        }
        for host in self.hosts.iter().filter(|host| host.is_unseen()) {
            writeln!(f, "{}: no certificate was verified yet: there is nothing to go by", host.host)?;
        }
        for host in self.hosts.iter().filter(|host| !host.unasked.is_empty()) {
            writeln!(
                f,
                "{}: no request has got to {} yet: there is nothing to go by",
                host.host,
                host.unasked.join(", ")
            )?;
        }
        for host in self.hosts.iter().filter(|host| !host.refused.is_empty()) {
            let verdicts: Vec<_> = host.refused.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
            writeln!(f, "{}: handshakes with a certificate that is not taken: {}", host.host, verdicts.join(", "))?;
        }
        let verdict = if !self.hosts.iter().any(|host| host.observes) {
            "nothing is in observe mode: what is refused is refused already"
        } else if self.is_clear() {
            "clear: enforcing would have refused nothing of what was seen"
        } else {
            "not clear: find out who they are (the access log names them as `would_refuse`) before you enforce"
        };
        writeln!(f, "{verdict}")
    }
}

fn requests(host: &HostReport) -> String {
    if host.requests.is_empty() {
        return "0".to_owned();
    }
    let total: u64 = host.requests.iter().map(|(_, _, count)| count).sum();
    let reasons = host.requests.iter().map(|(policy, reason, count)| match policy.as_str() {
        ORIGIN_PULL => format!("{reason} {count}"),
        _ => format!("{policy}: {reason} {count}"),
    });
    format!("{total} ({})", reasons.collect::<Vec<_>>().join(", "))
}

/// One line of the exposition, as the gateway's own series are written: no label holds a quote, comma or backslash.
#[derive(Debug)]
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: u64,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.split_once("} ")?;
        Some(Self { name, labels, value: value.parse().ok()? })
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.split(',').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| value.trim_matches('"'))
        })
    }
}
