//! Files that are right, and what they become.

use super::*;
use crate::model::*;
use pullgate_policy::hosts::{HostName, HostPattern};
use pullgate_policy::origin_pull::OriginPull;
use pullgate_policy::policies::{Countries, KINDS, Mode};
use pullgate_policy::routes::{PathPattern, RouteAction};
use pullgate_policy::template::Template;
use pullgate_policy::visitor::Missing;
use pullgate_policy::{Feature, Features, Networks, Sample};
use std::sync::Arc;
use std::time::Duration;

const COMPLETE: &str = include_str!("complete.yaml");

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn networks(list: &[&str]) -> Networks {
    Networks::new(list.iter().map(|network| network.parse().unwrap()))
}

#[test]
fn the_least_file_gets_the_defaults_of_the_reference() {
    let Loaded { config, warnings } = right(MINIMAL);
    assert_eq!(warnings, []);
    let Config { runtime, admin, log, tracing, cloudflare, listeners, tls, hosts, upstreams, text: _ } = config;
    assert_eq!(tracing, None);
    assert_eq!((runtime.workers, runtime.drain, runtime.upstream_idle), (None, seconds(30), 1024));
    assert_eq!((runtime.state_dir.to_str(), runtime.watch), (Some("/var/lib/pullgate"), true));
    assert_eq!(admin.address, "127.0.0.1:9090".parse().unwrap());
    assert_eq!((log.level, log.format, log.access), (LogLevel::Info, LogFormat::Json, AccessLog::Stdout));
    assert!(log.redact_query.is_empty());
    assert_eq!(runtime.state_dir.to_str(), Some("/var/lib/pullgate"));
    let url = http::Uri::from_static("https://api.cloudflare.com/client/v4/ips");
    let feed = RangesFeed { url, partners: vec![], refresh: seconds(3600), removal_grace: seconds(86_400) };
    let list = pullgate_policy::ranges::builtin();
    assert_eq!(
        cloudflare,
        Cloudflare { source: RangesSource::Api(feed), list, extra: vec![], access: AccessRefresh::default() }
    );
    assert_eq!(tls, Tls { tls12: true, tls13: true, http2: true });

    let [
        Listener { name, address, hosts: served, protocol, ipv6_only, sources, kernel_filter, proxy_protocol, limits },
    ] = listeners.as_slice()
    else {
        panic!("{listeners:?}")
    };
    assert_eq!((&**name, address), ("https", &opened("[::]:8443")));
    assert_eq!(*kernel_filter, KernelFilter::Auto);
    assert_eq!((served, *protocol, *ipv6_only), (&ServedHosts::All, Protocol::Https, false));
    assert_eq!(*sources, Sources::Cloudflare);
    let (handshake_timeout, header_timeout) = (seconds(10), seconds(10));
    let (body_timeout, write_timeout, idle_timeout) = (seconds(60), seconds(60), seconds(920));
    assert_eq!(*proxy_protocol, None);
    let of_the_reference = Limits {
        connections: 16384.try_into().unwrap(),
        connections_per_source: None,
        handshake_timeout,
        header_timeout,
        body_timeout,
        write_timeout,
        idle_timeout,
        header_bytes: 131_072,
        header_count: 256,
        http2_streams: 200,
        requests_per_connection: None,
    };
    assert_eq!(*limits, of_the_reference);

    let [Host { rule, certificates }] = hosts.as_slice() else { panic!("{hosts:?}") };
    let [certificate] = certificates.as_slice() else { panic!("{certificates:?}") };
    assert_eq!(certificate.chain_path.to_str(), Some("shop.pem"));
    assert_eq!((certificate.chain.as_slice(), certificate.key.as_slice()), (&b"chain 1 until 2027"[..], &b"key 1"[..]));
    assert!(!rule.default && matches!(rule.origin_pull, OriginPull::Require(_)));
    assert_eq!((rule.visitor.address_header.as_str(), rule.visitor.missing), ("cf-connecting-ip", Missing::Refuse));
    assert!(rule.visitor.features == Features::default() && !rule.visitor.forwarded);
    assert_eq!(rule.request.body_bytes, 104_857_600);
    assert_eq!(rule.request.methods, ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
    assert!(rule.headers.set.is_empty() && rule.headers.remove.is_empty() && rule.policies.is_empty());
    assert_eq!(rule.response_headers.remove, ["server", "x-powered-by"]);
    assert_eq!(rule.routes[0].path, PathPattern::Prefix(String::new()));
    assert_eq!(rule.routes[0].action, RouteAction::Upstream { index: 0, strip_prefix: false });

    let UpstreamTimeouts { connect, read, write, idle } = upstreams[0].timeouts;
    assert_eq!([connect, read, write, idle], [3, 60, 30, 60].map(seconds));
}

#[test]
fn every_key_of_this_version_arrives() {
    let Loaded { config, warnings } = right(COMPLETE);
    assert_eq!(warnings, []);
    assert_eq!(config.runtime.workers.map(std::num::NonZeroUsize::get), Some(4));
    assert_eq!((config.runtime.drain, config.runtime.upstream_idle), (seconds(90), 64));
    assert_eq!(config.admin.address, "127.0.0.1:9191".parse().unwrap());
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Text));
    assert_eq!(config.log.access, AccessLog::File("./access.log".into()));
    assert_eq!(config.log.redact_query, ["token", "code"]);
    let otlp = http::Uri::from_static("https://collector.example.com/base");
    assert_eq!(config.tracing, Some(Tracing { otlp, sample: Sample::of_a_million(2_500).unwrap() }));
    assert_eq!(config.runtime.state_dir.to_str(), Some("./state"));
    assert_eq!(config.cloudflare.source, RangesSource::File("ranges-china.txt".into()));
    let Cloudflare { source: _, list, extra, access } = config.cloudflare;
    assert_eq!(access, AccessRefresh { refresh: Duration::from_secs(1800), stale_after: Duration::from_secs(43_200) });
    assert_eq!(Networks::new(list), networks(&["173.245.48.0/20", "2400:cb00::/32", "106.225.240.96/27"]));
    assert_eq!(Networks::new(extra), networks(&["198.51.100.0/24", "2001:db8::1/128"]));
    assert_eq!(config.tls, Tls { tls12: false, tls13: true, http2: false });

    let [https, http, any] = config.listeners.as_slice() else { panic!("three listeners") };
    assert_eq!((&https.address, https.ipv6_only), (&opened("[::]:8443"), true));
    assert_eq!(https.hosts, ServedHosts::Only(vec![HostName::new("shop"), HostName::new("api")]));
    assert_eq!(https.limits.write_timeout, Duration::from_millis(250));
    let Limits { handshake_timeout, header_timeout, body_timeout, idle_timeout, header_bytes, header_count, .. } =
        https.limits;
    let Limits { connections, connections_per_source, http2_streams, requests_per_connection, .. } = https.limits;
    assert_eq!((connections.get(), connections_per_source.map(std::num::NonZeroUsize::get)), (1000, Some(10)));
    assert_eq!((header_bytes, header_count, http2_streams), (65_536, 100, 50));
    assert_eq!(requests_per_connection.map(std::num::NonZeroU64::get), Some(5000));
    assert_eq!(
        (&https.proxy_protocol, &http.proxy_protocol),
        (&Some(networks(&["10.1.0.0/16", "fd01::1/128"])), &None)
    );
    assert_eq!([handshake_timeout, header_timeout, body_timeout, idle_timeout], [1, 2, 3, 300].map(seconds));
    assert_eq!((http.protocol, &http.hosts), (Protocol::Http, &ServedHosts::All));
    assert_eq!(http.sources, Sources::Networks(networks(&["10.0.0.0/8", "fd00::/8"])));
    assert_eq!(any.sources, Sources::Any);
    assert_eq!((https.kernel_filter, http.kernel_filter), (KernelFilter::Require, KernelFilter::Auto));
}

