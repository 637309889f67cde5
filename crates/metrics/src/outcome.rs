//! The outcome of one request: everything that series, access log and span are made from.

use crate::about::About;
use crate::tracer::Tracer;
use http::{HeaderMap, Method};
use pullgate_policy::{Connection, Denial, Disagreement, Observed, RequestId, TraceContext, TrustLevel, Visitor};
use std::time::{Duration, SystemTime};

/// A request as it was seen, judged and answered.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The connection it came on.
    pub connection: &'a Connection,
    /// What log lines and spans say of it.
    pub about: &'a About,
    /// The request as received; none where no head could be read.
    pub seen: Option<Seen<'a>>,
    /// The host's label.
    pub host: Option<&'a str>,
    /// The route's label.
    pub route: Option<&'a str>,
    /// Labels of the policies that were asked, in order.
    pub asked: Vec<&'a str>,
    /// The refusal, where there was one.
    pub denial: Option<&'a Denial>,
    /// Refusals that observe mode let pass.
    pub observed: &'a [Observed],
    /// What the headers of a believed peer disagree on.
    pub disagreements: &'a [Disagreement],
    /// The visitor, where one was found.
    pub visitor: Option<Visitor>,
    /// What the connection proved.
    pub trust: TrustLevel,
    /// The status that was answered; 0 where the connection ended before.
    pub status: u16,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// Servers that could not be reached, before the one that was used.
    pub passed_over: Vec<Used<'a>>,
    /// The server that was used, or tried last.
    pub upstream: Option<Used<'a>>,
    /// The request's identity.
    pub id: RequestId,
    /// The request's place in a trace; none where tracing is off.
    pub traced: Option<Traced<'a>>,
    /// The generation of the configuration that judged it.
    pub generation: u64,
    /// When its head had arrived.
    pub started: SystemTime,
    /// From there to the end of the answer.
    pub duration: Duration,
    /// Bytes of request body received.
    pub request_bytes: u64,
    /// Bytes of response body sent.
    pub response_bytes: u64,
}

/// A request's place in a trace, and who is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Traced<'a> {
    /// The place.
    pub context: TraceContext,
    /// Who is told, where the request is sampled.
    pub tracer: &'a Tracer,
}

/// A request head, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The method.
    pub method: &'a Method,
    /// `:authority` or Host.
    pub authority: &'a [u8],
    /// Path and query, raw.
    pub target: &'a [u8],
    /// HTTP version as OpenTelemetry writes it: `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// The fields.
    pub headers: &'a HeaderMap,
}

/// The server that a request went to.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// The server's label.
    pub server: &'a str,
    /// How it went.
    pub end: UpstreamEnd,
}

/// How an exchange with a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamEnd {
    /// With a whole answer.
    Answered,
    /// No connection could be made.
    Unreachable,
    /// It took longer than the upstream's time-outs allow.
    TimedOut,
    /// The connection broke, or the answer was no HTTP.
    Broken,
    /// The client went away first.
    Abandoned,
}

impl UpstreamEnd {
    /// Every end there is.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Unreachable, Self::TimedOut, Self::Broken, Self::Abandoned];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Abandoned => "abandoned",
        }
    }
}
