//! Facts in, permit or denial out: everything Pullgate decides, without I/O, without a clock, without a global.
//!
//! The journey of one request through this crate:
//!
//! 1. the front door turns an accepted socket into [`Connection`] facts, with the origin-pull [`Verdict`](origin_pull::Verdict) among them;
//! 2. the proxy adds the [`Request`] facts and the present time to make [`Facts`];
//! 3. [`Rules::decide`] answers with a [`Permit`], the only way to an upstream, or a [`Denial`].

pub mod access;
pub mod admission;
pub mod decide;
pub mod denial;
pub mod disagreement;
pub mod distinguished_name;
pub mod facts;
pub mod features;
pub mod framing;
pub mod head;
pub mod headers;
pub mod hosts;
pub mod networks;
pub mod origin_pull;
pub mod packet_filter;
pub mod policies;
pub mod proxy_header;
pub mod ranges;
pub mod request;
pub mod response;
pub mod routes;
pub mod secrets;
pub mod target;
pub mod template;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod testing;
pub mod trace_context;
pub mod visitor;
pub mod visitor_certificate;

pub use admission::{Admission, Admissions};
pub use decide::{Action, Observed, Permit, Rules, Ruling};
pub use denial::{Denial, Reason};
pub use disagreement::Disagreement;
pub use facts::{Connection, Facts, Peer, Request, RequestId, Security, Source, TlsFacts, TrustLevel};
pub use features::{Feature, Features};
pub use headers::{HeaderEdits, HeaderRules};
pub use hosts::{Host, HostName, HostPattern, HostTable};
pub use networks::Networks;
pub use origin_pull::OriginPull;
pub use policies::{Asked, Attached, Mode, Policy};
pub use routes::{PathPattern, Route, RouteAction, RouteProtocol};
pub use trace_context::{Caller, Sample, SpanId, TraceContext, TraceId};
pub use visitor::{Visitor, VisitorRule};
pub use visitor_certificate::{CertificateClaim, CertificateFields};