#[test]
fn hosts_become_rules() {
    let hosts = right(COMPLETE).config.hosts;
    let [shop, api, redirect] = hosts.as_slice() else { panic!("three hosts") };
    let rule = &shop.rule;
    assert_eq!(rule.name, HostName::new("shop"));
    let exact = HostPattern::Exact("shop.example.com".into());
    assert_eq!(rule.hostnames, [exact, HostPattern::Wildcard(".shop.example.com".into())]);
    assert!(rule.default && !api.rule.default);
    assert_eq!((rule.visitor.address_header.as_str(), rule.visitor.missing), ("true-client-ip", Missing::Source));
    assert_eq!(rule.visitor.features, Features::from_iter([Feature::Location, Feature::TrueClientIp]));
    assert!(rule.visitor.forwarded && !api.rule.visitor.forwarded);
    assert_eq!((rule.request.body_bytes, rule.request.methods.len()), (2_097_152, 3));
    let names: Vec<_> = rule.headers.set.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-visitor", "x-static"]);
    assert!(matches!(rule.headers.set[0].1, Template::Parts(_)));
    assert_eq!(rule.headers.remove, ["x-debug"]);
    assert!(rule.response_headers.remove.is_empty() && rule.response_headers.set.len() == 1);
    assert!(matches!(redirect.rule.origin_pull, OriginPull::Off));
    assert_eq!(shop.certificates[0].ocsp.as_deref(), Some(&b"ocsp 1 until 2027"[..]));
    let chains: Vec<_> = api.certificates.iter().map(|certificate| certificate.chain_path.to_str().unwrap()).collect();
    assert_eq!((chains, &api.certificates[1].ocsp), (vec!["shop.pem", "rsa.pem"], &None));
    assert!(redirect.certificates.is_empty() && shop.certificates.len() == 1);
}

