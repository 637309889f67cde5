//! What is seen from outside: one [`Outcome`] becomes Prometheus series and one access-log line.

mod about;
mod access_log;
mod date;
mod events;
mod families;
mod labels;
mod outcome;
mod panics;
mod probes;
mod series;
mod sink;

pub use about::About;
pub use access_log::{AccessLog, Form};
pub use date::Date;
pub use events::{
    ConnectionOutcome, Expiry, ExpiryKind, HandshakeOutcome, PanicAt, RangesOrigin, RefreshOutcome, ReloadOutcome,
};
pub use families::{Family, Kind};
pub use labels::{Label, Values};
pub use outcome::{Outcome, Seen, UpstreamEnd, Used};
pub use prometheus::IntGauge as OpenGauge;
pub use series::{Metrics, MetricsError};
pub use sink::Sink;
