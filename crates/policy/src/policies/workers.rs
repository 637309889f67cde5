//! `workers`: which zones' Cloudflare Workers may call.
//!
//! ```yaml
//! policies:
//!   - {kind: workers, zones: [example.com]}
//! ```
//!
//! A Worker of any account can send requests from Cloudflare's addresses; on each of them the edge sets `CF-Worker` to the zone
//! that owns the Worker (<https://developers.cloudflare.com/fundamentals/reference/http-headers/#cf-worker>). A request without
//! the field comes from no Worker and passes. With `zones: []` no Worker may call.

use super::{Asked, Policy};
use crate::denial::Reason;
use crate::hosts::normal_name;

/// Refuses requests of Workers whose zone is not listed.
#[derive(Debug)]
pub struct Workers {
    zones: Vec<String>,
}

impl Workers {
    /// Workers of these zones may call; the names are as [`normal_name`] writes them.
    #[must_use]
    pub fn new(zones: Vec<String>) -> Self {
        Self { zones }
    }
}

impl Policy for Workers {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        let mut values = asked.facts.request.headers.get_all("cf-worker").iter();
        let zone = match (values.next(), values.next()) {
            (None, _) => return Ok(()),
            (Some(value), None) => value.to_str().ok().and_then(normal_name).ok_or(Reason::WorkerMalformed)?,
            (Some(_), Some(_)) => return Err(Reason::WorkerMalformed),
        };
        if self.zones.contains(&zone) { Ok(()) } else { Err(Reason::WorkerUnlisted) }
    }
}
