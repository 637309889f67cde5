//! What is read from each family of fields, and what of it the upstream hears.

use super::*;
use crate::testing::{Arrival, Ca, NOW, at, valid};
use CertificateFields::{CfCert, CfClientCert, Rfc9440};
use std::sync::LazyLock;

const MISSING: Reason = Reason::ClientCertificateMissing;
const MALFORMED: Reason = Reason::ClientCertificateMalformed;

static LEAF: LazyLock<CertificateDer<'static>> = LazyLock::new(|| Ca::root("client CA").client().remove(0));

fn bytes(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// What the managed transform tells of a good certificate.
fn transformed() -> Arrival {
    Arrival::bare()
        .with("cf-cert-presented", "true")
        .with("cf-cert-verified", "true")
        .with("cf-cert-revoked", "false")
        .with("cf-cert-sha256", "ab".repeat(32))
        .with("cf-cert-subject-dn-rfc2253", "CN=alice,O=Example")
}

fn of_access(der: &[u8]) -> Arrival {
    let sha256 = crate::origin_pull::hex(&Sha256::digest(der));
    Arrival::bare().with("cf-client-cert-der-base64", STANDARD.encode(der)).with("cf-client-cert-sha256", sha256)
}

/// The number of certificates that are read.
fn read(fields: CertificateFields, arrival: &Arrival) -> Result<usize, Reason> {
    CertificateClaim::new(Some(fields), &arrival.headers).certificate().map(|certificate| certificate.chain().len())
}

#[test]
fn client_cert_is_one_byte_sequence() {
    let (leaf, other) = (bytes(&LEAF), bytes(Ca::root("other").der().as_ref()));
    let trailing = bytes(&[&LEAF[..], b"\0"].concat());
    let longest = |length: usize| format!(":{}:", "A".repeat(length));
    let table = [
        (vec![], Err(MISSING)),
        (vec![leaf.clone()], Ok(1)),
        (vec![leaf.clone(), leaf.clone()], Err(MALFORMED)),
        (vec![leaf.clone(), other], Err(MALFORMED)),
        (vec![format!("{leaf}, {leaf}")], Err(MALFORMED)),
        (vec![format!("{leaf};a=1")], Err(MALFORMED)),
        (vec![leaf.trim_matches(':').to_owned()], Err(MALFORMED)),
        (vec![leaf.replace(':', "")], Err(MALFORMED)),
        (vec![leaf.replacen("MI", "M I", 1)], Err(MALFORMED)),
        (vec![leaf.replacen("MI", "M_", 1)], Err(MALFORMED)),
        (vec![trailing], Err(MALFORMED)),
        (vec![bytes(&LEAF[..LEAF.len() - 1])], Err(MALFORMED)),
        (vec![bytes(b"no certificate")], Err(MALFORMED)),
        (vec![longest(10 * 1024)], Err(MALFORMED)),
        (vec![longest(1024 * 1024)], Err(MALFORMED)),
        (vec![String::new()], Err(MALFORMED)),
        (vec![":".to_owned()], Err(MALFORMED)),
        (vec!["::".to_owned()], Err(MALFORMED)),
        (vec!["-----BEGIN CERTIFICATE-----".to_owned()], Err(MALFORMED)),
    ];
    for (lines, expected) in table {
        let arrival = lines.iter().fold(Arrival::bare(), |arrival, line| arrival.with("client-cert", line));
        assert_eq!(read(Rfc9440, &arrival), expected, "{lines:?}");
    }
    assert_eq!(read(Rfc9440, &Arrival::bare().with("client-cert", b"\xff")), Err(MALFORMED));
}

#[test]
fn the_largest_certificate_that_cloudflare_sends_is_read() {
    let ca = Ca::root("client CA");
    let padded = |length: usize| {
        let name = rcgen::SanType::DnsName("a".repeat(length).try_into().unwrap());
        ca.leaf(|params| params.subject_alt_names = vec![name]).der().clone()
    };
    let room = 10 * 1024 / 4 * 3 - padded(0x100).len();
    let (largest, larger) = (padded(0x100 + room - 4), padded(0x100 + room + 4));
    assert!(STANDARD.encode(&largest).len() > 10 * 1024 - 24 && STANDARD.encode(&largest).len() <= 10 * 1024);
    assert_eq!(read(Rfc9440, &Arrival::bare().with("client-cert", bytes(&largest))), Ok(1));
    assert_eq!(read(Rfc9440, &Arrival::bare().with("client-cert", bytes(&larger))), Err(MALFORMED));
    assert_eq!(read(CfClientCert, &of_access(&largest)), Ok(1));
    assert_eq!(read(CfClientCert, &of_access(&larger)), Err(MALFORMED));
}

#[test]
fn a_chain_is_a_list_beside_the_leaf() {
    let (leaf, other) = (bytes(&LEAF), bytes(Ca::root("other").der().as_ref()));
    let table = [
        (vec![other.clone()], Ok(2)),
        (vec![format!("{other},{other}")], Ok(3)),
        (vec![format!("{other} , \t{other}")], Ok(3)),
        (vec![String::new()], Ok(1)),
        (vec![format!("{other},")], Err(MALFORMED)),
        (vec![format!("{other} {other}")], Err(MALFORMED)),
        (vec!["x".to_owned()], Err(MALFORMED)),
        (vec![other.clone(), other.clone()], Err(MALFORMED)),
        (vec![vec![other.as_str(); 16 * 1024 / other.len()].join(",")], Ok(1 + 16 * 1024 / other.len())),
        (vec![vec![other.as_str(); 1 + 17 * 1024 / other.len()].join(",")], Err(MALFORMED)),
    ];
    for (lines, expected) in table {
        let arrival = Arrival::bare().with("client-cert", &leaf);
        let arrival = lines.iter().fold(arrival, |arrival, line| arrival.with("client-cert-chain", line));
        assert_eq!(read(Rfc9440, &arrival), expected, "{lines:?}");
    }
    assert_eq!(read(Rfc9440, &Arrival::bare().with("client-cert-chain", &other)), Err(MISSING));
}

/// Cloudflare says `verified` of a revoked certificate too.
#[test]
fn the_transform_has_to_say_presented_verified_and_not_revoked() {
    let (revoked, unverified) = (Reason::ClientCertificateRevoked, Reason::ClientCertificateUnverified);
    let table: [(&[&str], &[&str], &[&str], Result<usize, Reason>); 17] = [
        (&["true"], &["true"], &["false"], Ok(0)),
        (&["true"], &["true"], &["true"], Err(revoked)),
        (&["true"], &["false"], &["true"], Err(revoked)),
        (&["true"], &[], &["true"], Err(revoked)),
        (&["true"], &["false"], &["false"], Err(unverified)),
        (&["true"], &["true"], &[], Err(MALFORMED)),
        (&["true"], &[], &["false"], Err(MALFORMED)),
        (&["true"], &["false"], &[], Err(MALFORMED)),
        (&["false"], &["false"], &["false"], Err(MISSING)),
        (&["false"], &["true"], &["false"], Err(MISSING)),
        (&[], &["true"], &["false"], Err(MISSING)),
        (&[], &[], &[], Err(MISSING)),
        (&["True"], &["true"], &["false"], Err(MALFORMED)),
        (&["true"], &["1"], &["false"], Err(MALFORMED)),
        (&["true"], &["true"], &["0"], Err(MALFORMED)),
        (&["true"], &["true", "true"], &["false"], Err(MALFORMED)),
        (&["true"], &["true"], &["false", "false"], Err(MALFORMED)),
    ];
    for (presented, verified, revoked, expected) in table {
        let mut arrival = transformed();
        for (name, lines) in
            [("cf-cert-presented", presented), ("cf-cert-verified", verified), ("cf-cert-revoked", revoked)]
        {
            arrival = lines.iter().fold(arrival.without(name), |arrival, line| arrival.with(name, line));
        }
        assert_eq!(read(CfCert, &arrival), expected, "{presented:?} {verified:?} {revoked:?}");
    }
}

#[test]
fn the_transform_describes_the_certificate() {
    let subject = |arrival: &Arrival| {
        let claim = CertificateClaim::new(Some(CfCert), &arrival.headers);
        claim.certificate().map(|certificate| certificate.subject().cloned())
    };
    let name = "cf-cert-subject-dn-rfc2253";
    let bare = transformed().without(name);
    assert_eq!(subject(&transformed()), Ok(Some("CN=alice,O=Example".parse().unwrap())));
    assert_eq!(subject(&bare), Ok(None));
    assert_eq!(subject(&transformed().without(name).with(name, "alice")), Ok(None));
    assert_eq!(subject(&transformed().without(name).with(name, b"CN=\xff")), Ok(None));
    assert_eq!(subject(&transformed().with(name, "CN=alice")), Err(MALFORMED));
    let sha256 = |value: &str| read(CfCert, &transformed().without("cf-cert-sha256").with("cf-cert-sha256", value));
    assert_eq!(sha256(&"AB".repeat(32)), Ok(0));
    assert_eq!(sha256(&"ab".repeat(31)), Err(MALFORMED));
    assert_eq!(read(CfCert, &transformed().without("cf-cert-sha256")), Err(MALFORMED));
    assert_eq!(read(CfCert, &transformed().with("cf-cert-sha256", "ab".repeat(32))), Err(MALFORMED));
}

#[test]
fn access_sends_the_certificate_with_its_hash() {
    let (good, other) = (of_access(&LEAF), of_access(&Ca::root("other").der()));
    let other_hash = other.headers["cf-client-cert-sha256"].to_str().unwrap().to_owned();
    let without_hash = || of_access(&LEAF).without("cf-client-cert-sha256");
    let base64 = STANDARD.encode(&*LEAF);
    let table = [
        (good, Ok(1)),
        (Arrival::bare(), Err(MISSING)),
        (of_access(&LEAF).without("cf-client-cert-der-base64"), Err(MISSING)),
        (without_hash(), Err(MALFORMED)),
        (without_hash().with("cf-client-cert-sha256", &other_hash), Err(MALFORMED)),
        (without_hash().with("cf-client-cert-sha256", ""), Err(MALFORMED)),
        (of_access(&LEAF).with("cf-client-cert-sha256", &other_hash), Err(MALFORMED)),
        (of_access(&LEAF).with("cf-client-cert-der-base64", &base64), Err(MALFORMED)),
        (of_access(b"no certificate"), Err(MALFORMED)),
        (of_access(&[&LEAF[..], b"\0"].concat()), Err(MALFORMED)),
    ];
    for (arrival, expected) in table {
        assert_eq!(read(CfClientCert, &arrival), expected, "{arrival:?}");
    }
}

/// Everything else is a client's own, whatever it looks like.
#[test]
fn one_family_is_read_and_no_other() {
    let mut all = transformed().with("client-cert", bytes(&LEAF));
    all.headers.extend(of_access(&LEAF).headers);
    for (fields, own) in [(Rfc9440, "client-cert"), (CfCert, "cf-cert-"), (CfClientCert, "cf-client-cert-")] {
        assert!(read(fields, &all).is_ok(), "{fields:?}");
        let mut others = Arrival::bare();
        let foreign = all.headers.iter().filter(|(name, _)| !name.as_str().starts_with(own));
        others.headers = foreign.map(|(name, value)| (name.clone(), value.clone())).collect();
        assert!(others.headers.len() < all.headers.len());
        assert_eq!(read(fields, &others), Err(MISSING), "{fields:?}");
    }
    let undeclared = CertificateClaim::new(None, &all.headers);
    assert_eq!(undeclared.certificate().map(|_| ()), Err(MISSING));
    assert_eq!(undeclared.forwarded(), []);
}

#[test]
fn the_upstream_hears_what_was_read() {
    let claim = |fields, arrival: &Arrival| CertificateClaim::new(Some(fields), &arrival.headers).forwarded();
    let written = vec![(HeaderName::from_static("client-cert"), HeaderValue::from_str(&bytes(&LEAF)).unwrap())];
    let chained = Arrival::bare().with("client-cert", bytes(&LEAF)).with("client-cert-chain", bytes(&LEAF));
    assert_eq!(claim(Rfc9440, &chained), written);
    assert_eq!(claim(CfClientCert, &of_access(&LEAF)), written);

    let long = "a".repeat(1025);
    let odd = transformed()
        .with("cf-cert-serial", "0A")
        .with("cf-cert-ski", &long)
        .with("cf-cert-sha1", "a")
        .with("cf-cert-sha1", "b")
        .with("cf-cert-issuer-dn", b"CN=\xc3\xa9")
        .with("cf-cert-made-up", "1");
    let names: Vec<_> = claim(CfCert, &odd).into_iter().map(|(name, _)| name.to_string()).collect();
    let expected = ["presented", "verified", "revoked", "serial", "sha256", "subject-dn-rfc2253"];
    assert_eq!(names, expected.map(|name| format!("cf-cert-{name}")));
}

#[test]
fn the_upstream_hears_nothing_of_what_is_not_good() {
    let forwarded = |fields, arrival: &Arrival| CertificateClaim::new(Some(fields), &arrival.headers).forwarded();
    let set = |name: &str, value: &str| transformed().without(name).with(name, value);
    for arrival in [
        set("cf-cert-revoked", "true"),
        set("cf-cert-verified", "false"),
        set("cf-cert-presented", "false"),
        set("cf-cert-sha256", "00"),
    ] {
        assert_eq!(forwarded(CfCert, &arrival), [], "{arrival:?}");
    }
    assert_eq!(forwarded(Rfc9440, &Arrival::bare().with("client-cert", ":AAAA:")), []);
    assert_eq!(forwarded(CfClientCert, &of_access(&LEAF).without("cf-client-cert-sha256")), []);
}

#[test]
fn a_certificate_at_hand_is_in_force_from_its_first_to_its_last_second() {
    let leaf = Ca::root("client CA").leaf(|params| valid(params, NOW - 10, NOW + 10));
    let certificate = VisitorCertificate::parsed(leaf.der().to_vec(), vec![]).unwrap();
    for (now, expected) in [(NOW - 11, false), (NOW - 10, true), (NOW + 10, true), (NOW + 11, false)] {
        assert_eq!(certificate.in_force(at(now)), expected, "{now}");
    }
}

#[test]
fn fingerprints_as_people_copy_them() {
    let plain = "0123456789abcdef".repeat(4);
    let pairs: Vec<_> = plain.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    let expected = Ok(Fingerprint(std::array::from_fn(|at| u8::from_str_radix(pairs[at], 16).unwrap())));
    for text in [plain.clone(), plain.to_ascii_uppercase(), pairs.join(":"), pairs.join(":").to_ascii_uppercase()] {
        assert_eq!(text.parse(), expected, "{text}");
    }
    let colon = pairs.join(":");
    for text in [
        String::new(),
        plain[1..].to_owned(),
        format!("{plain}0"),
        plain.replacen('0', "g", 1),
        colon.replace(':', " "),
        colon.replacen("01:", "0:1", 1),
        format!(":{}", &colon[..94]),
        plain.replacen('0', "é", 1),
        ":".repeat(95),
    ] {
        assert!(text.parse::<Fingerprint>().is_err(), "{text}");
    }
}
