//! Old and odd protocol: what nobody should speak any more is not answered, what nobody needs has no effect.

use super::{OPEN, SHOP, openssl_get, served};
use pullgate_tests::client::{Output, connect, patient_openssl_s_client};
use pullgate_tests::hello::{ECDHE_ECDSA_AES128_GCM, Hello, Said, greet};
use pullgate_tests::stage::{Recipe, Stage, cloudflare};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `protocol_version` (RFC 8446, section 6.2).
const PROTOCOL_VERSION: u8 = 70;

#[tokio::test]
async fn c27_ssl_3_and_the_first_two_of_tls_are_not_spoken() {
    let stage = Stage::new().await;
    let hello = |version| Hello::to(OPEN.as_bytes()).version(version).record();
    for version in [[3, 0], [3, 1], [3, 2]] {
        assert_eq!(greet(stage.at("https"), &hello(version)).await, Said::Alert(PROTOCOL_VERSION), "{version:?}");
    }
    assert!(matches!(greet(stage.at("https"), &hello([3, 3])).await, Said::Hello(_)));
}

/// `handshake_failure` (RFC 8446, section 6.2).
const HANDSHAKE_FAILURE: u8 = 40;

#[tokio::test]
async fn c27_no_weak_cipher_suite_is_taken() {
    let stage = Stage::new().await;
    let at = stage.at("https");
    let hello = || Hello::to(OPEN.as_bytes());
    let weak = [
        ("no encryption", 0xc006),
        ("RC4", 0xc007),
        ("3DES", 0xc008),
        ("CBC with SHA-1", 0xc009),
        ("CBC with SHA-1, 256 bits", 0xc00a),
        ("CBC with SHA-256", 0xc023),
        ("CBC with SHA-384", 0xc024),
        ("ECDHE_RSA with CBC", 0xc013),
        ("ECDHE_RSA with RC4", 0xc011),
        ("static ECDH", 0xc02d),
        ("static RSA with GCM", 0x009c),
        ("static RSA with CBC", 0x002f),
        ("static RSA with 3DES", 0x000a),
        ("static RSA with RC4", 0x0005),
        ("export", 0x0003),
        ("anonymous", 0xc018),
        ("finite-field DHE", 0x009e),
    ];
    for (what, suite) in weak {
        assert_eq!(greet(at, &hello().suites(&[suite]).record()).await, Said::Alert(HANDSHAKE_FAILURE), "{what}");
    }
    // Beside a sound one they are passed over.
    let all: Vec<u16> = weak.into_iter().map(|(_, suite)| suite).chain([ECDHE_ECDSA_AES128_GCM]).collect();
    let Said::Hello(answer) = greet(at, &hello().suites(&all).record()).await else { panic!("no ServerHello") };
    assert_eq!(answer.suite, ECDHE_ECDSA_AES128_GCM);
}

#[tokio::test]
async fn c27_nothing_is_compressed() {
    let stage = Stage::new().await;
    let at = stage.at("https");
    let hello = |methods: &[u8]| Hello::to(OPEN.as_bytes()).compressions(methods).record();
    assert!(matches!(greet(at, &hello(&[1])).await, Said::Alert(_)));
    let Said::Hello(answer) = greet(at, &hello(&[1, 0])).await else { panic!("no ServerHello") };
    assert_eq!(answer.compression, 0);
}

