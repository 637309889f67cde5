//! H 52: a bug costs the request or the connection that it is met in, and no other.

use pullgate_door::{
    Accepting, CertificateFiles, Entrance, Filtering, Gate, Gates, HostTls, ListenerSettings, TlsSettings, bind, serve,
};
use pullgate_metrics::Metrics;
use pullgate_policy::access::Team;
use pullgate_policy::hosts::HostTable;
use pullgate_policy::{Admission, Admissions, Asked, Attached, Mode, Policy, Reason, Rules};
use pullgate_proxy::{Http, HttpLimits, HttpSettings, Site, Sites};
use pullgate_tests::client::{H1, H2, Tls};
use pullgate_tests::stage::{Props, Recipe, Stage, cloudflare, eventually, visit};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const SHOP: &str = "shop.example.com";
const OPEN: &str = "open.example.com";

/// A policy with a bug.
#[derive(Debug)]
struct Buggy;

impl Policy for Buggy {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        assert!(!asked.facts.request.target.starts_with(b"/bug"), "as it happens");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h52_a_panic_in_a_policy_costs_its_request_alone() {
    let stage = Stage::altered(Recipe::default(), |config| {
        let attached = Attached { label: "buggy".into(), mode: Mode::Observe, policy: Arc::new(Buggy) };
        config.hosts[0].rule.policies.push(attached);
    })
    .await;
    let (mut one, mut other, two) = (stage.h1(SHOP).await, stage.h1(SHOP).await, stage.h2(SHOP).await);
    let (slow, slow_too) = (two.clone(), visit(SHOP, "/slow/500"));
    let slow = tokio::spawn(async move { slow.send(slow_too).await.unwrap().status });
    let slow_one = tokio::spawn(async move { (other.send(visit(SHOP, "/slow/500")).await.unwrap().status, other) });
    stage.origin.wait_for(2).await;
    let answer = one.send(visit(SHOP, "/bug")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "500 Internal Server Error\n"));
    one.closed().await;
    assert_eq!(two.send(visit(SHOP, "/bug")).await.unwrap().status, 500);
    assert_eq!(slow.await.unwrap(), 200);
    assert_eq!(two.send(visit(SHOP, "/after")).await.unwrap().status, 200);
    let (status, mut other) = slow_one.await.unwrap();
    assert_eq!((status.as_u16(), other.send(visit(SHOP, "/after")).await.unwrap().status.as_u16()), (200, 200));
    assert!(stage.origin.ledger().iter().all(|entry| !entry.target.starts_with("/bug")));
    stage.metric_becomes(r#"pullgate_panics_total{at="request"}"#, 2.0).await;
    let lines = stage.access_lines(6).await;
    let broken = lines.iter().filter(|line| line["reason"] == "panicked" && line["http.response.status_code"] == 500);
    assert_eq!(broken.filter(|line| line["url.path"] == "/bug").count(), 2, "{lines:#?}");
}

/// What door and proxy look up, with a bug that is met at the look-up that is counted down to.
struct Faulty {
    gate: Arc<Gate>,
    site: Arc<Site>,
    at_gate: AtomicUsize,
    at_site: AtomicUsize,
}

/// Counts down, and panics on the way from 1 to 0.
fn trip(fuse: &AtomicUsize) {
    let before = fuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    assert_ne!(before, Ok(1), "as it happens");
}

impl Gates for Faulty {
    fn current(&self) -> Arc<Gate> {
        trip(&self.at_gate);
        Arc::clone(&self.gate)
    }
}

impl Sites for Faulty {
    fn current(&self) -> Arc<Site> {
        trip(&self.at_site);
        Arc::clone(&self.site)
    }

    fn want_keys(&self, _: &Team) {}
}

impl Faulty {
    /// One host that answers by itself.
    fn new(props: &Props) -> Self {
        let hosts = "hosts:\n  - name: open\n    hostnames: [open.example.com]\n    certificate: {chain: server.pem, key: server.key}\n    \
            origin_pull: {mode: off}\n    routes: [{name: all, respond: {status: 204}}]\n";
        let recipe = Recipe { hosts: hosts.into(), upstreams: String::new(), ..Recipe::default() };
        let config = pullgate::load(&props.write(&recipe, "")).unwrap_or_else(|error| panic!("{error}")).config;
        let host = config.hosts.into_iter().next().unwrap();
        let files = &host.certificates[0];
        let files = CertificateFiles { chain: &files.chain, key: &files.key, ocsp: None };
        let settings = TlsSettings { tls12: true, tls13: true, http2: true };
        let tls = HostTls::new(&[files], host.rule.origin_pull.clone(), settings, None).unwrap();
        let listeners = HashMap::from([("https".into(), Admission::Cloudflare)]);
        let counting = config.cloudflare.list.into_iter().chain(config.cloudflare.extra);
        let cloudflare = pullgate_policy::Networks::new(counting);
        let admissions = Arc::new(Admissions { cloudflare, listeners, ..Admissions::default() });
        let hosts = HostTable::new(vec![host.rule]).unwrap();
        let (listener_hosts, access_keys) = (HashMap::new(), Arc::default());
        let rules = Arc::new(Rules { hosts: Arc::new(hosts), listener_hosts, admissions, access_keys });
        let ten = Duration::from_secs(10);
        let entrance =
            Arc::new(Entrance { tls: true, connections: 100, connections_per_source: None, handshake_timeout: ten });
        let entrances = HashMap::from([("https".into(), entrance)]);
        let gate = Arc::new(Gate { rules: Arc::clone(&rules), tls: [Some(tls)].into(), entrances });
        let limits = HashMap::from([(
            "https".into(),
            HttpLimits {
                header: ten,
                body: ten,
                write: ten,
                idle: ten,
                head_bytes: 65_536,
                head_fields: 100,
                streams: 100,
                requests: None,
            },
        )]);
        let site = Arc::new(Site { generation: 1, rules, upstreams: Arc::default(), limits, tracer: None });
        Self { gate, site, at_gate: AtomicUsize::new(0), at_site: AtomicUsize::new(0) }
    }

