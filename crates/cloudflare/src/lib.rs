//! Client of Cloudflare's API. So far: the address ranges, the formats they are published in and the way to fetch them.

mod client;
pub mod ranges;

pub use client::{Client, ClientError, FetchError, Fetched, Limits};
