//! What the gateway shows: ECDSA and RSA side by side, and a stapled OCSP answer.

use pullgate_tests::client::{openssl, openssl_s_client};
use pullgate_tests::pki::{Authority, Identity, KeyKind};
use pullgate_tests::stage::{Props, Recipe, Stage, refusal, visit};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::Path;

/// The usual hosts, where `shop` has these certificates.
fn shop_with(certificate: &str) -> Recipe {
    let one = "certificate: {chain: server.pem, key: server.key}";
    let hosts = Recipe::default().hosts.replacen(one, &format!("certificate: {certificate}"), 1);
    Recipe { hosts, ..Recipe::default() }
}

const BOTH: &str = "[{chain: rsa.pem, key: rsa.key}, {chain: server.pem, key: server.key}]";

fn server(props: &Props, kind: KeyKind) -> Identity {
    props.server_ca.leaf().dns(&["shop.example.com", "*.shop.example.com"]).usage_server().key(kind).issue()
}

async fn s_client(stage: &Stage, more: &[&str]) -> String {
    let edge = stage.edge.write(stage.props.path(), "edge");
    let (at, chain, key) = (stage.at("https").to_string(), edge.chain, edge.key);
    let mut arguments = vec!["-connect", &at, "-bind", "127.0.1.1", "-servername", "shop.example.com"];
    arguments.extend(["-cert", chain.to_str().unwrap(), "-key", key.to_str().unwrap()]);
    arguments.extend(more);
    openssl_s_client(&arguments, b"").await.stdout
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_that_it_can_verify() {
    let props = Props::new();
    let longer = time::Duration::days(90);
    let rsa = props.server_ca.leaf().dns(&["shop.example.com"]).usage_server().key(KeyKind::Rsa2048);
    rsa.validity(time::Duration::days(-1), longer).issue().write(props.path(), "rsa");
    let stage = Stage::set(props, shop_with(BOTH)).await;
    let table: [(&[&str], &str); 7] = [
        // Whatever the order of the files: ECDSA costs a tenth.
        (&[], "Peer signature type: ECDSA"),
        (&["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], "Peer signature type: RSA-PSS"),
        (&["-tls1_3", "-sigalgs", "ECDSA+SHA256"], "Peer signature type: ECDSA"),
        (&["-tls1_2", "-sigalgs", "RSA+SHA256:RSA-PSS+SHA256"], "Peer signature type: RSA"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "Cipher is ECDHE-RSA-AES128-GCM-SHA256"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"),
        (&["-tls1_3", "-sigalgs", "ed25519"], "no peer certificate available"),
    ];
    for (offer, expected) in table {
        let seen = s_client(&stage, offer).await;
        assert!(seen.contains(expected), "{offer:?}\n{seen}");
    }
    // The other hosts have theirs alone.
    let mut client = stage.h1("twin.example.com").await;
    assert_eq!(client.send(visit("twin.example.com", "/")).await.unwrap().status, 200);
    // Each with its own end.
    for (file, kind) in [("server.pem", KeyKind::P256), ("rsa.pem", KeyKind::Rsa2048)] {
        let der = CertificateDer::from_pem_file(stage.props.path().join(file)).unwrap();
        let leaf = pullgate_policy::origin_pull::Leaf::describe(&der).unwrap();
        let own = format!(
            r#"pullgate_certificate_not_after_timestamp_seconds{{host="shop",kind="own",sha256="{}"}}"#,
            &leaf.sha256[..16]
        );
        assert_eq!(stage.metric(&own), leaf.not_after.as_secs() as f64, "{kind:?}");
    }
    let observed = r#"pullgate_certificate_not_after_timestamp_seconds{host="twin",kind="observed",sha256=""}"#;
    let edge = pullgate_policy::origin_pull::Leaf::describe(&stage.edge.chain()[0]).unwrap();
    assert_eq!(stage.metric(observed), edge.not_after.as_secs() as f64);
}

#[test]
fn two_certificates_of_one_kind_are_refused() {
    let props = Props::new();
    server(&props, KeyKind::P384).write(props.path(), "rsa");
    let problems = refusal(&props, &shop_with(BOTH));
    let expected = "hosts[0].certificate[1].key: a certificate with a key of the kind `ECDSA` is given twice";
    assert!(problems.contains(expected), "{problems}");
}

/// An OCSP answer by openssl, in force from now for a day: what its index says of the leaf.
async fn answer(folder: &Path, authority: &Authority, leaf: &Identity, status: &str, stem: &str) {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    authority.write(folder, "ocsp-ca");
    std::fs::write(folder.join("ocsp-ca.key"), authority.key_pem()).unwrap();
    leaf.write(folder, "ocsp-leaf");
    std::fs::write(folder.join("index.txt"), format!("{status}\t{}\tunknown\t/CN=leaf\n", leaf.serial())).unwrap();
    std::fs::write(folder.join("index.txt.attr"), "unique_subject = no\n").unwrap();
    let (ca, key, leaf, index, out) =
        (at("ocsp-ca.pem"), at("ocsp-ca.key"), at("ocsp-leaf.pem"), at("index.txt"), at(stem));
    let arguments = [
        "ocsp",
        "-index",
        &index,
        "-CA",
        &ca,
        "-rsigner",
        &ca,
        "-rkey",
        &key,
        "-issuer",
        &ca,
        "-cert",
        &leaf,
        "-ndays",
        "1",
        "-respout",
        &out,
        "-noverify",
    ];
    let made = openssl(&arguments, b"").await;
    assert!(made.success && folder.join(stem).exists(), "{made:?}");
}

const GOOD: &str = "V\t20990101000000Z\t";
const REVOKED: &str = "R\t20990101000000Z\t260101000000Z";

#[tokio::test]
async fn an_ocsp_answer_is_stapled() {
    let props = Props::new();
    let leaf = server(&props, KeyKind::P256);
    leaf.write(props.path(), "server");
    answer(props.path(), &props.server_ca, &leaf, GOOD, "shop.ocsp").await;
    let stage = Stage::set(props, shop_with("{chain: server.pem, key: server.key, ocsp: shop.ocsp}")).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let seen = s_client(&stage, &["-status", version]).await;
        assert!(seen.contains("OCSP Response Status: successful") && seen.contains("Cert Status: good"), "{seen}");
        assert!(!s_client(&stage, &[version]).await.contains("OCSP Response Status"), "{version}: nobody asked");
    }
    stage.reload(&shop_with("{chain: server.pem, key: server.key}")).unwrap();
    assert!(s_client(&stage, &["-status"]).await.contains("OCSP response: no response sent"));
}

#[tokio::test]
async fn an_ocsp_answer_that_would_do_harm_is_refused() {
    let props = Props::new();
    let (leaf, other) = (server(&props, KeyKind::P256), server(&props, KeyKind::P256));
    answer(props.path(), &props.server_ca, &leaf, REVOKED, "revoked.ocsp").await;
    answer(props.path(), &props.server_ca, &other, GOOD, "other.ocsp").await;
    leaf.write(props.path(), "server");
    // responseStatus tryLater (RFC 6960 section 4.2.1).
    std::fs::write(props.path().join("later.ocsp"), [0x30, 3, 0x0a, 1, 3]).unwrap();
    let table = [
        ("revoked.ocsp", "the answer says that the certificate is revoked"),
        ("other.ocsp", "the answer is about another certificate"),
        ("later.ocsp", "the responder said TryLater"),
        ("server.pem", "not an answer in DER"),
        ("nowhere.ocsp", "cannot read `nowhere.ocsp`"),
    ];
    for (file, expected) in table {
        let problems = refusal(&props, &shop_with(&format!("{{chain: server.pem, key: server.key, ocsp: {file}}}")));
        assert!(problems.contains("hosts[0].certificate.ocsp: ") && problems.contains(expected), "{problems}");
    }
}
