//! HTTP, and the only crate that names Pingora: an arrival becomes a Pingora stream, a session becomes facts, a permit an upstream
//! request, a denial a response.

mod answer;
mod connection;
mod exchange;
mod gatekeeper;
mod limits;
mod serve;
mod site;

pub use limits::HttpLimits;
pub use serve::{Http, HttpSettings};
pub use site::{Server, ServerAddress, Site, Sites, Upstream, UpstreamTimeouts};
