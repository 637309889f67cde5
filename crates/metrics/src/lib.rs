//! What is seen from outside: one [`Outcome`] becomes Prometheus series and one access-log line.

mod access_log;
mod outcome;
mod series;
mod sink;

pub use access_log::{AccessLog, Form};
pub use outcome::{Outcome, Seen, UpstreamEnd, Used};
pub use prometheus::IntGauge as OpenGauge;
pub use series::{CertificateKind, ConnectionOutcome, HandshakeOutcome, Metrics, MetricsError};
pub use sink::Sink;
