//! Traces: which spans a collector gets, what the upstream is told, and that nothing of it holds a request up.

mod trouble;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::Span;
use pullgate_cloudflare::{Client, Limits};
use pullgate_tests::client::raw;
use pullgate_tests::collector::{Collector, Manner, attributes, hex};
use pullgate_tests::origin::{Behaviour, Entry, RawOrigin};
use pullgate_tests::ports::free_ports;
use pullgate_tests::stage::{Props, Recipe, Stage, VISITOR, cloudflare, refusal, visit, visit_with};
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SHOP: &str = "shop.example.com";

/// The usual stage with a section `tracing`.
fn traced(otlp: &str, sample: &str) -> Recipe {
    let head = format!("{}tracing: {{otlp: '{otlp}', sample: {sample}}}\n", Recipe::default().head);
    Recipe { head, ..Recipe::default() }
}

/// A visit that says whose trace it is of.
fn called(flags: &str) -> Request<Full<Bytes>> {
    visit_with(SHOP, "/a", ("traceparent", &format!("00-{TRACE}-{CALLER}-{flags}")))
}

/// The parts of the `traceparent` that reached the origin.
fn told(entry: &Entry) -> [String; 4] {
    let [text] = entry.all("traceparent")[..] else { panic!("{entry:?}") };
    text.split('-').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

fn attribute(span: &Span, name: &str) -> Value {
    attributes(&span.attributes).remove(name).unwrap_or_default()
}

/// Ends a gateway at once, but for what it owes to logs and collectors.
async fn end(stage: Stage) {
    let gateway = stage.gateway;
    tokio::task::spawn_blocking(move || gateway.shut_down(std::future::ready(()))).await.unwrap();
}

/// The span that is exported, the one that the upstream is told of, and the one that the access log names are one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_a_span_of_the_trace_that_it_comes_from() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    assert_eq!(stage.h1(SHOP).await.send(called("01")).await.unwrap().status, 200);
    assert_eq!(stage.h2(SHOP).await.send(called("00")).await.unwrap().status, 200);
    let (spans, lines) = (collector.wait_for(2).await, stage.access_lines(2).await);
    let ledger = stage.origin.wait_for(2).await;
    for (span, entry) in spans.iter().zip(&ledger) {
        assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.into(), CALLER.into()));
        assert_eq!(told(entry), ["00".into(), TRACE.into(), hex(&span.span_id), "01".into()]);
        let line = lines.iter().find(|line| line["span_id"] == hex(&span.span_id)).unwrap();
        assert_eq!((&line["trace_id"], &line["trace_flags"]), (&TRACE.into(), &"01".into()));
        assert_eq!((&line["request_id"], &*span.name, span.kind), (&line["span_id"], "GET all", 2));
        assert_eq!((span.flags, &span.status), (0x301, &None));
        let took = span.end_time_unix_nano - span.start_time_unix_nano;
        assert!((line["duration_ms"].as_f64().unwrap() - took as f64 / 1e6).abs() < 0.01, "{line}");
    }
    let resource = attributes(&collector.taken()[0].resource.as_ref().unwrap().attributes);
    assert_eq!(resource["service.name"], "pullgate");
    assert_eq!(resource["service.instance.id"].as_str().unwrap().len(), 36);
    let sent = &collector.sent()[0];
    assert_eq!((&*sent.line, &*sent.content_type), ("POST /v1/traces", "application/x-protobuf"));
    stage.metric_becomes("pullgate_trace_spans_total{outcome=\"exported\"}", 2.0).await;
}

