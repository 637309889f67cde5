//! The bypass suite: nothing passes the gateway, much passes a server that is weak on purpose, and the binary says which.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pullgate_tests::bypass::{self, Column, Outcome, Report, Resumption, Site, Target, Verdict};
use pullgate_tests::client::Servers;
use pullgate_tests::pki::{Authority, LoadedAuthority};
use pullgate_tests::stage::{CLOUDFLARE, Props, Stage, VISITOR, cloudflare};
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoClientAuth, ProducesTickets, StoresServerSessions, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;

const SHOP: &str = "shop.example.com";
const OPEN: &str = "open.example.com";
const BLOG: &str = "blog.example.com";
const MARKER: &str = "the shop behind the gate";

/// Everything that the suite can be given.
fn target(props: &Props, address: SocketAddr) -> Target {
    let blog = Site { name: BLOG.into(), credentials: (&props.other_ca.leaf().issue()).into() };
    Target {
        address,
        plain: None,
        from: Some(cloudflare()),
        servers: Servers::Of(vec![props.server_ca.der()]),
        guarded: Site { name: SHOP.into(), credentials: (&props.edge()).into() },
        open: OPEN.into(),
        other: Some(blog),
        wildcard: Some("a.shop.example.com".into()),
        authority: Some(LoadedAuthority::from_pem(&props.zone_ca.pem(), &props.zone_ca.key_pem()).unwrap()),
        path: "/".into(),
        headers: vec![("cf-connecting-ip".parse().unwrap(), VISITOR.parse().unwrap())],
        marker: None,
        columns: Column::ALL.to_vec(),
    }
}

fn outcomes<'a>(report: &'a Report, id: &str) -> Vec<&'a Outcome> {
    report.attack(id).unwrap().cells.iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn nothing_passes_the_gateway() {
    let stage = Stage::new().await;
    let plain = Some(stage.at("http"));
    let report = bypass::run(&Target { plain, ..target(&stage.props, stage.at("https")) }).await;
    assert_eq!(report.verdict(), Verdict::Tight, "{report}");
    assert_eq!((report.through(), report.tried()), (0, report.outcomes().count()), "{report}");
    assert!(report.tried() > 140, "{report}");

    // What was refused was worth refusing: sessions are resumed where they may be, and were offered where they may not.
    for control in
        report.controls.iter().filter(|control| ["control-resumed", "control-session-id"].contains(&control.id))
    {
        assert!(control.cells.iter().all(|(_, outcome)| outcome.session() == Some(Resumption::Resumed)), "{report}");
    }
    for id in ["open-session", "open-session-id", "other-session", "other-session-id"] {
        for outcome in outcomes(&report, id) {
            assert_eq!(outcome.session(), Some(Resumption::Declined), "{id}\n{report}");
        }
    }

    let ledger = stage.origin.ledger();
    let controls = ledger.iter().filter(|entry| entry.target.contains("=control-good.ask.")).count();
    assert_eq!(controls, 4, "{ledger:#?}");
    for entry in ledger.iter().filter(|entry| !entry.target.contains("=control-")) {
        let served = [OPEN, BLOG].contains(&entry.header("host").unwrap());
        assert!(served && !entry.target.contains(".ask."), "{entry:#?}");
    }
}

/// Resumes any session at any host, believes Host whatever the handshake was for, and serves strange names as the open host.
#[tokio::test]
async fn a_weak_server_is_found_out() {
    let props = Props::new();
    let weak = Weak::start(&props).await;
    let marker = Some(MARKER.to_owned());
    let report = bypass::run(&Target { marker, ..target(&props, weak.address) }).await;
    assert_eq!(report.verdict(), Verdict::Leaking, "{report}");
    for id in ["open-session", "open-session-id", "open-session-wildcard", "other-session", "other-session-id"] {
        for outcome in outcomes(&report, id) {
            assert!(outcome.is_through() && outcome.session() == Some(Resumption::Resumed), "{id}\n{report}");
        }
    }
    let through =
        ["sni-open", "sni-open-wildcard", "sni-other", "sni-absent", "sni-unknown", "kept-open", "kept-refused"];
    for id in
        through.into_iter().chain(["kept-other", "upper-case", "trailing-dot", "with-port", "open-session-fronted"])
    {
        assert!(outcomes(&report, id).into_iter().all(Outcome::is_through), "{id}\n{report}");
    }
    // Its verifier is a good one, and the table says so.
    for row in report.attacks.iter().filter(|row| row.group == bypass::Group::Certificates) {
        assert!(!row.cells.iter().any(|(_, outcome)| outcome.is_through()), "{}\n{report}", row.id);
    }
    let untried: Vec<_> = report.outcomes().filter(|outcome| !outcome.is_tried()).collect();
    assert!(
        !untried.is_empty() && untried.iter().all(|outcome| **outcome == Outcome::NotTried(bypass::Missing("--plain")))
    );
}

