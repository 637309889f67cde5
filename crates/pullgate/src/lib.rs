//! Pullgate as a library: [`load`] a configuration, [`Gateway::start`] it, and everything around it that has effects.

mod admin;
mod demo;
mod gateway;
mod healthcheck;
mod logging;
mod snapshot;
mod threads;
mod world;

pub use demo::{Demo, DemoError};
pub use gateway::{Gateway, StartError};
pub use healthcheck::{Unhealthy, healthcheck};
pub use snapshot::{Snapshot, SnapshotError};
pub use world::{LoadError, Loaded, System, Warnings, load};
