//! What it costs to load a configuration, for a start or a reload: the YAML, every check, and the certificates of each host.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on fails here; criterion's macros make undocumented items"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use pullgate_tests::pki::Authority;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};

const HEAD: &str = "version: 1
cloudflare: {ranges: {source: builtin}}
listeners:
  - {name: https, address: '[::]:8443'}
  - {name: http, address: '[::]:8080', protocol: http}
upstreams:
  shop: {servers: ['127.0.0.1:9000', '127.0.0.1:9001']}
  api: {servers: ['127.0.0.1:9100']}
hosts:
";

/// A configuration file with that many hosts, each with a certificate, policies and routes of its own.
fn file(folder: &Path, hosts: usize) -> PathBuf {
    let (server_ca, zone_ca) = (Authority::new("server CA"), Authority::new("zone CA"));
    zone_ca.write(folder, "zone-ca");
    std::fs::write(folder.join("edge-secret"), "0123456789abcdef0123456789abcdef").unwrap();
    let mut text = HEAD.to_owned();
    for number in 0..hosts {
        let hostname = format!("h{number}.example.com");
        server_ca.leaf().dns(&[&hostname]).usage_server().issue().write(folder, &hostname);
        write!(
            text,
            "  - name: host-{number}
    hostnames: [{hostname}]
    certificate: {{chain: {hostname}.pem, key: {hostname}.key}}
    origin_pull: {{mode: require, trust: [zone-ca.pem]}}
    request: {{body_bytes: 10MiB, methods: [GET, HEAD, POST]}}
    headers: {{set: {{X-Country: '{{visitor.country}}'}}}}
    policies:
      - {{kind: proof, least: account}}
      - {{kind: edge-secret, header: X-Edge-Secret, values: [{{file: edge-secret}}]}}
      - {{kind: workers, zones: [example.com]}}
      - {{kind: countries, mode: observe, deny: [T1]}}
    routes:
      - {{name: to-https, protocol: http, respond: {{status: 301, location: 'https://{hostname}{{request.target}}'}}}}
      - {{name: status, path: =/status, methods: [GET, HEAD], respond: {{status: 204}}}}
      - name: admin
        path: /admin
        upstream: shop
        policies: [{{kind: client-networks, allow: [203.0.113.0/24, '2001:db8::/32'], deny: [203.0.113.66]}}]
      - {{name: api, path: /api, upstream: api, strip_prefix: true}}
      - {{name: all, upstream: shop}}
"
        )
        .unwrap();
    }
    let file = folder.join("pullgate.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load a configuration");
    for hosts in [1, 100] {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), hosts);
        let loaded = pullgate::load(&file).unwrap();
        assert_eq!(loaded.config.hosts.len(), hosts);
        assert!(loaded.warnings.list().is_empty(), "{}", loaded.warnings);
        group.bench_function(format!("hosts: {hosts}"), |bencher| bencher.iter(|| pullgate::load(black_box(&file))));
    }
    group.finish();
}

criterion_group!(benches, load);
criterion_main!(benches);
