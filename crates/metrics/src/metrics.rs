//! The series as they are counted and shown: an event or an outcome in, `/metrics` out.

use crate::events::{
    ConnectionOutcome, Expiry, HandshakeOutcome, PanicAt, RangesOrigin, RefreshOutcome, ReloadOutcome, SpanOutcome,
};
use crate::families::{Family, Register};
use crate::outcome::{Outcome, Seen};
use crate::probes::Probes;
use crate::series;
use http::Method;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};
use pullgate_policy::decide;
use pullgate_policy::origin_pull::{Cause, Verdict};
use pullgate_policy::{Reason, TrustLevel};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The registry and its series. Labels come from the configuration or from closed enums, never from a request.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    families: Arc<[Family]>,
    connections: IntCounterVec,
    connections_open: IntGaugeVec,
    kernel_filter_active: IntGaugeVec,
    kernel_filter_dropped: IntCounterVec,
    handshakes: IntCounterVec,
    handshake_duration: Histogram,
    origin_pull: IntCounterVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    policy_decisions: IntCounterVec,
    visitor_disagreements: IntCounterVec,
    upstream_requests: IntCounterVec,
    ranges_prefixes: IntGaugeVec,
    ranges_age: IntGauge,
    ranges_since: Arc<AtomicU64>,
    ranges_source: IntGaugeVec,
    ranges_refreshes: IntCounterVec,
    access_keys: IntGaugeVec,
    access_keys_age: IntGaugeVec,
    /// When the keys of each team were fetched, in seconds since 1970.
    access_keys_since: Arc<Mutex<HashMap<String, u64>>>,
    access_keys_refreshes: IntCounterVec,
    certificate_not_after: IntGaugeVec,
    config_generation: IntGauge,
    config_info: IntGaugeVec,
    config_reloads: IntCounterVec,
    config_last_reload: IntGauge,
    log_dropped: IntCounterVec,
    trace_spans: IntCounterVec,
    panics: IntCounterVec,
    probes: Probes,
}

/// A series could not be made: a bug, found by the first start.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// The label where a request or connection got to no host or route.
pub(crate) const NONE: &str = "none";

/// The methods that have a label of their own.
pub(crate) const METHODS: [(&Method, &str); 9] = [
    (&Method::GET, "GET"),
    (&Method::HEAD, "HEAD"),
    (&Method::POST, "POST"),
    (&Method::PUT, "PUT"),
    (&Method::DELETE, "DELETE"),
    (&Method::PATCH, "PATCH"),
    (&Method::OPTIONS, "OPTIONS"),
    (&Method::CONNECT, "CONNECT"),
    (&Method::TRACE, "TRACE"),
];

/// The label of the others, as OpenTelemetry has it.
pub(crate) const OTHER_METHOD: &str = "_OTHER";

