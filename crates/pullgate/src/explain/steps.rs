//! An explanation: one step for each layer that a request comes to, and how it ends.

use http::HeaderName;
use pullgate_config::Places;
use pullgate_policy::{Action, Denial, Permit};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// What every layer would decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The layers, in the order in which they are asked.
    pub steps: Vec<Step>,
    /// How it ends.
    pub outcome: Outcome,
}

/// What one layer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The layer.
    pub layer: &'static str,
    /// What it decides.
    pub verdict: Verdict,
    /// Why.
    pub what: String,
    /// The key of the configuration that says so.
    pub key: String,
    /// Where that key stands; none where a default is in force.
    pub line: Option<usize>,
}

/// What a layer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// On to the next.
    Pass,
    /// In observe mode: counted, and on to the next.
    Observe,
    /// The end.
    Refuse,
    /// The end came before it.
    Unasked,
}

/// How a request ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Outcome {
    /// Before there was a request.
    Closed {
        /// What the client sees.
        how: &'static str,
    },
    /// With a status.
    Refuse {
        /// The status.
        status: u16,
        /// The reason, as logs and metrics have it.
        reason: &'static str,
        /// The policy that refused, by its label.
        policy: Option<String>,
    },
    /// At an upstream.
    Forward {
        /// Its name.
        upstream: String,
        /// The target, where a prefix is cut off.
        target: Option<String>,
        /// The fields that are removed on the way.
        removed: Vec<String>,
        /// The fields that are set: with their values where the gateway chooses them, without where the configuration does.
        set: Vec<String>,
    },
    /// With an answer of the gateway's own.
    Respond {
        /// The status.
        status: u16,
        /// `Location`.
        location: Option<String>,
    },
}

/// The layers that are asked, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Source,
    Handshake,
    OriginPull,
    Head,
    Host,
    Visitor,
    Route,
    Policy,
}

impl Layer {
    const fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Handshake => "handshake",
            Self::OriginPull => "origin pull",
            Self::Head => "head",
            Self::Host => "host",
            Self::Visitor => "visitor",
            Self::Route => "route",
            Self::Policy => "policy",
        }
    }
}

/// An explanation while it grows.
#[derive(Debug)]
pub(super) struct Trail {
    places: Places,
    steps: Vec<Step>,
}

/// Fields whose values the gateway chooses; those that a configuration sets may be secrets of the upstream's.
const OWN: [&str; 6] =
    ["cf-connecting-ip", "forwarded", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

impl Trail {
    pub(super) fn new(places: Places) -> Self {
        Self { places, steps: Vec::new() }
    }

    pub(super) fn add(&mut self, layer: Layer, verdict: Verdict, what: String, key: &str) {
        let line = self.places.find(key).map(|at| at.line);
        self.steps.push(Step { layer: layer.label(), verdict, what, key: key.to_owned(), line });
    }

    pub(super) fn closed(self, how: &'static str) -> Explanation {
        self.end(Outcome::Closed { how })
    }

    pub(super) fn refused(self, denial: &Denial) -> Explanation {
        let policy = denial.policy.as_deref().map(str::to_owned);
        let status = denial.reason.status().as_u16();
        self.end(Outcome::Refuse { status, reason: denial.label, policy })
    }

    pub(super) fn permitted(self, permit: &Permit, upstreams: &[Arc<str>]) -> Explanation {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.end(match permit.action() {
            Action::Forward { upstream, target, edits } => Outcome::Forward {
                upstream: upstreams.get(*upstream).map(ToString::to_string).unwrap_or_default(),
                target: target.as_deref().map(text),
                removed: edits.remove.iter().map(HeaderName::to_string).collect(),
                set: edits
                    .set
                    .iter()
                    .map(|(name, value)| match OWN.contains(&name.as_str()) {
                        true => format!("{name}: {}", text(value.as_bytes())),
                        false => name.to_string(),
                    })
                    .collect(),
            },
            Action::Respond { status, location } => Outcome::Respond {
                status: status.as_u16(),
                location: location.as_ref().map(|location| text(location.as_bytes())),
            },
        })
    }

    fn end(self, outcome: Outcome) -> Explanation {
        Explanation { steps: self.steps, outcome }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { layer, verdict, what, line, key } in &self.steps {
            let mark = match verdict {
                Verdict::Pass => "✓",
                Verdict::Observe => "~",
                Verdict::Refuse => "✗",
                Verdict::Unasked => " ",
            };
            write!(f, "{mark} {layer:<12} {}", printable(what))?;
            match line {
                Some(line) => writeln!(f, "  (line {line}: {key})")?,
                None => writeln!(f)?,
            }
        }
        write!(f, "\n{}", self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { how } => writeln!(f, "refused: {how}"),
            Self::Refuse { status, reason, policy: None } => writeln!(f, "refused: {status}, reason {reason}"),
            Self::Refuse { status, reason, policy: Some(policy) } => {
                writeln!(f, "refused: {status}, reason {reason}, policy {policy}")
            }
            Self::Respond { status, location } => {
                let location = location.as_ref().map(|location| format!(", Location: {}", printable(location)));
                writeln!(f, "answered by the gateway itself: {status}{}", location.unwrap_or_default())
            }
            Self::Forward { upstream, target, removed, set } => {
                let target = target.as_ref().map(|target| format!(", as {}", printable(target)));
                writeln!(f, "forwarded to upstream `{upstream}`{}", target.unwrap_or_default())?;
                removed.iter().try_for_each(|name| writeln!(f, "  - {name}"))?;
                set.iter().try_for_each(|field| writeln!(f, "  = {}", printable(field)))
            }
        }
    }
}

/// What a request brings could rewrite what a terminal shows around it.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
