//! Sessions from elsewhere, and early data: nothing that was agreed on another connection opens this one.

use super::{OPEN, SHOP, openssl_get, served};
use pullgate_tests::client::{H1, Output, Versions, openssl_s_client};
use pullgate_tests::signer::chain_from;
use pullgate_tests::stage::{Recipe, Stage, VERSIONS, stranger, visit};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

fn only(versions: Versions) -> &'static str {
    if versions == Versions::Tls12 { "-tls1_2" } else { "-tls1_3" }
}

/// A second implementation beside rustls, which has its own idea of what a session may be offered to.
#[tokio::test]
async fn c24_a_session_kept_by_openssl_opens_no_other_host() {
    let stage = Stage::new().await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    let file = stage.props.path().join("session.pem");
    let file = file.to_str().unwrap();
    for versions in VERSIONS {
        for (from, identity) in [(OPEN, None), ("watched.example.com", None), ("twin.example.com", Some(&edge))] {
            let first = openssl_get(&stage, from, from, identity, &[only(versions), "-sess_out", file]).await;
            assert!(served(&first), "{versions:?} {from}: {first:?}");
            // At its own host it is one.
            let again = openssl_get(&stage, from, from, identity, &[only(versions), "-sess_in", file]).await;
            assert!(served(&again) && again.stdout.contains("\nReused, "), "{versions:?} {from}: {again:?}");
            // The first use of a session of TLS 1.3 is its last.
            let next = openssl_get(&stage, from, from, identity, &[only(versions), "-sess_out", file]).await;
            assert!(served(&next), "{versions:?} {from}: {next:?}");
            let reached = stage.origin.ledger().len();
            let other = openssl_get(&stage, SHOP, SHOP, None, &[only(versions), "-sess_in", file]).await;
            assert!(!served(&other) && !other.stdout.contains("\nReused, "), "{versions:?} {from}: {other:?}");
            assert!(other.stderr.contains("alert"), "{versions:?} {from}: {other:?}");
            assert_eq!(stage.origin.ledger().len(), reached);
        }
    }
    stage.verdicts_become("shop", "not_presented", 6.0).await;
}

/// What another server gives out that the gateway does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gift {
    Tickets,
    EarlyData,
}

/// A server with the gateway's own certificate. Every connection hears a line and ends.
async fn generous(stage: &Stage, gift: Gift) -> (String, JoinSet<()>) {
    let folder = stage.props.path();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain_from(&folder.join("server.pem")), key).unwrap();
    match gift {
        Gift::Tickets => config.ticketer = aws_lc_rs::Ticketer::new().unwrap(),
        Gift::EarlyData => config.max_early_data_size = 16_384,
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            stream.write_all(b"here you are\n").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (address, serving)
}

/// Has openssl keep a session of `server`, under the name of one of the gateway's hosts, in a file.
async fn keep_session(stage: &Stage, server: &str, name: &str, versions: Versions) -> (String, Output) {
    let file = stage.props.path().join("elsewhere.pem").to_str().unwrap().to_owned();
    let args = ["-connect", server, "-servername", name, only(versions), "-sess_out", &file, "-ign_eof"];
    let output = openssl_s_client(&args, b"").await;
    assert!(output.stdout.contains("here you are"), "{output:?}");
    (file, output)
}

/// The gateway gives out no tickets in TLS 1.2; whoever shows one is a stranger like any other.
#[tokio::test]
async fn c24_a_ticket_of_another_server_of_the_same_name_is_ignored() {
    let stage = Stage::new().await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    let (elsewhere, _serving) = generous(&stage, Gift::Tickets).await;
    for (round, versions) in (1..).zip(VERSIONS) {
        for (identity, passes) in [(None, false), (Some(&edge), true)] {
            let (file, kept) = keep_session(&stage, &elsewhere, SHOP, versions).await;
            assert!(kept.stdout.contains("TLS session ticket:"), "{versions:?}: {kept:?}");
            let output = openssl_get(&stage, SHOP, SHOP, identity, &[only(versions), "-sess_in", &file]).await;
            assert_eq!(served(&output), passes, "{versions:?}: {output:?}");
            assert!(!output.stdout.contains("\nReused, "), "{versions:?}: {output:?}");
        }
        assert_eq!(stage.origin.ledger().len(), round);
    }
}

