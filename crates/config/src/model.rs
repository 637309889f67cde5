//! The resolved configuration: every name looked up, every value typed, nothing left to check.

use http::Uri;
use ipnet::IpNet;
use pullgate_policy::hosts::HostName;
use pullgate_policy::ranges::Partner;
use pullgate_policy::{self as policy, Networks, Sample};
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole configuration.
#[derive(Debug)]
pub struct Config {
    /// SHA-256 of the text that it was read from.
    pub text: [u8; 32],
    /// Threads, drain, pools.
    pub runtime: Runtime,
    /// The admin listener.
    pub admin: Admin,
    /// Process log and access log.
    pub log: Log,
    /// Where traces go; none for off.
    pub tracing: Option<Tracing>,
    /// What counts as Cloudflare.
    pub cloudflare: Cloudflare,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// TLS for all hosts.
    pub tls: Tls,
    /// The hosts, in order; their names and hostnames do not clash.
    pub hosts: Vec<Host>,
    /// The upstreams, in order; routes name them by index.
    pub upstreams: Vec<Upstream>,
}

/// Section `runtime`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Threads; none for one per core.
    pub workers: Option<NonZeroUsize>,
    /// How long open requests may finish after SIGTERM.
    pub drain: Duration,
    /// Idle upstream connections kept, all upstreams together.
    pub upstream_idle: usize,
    /// What outlives the process: the control socket.
    pub state_dir: PathBuf,
    /// Whether the configuration is loaded again when it, or a file that it names, has changed.
    pub watch: bool,
}

/// Section `cloudflare`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflare {
    /// Where the list of ranges comes from.
    pub source: RangesSource,
    /// The list to begin with: from the file, or compiled in until another one is known.
    pub list: Vec<IpNet>,
    /// What counts as Cloudflare besides the list.
    pub extra: Vec<IpNet>,
    /// How the keys of Access teams are kept.
    pub access: AccessRefresh,
}

impl Cloudflare {
    /// All that counts as Cloudflare to begin with.
    #[must_use]
    pub fn networks(&self) -> Networks {
        Networks::new(self.list.iter().chain(&self.extra).copied())
    }
}

/// Where the list of ranges comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangesSource {
    /// It is compiled in.
    Builtin,
    /// From a file, which is read whenever the configuration is.
    File(PathBuf),
    /// From Cloudflare's API, or a mirror of it, again and again.
    Api(RangesFeed),
}

/// Where ranges are fetched, and how they come into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangesFeed {
    /// `https`, or `http` on this machine.
    pub url: Uri,
    /// The networks of partners that count too.
    pub partners: Vec<Partner>,
    /// Between two fetches.
    pub refresh: Duration,
    /// How long a prefix counts after it was removed.
    pub removal_grace: Duration,
}

impl Default for RangesFeed {
    /// Cloudflare's own API, which asks for no token; the list changes a few times a year.
    fn default() -> Self {
        Self {
            url: Uri::from_static("https://api.cloudflare.com/client/v4/ips"),
            partners: Vec::new(),
            refresh: Duration::from_secs(60 * 60),
            removal_grace: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// How the keys of Access teams are kept fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRefresh {
    /// Between two fetches.
    pub refresh: Duration,
    /// How long keys count without news of them.
    pub stale_after: Duration,
}

impl Default for AccessRefresh {
    /// A team has a new key every six weeks, and the one before for a week more.
    fn default() -> Self {
        Self { refresh: Duration::from_secs(60 * 60), stale_after: Duration::from_secs(24 * 60 * 60) }
    }
}

/// Section `admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where `/metrics`, `/-/healthy` and `/-/ready` are served.
    pub address: SocketAddr,
}

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least severity of the process log.
    pub level: LogLevel,
    /// How both logs are written.
    pub format: LogFormat,
    /// Where the access log goes.
    pub access: AccessLog,
    /// Query parameters whose values are not written.
    pub redact_query: Vec<String>,
}

/// Severity of the process log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
    /// A file, appended to.
    File(PathBuf),
}

