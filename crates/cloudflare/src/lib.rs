//! Client of Cloudflare's API. So far: the address ranges and the keys of Access teams, the formats they are published in and the way to
//! fetch them.

mod client;
pub mod keys;
pub mod ranges;

pub use client::{Client, ClientError, FetchError, Fetched, Limits};
