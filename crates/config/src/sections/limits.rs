//! Key `limits` of a listener.

use crate::duration;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::model::Limits;
use crate::section::Section;
use crate::size::size_within;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) fn read(section: &mut Section<'_>) -> Read<Limits> {
    let connections = section.or("connections", MOST_CONNECTIONS, count);
    let connections_per_source = section.optional("connections_per_source", count);
    let mut timeout =
        |key, seconds| section.or(key, Duration::from_secs(seconds), |entry| entry.written(duration::timeout));
    let handshake_timeout = timeout("handshake_timeout", 10);
    let header_timeout = timeout("header_timeout", 10);
    let body_timeout = timeout("body_timeout", 60);
    let write_timeout = timeout("write_timeout", 60);
    // Cloudflare keeps idle connections 900 s: longer than that, and it is the edge that closes first.
    let idle_timeout = timeout("idle_timeout", 920);
    let header_bytes = section.or("header_bytes", 128 * 1024, |entry| {
        entry.written(|text| size_within(text, 1024..=1_048_575, "from 1KiB to below 1MiB"))
    });
    let header_count = section.or("header_count", 256, |entry| within(entry, 1..=256));
    let http2_streams = section.or("http2_streams", 200, |entry| within(entry, 1..=10_000));
    let requests_per_connection = section.optional("requests_per_connection", requests);
    Ok(Limits {
        connections: connections?,
        connections_per_source: connections_per_source?,
        handshake_timeout: handshake_timeout?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        write_timeout: write_timeout?,
        idle_timeout: idle_timeout?,
        header_bytes: header_bytes?,
        header_count: header_count?,
        http2_streams: http2_streams?,
        requests_per_connection: requests_per_connection?,
    })
}

const MOST_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);

fn count(entry: &Entry<'_>) -> Read<NonZeroUsize> {
    let count = entry.typed::<usize>()?;
    NonZeroUsize::new(count).ok_or_else(|| entry.wrong(Fault::new("a limit of zero would refuse everything")))
}

fn requests(entry: &Entry<'_>) -> Read<NonZeroU64> {
    let count = entry.typed::<u64>()?;
    NonZeroU64::new(count).ok_or_else(|| entry.wrong(Fault::new("a limit of zero would refuse everything")))
}

fn within(entry: &Entry<'_>, range: RangeInclusive<u32>) -> Read<u32> {
    let count = entry.typed::<u32>()?;
    if !range.contains(&count) {
        let message = format!("`{count}` is not a number from {} to {}", range.start(), range.end());
        return Err(entry.wrong(Fault::new(message)));
    }
    Ok(count)
}
