//! What it costs to look a peer up in Cloudflare's networks, found and not found.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on fails here; criterion's macros make undocumented items"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use pullgate_policy::{Networks, ranges};
use std::hint::black_box;
use std::net::IpAddr;

fn lookups(criterion: &mut Criterion) {
    let networks = Networks::new(ranges::builtin());
    let cases = [
        ("IPv4, found", "173.245.48.1", true),
        ("IPv4, not found", "203.0.113.7", false),
        ("IPv6, found", "2400:cb00::1", true),
        ("IPv6, not found", "2001:db8::1", false),
    ];
    for (name, address, found) in cases {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(networks.contains(address), found, "{name}");
        criterion.bench_function(&format!("ranges: {name}"), |bencher| {
            bencher.iter(|| networks.contains(black_box(address)));
        });
    }
}

criterion_group!(benches, lookups);
criterion_main!(benches);
