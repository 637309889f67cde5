//! Chains, good and bad, and the verdict on each.

use super::*;
use crate::testing::{anchor, named, valid};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Eku, GeneralSubtree,
    IsCa, KeyPair, KeyUsagePurpose as Usage, NameConstraints,
};

const VERIFIED: &str = "verified";

fn chain(certificates: &[&Certificate]) -> Vec<CertificateDer<'static>> {
    certificates.iter().map(|certificate| certificate.der().clone()).collect()
}

/// The verdict's label at a time.
fn label_at(ca: &Ca, certificates: &[&Certificate], now: u64) -> &'static str {
    verify(&chain(certificates), &ca.trust(), at(now)).label()
}

fn label(ca: &Ca, certificates: &[&Certificate]) -> &'static str {
    label_at(ca, certificates, NOW)
}

fn proof(chain: &[CertificateDer<'_>], trust: &Trust, now: u64) -> Proof {
    match verify(chain, trust, at(now)) {
        Verdict::Verified(proof) => proof,
        refused => panic!("{refused:?}"),
    }
}

fn with_path_length(length: u8) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length))
}

#[test]
fn without_a_certificate_there_is_no_proof() {
    assert_eq!(verify(&[], &Ca::root("root").trust(), at(NOW)), Verdict::Refused(Cause::NotPresented));
}

#[test]
fn a_good_leaf_proves_the_account_under_its_anchor() {
    let ca = Ca::root("root");
    let proof = proof(&ca.client(), &ca.trust(), NOW);
    assert_eq!((proof.level, &*proof.anchor), (TrustLevel::Account, "CN=root"));
}

#[test]
fn a_leaf_holds_from_its_first_second_to_its_last() {
    let ca = Ca::root("root");
    let leaf = ca.leaf(|params| valid(params, NOW - 10, NOW + 10));
    let table = [(NOW - 11, "not_yet_valid"), (NOW - 10, VERIFIED), (NOW + 10, VERIFIED), (NOW + 11, "expired")];
    for (now, expected) in table {
        assert_eq!(label_at(&ca, &[&leaf], now), expected, "{}", now.wrapping_sub(NOW).cast_signed());
    }
}

#[test]
fn an_extended_key_usage_has_to_allow_clients_where_it_is_present() {
    let ca = Ca::root("root");
    let table = [
        (vec![], VERIFIED),
        (vec![Eku::ClientAuth], VERIFIED),
        (vec![Eku::ServerAuth, Eku::ClientAuth], VERIFIED),
        (vec![Eku::ServerAuth], "wrong_usage"),
        (vec![Eku::CodeSigning], "wrong_usage"),
        // RFC 5280 section 4.2.1.12 lets applications refuse `any`, which says nothing of clients.
        (vec![Eku::Any], "wrong_usage"),
    ];
    for (usages, expected) in table {
        let leaf = ca.leaf(|params| params.extended_key_usages.clone_from(&usages));
        assert_eq!(label(&ca, &[&leaf]), expected, "{usages:?}");
    }
}

#[test]
fn a_key_usage_has_to_allow_signatures_where_it_is_present() {
    let ca = Ca::root("root");
    let table = [
        (vec![], VERIFIED),
        (vec![Usage::DigitalSignature], VERIFIED),
        (vec![Usage::KeyEncipherment, Usage::DigitalSignature], VERIFIED),
        (vec![Usage::KeyEncipherment], "wrong_usage"),
        (vec![Usage::KeyAgreement, Usage::ContentCommitment], "wrong_usage"),
        (vec![Usage::KeyCertSign, Usage::CrlSign], "wrong_usage"),
        (vec![Usage::DecipherOnly], "wrong_usage"),
    ];
    for (usages, expected) in table {
        let leaf = ca.leaf(|params| params.key_usages.clone_from(&usages));
        assert_eq!(label(&ca, &[&leaf]), expected, "{usages:?}");
    }
}

