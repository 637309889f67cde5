//! The labels of the series, and what each may hold: names of the configuration, or words of a closed set.

use crate::events::{
    ConnectionOutcome, ExpiryKind, HandshakeOutcome, PanicAt, RangesOrigin, RefreshOutcome, ReloadOutcome, SpanOutcome,
};
use crate::metrics::{METHODS, NONE, OTHER_METHOD};
use crate::outcome::UpstreamEnd;
use pullgate_policy::origin_pull::Cause;
use pullgate_policy::{Disagreement, Reason, TrustLevel};

/// A label, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Where its values come from.
    pub values: Values,
}

/// Where the values of a label come from.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// What the configuration, the build or a file names, in words.
    Named(&'static str),
    /// A closed set; without a value where it holds the empty word.
    OneOf(fn() -> Vec<&'static str>),
}

const fn named(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::Named(what) }
}

const fn one_of(name: &'static str, words: fn() -> Vec<&'static str>) -> Label {
    Label { name, values: Values::OneOf(words) }
}

pub(crate) const LISTENER: Label = named("listener", "`name` of a listener");
pub(crate) const HOST: Label = named("host", "`name` of a host; `none` where it got to no host");
pub(crate) const ROUTE: Label = named("route", "`name` of a route; `none` where it got to no route");
pub(crate) const CODE: Label = named("code", "status of the answer; `0` where the connection ended before one");
pub(crate) const POLICY: Label =
    named("policy", "`name` of a policy, or its kind; `gate` for what stands before them, `origin-pull` for that rule");
pub(crate) const UPSTREAM: Label = named("upstream", "name of an upstream");
pub(crate) const SERVER: Label = named("server", "one of the upstream's `servers`");
pub(crate) const TEAM: Label = named("team", "name of an Access team");
pub(crate) const SHA256: Label =
    named("sha256", "first sixteen digits of the fingerprint of the DER; empty for `observed`");
pub(crate) const ID: Label = named("id", "a hash over the configuration's text and what its hosts trust");
pub(crate) const VERSION: Label = named("version", "version of the program");
pub(crate) const METHOD: Label =
    one_of("method", || METHODS.iter().map(|(_, label)| *label).chain([OTHER_METHOD, NONE]).collect());
pub(crate) const DECISION: Label = one_of("decision", || vec!["permit", "refuse", "would_refuse"]);
pub(crate) const REASON: Label = one_of("reason", || {
    let reasons = Reason::ALL.iter().map(|reason| reason.label());
    // The origin-pull rule has closer words where it can.
    [""].into_iter().chain(reasons).chain(["not_requested"]).chain(verdicts()).collect()
});
pub(crate) const VERDICT: Label = one_of("verdict", || verdicts().collect());
pub(crate) const TRUST: Label = one_of("trust", || TrustLevel::ALL.map(TrustLevel::label).to_vec());
pub(crate) const DISAGREEMENT: Label = one_of("what", || Disagreement::ALL.map(Disagreement::label).to_vec());
pub(crate) const RESUMED: Label = one_of("resumed", || vec!["true", "false"]);
pub(crate) const FAMILY: Label = one_of("family", || vec!["ipv4", "ipv6"]);
pub(crate) const SOURCE: Label = one_of("source", || RangesOrigin::ALL.map(RangesOrigin::label).to_vec());
pub(crate) const EXPIRY_KIND: Label =
    one_of("kind", || ExpiryKind::ALL.map(ExpiryKind::label).into_iter().chain(["observed"]).collect());
pub(crate) const LOG: Label = one_of("log", || vec!["access", "process"]);
pub(crate) const PANIC_AT: Label = one_of("at", || PanicAt::ALL.map(PanicAt::label).to_vec());
pub(crate) const CONNECTION_OUTCOME: Label =
    one_of("outcome", || ConnectionOutcome::ALL.map(ConnectionOutcome::label).to_vec());
pub(crate) const HANDSHAKE_OUTCOME: Label =
    one_of("outcome", || HandshakeOutcome::ALL.map(HandshakeOutcome::label).to_vec());
pub(crate) const UPSTREAM_END: Label = one_of("outcome", || UpstreamEnd::ALL.map(UpstreamEnd::label).to_vec());
pub(crate) const REFRESH_OUTCOME: Label = one_of("outcome", || RefreshOutcome::ALL.map(RefreshOutcome::label).to_vec());
pub(crate) const RELOAD_OUTCOME: Label = one_of("outcome", || ReloadOutcome::ALL.map(ReloadOutcome::label).to_vec());
pub(crate) const SPAN_OUTCOME: Label = one_of("outcome", || SpanOutcome::ALL.map(SpanOutcome::label).to_vec());

fn verdicts() -> impl Iterator<Item = &'static str> {
    ["verified"].into_iter().chain(Cause::ALL.iter().map(|cause| cause.label()))
}