    /// Serves it on this runtime for as long as the senders live.
    fn serve(self: &Arc<Self>, metrics: &Metrics) -> (SocketAddr, (watch::Sender<bool>, watch::Sender<Accepting>)) {
        let settings = ListenerSettings { name: "https".into(), address: ([127, 0, 0, 1], 0).into(), ipv6_only: false };
        let http = HttpSettings { workers: 2, upstream_idle: 1, metrics: metrics.clone(), access: None };
        let (drain, orders) = (watch::Sender::new(false), watch::Sender::new(Accepting::On));
        let (http, _) = Http::new(http, Arc::clone(self) as Arc<dyn Sites>, drain.subscribe());
        let (bound, _) = bind(settings, &Filtering::Off).unwrap();
        let address = bound.address();
        tokio::spawn(serve(bound, Arc::clone(self) as Arc<dyn Gates>, metrics.clone(), http, orders.subscribe()));
        (address, (drain, orders))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h52_a_panic_anywhere_costs_its_socket_connection_or_stream() {
    let (props, metrics) = (Props::new(), Metrics::new().unwrap());
    let faulty = Arc::new(Faulty::new(&props));
    let (at, _serving) = faulty.serve(&metrics);
    let tls = Tls::trusting(&props.server_ca);
    let [one, two] = ["http/1.1", "h2"].map(|protocol| tls.clone().alpn(&[protocol]).client_config());
    let h1 = async || H1::tls(Some(cloudflare()), at, OPEN, Arc::clone(&one)).await;
    let mut beside = h1().await.unwrap();
    let two = H2::tls(Some(cloudflare()), at, OPEN, two).await.unwrap();
    assert_eq!(two.send(visit(OPEN, "/")).await.unwrap().status, 204);
    // The first look-up at the gate is the accept loop's, the second one the handshake's.
    for (look_up, place) in [(1, "accept"), (2, "connection")] {
        faulty.at_gate.store(look_up, Ordering::Relaxed);
        assert!(h1().await.is_err(), "{place}");
        let counted = format!("pullgate_panics_total{{at=\"{place}\"}} 1\n");
        assert!(eventually(|| metrics.render().unwrap().contains(&counted)).await, "{place}");
    }
    let mut client = h1().await.unwrap();
    // A handshake is over for the client before the gateway has looked up what the connection may do.
    assert_eq!(client.send(visit(OPEN, "/")).await.unwrap().status, 204);
    faulty.at_site.store(1, Ordering::Relaxed);
    assert!(client.send(visit(OPEN, "/")).await.is_err());
    // The client sees its end before the outcome is told, which looks up as well.
    let told =
        |times| format!("pullgate_requests_total{{code=\"0\",host=\"none\",method=\"none\",route=\"none\"}} {times}\n");
    assert!(eventually(|| metrics.render().unwrap().contains(&told(1))).await);
    faulty.at_site.store(1, Ordering::Relaxed);
    assert!(two.send(visit(OPEN, "/")).await.is_err());
    assert_eq!(two.send(visit(OPEN, "/")).await.unwrap().status, 204);
    assert_eq!(beside.send(visit(OPEN, "/")).await.unwrap().status, 204);
    assert_eq!(h1().await.unwrap().send(visit(OPEN, "/")).await.unwrap().status, 204);
    for counted in [
        r#"pullgate_panics_total{at="request"} 2"#,
        r#"pullgate_requests_total{code="0",host="none",method="none",route="none"} 2"#,
        r#"pullgate_connections_open{listener="https"} 2"#,
    ] {
        // A client may see its stream end before the count.
        let is_there = || metrics.render().unwrap().lines().any(|line| line == counted);
        assert!(eventually(is_there).await, "{counted}: {}", metrics.render().unwrap());
    }
}
