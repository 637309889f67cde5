//! What is seen from outside: one [`Outcome`] becomes Prometheus series, one access-log line and, where tracing is on, one span.

mod about;
mod access_log;
mod date;
mod events;
mod families;
mod labels;
mod line;
mod metrics;
mod otlp;
mod outcome;
mod panics;
mod probes;
mod series;
mod sink;
mod span;
mod span_queue;
mod tracer;

pub use about::About;
pub use access_log::{AccessLog, Form};
pub use date::Date;
pub use events::{
    ConnectionOutcome, Expiry, ExpiryKind, HandshakeOutcome, PanicAt, RangesOrigin, RefreshOutcome, ReloadOutcome,
    SpanOutcome,
};
pub use families::{Family, Kind};
pub use labels::{Label, Values};
pub use metrics::{Metrics, MetricsError};
pub use otlp::{Receipt, Service};
pub use outcome::{Outcome, Seen, Traced, UpstreamEnd, Used};
pub use prometheus::IntGauge as OpenGauge;
pub use sink::Sink;
pub use span_queue::{Batch, SpanQueue, Spans};
pub use tracer::Tracer;
