//! What telling an outcome costs: its series, and its line of the access log.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on fails here; criterion's macros make undocumented items"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pullgate_metrics::{About, AccessLog, Form, Metrics, Outcome, Seen, Sink, UpstreamEnd, Used};
use pullgate_policy::origin_pull::{Leaf, Verdict};
use pullgate_policy::{
    Admissions, Connection, HostName, Peer, RequestId, Security, Source, TlsFacts, TrustLevel, Visitor,
};
use rustls_pki_types::UnixTime;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn connection() -> Connection {
    let leaf = Leaf {
        subject: "CN=edge, O=Example".into(),
        issuer: "CN=zone CA, O=Example".into(),
        serial: "4f3a9c0d1e2b5a6978f0".into(),
        sha256: "9a1ac2b4be15f9f2a0c19d8e7f6051423344556677889900aabbccddeeff0011".into(),
        not_after: UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000)),
    };
    Connection {
        listener: "https".into(),
        peer: Peer::new("173.245.48.1:40000".parse().unwrap()),
        balancer: None,
        source: Source::Cloudflare,
        admitted_by: Arc::new(Admissions::default()),
        security: Security::Tls(Box::new(TlsFacts {
            sni: Some("shop.example.com".into()),
            host: HostName::new("shop"),
            version: "1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            resumed: false,
            chain: Vec::new(),
            leaf: Some(leaf),
            verdict: Verdict::NotRequested,
            trust: None,
            others: Default::default(),
        })),
    }
}

fn outcome(criterion: &mut Criterion) {
    let metrics = Metrics::new().unwrap();
    let dropped = metrics.log_dropped("access");
    let sink = Sink::start("bench-log", Box::new(std::io::sink()), dropped).unwrap();
    let log = AccessLog::new(sink, Form::Json, Vec::new());
    let (connection, about) = (connection(), About::default());
    let fields = [
        ("host", "shop.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
        ("cf-ray", "8c1f0a2b3c4d5e6f-FRA"),
    ];
    let headers: HeaderMap = fields
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let method = Method::GET;
    let outcome = || Outcome {
        connection: &connection,
        about: &about,
        seen: Some(Seen {
            method: &method,
            authority: b"shop.example.com",
            target: b"/articles/2026/11?page=2",
            version: "1.1",
            headers: &headers,
        }),
        host: Some("shop"),
        route: Some("all"),
        asked: vec!["client-networks", "workers", "edge-secret"],
        denial: None,
        observed: &[],
        disagreements: &[],
        visitor: Some(Visitor { address: "203.0.113.7".parse().unwrap(), country: None }),
        trust: TrustLevel::Account,
        status: 200,
        error: None,
        passed_over: Vec::new(),
        upstream: Some(Used { upstream: "shop", server: "127.0.0.1:8080", end: UpstreamEnd::Answered }),
        id: RequestId(0x0123_4567_89ab_cdef),
        generation: 7,
        started: SystemTime::now(),
        duration: Duration::from_micros(1234),
        request_bytes: 0,
        response_bytes: 21,
        traced: None,
    };
    criterion.bench_function("outcome: series", |bencher| bencher.iter(|| metrics.request(black_box(&outcome()))));
    criterion.bench_function("outcome: log line", |bencher| bencher.iter(|| log.write(black_box(&outcome()))));
}

criterion_group!(benches, outcome);
criterion_main!(benches);