#[tokio::test]
async fn a_run_with_a_failed_control_is_not_believed() {
    let stage = Stage::new().await;
    let at = stage.at("https");
    let stranger = Site { name: SHOP.into(), credentials: (&stage.props.other_ca.leaf().issue()).into() };
    let unserved = Site { name: SHOP.into(), credentials: (&stage.props.edge()).into() };
    let cases = [
        ("a certificate that is not good", Target { guarded: stranger, ..target(&stage.props, at) }),
        ("an open host that is not", Target { open: "twin.example.com".into(), ..target(&stage.props, at) }),
        ("a marker that every host has", Target { marker: Some("origin".into()), ..target(&stage.props, at) }),
        ("a marker that no host has", Target { marker: Some("shop".into()), ..target(&stage.props, at) }),
        (
            "a server of another authority",
            Target { servers: Servers::Of(vec![Authority::new("server CA").der()]), ..target(&stage.props, at) },
        ),
        (
            "nobody at the plain port",
            Target { guarded: unserved, plain: Some("127.0.0.1:9".parse().unwrap()), ..target(&stage.props, at) },
        ),
    ];
    for (what, target) in cases {
        let report = bypass::run(&target).await;
        assert_eq!(report.verdict(), Verdict::NotBelieved, "{what}\n{report}");
    }
}

#[test]
fn ids_are_unique_and_names_fit_the_table() {
    let attacks = bypass::attacks();
    let ids: std::collections::HashSet<_> = attacks.iter().map(|attack| attack.id).collect();
    assert_eq!(ids.len(), attacks.len());
    for attack in attacks {
        assert!(attack.name.len() <= 44, "{}", attack.name);
        assert!(!attack.id.starts_with("control-"), "{}", attack.id);
    }
}

/// The arguments of the binary for a target with its files in `props`' folder.
fn arguments(props: &Props, address: SocketAddr) -> Vec<String> {
    let path = |name: &str| props.path().join(name).display().to_string();
    props.edge().write(props.path(), "edge");
    props.server_ca.write(props.path(), "server-ca");
    let words = ["--guarded", SHOP, "--open", OPEN, "--from", CLOUDFLARE, "--header", "CF-Connecting-IP: 203.0.113.7"];
    let named = [("--cert", "edge.pem"), ("--key", "edge.key"), ("--server-ca", "server-ca.pem")];
    let files = named.into_iter().flat_map(|(argument, file)| [argument.to_owned(), path(file)]);
    ["--target".to_owned(), address.to_string()].into_iter().chain(words.map(str::to_owned)).chain(files).collect()
}

async fn suite(arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_origin-pull-bypass"));
    command.args(arguments);
    // The servers run beside the test, on the runtime that must not be blocked.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_exit_code_is_the_verdict() {
    let stage = Stage::new().await;
    let tight = suite(&arguments(&stage.props, stage.at("https"))).await;
    let text = String::from_utf8(tight.stdout).unwrap();
    assert_eq!(tight.status.code(), Some(0), "{text}");
    assert!(text.contains("expired                                      not tried: needs --ca\n"), "{text}");
    assert!(text.trim_end().lines().last().unwrap().starts_with("0 of "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");

    let props = Props::new();
    let weak = Weak::start(&props).await;
    let json = ["--format", "json", "--marker", MARKER, "--tls", "1.3", "--http", "1.1"].map(str::to_owned);
    let leaking = suite(&[arguments(&props, weak.address), json.to_vec()].concat()).await;
    assert_eq!(leaking.status.code(), Some(1), "{leaking:?}");
    let report: serde_json::Value = serde_json::from_slice(&leaking.stdout).unwrap();
    assert_eq!(
        (&report["believed"], report["controls"][0]["cells"][0]["passed"].as_bool()),
        (&true.into(), Some(true))
    );
    let attacks = report["attacks"].as_array().unwrap();
    let fronted = attacks.iter().find(|attack| attack["id"] == "sni-open").unwrap();
    assert_eq!(fronted["cells"].as_array().unwrap().len(), 1);
    assert_eq!(fronted["cells"][0]["outcome"], "through");

    let stopped = weak.address;
    drop(weak);
    let gone = suite(&arguments(&props, stopped)).await;
    assert_eq!(gone.status.code(), Some(2), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stdout).contains("Not believed: "), "{gone:?}");
}

#[tokio::test]
async fn bad_usage_names_the_argument() {
    let props = Props::new();
    let good = arguments(&props, "127.0.0.1:9".parse().unwrap());
    let without = |argument: &str| {
        let at = good.iter().position(|given| given == argument).unwrap();
        [&good[..at], &good[at + 2..]].concat()
    };
    let with = |argument: &str, value: &str| [without(argument), vec![argument.to_owned(), value.to_owned()]].concat();
    let more = |words: &[&str]| [good.clone(), words.iter().map(|word| (*word).to_owned()).collect()].concat();
    props.zone_ca.write(props.path(), "zone-ca");
    let (authority, server_key) = (props.path().join("zone-ca.pem"), props.path().join("server.key"));
    let cases = [
        (without("--guarded"), "--guarded"),
        (without("--server-ca"), "--insecure"),
        (more(&["--insecure"]), "--insecure"),
        (with("--cert", "no-such.pem"), "--cert no-such.pem: No such file"),
        (with("--cert", "/dev/null"), "--cert /dev/null"),
        (with("--key", server_key.to_str().unwrap()), "server.key: certificate and key do not fit"),
        (with("--server-ca", "/dev/null"), "--server-ca /dev/null: no authority in PEM"),
        (with("--target", "127.0.0.1"), "--target"),
        (with("--open", "not a name"), "--open"),
        (with("--header", "no colon"), "--header"),
        (more(&["--other-host", BLOG]), "--other-cert"),
        (more(&["--ca", authority.to_str().unwrap()]), "--ca-key"),
        (more(&["--ca", authority.to_str().unwrap(), "--ca-key", "/dev/null"]), "--ca-key /dev/null"),
        (more(&["--marker", ""]), "--marker"),
        (more(&["--path", "/?x"]), "--path"),
    ];
    for (arguments, named) in cases {
        let output = suite(&arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{named}: {said}");
        assert!(said.contains(named), "{named}: {said}");
    }
}

/// A server with three hosts, each of which verifies as it should, and nothing that keeps them apart.
struct Weak {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Weak {
    async fn start(props: &Props) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Arc::default();
        let config = |name, authority| Arc::new(weak_config(props, name, authority, &sessions));
        let [shop, open] = [config(SHOP, Some(&props.zone_ca)), config(OPEN, None)];
        let (wildcard, blog) = (config(WILDCARD, Some(&props.zone_ca)), config(BLOG, Some(&props.other_ca)));
        let choose = move |name: Option<&str>| match name {
            Some(SHOP) => Arc::clone(&shop),
            Some(WILDCARD) => Arc::clone(&wildcard),
            Some(BLOG) => Arc::clone(&blog),
            Some(_) | None => Arc::clone(&open),
        };
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, choose.clone()));
            }
        });
        Self { address, _serving: serving }
    }
}

