//! Every series that `/metrics` shows, with its help text: the one place that documents them.

use crate::families::Series;
use crate::labels::{self, Label};

pub(crate) const CONNECTIONS: Series = series(
    "pullgate_connections_total",
    "Accepted sockets by what became of them: admitted; closed before a byte was read: stranger, over_limit; of a balancer: probe (it speaks for nobody), unannounced (no PROXY header in time, or a malformed one).",
    &[labels::LISTENER, labels::CONNECTION_OUTCOME],
);
pub(crate) const CONNECTIONS_OPEN: Series =
    series("pullgate_connections_open", "Admitted connections that are open.", &[labels::LISTENER]);
pub(crate) const KERNEL_FILTER_ACTIVE: Series = series(
    "pullgate_kernel_filter_active",
    "Whether the kernel drops strangers' packets (1), or the gateway alone turns them away (0); absent where `kernel_filter` is off or anybody may connect.",
    &[labels::LISTENER],
);
pub(crate) const KERNEL_FILTER_DROPPED: Series = series(
    "pullgate_kernel_filter_dropped_total",
    "Packets that the kernel dropped on a listening socket with a filter: those of strangers, each repeated SYN among them, and those that found the queue of connections to accept full.",
    &[labels::LISTENER],
);
pub(crate) const HANDSHAKES: Series = series(
    "pullgate_handshakes_total",
    "TLS handshakes by how they ended and whether a session was resumed.",
    &[labels::HOST, labels::HANDSHAKE_OUTCOME, labels::RESUMED],
);
pub(crate) const HANDSHAKE_DURATION: Series =
    series("pullgate_handshake_duration_seconds", "From accept to the end of a completed TLS handshake.", &[]);
pub(crate) const ORIGIN_PULL: Series = series(
    "pullgate_origin_pull_total",
    "Origin-pull certificates by verdict and by what they prove, one for each handshake on a host that asks for them.",
    &[labels::HOST, labels::VERDICT, labels::TRUST],
);
pub(crate) const REQUESTS: Series = series(
    "pullgate_requests_total",
    "Requests by what was answered; code 0 where the connection ended before an answer.",
    &[labels::HOST, labels::ROUTE, labels::METHOD, labels::CODE],
);
pub(crate) const REQUEST_DURATION: Series = series(
    "pullgate_request_duration_seconds",
    "From a request's head to the end of its answer.",
    &[labels::HOST, labels::ROUTE],
);
pub(crate) const POLICY_DECISIONS: Series = series(
    "pullgate_policy_decisions_total",
    "Decisions of each policy: permit, refuse, or would_refuse in observe mode. Policy `gate` is what stands before the policies.",
    &[labels::HOST, labels::POLICY, labels::DECISION, labels::REASON],
);
pub(crate) const VISITOR_DISAGREEMENTS: Series = series(
    "pullgate_visitor_disagreements_total",
    "Requests of believed peers whose headers say two things of the visitor: scheme (X-Forwarded-Proto against CF-Visitor), address (CF-Connecting-IP against the end of X-Forwarded-For). They are not refused for it.",
    &[labels::HOST, labels::DISAGREEMENT],
);
pub(crate) const UPSTREAM_REQUESTS: Series = series(
    "pullgate_upstream_requests_total",
    "Attempts to have a server answer, by how they ended.",
    &[labels::UPSTREAM, labels::SERVER, labels::UPSTREAM_END],
);
pub(crate) const RANGES_PREFIXES: Series = series(
    "pullgate_ranges_prefixes",
    "Prefixes that count as Cloudflare, `ranges.extra` included.",
    &[labels::FAMILY],
);
pub(crate) const RANGES_AGE: Series = series(
    "pullgate_ranges_age_seconds",
    "Since the list of ranges in force was last known to be right: fetched or found unchanged, read from its file, compiled in.",
    &[],
);
pub(crate) const RANGES_SOURCE: Series = series(
    "pullgate_ranges_source",
    "1 for where the list of ranges in force comes from: builtin, file, api, or last_good (fetched by an earlier process).",
    &[labels::SOURCE],
);
pub(crate) const RANGES_REFRESHES: Series = series(
    "pullgate_ranges_refreshes_total",
    "Attempts to fetch the ranges: updated, unchanged, refused (an answer that is no list that could be right), failed (no answer).",
    &[labels::REFRESH_OUTCOME],
);
pub(crate) const ACCESS_KEYS: Series = series(
    "pullgate_access_keys",
    "Keys of a Cloudflare Access team that its tokens are verified with; 0 while none are known, and policy `access` answers 503.",
    &[labels::TEAM],
);
pub(crate) const ACCESS_KEYS_AGE: Series = series(
    "pullgate_access_keys_age_seconds",
    "Since the team last told its keys; after `cloudflare.access.stale_after` they count no more. Absent while none are known.",
    &[labels::TEAM],
);
pub(crate) const ACCESS_KEYS_REFRESHES: Series = series(
    "pullgate_access_keys_refreshes_total",
    "Attempts to fetch a team's keys: updated, unchanged, refused (an answer that is no set of keys), failed (no answer).",
    &[labels::TEAM, labels::REFRESH_OUTCOME],
);
pub(crate) const CERTIFICATE_NOT_AFTER: Series = series(
    "pullgate_certificate_not_after_timestamp_seconds",
    "End of validity: own (what the host shows), trust (a CA of its trust), crl (a revocation list), observed (the origin-pull leaf last accepted).",
    &[labels::EXPIRY_KIND, labels::HOST, labels::SHA256],
);
pub(crate) const CONFIG_GENERATION: Series =
    series("pullgate_config_generation", "The generation of the configuration in force, from 1.", &[]);
pub(crate) const CONFIG_INFO: Series = series(
    "pullgate_config_info",
    "Always 1; the label identifies the configuration in force: its text and what its hosts trust.",
    &[labels::ID],
);
pub(crate) const CONFIG_RELOADS: Series = series(
    "pullgate_config_reloads_total",
    "Attempts to replace the configuration in force: applied, or refused (the one before serves on).",
    &[labels::RELOAD_OUTCOME],
);
pub(crate) const CONFIG_LAST_RELOAD: Series = series(
    "pullgate_config_last_reload_successful",
    "Whether the last attempt to replace the configuration in force was applied (1), or refused (0); 1 before the first.",
    &[],
);
pub(crate) const LOG_DROPPED: Series =
    series("pullgate_log_dropped_total", "Log lines dropped because their output did not keep up.", &[labels::LOG]);
pub(crate) const TRACE_SPANS: Series = series(
    "pullgate_trace_spans_total",
    "Spans of sampled requests: exported (the collector took them), dropped (the queue was full), failed (the collector was not reached, or did not take the batch), rejected (the collector took the batch without them). Absent until `tracing` is on.",
    &[labels::SPAN_OUTCOME],
);
pub(crate) const PANICS: Series = series(
    "pullgate_panics_total",
    "Panics, each a bug, by what they cost: a request, a connection, an accept (one socket), a reload (the configuration before serves on). The process log has the place.",
    &[labels::PANIC_AT],
);
pub(crate) const BUILD_INFO: Series =
    series("pullgate_build_info", "Always 1; the version is the label.", &[labels::VERSION]);

const fn series(name: &'static str, help: &'static str, labels: &'static [Label]) -> Series {
    Series { name, help, labels }
}