#[test]
fn hosts_with_the_same_cas_in_any_order_share_one_trust() {
    let hosts = right(COMPLETE).config.hosts;
    let (OriginPull::Require(first), OriginPull::Observe(second)) =
        (&hosts[0].rule.origin_pull, &hosts[1].rule.origin_pull)
    else {
        panic!("{hosts:?}")
    };
    assert_eq!(first.anchors().len(), 2);
    assert!(Arc::ptr_eq(first, second));
}

#[test]
fn policies_keep_their_order_labels_and_modes() {
    let hosts = right(COMPLETE).config.hosts;
    let rule = &hosts[0].rule;
    let listed = |policies: &[pullgate_policy::Attached]| -> Vec<(String, Mode)> {
        policies.iter().map(|attached| (attached.label.to_string(), attached.mode)).collect()
    };
    let expected = [
        ("client-networks", Mode::Enforce),
        ("our-workers", Mode::Observe),
        ("proof", Mode::Enforce),
        ("access", Mode::Enforce),
        ("countries", Mode::Enforce),
        ("edge-secret", Mode::Enforce),
        ("client-certificate", Mode::Enforce),
    ];
    assert_eq!(listed(&rule.policies), expected.map(|(label, mode)| (label.to_owned(), mode)));
    assert_eq!(listed(&rule.routes[1].policies), [("workers".to_owned(), Mode::Enforce)]);
    let shown = format!("{:?}", rule.policies[1].policy);
    assert!(shown.contains("\"example.com\""), "{shown}");
    assert_eq!(format!("{:?}", rule.policies[2].policy), "Proof { least: Account }");
    let feed = rule.policies[3].policy.key_feed().unwrap();
    assert_eq!((feed.team.as_str(), feed.url.to_string()), ("example", "https://mirror.example.com/certs".into()));
    let shown = format!("{:?}", rule.policies[3].policy);
    for part in [
        "Around(\"\", \"@example.com\")",
        "\"staff\"",
        ".access\"",
        "cookie: Read",
        "4714c135",
        "https://example.cloudflareaccess.com",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    // Norway is no boolean.
    let countries = Countries::new(vec![*b"DE", *b"NO", *b"XX"], vec![*b"T1"]);
    assert_eq!(format!("{:?}", rule.policies[4].policy), format!("{countries:?}"));
    let shown = format!("{:?}", rule.policies[5].policy);
    assert_eq!(shown, r#"EdgeSecret { header: SecretHeader("x-edge-secret"), values: 2 }"#);
    let shown = format!("{:?}", rule.policies[6].policy);
    assert!(shown.contains("CommonName(\"alice\")") && shown.contains("subject: \"CN=in force\""), "{shown}");
}

#[test]
fn access_takes_everybody_with_a_token_and_finds_the_keys_of_its_team() {
    let policy = "{kind: access, team: example.fed, audiences: [AUD], identities: {emails: [], groups: null, common_names: [a]}}, \
        {kind: access, name: b, team: example, audiences: [AUD]}, {kind: access, name: c, team: example, audiences: [AUD], jwks_url: null}";
    let policy = policy.replace("AUD", &"0123456789abcdef".repeat(4));
    let rule = right(&with(MINIMAL, "    routes:", &format!("    policies: [{policy}]\n    routes:")))
        .config
        .hosts
        .remove(0)
        .rule;
    let urls: Vec<String> =
        rule.policies.iter().map(|attached| attached.policy.key_feed().unwrap().url.to_string()).collect();
    let fed = "https://example.fed.cloudflareaccess.com/cdn-cgi/access/certs";
    assert_eq!(
        urls,
        [
            fed,
            "https://example.cloudflareaccess.com/cdn-cgi/access/certs",
            "https://example.cloudflareaccess.com/cdn-cgi/access/certs"
        ]
    );
    let shown = format!("{:?}", rule.policies[1].policy);
    assert!(shown.contains("identities: None, cookie: Ignored"), "{shown}");
}

#[test]
fn routes_name_upstreams_by_their_place_in_the_map() {
    let config = right(COMPLETE).config;
    let routes = &config.hosts[0].rule.routes;
    assert_eq!(routes[0].path, PathPattern::Exact("/status".into()));
    assert_eq!(routes[0].action, RouteAction::Upstream { index: 0, strip_prefix: false });
    assert_eq!(routes[1].action, RouteAction::Upstream { index: 1, strip_prefix: true });
    assert_eq!(routes[1].methods, Some(vec![http::Method::GET, http::Method::POST]));
    assert_eq!(&*config.upstreams[0].name, "app");
    assert_eq!(
        config.upstreams[0].servers,
        [
            Server::Unix("/run/app.sock".into()),
            Server::Tcp { label: "app.internal:9000".into(), address: "10.0.0.7:9000".parse().unwrap() },
        ]
    );
    let RouteAction::Respond { status, location } = &config.hosts[2].rule.routes[0].action else {
        panic!("{config:?}")
    };
    assert_eq!((status.as_u16(), location.clone().unwrap()), (301, "https://shop.example.com/".parse().unwrap()));
}

#[test]
fn files_are_read_by_the_path_as_it_is_written() {
    let world = Village::default();
    load("conf/test.yaml", MINIMAL, &world).unwrap();
    assert_eq!(*world.read.borrow(), [std::path::Path::new("shop.pem"), "shop.key".as_ref()]);
}

#[test]
fn every_kind_in_the_register_is_known_here() {
    for kind in KINDS {
        let text = with(MINIMAL, "    routes:", &format!("    policies: [{{kind: {kind}}}]\n    routes:"));
        if let Err(problems) = load("test.yaml", &text, &Village::default()) {
            assert!(problems.list().iter().all(|problem| !problem.key.ends_with(".kind")), "{problems}");
        }
    }
}

#[test]
fn a_feed_of_the_operators_own() {
    let ranges = "{url: \"http://127.0.0.1:8000/ips\", refresh: 90s, removal_grace: 0s, networks: [jdcloud, jdcloud]}";
    let text = with(MINIMAL, "version: 1\n", &format!("version: 1\ncloudflare: {{ranges: {ranges}}}\n"));
    let Loaded { config, warnings } = right(&text);
    assert_eq!(warnings, []);
    let RangesSource::Api(feed) = config.cloudflare.source else { panic!("{:?}", config.cloudflare) };
    assert_eq!(
        (feed.url.to_string().as_str(), feed.refresh, feed.removal_grace),
        ("http://127.0.0.1:8000/ips", seconds(90), seconds(0))
    );
    assert_eq!(feed.partners, [pullgate_policy::ranges::Partner::Jdcloud]);
    assert_eq!(config.cloudflare.list, pullgate_policy::ranges::builtin());
}

#[test]
fn what_is_left_out_null_or_inert_loads() {
    let table = [
        (
            "version: 1\n",
            "version: 1\nruntime: null\nadmin: ~\nlog:\ntls: {}\ncloudflare: {ranges: {source: builtin, file: null}}\n",
        ),
        ("    routes:", "    visitor: {features: [], client_certificate: null, forwarded: false}\n    routes:"),
        ("    routes:", "    policies: []\n    headers: {set: {}, remove: []}\n    routes:"),
        ("mode: require", "mode: \"require\", trust: [cloudflare], pins: [], crl: ~"),
        ("mode: require", "mode: off"),
        ("mode: require", "mode: off, trust: [cloudflare]"),
        ("address: \"[::]:8443\"", "address: 0.0.0.0:8443, proxy_protocol: null, kernel_filter: 'off'"),
        ("address: \"[::]:8443\"", "address: 0.0.0.0:8443, sources: any, kernel_filter: auto"),
        ("servers:", "protocol: http1, tls: null, balance: round_robin, servers:"),
        ("upstream: shop", "upstream: shop, cache: null, methods: null, strip_prefix: false"),
    ];
    for (from, to) in table {
        assert_eq!(right(&with(MINIMAL, from, to)).warnings, [], "{to}");
    }
    right(&format!("---\n{MINIMAL}...\n"));
    right(&format!("\u{feff}{MINIMAL}"));
    right(&MINIMAL.replace('\n', "\r\n"));
}

#[test]
fn plain_listeners_need_neither_certificate_nor_upstream() {
    let text = "\
version: 1
listeners: [{name: http, address: 0.0.0.0:8080, protocol: http}]
hosts:
  - name: shop
    hostnames: [shop.example.com]
    origin_pull: {mode: require}
    routes: [{name: all, respond: {status: 308, location: \"https://shop.example.com/\"}}]
";
    assert!(right(text).config.upstreams.is_empty());
}

fn opened(address: &str) -> ListenAddress {
    ListenAddress::Open(address.parse().unwrap())
}

#[test]
fn samples_are_percentages() {
    let table =
        [("1%", 10_000), ("0%", 0), ("100%", 1_000_000), ("100.0%", 1_000_000), ("0.1%", 1_000), ("0.0001 %", 1)];
    for (text, count) in table {
        let text = format!("{MINIMAL}tracing: {{otlp: http://127.0.0.1:4318, sample: {text}}}\n");
        let sample = right(&text).config.tracing.map(|tracing| tracing.sample);
        assert_eq!(sample, Sample::of_a_million(count), "{text}");
    }
    let usual = right(&format!("{MINIMAL}tracing: {{otlp: 'http://[::1]:4318/'}}\n")).config.tracing;
    assert_eq!(usual.map(|tracing| tracing.sample), Some(Sample::default()));
}