#[test]
fn only_the_trusted_key_signs_for_the_trusted_name() {
    let (ca, forged, other) = (Ca::root("root"), Ca::root("root"), Ca::root("other"));
    let (under_forged, under_other) = (forged.leaf(|_| {}), other.leaf(|_| {}));
    let key = KeyPair::generate().unwrap();
    let self_signed = named("zone.example.com").self_signed(&key).unwrap();
    let self_signed_as_root = named("root").self_signed(&key).unwrap();
    let table: [(&str, &[&Certificate], &str); 6] = [
        ("self-signed", &[&self_signed], "unknown_issuer"),
        ("self-signed under the root's name", &[&self_signed_as_root], "bad_signature"),
        ("forged issuer of the same name", &[&under_forged], "bad_signature"),
        ("forged issuer of the same name, presented", &[&under_forged, forged.certificate()], "bad_signature"),
        ("other CA", &[&under_other], "unknown_issuer"),
        ("other CA, presented", &[&under_other, other.certificate()], "unknown_issuer"),
    ];
    for (name, certificates, expected) in table {
        assert_eq!(label(&ca, certificates), expected, "{name}");
    }
}

#[test]
fn a_ca_is_no_client_and_a_client_is_no_ca() {
    let ca = Ca::root("root");
    let intermediate = ca.intermediate("intermediate", |_| {});
    let (no_ca, no_ca_by_name) = (
        ca.intermediate("leaf", |params| params.is_ca = IsCa::NoCa),
        ca.intermediate("leaf", |params| params.is_ca = IsCa::ExplicitNoCa),
    );
    let (below, below_by_name) = (no_ca.leaf(|_| {}), no_ca_by_name.leaf(|_| {}));
    let table: [(&str, &[&Certificate], &str); 5] = [
        ("the anchor as a leaf", &[ca.certificate()], "wrong_usage"),
        ("an intermediate as a leaf", &[intermediate.certificate()], "wrong_usage"),
        ("a leaf without basicConstraints", &[no_ca.certificate()], VERIFIED),
        ("a leaf signed by it", &[&below, no_ca.certificate()], "unknown_issuer"),
        ("a leaf signed by one with CA:FALSE", &[&below_by_name, no_ca_by_name.certificate()], "unknown_issuer"),
    ];
    for (name, certificates, expected) in table {
        assert_eq!(label(&ca, certificates), expected, "{name}");
    }
}

#[test]
fn intermediates_are_presented_in_force_and_in_any_order() {
    let ca = Ca::root("root");
    let (upper, stranger) = (ca.intermediate("upper", |_| {}), Ca::root("stranger"));
    let lower = upper.intermediate("lower", |_| {});
    let leaf = lower.leaf(|_| {});
    let expired = ca.intermediate("expired", |params| valid(params, NOW - 10, NOW - 1));
    let future = ca.intermediate("future", |params| valid(params, NOW + 1, NOW + 10));
    let (under_expired, under_future) = (expired.leaf(|_| {}), future.leaf(|_| {}));
    let (upper, lower, stranger) = (upper.certificate(), lower.certificate(), stranger.certificate());
    let table: [(&str, &[&Certificate], &str); 9] = [
        ("both present", &[&leaf, lower, upper], VERIFIED),
        ("in the wrong order", &[&leaf, upper, lower], VERIFIED),
        ("with the anchor", &[&leaf, lower, upper, ca.certificate()], VERIFIED),
        ("with a stranger", &[&leaf, stranger, lower, upper], VERIFIED),
        ("both missing", &[&leaf], "unknown_issuer"),
        ("the lower missing", &[&leaf, upper], "unknown_issuer"),
        ("the upper missing", &[&leaf, lower], "unknown_issuer"),
        ("expired", &[&under_expired, expired.certificate()], "expired"),
        ("not yet valid", &[&under_future, future.certificate()], "not_yet_valid"),
    ];
    for (name, certificates, expected) in table {
        assert_eq!(label(&ca, certificates), expected, "{name}");
    }
}

#[test]
fn a_path_is_no_longer_than_its_cas_allow() {
    let ca = Ca::root("root");
    let upper = ca.intermediate("upper", with_path_length(0));
    let lower = upper.intermediate("lower", |_| {});
    let (below_upper, below_lower) = (upper.leaf(|_| {}), lower.leaf(|_| {}));
    assert_eq!(label(&ca, &[&below_upper, upper.certificate()]), VERIFIED);
    assert_eq!(label(&ca, &[&below_lower, lower.certificate(), upper.certificate()]), "constraint_violated");
}

