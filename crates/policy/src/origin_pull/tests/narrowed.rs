//! Trust narrowed by pins and revocation lists.

use super::*;
use crate::testing::{anchor, valid};
use rcgen::{CertificateRevocationListParams, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd};
use rustls_pki_types::CertificateRevocationListDer;

/// A list of a CA's, from a day ago for two days, with these serial numbers on it.
fn list(ca: &Ca, revoked: &[u64]) -> RevocationList {
    dated_list(ca, revoked, NOW - DAY, NOW + DAY)
}

fn dated_list(ca: &Ca, revoked: &[u64], from: u64, to: u64) -> RevocationList {
    RevocationList::from_der(&CertificateRevocationListDer::from(list_der(ca, revoked, from, to))).unwrap()
}

fn list_der(ca: &Ca, revoked: &[u64], from: u64, to: u64) -> Vec<u8> {
    ca.list(list_params(revoked, from, to))
}

fn list_params(revoked: &[u64], from: u64, to: u64) -> CertificateRevocationListParams {
    let time = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let entry = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: time(from),
        reason_code: None,
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: time(from),
        next_update: time(to),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    }
}

const DAY: u64 = 24 * 3600;

fn leaf(ca: &Ca, serial: u64) -> Vec<CertificateDer<'static>> {
    vec![ca.leaf(|params| params.serial_number = Some(serial.into())).der().clone()]
}

fn trust(anchors: Vec<Anchor>) -> Trust {
    Trust::new(anchors, at(NOW)).unwrap()
}

