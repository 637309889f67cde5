//! Client of Cloudflare's API. So far: the address ranges and the keys of Access teams, the formats they are published in and the way to
//! fetch them. That way, [`Client::open`], is the one way out of the gateway besides upstreams.

mod client;
pub mod keys;
pub mod ranges;

pub use client::{AGENT, Client, ClientError, Duplex, FetchError, Fetched, Limits, Wire};
