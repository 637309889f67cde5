//! Pullgate as a library: [`load`] a configuration, [`Gateway::start`] it, and everything around it that has effects.

mod admin;
mod demo;
mod gateway;
mod harden;
mod healthcheck;
mod heartbeat;
mod kernel_filters;
mod listeners;
mod logging;
mod reload;
mod signals;
mod snapshot;
mod sockets;
mod threads;
mod world;
mod would_refuse;

pub use demo::{Demo, DemoError};
pub use gateway::{Gateway, StartError};
pub use harden::harden;
pub use healthcheck::{AdminError, healthcheck};
pub use heartbeat::Heartbeat;
pub use listeners::SocketError;
pub use logging::LogFile;
pub use reload::{ReloadError, Reloaded, Succession};
pub use signals::{Signals, Told};
pub use snapshot::{Snapshot, SnapshotError};
pub use sockets::Sockets;
pub use world::{LoadError, Loaded, System, Warnings, load};
pub use would_refuse::{HostReport, Report, WouldRefuseError, would_refuse};