fn label_at(chain: &[CertificateDer<'_>], trust: &Trust, now: u64) -> &'static str {
    verify(chain, trust, at(now)).label()
}

#[test]
fn a_pin_lets_its_key_pass_and_no_other_and_never_raises_what_a_path_proves() {
    let ca = Ca::root("root");
    let (mine, other) = (ca.client(), ca.client());
    let pin =
        |chain: &[CertificateDer<'_>]| Pin::of(&EndEntityCert::try_from(&chain[0]).unwrap().subject_public_key_info());
    let trust = |pins: Vec<Pin>| trust(vec![ca.anchor()]).with_pins(pins);
    let table: [(&str, Vec<Pin>, [&str; 2]); 4] = [
        ("no pin", vec![], ["verified", "verified"]),
        ("mine", vec![pin(&mine)], ["verified", "not_pinned"]),
        ("the other's", vec![pin(&other)], ["not_pinned", "verified"]),
        ("both", vec![pin(&mine), pin(&other)], ["verified", "verified"]),
    ];
    for (name, pins, expected) in table {
        let trust = trust(pins);
        assert_eq!([&mine, &other].map(|chain| label_at(chain, &trust, NOW)), expected, "{name}");
    }
    // A pinned key under another CA is as strange as before.
    let stranger = Ca::root("stranger").client();
    assert_eq!(label_at(&stranger, &trust(vec![pin(&stranger)]), NOW), "unknown_issuer");
    // What was written by openssl reads as the same pin.
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pin(&mine).digest());
    assert_eq!(text.parse(), Ok(pin(&mine)));
    for bad in ["", "x", "AAAA", &text[1..], &format!("{text} "), &hex(&pin(&mine).digest())] {
        assert!(bad.parse::<Pin>().is_err(), "{bad}");
    }
}

#[test]
fn a_list_refuses_what_stands_on_it_and_what_it_does_not_cover() {
    let (ca, other) = (Ca::root("root"), Ca::root("other"));
    let twin = Ca::root("root");
    let middle = ca.intermediate("middle", |params| params.serial_number = Some(7.into()));
    let below = [leaf(&middle, 8), vec![middle.der()]].concat();
    let both = || trust(vec![ca.anchor(), other.anchor()]);
    let table: [(&str, Trust, Vec<CertificateDer<'static>>, &str); 10] = [
        ("no list", both(), leaf(&ca, 5), "verified"),
        ("not on it", both().with_revocations(vec![list(&ca, &[4, 6])]), leaf(&ca, 5), "verified"),
        ("on it", both().with_revocations(vec![list(&ca, &[4, 5])]), leaf(&ca, 5), "revoked"),
        ("of another CA", both().with_revocations(vec![list(&ca, &[])]), leaf(&other, 5), "revocation_unknown"),
        (
            "each of its own",
            both().with_revocations(vec![list(&ca, &[5]), list(&other, &[])]),
            leaf(&other, 5),
            "verified",
        ),
        (
            "forged by the same name",
            both().with_revocations(vec![list(&twin, &[])]),
            leaf(&ca, 5),
            "revocation_unknown",
        ),
        (
            "an intermediate without a list",
            both().with_revocations(vec![list(&ca, &[])]),
            below.clone(),
            "revocation_unknown",
        ),
        (
            "an intermediate with one",
            both().with_revocations(vec![list(&ca, &[]), list(&middle, &[])]),
            below.clone(),
            "verified",
        ),
        (
            "an intermediate on the root's",
            both().with_revocations(vec![list(&ca, &[7]), list(&middle, &[])]),
            below.clone(),
            "revoked",
        ),
        (
            "a leaf on the intermediate's",
            both().with_revocations(vec![list(&ca, &[8]), list(&middle, &[8])]),
            below,
            "revoked",
        ),
    ];
    for (name, trust, chain, expected) in table {
        assert_eq!(label_at(&chain, &trust, NOW), expected, "{name}");
    }
}

#[test]
fn a_list_counts_between_its_dates_and_the_newest_of_several_first() {
    let ca = Ca::root("root");
    let chain = leaf(&ca, 5);
    let with = |lists: Vec<RevocationList>| trust(vec![ca.anchor()]).with_revocations(lists);
    let one = with(vec![dated_list(&ca, &[], NOW, NOW + 10)]);
    for (now, expected) in [(NOW - 1, "crl_stale"), (NOW, "verified"), (NOW + 9, "verified"), (NOW + 10, "crl_stale")] {
        assert_eq!(label_at(&chain, &one, now), expected, "{}", now.wrapping_sub(NOW).cast_signed());
    }
    let Verdict::Verified(proof) = verify(&chain, &one, at(NOW)) else { panic!() };
    assert_eq!(proof.valid_until, at(NOW + 9), "a proof ends with the list that it rests on");

    // One that was superseded ends nothing, and one that begins later may say something else.
    let until = |lists: Vec<RevocationList>| match verify(&chain, &with(lists), at(NOW)) {
        Verdict::Verified(proof) => proof.valid_until,
        refused => panic!("{refused:?}"),
    };
    let (older, newer) = (dated_list(&ca, &[], NOW - 9, NOW + 2), dated_list(&ca, &[], NOW - 5, NOW + 100));
    let later = dated_list(&ca, &[5], NOW + 50, NOW + 200);
    assert_eq!(until(vec![older.clone(), newer.clone()]), at(NOW + 99));
    assert_eq!(until(vec![older, newer, later]), at(NOW + 49));

    let (old, new) = (dated_list(&ca, &[], NOW - 20, NOW - 10), dated_list(&ca, &[5], NOW - 10, NOW + 10));
    for lists in [vec![old.clone(), new.clone()], vec![new, old.clone()]] {
        assert_eq!(label_at(&chain, &with(lists), NOW), "revoked");
    }
    // One from tomorrow says nothing of today, and one that has run out neither.
    let next = dated_list(&ca, &[5], NOW + 5, NOW + 50);
    let both = with(vec![next, dated_list(&ca, &[], NOW, NOW + 10)]);
    assert_eq!([NOW, NOW + 4, NOW + 5].map(|now| label_at(&chain, &both, now)), ["verified", "verified", "revoked"]);
    assert_eq!(label_at(&chain, &with(vec![old]), NOW), "crl_stale");
}

#[test]
fn a_list_of_a_ca_that_may_not_sign_lists_says_nothing() {
    let ca = Ca::root("root");
    let table = [
        (vec![], "verified"),
        (vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign], "verified"),
        (vec![KeyUsagePurpose::KeyCertSign], "revocation_unknown"),
    ];
    for (usages, expected) in table {
        let middle = ca.intermediate("middle", |params| params.key_usages.clone_from(&usages));
        let chain = [leaf(&middle, 5), vec![middle.der()]].concat();
        let trust = trust(vec![ca.anchor()]).with_revocations(vec![list(&ca, &[]), list(&middle, &[])]);
        assert_eq!(label_at(&chain, &trust, NOW), expected, "{usages:?}");
    }
}

#[test]
fn cas_that_no_list_is_of_are_named() {
    let (ca, other) = (Ca::root("root"), Ca::root("other"));
    let both = || trust(vec![ca.anchor(), other.anchor()]);
    let uncovered =
        |trust: &Trust| trust.uncovered(at(NOW)).map(|anchor| anchor.subject().to_string()).collect::<Vec<_>>();
    assert_eq!(uncovered(&both()), [""; 0]);
    assert_eq!(uncovered(&both().with_revocations(vec![list(&ca, &[])])), ["CN=other"]);
    assert_eq!(uncovered(&both().with_revocations(vec![list(&ca, &[]), list(&other, &[])])), [""; 0]);
}

#[test]
fn cas_of_one_name_and_two_keys_are_named() {
    let (ca, twin, other) = (Ca::root("root"), Ca::root("root"), Ca::root("other"));
    let renewed = anchor(&ca.reissued(NOW, NOW + 1));
    let namesakes =
        |anchors: Vec<Anchor>| trust(anchors).namesakes(at(NOW)).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(namesakes(vec![ca.anchor(), renewed, other.anchor()]), [""; 0]);
    assert_eq!(namesakes(vec![ca.anchor(), twin.anchor(), other.anchor()]), ["CN=root"; 2]);
}

#[test]
fn a_text_with_lists_is_read_whole_or_refused() {
    let ca = Ca::root("root");
    let pem = |der: Vec<u8>| {
        let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", lines.join("\n"))
    };
    let good = || pem(list_der(&ca, &[5], NOW, NOW + 1));
    let read = |text: &str| RevocationList::from_pem(text.as_bytes());
    assert_eq!(read(&good()).unwrap().len(), 1);
    assert_eq!(read(&[good(), good()].concat()).unwrap().len(), 2);
    let partial = CertificateRevocationListParams {
        issuing_distribution_point: Some(rcgen::CrlIssuingDistributionPoint {
            distribution_point: rcgen::CrlDistributionPoint { uris: vec!["http://crl.example.com/users".into()] },
            scope: Some(rcgen::CrlScope::UserCertsOnly),
        }),
        ..list_params(&[], NOW, NOW + 1)
    };
    let table = [
        (String::new(), "no X509 CRL section"),
        (ca.certificate().pem(), "1 sections begin, 0 are of an X509 CRL"),
        ([good(), ca.certificate().pem()].concat(), "2 sections begin, 1 are of an X509 CRL"),
        (good().replace("-----END", "----END"), "no revocation list in PEM form"),
        (pem(b"no list".to_vec()), "not a usable revocation list"),
        (pem(ca.der().to_vec()), "not a usable revocation list"),
        // Of two that each cover a part, one would be taken for the other.
        (pem(ca.list(partial)), "it covers a part of what its CA issues (issuingDistributionPoint)"),
    ];
    for (text, expected) in table {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n{text}");
    }
}

#[test]
fn a_trust_is_known_by_its_pins_and_lists_too() {
    let ca = Ca::root("root");
    let base = || trust(vec![ca.anchor()]);
    let [one, two] = [b"one", b"two"].map(|key| Pin::of(&key.as_slice().into()));
    let (first, second) = (list(&ca, &[1]), list(&ca, &[2]));
    let ids = [
        base().id(),
        base().with_pins(vec![one]).id(),
        base().with_pins(vec![two]).id(),
        base().with_pins(vec![one, two]).id(),
        base().with_revocations(vec![first.clone()]).id(),
        base().with_revocations(vec![second.clone()]).id(),
        base().with_pins(vec![one]).with_revocations(vec![first.clone()]).id(),
    ];
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    assert_eq!(base().with_pins(vec![two, one, two]).id(), base().with_pins(vec![one, two]).id());
    let lists = |lists: [&RevocationList; 2]| base().with_revocations(lists.into_iter().cloned().collect()).id();
    assert_eq!(lists([&first, &second]), lists([&second, &first]));
}

#[test]
fn a_chain_has_at_most_32_kib() {
    let ca = Ca::root("root");
    let padded = |bytes: usize| {
        let leaf = ca.leaf(|params| {
            valid(params, NOW, NOW + 1);
            params
                .custom_extensions
                .push(rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![0; bytes]));
        });
        vec![leaf.der().clone()]
    };
    let fits = padded(32 * 1024 - 700);
    assert!(fits[0].len() <= 32 * 1024);
    assert_eq!(label_at(&fits, &ca.trust(), NOW), "verified");
    assert_eq!(label_at(&padded(32 * 1024), &ca.trust(), NOW), "chain_too_long");
    let spread = [ca.client(), vec![CertificateDer::from(vec![0; 20_000]); 2]].concat();
    assert_eq!(label_at(&spread, &ca.trust(), NOW), "chain_too_long");
}