/// What the access log says of a request its span says too, in the same words, but for the query.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_says_what_the_access_log_says() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    let mut request = visit_with(SHOP, "/a?b=c", ("user-agent", "one"));
    request.headers_mut().insert("cf-ray", HeaderValue::from_static("8f0d1c2b3a495867-AMS"));
    stage.h1(SHOP).await.send(request).await.unwrap();
    let [span] = &collector.wait_for(1).await[..] else { panic!("one request, one span") };
    let mut said = attributes(&span.attributes);
    assert_eq!(said.remove("url.scheme"), Some("https".into()));
    let line = stage.access_lines(1).await.remove(0);
    let own = ["timestamp", "duration_ms", "trace_id", "span_id", "trace_flags", "url.query"];
    let logged: serde_json::Map<_, _> =
        line.as_object().unwrap().clone().into_iter().filter(|(name, _)| !own.contains(&&**name)).collect();
    assert_eq!(said, logged);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a"),
        ("http.route", "all"),
        ("host", "shop"),
        ("client.address", VISITOR),
        ("network.peer.address", "127.0.1.1"),
        ("server.address", SHOP),
        ("user_agent.original", "one"),
        ("cf.ray", "8f0d1c2b3a495867-AMS"),
        ("decision", "permit"),
        ("trust", "account"),
        ("tls.protocol.version", "1.3"),
        ("upstream", "shop"),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    assert_eq!(said["http.response.status_code"], 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_caller_or_with_a_malformed_one_a_trace_begins() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    let malformed = [
        vec![],
        vec![format!("00-{TRACE}-{CALLER}-01-")],
        vec![format!("ff-{TRACE}-{CALLER}-01")],
        vec![format!("00-{}-{CALLER}-01", "0".repeat(32))],
        vec![format!("00-{}-{CALLER}-01", TRACE.to_uppercase())],
        vec![format!("00-{TRACE}-{CALLER}-01"), format!("00-{TRACE}-{CALLER}-01")],
    ];
    for callers in &malformed {
        let mut request = visit_with(SHOP, "/", ("tracestate", "a=1"));
        for caller in callers {
            request.headers_mut().append("traceparent", caller.parse().unwrap());
        }
        assert_eq!(stage.h2(SHOP).await.send(request).await.unwrap().status, 200);
    }
    let spans = collector.wait_for(malformed.len()).await;
    let mut traces: Vec<_> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    for entry in stage.origin.wait_for(malformed.len()).await {
        let [_, trace, span, _] = told(&entry);
        assert!(spans.iter().any(|known| hex(&known.trace_id) == trace && hex(&known.span_id) == span), "{entry:?}");
        assert_eq!(entry.header("tracestate"), None, "{entry:?}");
    }
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty() && span.flags == 0x101));
    traces.sort();
    traces.dedup();
    assert!(traces.len() == malformed.len() && !traces.contains(&TRACE.into()), "{traces:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_passes_with_its_trace_and_within_bounds() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "0%")).await;
    let long = format!("a={}", "x".repeat(600));
    for (state, passes) in [("a=1,b=2", true), ("no state", false), (&*long, false)] {
        let mut request = called("01");
        request.headers_mut().insert("tracestate", state.parse().unwrap());
        stage.h1(SHOP).await.send(request).await.unwrap();
        let entry = stage.origin.ledger().pop().unwrap();
        assert_eq!(entry.header("tracestate"), passes.then_some(state));
    }
}