#[test]
fn name_constraints_bind_the_names_below() {
    let constraints = |permitted: &[&str], excluded: &[&str]| {
        let subtrees = |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).into())).collect();
        NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) }
    };
    let ca = Ca::root("root");
    let table = [
        (constraints(&["example.com"], &[]), "zone.example.com", VERIFIED),
        (constraints(&["example.com"], &[]), "zone.example.net", "constraint_violated"),
        (constraints(&[], &["example.com"]), "zone.example.net", VERIFIED),
        (constraints(&[], &["example.com"]), "zone.example.com", "constraint_violated"),
    ];
    for (constraints, name, expected) in table {
        let names = || CertificateParams::new([name.to_owned()]).unwrap().subject_alt_names;
        let constrained = ca.intermediate("constrained", |params| params.name_constraints = Some(constraints.clone()));
        let leaf = constrained.leaf(|params| params.subject_alt_names = names());
        assert_eq!(label(&ca, &[&leaf, constrained.certificate()]), expected, "{constraints:?} {name}");
        let root = Ca::root_with("constrained root", |params| params.name_constraints = Some(constraints.clone()));
        let leaf = root.leaf(|params| params.subject_alt_names = names());
        assert_eq!(label(&root, &[&leaf]), expected, "anchor {constraints:?} {name}");
    }
}

#[test]
fn a_chain_has_at_most_four_certificates() {
    let ca = Ca::root("root");
    let mut line = vec![ca.intermediate("1", |_| {})];
    for name in ["2", "3", "4"] {
        line.push(line[line.len() - 1].intermediate(name, |_| {}));
    }
    let presented = |depth: usize| {
        let mut chain = line[depth - 1].client();
        chain.extend(line[..depth].iter().rev().map(Ca::der));
        chain
    };
    let trust = ca.trust();
    assert_eq!(presented(3).len(), 4);
    assert_eq!(verify(&presented(3), &trust, at(NOW)).label(), VERIFIED);
    assert_eq!(verify(&presented(4), &trust, at(NOW)).label(), "chain_too_long");
    // Certificates that no path needs count as well: each costs work to look at.
    let mut padded = ca.client();
    padded.resize(5, ca.der());
    assert_eq!(verify(&padded, &trust, at(NOW)).label(), "chain_too_long");
    padded.resize(100, CertificateDer::from(vec![0; 10_000]));
    assert_eq!(verify(&padded, &trust, at(NOW)).label(), "chain_too_long");
}

/// Where every certificate bears one name, any may be the issuer of any.
#[test]
fn a_chain_of_one_name_is_refused_after_few_signatures() {
    let (ca, stranger) = (Ca::root("root"), Ca::root("root"));
    let mut chain = stranger.client();
    chain.extend((0..3).map(|_| stranger.intermediate("root", |_| {}).der()));
    assert_eq!(verify(&chain, &ca.trust(), at(NOW)).label(), "bad_signature");
    chain.push(stranger.intermediate("root", |_| {}).der());
    assert_eq!(verify(&chain, &ca.trust(), at(NOW)).label(), "chain_too_long");
}

#[test]
fn an_intermediate_has_to_be_allowed_to_issue_where_it_says_what_it_may() {
    let ca = Ca::root("root");
    let table = [
        (vec![], VERIFIED),
        (vec![Usage::KeyCertSign], VERIFIED),
        (vec![Usage::DigitalSignature, Usage::CrlSign], "wrong_usage"),
    ];
    for (usages, expected) in table {
        let middle = ca.intermediate("middle", |params| params.key_usages.clone_from(&usages));
        let leaf = middle.leaf(|_| {});
        assert_eq!(label(&ca, &[&leaf, middle.certificate()]), expected, "{usages:?}");
    }
}