/// What the gateway adds to the URL of a collector (OTLP specification, "OTLP/HTTP Request").
pub const TRACES_PATH: &str = "/v1/traces";

/// Section `tracing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// A collector that takes OTLP over HTTP: `http` or `https`, without the path `/v1/traces`.
    pub otlp: Uri,
    /// How many requests are sampled.
    pub sample: Sample,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its label.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: ListenAddress,
    /// Which hosts it serves.
    pub hosts: ServedHosts,
    /// With TLS or without.
    pub protocol: Protocol,
    /// Whether an IPv6 address takes IPv6 connections alone.
    pub ipv6_only: bool,
    /// Who may connect.
    pub sources: Sources,
    /// Whether the kernel drops everybody else.
    pub kernel_filter: KernelFilter,
    /// Whose PROXY header is believed, and required; none where connections come by themselves.
    pub proxy_protocol: Option<Networks>,
    /// What its connections may take.
    pub limits: Limits,
}

/// Where a listener's socket comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// It is opened at an address; port 0 takes a free one.
    Open(SocketAddr),
    /// It is passed to the process under this name (systemd.socket(5), `FileDescriptorName=`).
    Inherited(Arc<str>),
}

/// Which hosts a listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServedHosts {
    /// All of them.
    All,
    /// These.
    Only(Vec<HostName>),
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TLS, with HTTP/2 where `tls.http2` allows it.
    Https,
    /// Plain HTTP/1.1.
    Http,
}

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// Addresses that count as Cloudflare.
    Cloudflare,
    /// Anybody.
    Any,
    /// These networks.
    Networks(Networks),
}

/// Whether the kernel drops the packets of those who may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelFilter {
    /// It does not.
    Off,
    /// Where it can.
    Auto,
    /// Or the gateway does not start.
    Require,
}

/// What the connections of a listener may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at a time.
    pub connections: NonZeroUsize,
    /// The same for one source: an IPv4 address, or a /64 of IPv6.
    pub connections_per_source: Option<NonZeroUsize>,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request head to its last.
    pub header_timeout: Duration,
    /// Between two reads of a request body.
    pub body_timeout: Duration,
    /// Between two writes to a client.
    pub write_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Bytes of a request head; with HTTP/2, of its decoded fields.
    pub header_bytes: u64,
    /// Fields of a request head.
    pub header_count: u32,
    /// Streams that a client may have open on one HTTP/2 connection.
    pub http2_streams: u32,
    /// Requests after which a connection ends.
    pub requests_per_connection: Option<NonZeroU64>,
}

/// Section `tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls {
    /// Whether TLS 1.2 is offered.
    pub tls12: bool,
    /// Whether TLS 1.3 is offered.
    pub tls13: bool,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// One host.
#[derive(Debug)]
pub struct Host {
    /// What it demands and where it sends requests.
    pub rule: policy::Host,
    /// Its certificates, each with a key of another kind; none where no `https` listener serves it.
    pub certificates: Vec<Certificate>,
}

/// A certificate chain and its key, read and found to fit each other.
#[derive(Clone)]
pub struct Certificate {
    /// Where the chain was read from.
    pub chain_path: PathBuf,
    /// PEM, leaf first.
    pub chain: Vec<u8>,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: Vec<u8>,
    /// The OCSP answer to staple, DER.
    pub ocsp: Option<Vec<u8>>,
}

impl std::fmt::Debug for Certificate {
    /// Shows the path alone: a key is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("chain_path", &self.chain_path).finish_non_exhaustive()
    }
}

/// A group of servers that routes send requests to.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Its servers, taken in turn.
    pub servers: Vec<Server>,
    /// Its time-outs.
    pub timeouts: UpstreamTimeouts,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A name or address with a port, resolved when the configuration is loaded.
    Tcp {
        /// As written: the label in metrics.
        label: Arc<str>,
        /// The addresses it resolves to; the first is used.
        address: SocketAddr,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// The time-outs of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// To establish a connection.
    pub connect: Duration,
    /// Between two reads of a response.
    pub read: Duration,
    /// Between two writes of a request.
    pub write: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}
