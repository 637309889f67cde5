//! HTTP, and the only crate that names Pingora: an arrival becomes a Pingora stream, a session becomes facts, a permit an upstream
//! request, a denial a response.

mod answer;
mod connection;
mod exchange;
mod gatekeeper;
mod serve;
mod site;

pub use serve::{Http, HttpSettings, Timeouts};
pub use site::{Server, ServerAddress, Site, Sites, Upstream, UpstreamTimeouts};