/// The flag in a request is the visitor's word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_does_not_choose_what_is_exported() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "0%")).await;
    for _ in 0..20 {
        assert_eq!(stage.h1(SHOP).await.send(called("01")).await.unwrap().status, 200);
    }
    for entry in stage.origin.wait_for(20).await {
        let [_, trace, span, flags] = told(&entry);
        assert_eq!((&*trace, &*flags, span == CALLER), (TRACE, "00", false));
    }
    let lines = stage.access_lines(20).await;
    assert!(lines.iter().all(|line| line["trace_flags"] == "00" && line["trace_id"] == TRACE), "{lines:#?}");
    end(stage).await;
    assert!(collector.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_requests_have_spans_with_their_reasons() {
    let collector = Collector::start(Manner::Takes).await;
    let mut recipe = traced(&collector.url(), "100%");
    let deny = format!("policies: [{{kind: client-networks, deny: [{VISITOR}]}}]");
    recipe.hosts = recipe.hosts.replace("name: twin\n", &format!("name: twin\n    {deny}\n"));
    let stage = Stage::with(recipe).await;
    assert_eq!(stage.h1("twin.example.com").await.send(visit("twin.example.com", "/")).await.unwrap().status, 403);
    assert_eq!(stage.h2(SHOP).await.send(visit("blog.example.com", "/")).await.unwrap().status, 421);
    let head = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n");
    let config = stage.tls().alpn(&["http/1.1"]).client_config();
    let answer = raw(Some(cloudflare()), stage.at("https"), Some((SHOP, config)), head.as_bytes()).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
    let spans = collector.wait_for(3).await;
    let found: Vec<_> = ["http.response.status_code", "decision", "policy", "reason", "host"]
        .map(|name| spans.iter().map(|span| attribute(span, name)).collect::<Vec<_>>())
        .to_vec();
    assert_eq!(found[0], [403, 421, 400]);
    assert_eq!(found[1], ["refuse"; 3]);
    assert_eq!(found[2], [Value::from("client-networks"), "origin-pull".into(), Value::Null]);
    assert_eq!(found[3], ["network_denied", "unknown_issuer", "body_ambiguous"]);
    let lines = stage.access_lines(3).await;
    for span in &spans {
        let line = lines.iter().find(|line| line["span_id"] == hex(&span.span_id)).unwrap();
        assert_eq!(line["reason"], attribute(span, "reason"));
    }
    assert_eq!(found[4], [Value::from("twin"), "blog".into(), Value::Null]);
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["GET all", "GET", "HTTP"]);
    assert!(spans.iter().all(|span| span.status.is_none()), "a refusal is the client's fault: {spans:#?}");
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_the_server_is_an_error_of_the_span() {
    let collector = Collector::start(Manner::Takes).await;
    let [free] = free_ports();
    let upstreams = format!("upstreams:\n  shop: {{servers: ['127.0.0.1:{free}']}}\n");
    let stage = Stage::with(Recipe { upstreams, ..traced(&collector.url(), "100%") }).await;
    assert_eq!(stage.h1(SHOP).await.send(visit(SHOP, "/")).await.unwrap().status, 503);
    let [span] = &collector.wait_for(1).await[..] else { panic!("one request, one span") };
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, &Value::from(&*status.message)), (2, &attribute(span, "error.message")));
    assert_eq!(attribute(span, "error.type"), "unreachable");
}