impl Metrics {
    /// Makes and registers every series.
    ///
    /// # Errors
    /// When two series have one name, which a test excludes.
    pub fn new() -> Result<Self, MetricsError> {
        let mut make = Register::default();
        let metrics = Self {
            connections: make.counter(series::CONNECTIONS)?,
            connections_open: make.gauge(series::CONNECTIONS_OPEN)?,
            kernel_filter_active: make.gauge(series::KERNEL_FILTER_ACTIVE)?,
            kernel_filter_dropped: make.counter(series::KERNEL_FILTER_DROPPED)?,
            handshakes: make.counter(series::HANDSHAKES)?,
            handshake_duration: make.duration(series::HANDSHAKE_DURATION)?,
            origin_pull: make.counter(series::ORIGIN_PULL)?,
            requests: make.counter(series::REQUESTS)?,
            request_duration: make.durations(series::REQUEST_DURATION)?,
            policy_decisions: make.counter(series::POLICY_DECISIONS)?,
            visitor_disagreements: make.counter(series::VISITOR_DISAGREEMENTS)?,
            upstream_requests: make.counter(series::UPSTREAM_REQUESTS)?,
            ranges_prefixes: make.gauge(series::RANGES_PREFIXES)?,
            ranges_age: make.figure(series::RANGES_AGE)?,
            ranges_since: Arc::default(),
            ranges_source: make.gauge(series::RANGES_SOURCE)?,
            ranges_refreshes: make.counter(series::RANGES_REFRESHES)?,
            access_keys: make.gauge(series::ACCESS_KEYS)?,
            access_keys_age: make.gauge(series::ACCESS_KEYS_AGE)?,
            access_keys_since: Arc::default(),
            access_keys_refreshes: make.counter(series::ACCESS_KEYS_REFRESHES)?,
            certificate_not_after: make.gauge(series::CERTIFICATE_NOT_AFTER)?,
            config_generation: make.figure(series::CONFIG_GENERATION)?,
            config_info: make.gauge(series::CONFIG_INFO)?,
            config_reloads: make.counter(series::CONFIG_RELOADS)?,
            config_last_reload: make.figure(series::CONFIG_LAST_RELOAD)?,
            log_dropped: make.counter(series::LOG_DROPPED)?,
            trace_spans: make.counter(series::TRACE_SPANS)?,
            panics: make.counter(series::PANICS)?,
            probes: Probes::default(),
            registry: Registry::new(),
            families: Arc::default(),
        };
        make.gauge(series::BUILD_INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        make.process(ProcessCollector::for_self())?;
        metrics.begin();
        let (registry, families) = make.made();
        Ok(Self { registry, families, ..metrics })
    }

    /// Shows from zero on what an alert compares with its value before the first event.
    fn begin(&self) {
        for at in PanicAt::ALL {
            self.panics.with_label_values(&[at.label()]);
        }
        for outcome in RefreshOutcome::ALL {
            self.ranges_refreshes.with_label_values(&[outcome.label()]);
        }
        for outcome in ReloadOutcome::ALL {
            self.config_reloads.with_label_values(&[outcome.label()]);
        }
        self.config_last_reload.set(1);
    }

    /// What documents each family of series, whether there is one of it yet or not.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// The text exposition, format 0.0.4.
    ///
    /// # Errors
    /// When a series does not encode, which is a bug.
    pub fn render(&self) -> Result<String, MetricsError> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        self.ranges_age.set(signed(now.saturating_sub(self.ranges_since.load(Ordering::Relaxed))));
        for (team, since) in self.access_keys_since().iter() {
            self.access_keys_age.with_label_values(&[team]).set(signed(now.saturating_sub(*since)));
        }
        self.probes.read();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Has figures read before each look at the series.
    pub fn before_each_look(&self, probe: impl Fn() + Send + Sync + 'static) {
        self.probes.add(probe);
    }

    /// Counts an accepted socket.
    pub fn connection(&self, listener: &str, outcome: ConnectionOutcome) {
        self.connections.with_label_values(&[listener, outcome.label()]).inc();
    }

    /// The gauge of a listener's open connections; what becomes of its sockets is counted from zero on.
    #[must_use]
    pub fn open_connections(&self, listener: &str) -> IntGauge {
        for outcome in ConnectionOutcome::ALL {
            self.connections.with_label_values(&[listener, outcome.label()]);
        }
        self.connections_open.with_label_values(&[listener])
    }

    /// Shows whether a listener's kernel filter stands, none where no filter is asked for, and counts what the kernel dropped.
    pub fn kernel_filter(&self, listener: &str, active: Option<bool>, dropped: u64) {
        match active {
            Some(active) => {
                self.kernel_filter_active.with_label_values(&[listener]).set(active.into());
                self.kernel_filter_dropped.with_label_values(&[listener]).inc_by(dropped);
            }
            // Where it was never shown, there is nothing to take away.
            None => drop(self.kernel_filter_active.remove_label_values(&[listener])),
        }
    }

    /// Counts a handshake.
    pub fn handshake(&self, host: Option<&str>, outcome: HandshakeOutcome, resumed: bool) {
        let resumed = if resumed { "true" } else { "false" };
        self.handshakes.with_label_values(&[host.unwrap_or(NONE), outcome.label(), resumed]).inc();
    }

    /// Times a completed handshake.
    pub fn handshake_took(&self, time: Duration) {
        self.handshake_duration.observe(time.as_secs_f64());
    }

    /// Counts a verdict on a host that asks for certificates, with what the connection proves to it.
    pub fn origin_pull(&self, host: &str, verdict: &Verdict, trust: TrustLevel) {
        if *verdict != Verdict::NotRequested {
            self.origin_pull.with_label_values(&[host, verdict.label(), trust.label()]).inc();
        }
    }

    /// Forgets what was counted and shown under a host's former origin-pull rule: it says nothing of the rule in force.
    pub fn forget_origin_pull(&self, host: &str) {
        let verdicts = || Cause::ALL.iter().map(|cause| cause.label()).chain(["verified"]);
        // What was never counted is not there to be forgotten.
        for verdict in verdicts() {
            for trust in TrustLevel::ALL {
                let _ = self.origin_pull.remove_label_values(&[host, verdict, trust.label()]);
            }
        }
        for reason in verdicts().chain(["not_requested", Reason::PlainConnection.label()]) {
            let _ = self.policy_decisions.remove_label_values(&[host, decide::ORIGIN_PULL, "would_refuse", reason]);
        }
        // Nor does the leaf that was seen.
        let _ = self.certificate_not_after.remove_label_values(&["observed", host, ""]);
    }

    /// Forgets what a policy of a host decided in observe mode, under another configuration than the one in force.
    pub fn forget_observed(&self, host: &str, policy: &str) {
        let _ = self.policy_decisions.remove_label_values(&[host, policy, "permit", ""]);
        for reason in Reason::ALL {
            let _ = self.policy_decisions.remove_label_values(&[host, policy, "would_refuse", reason.label()]);
        }
    }

    /// Shows how many prefixes count as Cloudflare.
    pub fn ranges(&self, ipv4: usize, ipv6: usize) {
        for (family, count) in [("ipv4", ipv4), ("ipv6", ipv6)] {
            self.ranges_prefixes.with_label_values(&[family]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Shows where the list of ranges in force comes from, and when it was last known to be right, in seconds since 1970.
    pub fn ranges_from(&self, origin: RangesOrigin, since: u64) {
        for other in RangesOrigin::ALL {
            self.ranges_source.with_label_values(&[other.label()]).set((other == origin).into());
        }
        self.ranges_since.store(since, Ordering::Relaxed);
    }

    /// Counts an attempt to learn the ranges.
    pub fn ranges_refresh(&self, outcome: RefreshOutcome) {
        self.ranges_refreshes.with_label_values(&[outcome.label()]).inc();
    }

    /// Shows how many keys of an Access team are known and when it told them, in seconds since 1970; none where none are known yet.
    pub fn access_keys(&self, team: &str, known: Option<(usize, u64)>) {
        let (count, since) = known.unzip();
        self.access_keys.with_label_values(&[team]).set(i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX));
        if let Some(since) = since {
            self.access_keys_since().insert(team.to_owned(), since);
        }
    }

    /// Counts an attempt to fetch the keys of a team.
    pub fn access_keys_refresh(&self, team: &str, outcome: RefreshOutcome) {
        self.access_keys_refreshes.with_label_values(&[team, outcome.label()]).inc();
    }

    /// Forgets a team that no policy names any more.
    pub fn forget_access_keys(&self, team: &str) {
        self.access_keys_since().remove(team);
        // What was never shown is not there to be forgotten.
        let _ = self.access_keys.remove_label_values(&[team]);
        let _ = self.access_keys_age.remove_label_values(&[team]);
        for outcome in RefreshOutcome::ALL {
            let _ = self.access_keys_refreshes.remove_label_values(&[team, outcome.label()]);
        }
    }

    fn access_keys_since(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.access_keys_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows when the origin-pull leaf last accepted on a host ends, in seconds since 1970.
    pub fn observed_leaf(&self, host: &str, not_after: u64) {
        self.certificate_not_after.with_label_values(&["observed", host, ""]).set(signed(not_after));
    }

    /// Shows the ends of what a configuration names, in place of those of the configuration before.
    pub fn expiries(&self, now: &[Expiry], before: &[Expiry]) {
        for gone in before.iter().filter(|gone| !now.contains(gone)) {
            // It may have been shown twice, by two names of one file.
            let _ = self.certificate_not_after.remove_label_values(&gone.labels());
        }
        for expiry in now {
            self.certificate_not_after.with_label_values(&expiry.labels()).set(signed(expiry.not_after));
        }
    }

    /// Counts an attempt to replace the configuration in force.
    pub fn reload(&self, outcome: ReloadOutcome) {
        self.config_reloads.with_label_values(&[outcome.label()]).inc();
        self.config_last_reload.set((outcome == ReloadOutcome::Applied).into());
    }

    /// Shows the configuration in force: its generation, and its identity in place of the one before.
    pub fn configuration(&self, generation: u64, id: &str, before: Option<&str>) {
        self.config_generation.set(signed(generation));
        self.config_info.with_label_values(&[id]).set(1);
        if let Some(before) = before.filter(|before| *before != id) {
            // It was shown when it came into force.
            let _ = self.config_info.remove_label_values(&[before]);
        }
    }

    /// The counter of lines that a log dropped.
    #[must_use]
    pub fn log_dropped(&self, log: &str) -> IntCounter {
        self.log_dropped.with_label_values(&[log])
    }

    /// The counter of spans that came to an end; all of them are shown from the first call on.
    #[must_use]
    pub fn trace_spans(&self, outcome: SpanOutcome) -> IntCounter {
        for other in SpanOutcome::ALL {
            self.trace_spans.with_label_values(&[other.label()]);
        }
        self.trace_spans.with_label_values(&[outcome.label()])
    }

    /// Counts a panic.
    pub(crate) fn panicked(&self, at: PanicAt) {
        self.panics.with_label_values(&[at.label()]).inc();
    }

    /// Counts a request.
    pub fn request(&self, outcome: &Outcome<'_>) {
        let (host, route) = (outcome.host.unwrap_or(NONE), outcome.route.unwrap_or(NONE));
        let method = method_label(outcome.seen.as_ref());
        let mut code = itoa(outcome.status);
        self.requests.with_label_values(&[host, route, method, code.text()]).inc();
        self.request_duration.with_label_values(&[host, route]).observe(outcome.duration.as_secs_f64());
        self.decisions(outcome);
        for what in outcome.disagreements {
            self.visitor_disagreements.with_label_values(&[host, what.label()]).inc();
        }
        for used in outcome.passed_over.iter().chain(&outcome.upstream) {
            self.upstream_requests.with_label_values(&[used.upstream, used.server, used.end.label()]).inc();
        }
    }

    fn decisions(&self, outcome: &Outcome<'_>) {
        let host = outcome.host.unwrap_or(NONE);
        let count = |policy: &str, decision: &str, reason: &str| {
            self.policy_decisions.with_label_values(&[host, policy, decision, reason]).inc();
        };
        // What was let pass by a rule of a former generation says nothing of the one in force, which is counted from its first request.
        let is_current = signed(outcome.generation) == self.config_generation.get();
        for observed in outcome.observed.iter().filter(|_| is_current) {
            count(&observed.policy, "would_refuse", observed.reason);
        }
        let refusing = outcome.denial.map(|denial| denial.policy.as_deref().unwrap_or("gate"));
        if let (Some(policy), Some(denial)) = (refusing, outcome.denial) {
            count(policy, "refuse", denial.label);
        }
        for policy in &outcome.asked {
            let observed = outcome.observed.iter().any(|observed| &*observed.policy == *policy);
            if !observed && refusing != Some(policy) {
                count(policy, "permit", "");
            }
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A status as text, without an allocation.
fn itoa(status: u16) -> Digits {
    Digits { bytes: [0; 5], status }
}

struct Digits {
    bytes: [u8; 5],
    status: u16,
}

impl Digits {
    fn text(&mut self) -> &str {
        let mut at = self.bytes.len();
        let mut rest = self.status;
        loop {
            at -= 1;
            self.bytes[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        std::str::from_utf8(&self.bytes[at..]).unwrap_or(NONE)
    }
}

/// One of the registered methods, or `_OTHER`.
pub(crate) fn method_label(seen: Option<&Seen<'_>>) -> &'static str {
    let Some(seen) = seen else { return NONE };
    METHODS.iter().find(|(method, _)| *method == seen.method).map_or(OTHER_METHOD, |(_, label)| label)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn every_series_registers_and_statuses_are_written() {
        let metrics = Metrics::new().unwrap();
        metrics.handshake(None, HandshakeOutcome::UnknownName, false);
        let text = metrics.render().unwrap();
        assert!(
            text.contains(r#"pullgate_handshakes_total{host="none",outcome="unknown_name",resumed="false"} 1"#),
            "{text}"
        );
        assert!(text.contains("process_resident_memory_bytes"));
        for status in [0u16, 7, 200, 421, 65535] {
            assert_eq!(itoa(status).text(), status.to_string());
        }
    }

    #[test]
    fn what_alerts_compare_is_there_from_zero_on() {
        let metrics = Metrics::new().unwrap();
        let _ = metrics.open_connections("https");
        let text = metrics.render().unwrap();
        for series in [
            r#"pullgate_connections_total{listener="https",outcome="over_limit"}"#,
            r#"pullgate_connections_total{listener="https",outcome="stranger"}"#,
            r#"pullgate_ranges_refreshes_total{outcome="refused"}"#,
            r#"pullgate_config_reloads_total{outcome="refused"}"#,
            r#"pullgate_panics_total{at="request"}"#,
        ] {
            assert!(text.contains(&format!("{series} 0\n")), "{series} in {text}");
        }
    }

    #[test]
    fn the_last_reload_is_told() {
        let metrics = Metrics::new().unwrap();
        let says = |value: u8| {
            let line = format!("pullgate_config_last_reload_successful {value}\n");
            assert!(metrics.render().unwrap().contains(&line), "{line}");
        };
        says(1);
        metrics.reload(ReloadOutcome::Refused);
        says(0);
        metrics.reload(ReloadOutcome::Applied);
        says(1);
    }
}
