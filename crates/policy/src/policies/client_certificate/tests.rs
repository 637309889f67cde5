//! Which certificates may pass.

use super::*;
use crate::testing::{Arrival, Ca, NOW, VISITOR, at, judged, judged_with, valid};
use crate::visitor_certificate::CertificateFields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const MISSING: Result<(), Reason> = Err(Reason::ClientCertificateMissing);
const SUBJECT: Result<(), Reason> = Err(Reason::ClientCertificateSubject);
const FINGERPRINT: Result<(), Reason> = Err(Reason::ClientCertificateFingerprint);
const UNTRUSTED: Result<(), Reason> = Err(Reason::ClientCertificateUntrusted);

/// The site's own CA.
static OWN: LazyLock<Ca> = LazyLock::new(|| Ca::root("client CA"));

/// A stranger's of the same name.
static FORGED: LazyLock<Ca> = LazyLock::new(|| Ca::root("client CA"));

static ALICE: LazyLock<Certificate> = LazyLock::new(|| named(&OWN, "alice"));

fn named(ca: &Ca, name: &str) -> Certificate {
    ca.leaf(|params| params.distinguished_name.push(DnType::CommonName, name))
}

fn bytes(der: &CertificateDer<'_>) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// A visitor who showed a chain.
fn showing(leaf: &Certificate, others: &[CertificateDer<'_>]) -> Arrival {
    let arrival = Arrival::good().with("client-cert", bytes(leaf.der()));
    let chain: Vec<_> = others.iter().map(bytes).collect();
    if chain.is_empty() { arrival } else { arrival.with("client-cert-chain", chain.join(", ")) }
}

fn shown(policy: &ClientCertificate, arrival: &Arrival) -> Result<(), Reason> {
    judged_with(policy, arrival, VISITOR, Some(CertificateFields::Rfc9440))
}

fn trusting(ca: &Ca) -> ClientCertificate {
    policy(Some(ca), &[], &[])
}

fn policy(ca: Option<&Ca>, subjects: &[&str], certificates: &[&Certificate]) -> ClientCertificate {
    let trust = ca.map(|ca| Trust::new(vec![ca.anchor()], at(NOW)).unwrap());
    let subjects = subjects.iter().map(|subject| subject.parse().unwrap()).collect();
    let fingerprints = certificates.iter().map(|certificate| Fingerprint::of(certificate.der())).collect();
    ClientCertificate::new(trust, subjects, fingerprints).unwrap()
}

#[test]
fn what_is_given_has_to_hold_and_each_list_has_alternatives() {
    let (bob, mallory) = (named(&OWN, "bob"), named(&FORGED, "alice"));
    let table: [(Option<&Ca>, &[&str], &[&Certificate], &Certificate, Result<(), Reason>); 16] = [
        (Some(&OWN), &[], &[], &ALICE, Ok(())),
        (Some(&OWN), &[], &[], &bob, Ok(())),
        (Some(&OWN), &[], &[], &mallory, UNTRUSTED),
        (Some(&OWN), &["CN=alice"], &[], &ALICE, Ok(())),
        (Some(&OWN), &["CN=alice"], &[], &bob, SUBJECT),
        (Some(&OWN), &["CN=alice"], &[], &mallory, UNTRUSTED),
        (Some(&OWN), &["CN=alice", "CN=bob"], &[], &bob, Ok(())),
        (None, &["CN=alice"], &[], &ALICE, Ok(())),
        (None, &["CN=alice"], &[], &mallory, Ok(())),
        (None, &["CN=carol"], &[], &ALICE, SUBJECT),
        (None, &[], &[&ALICE], &ALICE, Ok(())),
        (None, &[], &[&ALICE], &bob, FINGERPRINT),
        (None, &[], &[&ALICE], &mallory, FINGERPRINT),
        (None, &["CN=bob"], &[&ALICE, &bob], &bob, Ok(())),
        (None, &["CN=bob"], &[&ALICE, &bob], &ALICE, SUBJECT),
        (Some(&FORGED), &["CN=alice"], &[&ALICE], &ALICE, UNTRUSTED),
    ];
    for (number, (ca, subjects, certificates, leaf, expected)) in table.into_iter().enumerate() {
        assert_eq!(shown(&policy(ca, subjects, certificates), &showing(leaf, &[])), expected, "line {number}");
    }
    assert!(ClientCertificate::new(None, vec![], vec![]).is_none());
}

#[test]
fn the_chain_is_followed_in_whatever_order_it_comes() {
    let upper = OWN.intermediate("upper", |_| {});
    let lower = upper.intermediate("lower", |_| {});
    let leaf = named(&lower, "alice");
    let stray = Ca::root("stray").der();
    let table: [(Vec<CertificateDer<'_>>, Result<(), Reason>); 7] = [
        (vec![lower.der(), upper.der()], Ok(())),
        (vec![upper.der(), lower.der()], Ok(())),
        (vec![stray.clone(), upper.der(), lower.der()], Ok(())),
        (vec![upper.der()], UNTRUSTED),
        (vec![lower.der()], UNTRUSTED),
        (vec![], UNTRUSTED),
        // More than a chain may have, to be searched for the right ones.
        (vec![upper.der(), lower.der(), stray.clone(), stray], UNTRUSTED),
    ];
    for (others, expected) in table {
        assert_eq!(shown(&trusting(&OWN), &showing(&leaf, &others)), expected, "{}", others.len());
    }
}

#[test]
fn a_leaf_is_fit_for_clients_and_in_force_now() {
    let usage = |usage| move |params: &mut CertificateParams| params.extended_key_usages.push(usage);
    let dated = |from, to| move |params: &mut CertificateParams| valid(params, from, to);
    let table = [
        (OWN.leaf(|_| {}), Ok(())),
        (OWN.leaf(usage(ExtendedKeyUsagePurpose::ClientAuth)), Ok(())),
        (OWN.leaf(usage(ExtendedKeyUsagePurpose::ServerAuth)), UNTRUSTED),
        (OWN.leaf(|params| params.key_usages.push(KeyUsagePurpose::KeyEncipherment)), UNTRUSTED),
        (OWN.leaf(dated(NOW - 10, NOW)), Ok(())),
        (OWN.leaf(dated(NOW - 10, NOW - 1)), UNTRUSTED),
        (OWN.leaf(dated(NOW + 1, NOW + 10)), UNTRUSTED),
    ];
    for (number, (leaf, expected)) in table.into_iter().enumerate() {
        assert_eq!(shown(&trusting(&OWN), &showing(&leaf, &[])), expected, "line {number}");
    }
    // Without `trust` nobody but the clock has a say in the dates.
    for (from, to, expected) in [(NOW - 10, NOW, Ok(())), (NOW - 10, NOW - 1, UNTRUSTED), (NOW + 1, NOW + 10, UNTRUSTED)] {
        let leaf = OWN.leaf(dated(from, to));
        assert_eq!(shown(&policy(None, &[], &[&leaf]), &showing(&leaf, &[])), expected, "{from} to {to}");
    }
}

#[test]
fn without_a_certificate_nobody_passes() {
    let everything = policy(Some(&OWN), &["CN=alice"], &[&ALICE]);
    let good = showing(&ALICE, &[]);
    assert_eq!(shown(&everything, &good), Ok(()));
    assert_eq!(shown(&everything, &Arrival::good()), MISSING);
    assert_eq!(judged(&everything, &good, VISITOR), MISSING);
    let twice = good.with("client-cert", bytes(ALICE.der()));
    assert_eq!(shown(&everything, &twice), Err(Reason::ClientCertificateMalformed));
}

/// What the transform describes has no chain: a CA cannot be asked for, and a configuration that does is refused.
#[test]
fn a_certificate_that_is_only_described_is_judged_by_subject_and_fingerprint() {
    let sha256 = origin_pull::hex(&Sha256::digest(ALICE.der()));
    let told = |subject: &str, revoked: &str| {
        Arrival::good()
            .with("cf-cert-presented", "true")
            .with("cf-cert-verified", "true")
            .with("cf-cert-revoked", revoked)
            .with("cf-cert-sha256", &sha256)
            .with("cf-cert-subject-dn-rfc2253", subject)
    };
    let bob = named(&OWN, "bob");
    let revoked = Err(Reason::ClientCertificateRevoked);
    let table = [
        (policy(None, &["CN=alice"], &[]), told("CN=alice,O=Example", "false"), Ok(())),
        (policy(None, &["CN=alice"], &[]), told(r"CN=bob,O=x\,CN\=alice", "false"), SUBJECT),
        (policy(None, &["CN=alice"], &[]), told("CN=alice,CN=bob", "false"), SUBJECT),
        (policy(None, &["CN=alice"], &[]), told("", "false"), SUBJECT),
        (policy(None, &["CN=alice"], &[]), told("CN=alice", "true"), revoked),
        (policy(None, &[], &[&ALICE]), told("", "false"), Ok(())),
        (policy(None, &[], &[&bob]), told("CN=alice", "false"), FINGERPRINT),
        (policy(Some(&OWN), &[], &[]), told("CN=alice", "false"), UNTRUSTED),
    ];
    for (number, (policy, arrival, expected)) in table.into_iter().enumerate() {
        let judged = judged_with(&policy, &arrival, VISITOR, Some(CertificateFields::CfCert));
        assert_eq!(judged, expected, "line {number}");
    }
}
