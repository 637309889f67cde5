//! Client of Cloudflare's API. So far: the formats in which Cloudflare publishes its address ranges.

pub mod ranges;
