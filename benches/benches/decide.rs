//! What a decision costs: a hundred hosts, ten policies, the facts of a usual request.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on fails here; criterion's macros make undocumented items"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pullgate_policy::policies::{ClientNetworks, Workers};
use pullgate_policy::visitor::Missing;
use pullgate_policy::{
    Admissions, Attached, Connection, Facts, HeaderRules, Host, HostName, HostTable, Mode, Networks, OriginPull, Peer,
    Policy, Request, RequestId, Route, RouteAction, Rules, Security, Source, VisitorRule,
};
use rustls_pki_types::UnixTime;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

fn host(number: usize) -> Host {
    let networks = |net: &str| Networks::new([net.parse().unwrap()]);
    let policy = |index: u32| -> Arc<dyn Policy> {
        if index.is_multiple_of(2) {
            Arc::new(ClientNetworks::new(networks("203.0.113.0/24"), networks("203.0.113.66/32")))
        } else {
            Arc::new(Workers::new(vec!["example.com".into()]))
        }
    };
    Host {
        name: HostName::new(&format!("host-{number}")),
        hostnames: vec![format!("h{number}.example.com").parse().unwrap()],
        default: false,
        origin_pull: OriginPull::Off,
        visitor: VisitorRule {
            address_header: HeaderName::from_static("cf-connecting-ip"),
            missing: Missing::Refuse,
            client_certificate: None,
        },
        request: pullgate_policy::request::RequestLimits::default(),
        headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        policies: (0..10)
            .map(|index| Attached {
                label: format!("policy-{index}").into(),
                mode: Mode::Enforce,
                policy: policy(index),
            })
            .collect(),
        routes: vec![Route {
            name: "all".into(),
            path: "/".parse().unwrap(),
            protocol: None,
            methods: None,
            action: RouteAction::Upstream { index: 0, strip_prefix: false },
            policies: Vec::new(),
        }],
    }
}

fn decide(criterion: &mut Criterion) {
    let admissions = Arc::new(Admissions::default());
    let rules = Rules {
        hosts: Arc::new(HostTable::new((0..100).map(host).collect()).unwrap()),
        listener_hosts: HashMap::new(),
        admissions: Arc::clone(&admissions),
    };
    let connection = Connection {
        listener: "https".into(),
        peer: Peer::new("173.245.48.1:40000".parse().unwrap()),
        balancer: None,
        source: Source::Cloudflare,
        admitted_by: admissions,
        security: Security::Plain,
    };
    let fields = [
        ("host", "h57.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html"),
        ("accept-encoding", "gzip, br"),
        ("cf-connecting-ip", "203.0.113.7"),
        ("cf-ray", "8c1f0a2b3c4d5e6f-FRA"),
        ("cf-visitor", r#"{"scheme":"https"}"#),
        ("cf-ipcountry", "DE"),
        ("cdn-loop", "cloudflare; loops=1"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("cookie", "session=0123456789abcdef"),
    ];
    let headers: HeaderMap = fields
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let facts = Facts {
        connection: &connection,
        request: Request {
            method: &Method::GET,
            authority: None,
            target: b"/articles/2026/11?page=2",
            headers: &headers,
        },
        now: UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000)),
        id: RequestId(1),
        most_fields: 256,
    };
    assert!(rules.decide(&facts).outcome.is_ok());
    criterion
        .bench_function("decide: 10 policies, 100 hosts", |bencher| bencher.iter(|| rules.decide(black_box(&facts))));
}

criterion_group!(benches, decide);
criterion_main!(benches);