#[tokio::test]
async fn c26_early_data_is_not_offered() {
    let stage = Stage::new().await;
    let output = openssl_get(&stage, OPEN, OPEN, None, &["-tls1_3"]).await;
    assert!(served(&output) && output.stdout.contains("Max Early Data: 0\n"), "{output:?}");
}

/// A client that is sure that it may sends a request with its ClientHello, to which nobody has agreed.
#[tokio::test]
async fn c26_early_data_is_passed_over() {
    let stage = Stage::new().await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    let (elsewhere, _serving) = generous(&stage, Gift::EarlyData).await;
    let early = stage.props.path().join("early");
    for (host, identity) in [(OPEN, None), (SHOP, Some(&edge))] {
        let (session, kept) = keep_session(&stage, &elsewhere, host, Versions::Tls13).await;
        assert!(kept.stdout.contains("Max Early Data: 16384\n"), "{kept:?}");
        std::fs::write(&early, format!("GET /early HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
        let more = ["-tls1_3", "-sess_in", &session, "-early_data", early.to_str().unwrap()];
        let output = openssl_get(&stage, host, host, identity, &more).await;
        assert!(output.stdout.contains("Early data was rejected"), "{host}: {output:?}");
        assert!(served(&output) && !output.stdout.contains("\nReused, "), "{host}: {output:?}");
    }
    let targets: Vec<_> = stage.origin.ledger().into_iter().map(|entry| entry.target).collect();
    assert_eq!(targets, ["/", "/"]);
}

/// Cloudflare marks what came to it as early data, which may be a replay; whether to take it is for the origin to say
/// (RFC 8470), and nobody else may mark it.
#[tokio::test]
async fn c26_a_mark_of_early_data_reaches_the_origin_from_cloudflare_alone() {
    let listeners = format!("{}  - {{name: any, address: '127.0.0.1:0', sources: any}}\n", Recipe::default().listeners);
    let declared = "    visitor: {features: [early-data]}\n    routes:";
    // Of `shop`, `open` and all others but `twin`, whose zone has it off.
    let hosts = Recipe::default().hosts.replace("    routes:", declared).replacen(
        "[zone-ca.pem]}\n    visitor: {features: [early-data]}\n    routes: [{name: all, upstream: shop}]\n  - name: blog",
        "[zone-ca.pem]}\n    routes: [{name: all, upstream: shop}]\n  - name: blog",
        1,
    );
    let stage = Stage::with(Recipe { listeners, hosts, ..Recipe::default() }).await;
    let marked = |host: &str| {
        let mut request = visit(host, "/status/425");
        request.headers_mut().insert("early-data", http::HeaderValue::from_static("1"));
        request
    };
    let tls = stage.bare_tls().alpn(&["http/1.1"]).client_config();
    let mut stranger = H1::tls(Some(stranger()), stage.at("any"), OPEN, tls).await.unwrap();
    let answers = [
        stage.h1(SHOP).await.send(marked(SHOP)).await,
        stage.h2(SHOP).await.send(marked(SHOP)).await,
        stage.h1("twin.example.com").await.send(marked("twin.example.com")).await,
        stranger.send(marked(OPEN)).await,
    ];
    for answer in answers {
        assert_eq!(answer.unwrap().status, 425);
    }
    let ledger = stage.origin.ledger();
    let marks: Vec<_> = ledger.iter().map(|entry| entry.all("early-data")).collect();
    assert_eq!(marks, [vec!["1"], vec!["1"], vec![], vec![]]);
}