/// What a client of 1995 sends, which some of 2010 still did.
#[tokio::test]
async fn c27_an_sslv2_hello_is_not_understood() {
    let stage = Stage::new().await;
    for version in [[0, 2], [3, 0], [3, 3]] {
        let suites = [1, 0, 0x80, 7, 0, 0xc0, 0, 0xc0, 0x2b];
        let body = [&[1], &version[..], &[0, 9, 0, 0, 0, 16], &suites, &[0x42; 16]].concat();
        let bytes = [&[0x80, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let said = greet(stage.at("https"), &bytes).await;
        assert!(matches!(said, Said::Nothing | Said::Alert(_)), "{version:?}: {said:?}");
    }
    let failed = r#"pullgate_handshakes_total{host="none",outcome="failed",resumed="false"}"#;
    stage.metric_becomes(failed, 3.0).await;
}

/// A content type of records (RFC 6520).
const HEARTBEAT: u8 = 24;

/// The request that read other people's memory in 2014: it says that it is longer than it is.
#[tokio::test]
async fn c27_a_heartbeat_has_no_answer() {
    let stage = Stage::new().await;
    let hello = Hello::to(OPEN.as_bytes()).extension(15, &[1]).record();
    let Said::Hello(answer) = greet(stage.at("https"), &hello).await else { panic!("no ServerHello") };
    assert!(!answer.extensions.contains(&15), "{answer:?}");
    let mut stream = connect(Some(cloudflare()), stage.at("https")).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut came = vec![stream.read_u8().await.unwrap()];
    stream.write_all(&[HEARTBEAT, 3, 3, 0, 3, 1, 0x40, 0]).await.unwrap();
    // A reset is as good an end as a close.
    let _ = stream.read_to_end(&mut came).await;
    assert!(!types(&came).contains(&HEARTBEAT), "{:?}", types(&came));
}

/// The content types of whole records.
fn types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        types.push(*kind);
        bytes = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    types
}

/// The client says a second ClientHello, and waits for a second ServerHello until the time for a request is over.
#[tokio::test]
async fn c27_a_client_does_not_renegotiate() {
    let plain = "address: '127.0.0.1:0'}";
    let short = "address: '127.0.0.1:0', limits: {header_timeout: 1s}}";
    let listeners = Recipe::default().listeners.replacen(plain, short, 1);
    let stage = Stage::with(Recipe { listeners, ..Recipe::default() }).await;
    let at = stage.at("https").to_string();
    let args = ["-connect", &at, "-bind", "127.0.1.1", "-servername", OPEN, "-tls1_2", "-msg"];
    let output = patient_openssl_s_client(&args, b"R\n").await;
    assert!(output.stderr.contains("RENEGOTIATING"), "{output:?}");
    let said = |message: &str| output.stdout.matches(message).count();
    assert_eq!((said(", ClientHello"), said(", ServerHello\n")), (2, 1), "{output:?}");
    assert!(!output.success, "{output:?}");
}

/// The first key share is of a group that the gateway lacks, the second group is one that it has.
#[tokio::test]
async fn a_hello_with_an_unknown_key_share_is_asked_again() {
    let stage = Stage::new().await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    let hellos = |output: &Output| output.stdout.matches(", ClientHello").count();
    for (groups, hellos_sent) in [("P-256", 1), ("P-521:P-256", 2)] {
        let output = openssl_get(&stage, SHOP, SHOP, Some(&edge), &["-tls1_3", "-msg", "-groups", groups]).await;
        assert!(served(&output), "{groups}: {output:?}");
        assert_eq!(hellos(&output), hellos_sent, "{groups}: {output:?}");
        let output = openssl_get(&stage, SHOP, SHOP, None, &["-tls1_3", "-msg", "-groups", groups]).await;
        assert!(!served(&output), "{groups}: {output:?}");
    }
    let output = openssl_get(&stage, SHOP, SHOP, Some(&edge), &["-tls1_3", "-groups", "P-521"]).await;
    assert!(!served(&output) && output.stderr.contains("alert handshake failure"), "{output:?}");
}

/// A client may offer to show its certificate later; nobody asks it to.
#[tokio::test]
async fn c30_authentication_after_the_handshake_is_not_asked_for() {
    let stage = Stage::new().await;
    let edge = stage.edge.write(stage.props.path(), "edge");
    let output = openssl_get(&stage, OPEN, OPEN, Some(&edge), &["-tls1_3", "-enable_pha", "-msg"]).await;
    assert!(served(&output) && !output.stdout.contains("CertificateRequest"), "{output:?}");
    let output = openssl_get(&stage, OPEN, SHOP, Some(&edge), &["-tls1_3", "-enable_pha", "-msg"]).await;
    assert!(output.stdout.contains("421 Misdirected Request"), "{output:?}");
    assert!(!output.stdout.contains("CertificateRequest"), "{output:?}");
    let output = openssl_get(&stage, SHOP, SHOP, Some(&edge), &["-tls1_3", "-msg"]).await;
    assert!(served(&output) && output.stdout.contains("CertificateRequest"), "{output:?}");
}
