//! Certificates that must not pass, each with the verdict it gets, and signatures that prove nothing.

use super::{SHOP, ask};
use pullgate_tests::client::Tls;
use pullgate_tests::legacy::Mint;
use pullgate_tests::pki::{Authority, Identity, KeyKind};
use pullgate_tests::signer::{Forgery, ProgramKey, chain_from, from_files, key_of};
use pullgate_tests::stage::{Props, Recipe, Stage, VERSIONS};
use rustls_pki_types::CertificateDer;

/// Both versions of TLS end with an alert, each is counted under this verdict, and nothing reaches the origin.
async fn refused_as(verdict: &str, stage: &Stage, tls: &Tls) {
    for (round, versions) in (1..).zip(VERSIONS) {
        let refused = ask(stage, SHOP, tls.clone().versions(versions), SHOP).await.unwrap_err();
        assert!(refused.alert().is_some(), "{versions:?}: {refused:?}");
        stage.verdicts_become("shop", verdict, f64::from(round)).await;
    }
    stage.assert_nothing_reached_the_origin();
}

async fn identity_refused_as(verdict: &str, make: impl Fn(&Props) -> Identity) {
    let stage = Stage::new().await;
    let tls = stage.bare_tls().presenting(&make(&stage.props));
    refused_as(verdict, &stage, &tls).await;
}

#[tokio::test]
async fn c20_a_certificate_that_ended_a_second_ago() {
    let (day, second) = (time::Duration::DAY, time::Duration::SECOND);
    identity_refused_as("expired", |props| props.zone_ca.leaf().validity(-day, -second).issue()).await;
}

#[tokio::test]
async fn c20_an_expired_intermediate() {
    identity_refused_as("expired", |props| props.zone_ca.expired_intermediate("past").leaf().issue()).await;
}

#[tokio::test]
async fn c20_a_path_longer_than_its_ca_allows() {
    let overrun = |props: &Props| props.zone_ca.bounded_intermediate("last", 0).intermediate("more").leaf().issue();
    identity_refused_as("constraint_violated", overrun).await;
}

#[tokio::test]
async fn c20_a_name_outside_of_what_its_ca_may_issue() {
    let stray = |props: &Props| {
        let confined = props.zone_ca.confined_intermediate("confined", "example.org");
        confined.leaf().dns(&["edge.example.com"]).issue()
    };
    identity_refused_as("constraint_violated", stray).await;
}

#[tokio::test]
async fn c20_a_critical_extension_that_nobody_knows() {
    identity_refused_as("malformed", |props| props.zone_ca.leaf().critical_extension().issue()).await;
}

#[tokio::test]
async fn c21_a_chain_of_a_hundred_certificates() {
    identity_refused_as("chain_too_long", |props| props.edge().padded(100)).await;
}

#[tokio::test]
async fn c20_a_certificate_that_is_none() {
    let stage = Stage::new().await;
    let noise = vec![CertificateDer::from(vec![0x5a; 600])];
    refused_as("malformed", &stage, &stage.bare_tls().showing(noise, key_of(&stage.edge))).await;
}

#[tokio::test]
async fn c20_a_sha1_signature() {
    let stage = Stage::new().await;
    let minted = Mint::digest("sha1").issue(&stage.props.zone_ca, stage.props.path(), "sha1").await;
    let (chain, key) = from_files(&minted);
    refused_as("bad_signature", &stage, &stage.bare_tls().showing(chain, key)).await;
}

/// A stage whose shop trusts a root with an RSA key besides: MD5 goes with RSA alone.
async fn stage_with_rsa() -> (Stage, Authority) {
    let (props, rsa) = (Props::new(), Authority::with_key("zone CA of RSA", KeyKind::Rsa2048));
    rsa.write(props.path(), "rsa-ca");
    let hosts = Recipe::default().hosts.replace("trust: [zone-ca.pem]", "trust: [zone-ca.pem, rsa-ca.pem]");
    (Stage::set(props, Recipe { hosts, ..Recipe::default() }).await, rsa)
}

#[tokio::test]
async fn c20_an_md5_signature() {
    let (stage, rsa) = stage_with_rsa().await;
    let (chain, key) = from_files(&Mint::digest("md5").issue(&rsa, stage.props.path(), "md5").await);
    refused_as("bad_signature", &stage, &stage.bare_tls().showing(chain, key)).await;
}

/// The key is at hand and signs well: it is its length that is refused.
#[tokio::test]
async fn c20_an_rsa_key_of_1024_bits() {
    let (stage, rsa) = stage_with_rsa().await;
    for (option, good) in [("rsa_keygen_bits:1024", false), ("rsa_keygen_bits:2048", true)] {
        let files = Mint::rsa(option).issue(&rsa, stage.props.path(), "short").await;
        let tls = stage.bare_tls().showing(chain_from(&files.chain), ProgramKey::of_file(&files.key));
        for versions in VERSIONS {
            match ask(&stage, SHOP, tls.clone().versions(versions), SHOP).await {
                Ok(answer) => assert!(good && answer.status == 200, "{option} {versions:?}"),
                Err(refused) => assert!(!good && refused.alert().is_some(), "{option} {versions:?}: {refused:?}"),
            }
        }
    }
    assert_eq!(stage.origin.ledger().len(), VERSIONS.len());
    stage.verdicts_become("shop", "bad_signature", 2.0).await;
}

#[tokio::test]
async fn c21_a_signature_that_proves_nothing() {
    let stage = Stage::new().await;
    for versions in VERSIONS {
        let signing = |forgery: Forgery| {
            stage.bare_tls().showing(stage.edge.chain(), forgery.key(&stage.edge)).versions(versions)
        };
        // Observe lets bad certificates pass, never an unproven one.
        for (sni, forgery) in
            [SHOP, "watched.example.com"].into_iter().flat_map(|sni| Forgery::ALL.map(|one| (sni, one)))
        {
            let refused = ask(&stage, sni, signing(forgery), sni).await.unwrap_err();
            assert!(refused.alert().is_some(), "{versions:?} {sni} {forgery:?}: {refused:?}");
        }
        stage.assert_nothing_reached_the_origin();
    }
    let forgeries = f64::from(u8::try_from(2 * Forgery::ALL.len()).unwrap());
    for host in ["shop", "watched"] {
        stage.verdicts_become(host, "bad_signature", forgeries).await;
    }
    for versions in VERSIONS {
        let sound = stage.bare_tls().showing(stage.edge.chain(), Forgery::None.key(&stage.edge)).versions(versions);
        assert_eq!(ask(&stage, SHOP, sound, SHOP).await.unwrap().status, 200, "{versions:?}");
    }
}