#[test]
fn damaged_certificates_are_refused() {
    let ca = Ca::root("root");
    let intermediate = ca.intermediate("intermediate", |_| {});
    let (leaf, below) = (ca.leaf(|_| {}).der().to_vec(), intermediate.leaf(|_| {}).der().to_vec());
    let edited = |edit: fn(&mut Vec<u8>)| {
        let mut bytes = leaf.clone();
        edit(&mut bytes);
        bytes
    };
    let end = |bytes: &mut Vec<u8>| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    };
    let table: [(&str, Vec<Vec<u8>>, &str); 8] = [
        ("empty", vec![vec![]], "malformed"),
        ("garbage", vec![b"no certificate".to_vec()], "malformed"),
        ("cut", vec![edited(|bytes| bytes.truncate(bytes.len() - 1))], "malformed"),
        ("trailing garbage", vec![edited(|bytes| bytes.push(0))], "malformed"),
        ("two in one", vec![edited(|bytes| bytes.extend_from_within(..))], "malformed"),
        ("another signature", vec![edited(end)], "bad_signature"),
        ("a garbage intermediate", vec![below.clone(), b"no certificate".to_vec()], "malformed"),
        ("garbage beside a whole path", vec![below, b"no certificate".to_vec(), intermediate.der().to_vec()], VERIFIED),
    ];
    for (name, chain, expected) in table {
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        assert_eq!(verify(&chain, &ca.trust(), at(NOW)).label(), expected, "{name}");
    }
}

#[test]
fn a_critical_extension_has_to_be_understood() {
    let ca = Ca::root("root");
    for (critical, expected) in [(false, VERIFIED), (true, "malformed")] {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(critical);
        let leaf = ca.leaf(|params| params.custom_extensions.push(extension));
        assert_eq!(label(&ca, &[&leaf]), expected, "{critical}");
    }
}

#[test]
fn a_proof_ends_with_the_first_certificate_of_its_path() {
    let table = [(10, 20, 30), (20, 10, 30), (20, 30, 10), (10, 10, 10)];
    for (leaf, intermediate, root) in table {
        let until = |end: u64| move |params: &mut CertificateParams| valid(params, NOW - 10, NOW + end);
        let ca = Ca::root_with("root", until(root));
        let between = ca.intermediate("intermediate", until(intermediate));
        // A certificate that is presented and not on the path has no say.
        let stray = ca.intermediate("stray", until(1));
        let leaf_certificate = between.leaf(until(leaf));
        let chain = chain(&[&leaf_certificate, stray.certificate(), between.certificate()]);
        assert_eq!(proof(&chain, &ca.trust(), NOW).valid_until, at(NOW + 10), "{leaf} {intermediate} {root}");
        assert_ne!(verify(&chain, &ca.trust(), at(NOW + 11)).label(), VERIFIED, "{leaf} {intermediate} {root}");
    }
}

#[test]
fn an_anchor_matches_in_its_own_period_only() {
    // Cloudflare's two CAs are such a pair: one name and key, two periods.
    let ca = Ca::root("root");
    let chain = ca.client();
    let old = anchor(&ca.reissued(NOW - 100, NOW - 1));
    let new = anchor(&ca.reissued(NOW, NOW + 100));
    let next = anchor(&ca.reissued(NOW + 50, NOW + 200));
    let trust = |anchors: &[&Anchor]| {
        let anchors: Vec<_> = anchors.iter().map(|anchor| (*anchor).clone()).collect();
        Trust::new(anchors, at(NOW - 50)).unwrap()
    };
    let unknown = Verdict::Refused(Cause::UnknownIssuer);

    let alone = trust(&[&old]);
    assert_eq!(proof(&chain, &alone, NOW - 1).valid_until, at(NOW - 1));
    assert_eq!(verify(&chain, &alone, at(NOW)), unknown);

    let all = trust(&[&old, &new, &next]);
    let table = [
        (NOW - 101, None),
        (NOW - 1, Some(NOW - 1)),
        (NOW, Some(NOW + 100)),
        (NOW + 49, Some(NOW + 100)),
        // Where two are in force, the longer one counts.
        (NOW + 50, Some(NOW + 200)),
        (NOW + 200, Some(NOW + 200)),
        (NOW + 201, None),
    ];
    for (now, expected) in table {
        match expected {
            Some(end) => assert_eq!(proof(&chain, &all, now).valid_until, at(end), "{now}"),
            None => assert_eq!(verify(&chain, &all, at(now)), unknown, "{now}"),
        }
    }
}
