//! HTTP, and the only crate that names Pingora: an arrival becomes a Pingora stream, a session becomes facts, a permit an upstream
//! request, a denial a response.

mod answer;
mod body;
mod carried;
mod connection;
mod exchange;
mod frames;
mod gatekeeper;
mod limits;
mod moment;
mod replies;
mod serve;
mod site;
mod under_way;
mod witness;

pub use limits::HttpLimits;
pub use serve::{Http, HttpSettings};
pub use site::{Server, ServerAddress, Site, Sites, Upstream, UpstreamTimeouts};