const WILDCARD: &str = "a.shop.example.com";

fn weak_config(props: &Props, name: &'static str, authority: Option<&Authority>, sessions: &Sessions) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = match authority {
        None => Arc::new(NoClientAuth),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der()).unwrap();
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap()
        }
    };
    let own = props.server_ca.leaf().dns(&[SHOP, OPEN, BLOG, WILDCARD]).issue();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(own.chain(), own.key()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let forgetful = Arc::new(Forgetful { sessions: Arc::clone(sessions), name });
    config.session_storage = Arc::clone(&forgetful) as Arc<_>;
    config.ticketer = forgetful;
    config
}

type Sessions = Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>;

/// Sessions that all hosts share, each of which finds its own name in them. rustls compares names; the servers that were
/// bypassed did not.
#[derive(Debug)]
struct Forgetful {
    sessions: Sessions,
    name: &'static str,
}

impl Forgetful {
    /// A stored session begins with 1 and the name's length; then comes the name.
    fn renamed(&self, session: &[u8]) -> Option<Vec<u8>> {
        let &[1, length, ref rest @ ..] = session else { return None };
        let own = [&[1, u8::try_from(self.name.len()).unwrap()], self.name.as_bytes()].concat();
        Some([&own, &rest[usize::from(length)..]].concat())
    }
}

impl StoresServerSessions for Forgetful {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.sessions.lock().unwrap().insert(key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.renamed(self.sessions.lock().unwrap().get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl ProducesTickets for Forgetful {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        3600
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sessions = self.sessions.lock().unwrap();
        let ticket = format!("ticket {}", sessions.len()).into_bytes();
        sessions.insert(ticket.clone(), plain.to_vec());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.get(ticket)
    }
}

async fn answer(stream: TcpStream, choose: impl Fn(Option<&str>) -> Arc<ServerConfig>) {
    let Ok(start) = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await else { return };
    let config = choose(start.client_hello().server_name());
    let stream = match start.into_stream(config).into_fallible().await {
        Ok(stream) => stream,
        // Read to the end, so that no reset overtakes the alert.
        Err((_, refused)) => return drop(tokio::io::copy(&mut { refused }, &mut tokio::io::sink()).await),
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let respond = service_fn(|request: Request<Incoming>| std::future::ready(Ok::<_, hyper::Error>(page(&request))));
    let io = TokioIo::new(stream);
    let _ = match h2 {
        true => hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, respond).await,
        false => hyper::server::conn::http1::Builder::new().serve_connection(io, respond).await,
    };
}

fn page(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(host).unwrap_or_default().to_lowercase();
    let text = if host.contains("shop") { MARKER } else { "another site" };
    Response::new(Full::from(text))
}
