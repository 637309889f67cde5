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
use http::HeaderName;

/// A name, not a text: a lookup by text parses it first, on each request.
const CF_WORKER: HeaderName = HeaderName::from_static("cf-worker");

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
        let mut values = asked.facts.request.headers.get_all(CF_WORKER).iter();
        let zone = match (values.next(), values.next()) {
            (None, _) => return Ok(()),
            (Some(value), None) => value.to_str().ok().and_then(normal_name).ok_or(Reason::WorkerMalformed)?,
            (Some(_), Some(_)) => return Err(Reason::WorkerMalformed),
        };
        if self.zones.contains(&zone) { Ok(()) } else { Err(Reason::WorkerUnlisted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Arrival, VISITOR, judged};

    #[test]
    fn a_worker_calls_from_a_listed_zone_or_not_at_all() {
        let (unlisted, malformed) = (Err(Reason::WorkerUnlisted), Err(Reason::WorkerMalformed));
        let table: [(&[&str], &[&[u8]], Result<(), Reason>); 18] = [
            (&[], &[], Ok(())),
            (&["example.com"], &[], Ok(())),
            (&[], &[b"example.com"], unlisted),
            (&["example.com"], &[b"example.com"], Ok(())),
            (&["example.com"], &[b"EXAMPLE.com."], Ok(())),
            (&["example.com", "example.net"], &[b"example.net"], Ok(())),
            (&["example.com"], &[b"example.net"], unlisted),
            // A zone is not a suffix: another account may own what is below it or looks like it.
            (&["example.com"], &[b"sub.example.com"], unlisted),
            (&["example.com"], &[b"badexample.com"], unlisted),
            (&["example.com"], &[b"example.com.evil.net"], unlisted),
            (&["example.com"], &[b""], malformed),
            (&["example.com"], &[b"example.com, example.net"], malformed),
            (&["example.com"], &[b"example.com example.net"], malformed),
            (&["example.com"], &[b"https://example.com"], malformed),
            (&["example.com"], &[b"*.com"], malformed),
            (&["example.com"], &[b"example.com\xff"], malformed),
            (&["example.com"], &[b"example.com", b"example.com"], malformed),
            (&["example.com"], &[b"example.com", b"example.net"], malformed),
        ];
        for (zones, fields, expected) in table {
            let policy = Workers::new(zones.iter().map(|zone| (*zone).to_owned()).collect());
            let arrival = fields.iter().fold(Arrival::good(), |arrival, value| arrival.with("cf-worker", value));
            assert_eq!(judged(&policy, &arrival, VISITOR), expected, "{zones:?} {fields:?}");
        }
    }
}
