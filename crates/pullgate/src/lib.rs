//! Pullgate as a library: [`load`] a configuration, [`Gateway::start`] it, and everything around it that has effects.

mod admin;
mod demo;
mod gateway;
mod healthcheck;
mod listeners;
mod logging;
mod ranges;
mod reload;
mod signals;
mod snapshot;
mod sockets;
pub mod state_dir;
mod threads;
mod world;
mod would_refuse;

pub use demo::{Demo, DemoError};
pub use gateway::{Gateway, StartError};
pub use healthcheck::{AdminError, healthcheck};
pub use listeners::SocketError;
pub use ranges::{Difference, DifferenceError, RangesReport, RangesReportError, difference, ranges_in_force};
pub use reload::{ReloadError, Reloaded, Succession};
pub use signals::{Signals, Told};
pub use snapshot::{Snapshot, SnapshotError};
pub use sockets::Sockets;
pub use world::{LoadError, Loaded, System, Warnings, load};
pub use would_refuse::{HostReport, Report, WouldRefuseError, would_refuse};