/// A visitor who leaves before there is an answer: there is no status to tell, and the span is an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_ends_before_its_answer_is_an_error_without_a_status() {
    let collector = Collector::start(Manner::Takes).await;
    let silent = RawOrigin::start(Behaviour::Silent).await;
    let upstreams = format!("upstreams:\n  shop: {{servers: ['{}']}}\n", silent.address());
    let stage = Stage::with(Recipe { upstreams, ..traced(&collector.url(), "100%") }).await;
    let client = stage.h2(SHOP).await;
    let asking = tokio::spawn(async move { client.send(visit(SHOP, "/")).await.is_ok() });
    silent.wait_for(1).await;
    asking.abort();
    let [span] = &collector.wait_for(1).await[..] else { panic!("one request, one span") };
    assert_eq!(attribute(span, "http.response.status_code"), Value::Null);
    assert_eq!(span.status.as_ref().unwrap().code, 2);
    assert_eq!(stage.access_lines(1).await[0]["http.response.status_code"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_among_what_a_collector_gets() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    let mut request = visit(SHOP, "/path?token=hush-query");
    for (name, value) in [
        ("authorization", "Bearer hush-bearer"),
        ("cookie", "session=hush-cookie"),
        ("proxy-authorization", "Basic hush-proxy"),
        ("x-edge-secret", "hush-edge"),
        ("cf-access-jwt-assertion", "hush-token"),
        ("tracestate", "a=hush-state"),
        ("traceparent", &format!("00-{TRACE}-{CALLER}-01")),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(stage.h2(SHOP).await.send(request).await.unwrap().status, 200);
    collector.wait_for(1).await;
    let bytes = collector.sent()[0].body.clone();
    let holds = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(holds(b"/path") && !holds(b"hush"));
}

/// Without tracing both fields are the client's and pass; a reload turns it on, elsewhere and off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_turns_tracing_on_and_elsewhere_and_off() {
    let (one, two) = (Collector::start(Manner::Takes).await, Collector::start(Manner::Takes).await);
    let stage = Stage::new().await;
    let mut kept = stage.h1(SHOP).await;
    let untouched = |entry: &Entry| told(entry) == ["00", TRACE, CALLER, "01"].map(str::to_owned);
    kept.send(called("01")).await.unwrap();
    assert!(untouched(&stage.origin.ledger()[0]));
    assert_eq!(stage.access_lines(1).await[0].get("trace_id"), None);
    assert!(!stage.gateway.metrics().render().unwrap().contains("pullgate_trace_spans_total"));

    stage.reload(&traced(&one.url(), "100%")).unwrap();
    kept.send(called("01")).await.unwrap();
    assert_eq!(one.wait_for(1).await.len(), 1);
    stage.reload(&traced(&two.url(), "100%")).unwrap();
    kept.send(called("01")).await.unwrap();
    assert_eq!(two.wait_for(1).await.len(), 1);
    stage.reload(&traced(&two.url(), "0%")).unwrap();
    kept.send(called("01")).await.unwrap();
    stage.reload(&Recipe::default()).unwrap();
    kept.send(called("01")).await.unwrap();
    let ledger = stage.origin.wait_for(5).await;
    assert_eq!(ledger.iter().map(untouched).collect::<Vec<_>>(), [true, false, false, false, true]);
    end(stage).await;
    assert_eq!((one.spans().len(), two.spans().len()), (1, 1));
}

/// Spans wait a second for others, and not when the gateway ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_exports_what_waits() {
    let collector = Collector::start(Manner::Takes).await;
    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    for _ in 0..5 {
        stage.h1(SHOP).await.send(visit(SHOP, "/")).await.unwrap();
    }
    stage.access_lines(5).await;
    end(stage).await;
    assert_eq!(collector.spans().len(), 5);
}

/// TLS vouches for the collector, or nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_to_a_collector_over_https() {
    let props = Props::new();
    let identity = props.server_ca.leaf().dns(&["localhost"]).usage_server().issue();
    let collector = Collector::with_tls(Manner::Takes, &identity).await;
    let client = Client::trusting(vec![props.server_ca.der()], Limits::default()).unwrap();
    let stage = Stage::fetching(props, traced(&collector.url(), "100%"), client).await;
    stage.h1(SHOP).await.send(visit(SHOP, "/")).await.unwrap();
    assert_eq!(collector.wait_for(1).await.len(), 1);

    let stage = Stage::with(traced(&collector.url(), "100%")).await;
    stage.h1(SHOP).await.send(visit(SHOP, "/")).await.unwrap();
    stage.metric_becomes("pullgate_trace_spans_total{outcome=\"failed\"}", 1.0).await;
    assert_eq!(collector.sent().len(), 1);
}

/// Who wants an upstream to know nothing of traces says so like of any field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_keeps_traces_from_an_upstream() {
    let collector = Collector::start(Manner::Takes).await;
    let mut recipe = traced(&collector.url(), "100%");
    let remove = "headers: {remove: [traceparent, tracestate]}";
    recipe.hosts = recipe.hosts.replace("name: shop\n", &format!("name: shop\n    {remove}\n"));
    let stage = Stage::with(recipe).await;
    let mut request = called("01");
    request.headers_mut().insert("tracestate", HeaderValue::from_static("a=1"));
    stage.h1(SHOP).await.send(request).await.unwrap();
    for removed in ["traceparent", "tracestate"] {
        assert_eq!(stage.origin.ledger()[0].header(removed), None, "{removed}");
    }
    assert_eq!(hex(&collector.wait_for(1).await[0].trace_id), TRACE);
}

#[test]
fn a_collector_that_cannot_be_is_refused_at_load() {
    let problem = refusal(&Props::new(), &traced("grpc://localhost:4317", "1%"));
    assert!(
        problem.contains("tracing.otlp: `grpc://localhost:4317` is not the http or https URL of a collector"),
        "{problem}"
    );
}
