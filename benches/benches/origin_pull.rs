//! What it costs to verify the chain that a client shows, by the kind of key of its CA and its own.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on fails here; criterion's macros make undocumented items"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use pullgate_policy::origin_pull::{Anchor, Trust, Verdict, verify};
use pullgate_tests::pki::{Authority, KeyKind};
use rustls_pki_types::UnixTime;
use std::hint::black_box;

fn chains(criterion: &mut Criterion) {
    for (name, kind) in [("ECDSA P-256", KeyKind::P256), ("RSA 2048", KeyKind::Rsa2048)] {
        let authority = Authority::with_key("zone CA", kind);
        let now = UnixTime::now();
        let trust = Trust::new(vec![Anchor::from_der(&authority.der()).unwrap()], now).unwrap();
        let chain = authority.leaf().common_name("edge").key(kind).issue().chain();
        assert!(matches!(verify(&chain, &trust, now), Verdict::Verified(_)), "{name}");
        criterion.bench_function(&format!("origin pull: {name}"), |bencher| {
            bencher.iter(|| verify(black_box(&chain), &trust, now));
        });
    }
}

criterion_group!(benches, chains);
criterion_main!(benches);
