//! CAs as trust anchors: Cloudflare's shared one, the expired one, the operator's own; and lists of them.

use super::*;
use crate::testing::anchor;
use rcgen::{DnType, IsCa};

/// Cloudflare's shared CA of 2015: name, serial number and key of today's, expired in January 2020.
const EXPIRED_2015: &[u8] = include_bytes!("authenticated_origin_pull_ca_2015_expired.pem");

const SHARED_SUBJECT: &str =
    "C=US, O=CloudFlare, Inc., OU=Origin Pull, L=San Francisco, ST=California, CN=origin-pull.cloudflare.net";

fn shared() -> Anchor {
    let [anchor] = Anchor::cloudflare().unwrap().try_into().unwrap();
    anchor
}

fn expired() -> Anchor {
    let [anchor] = Anchor::from_pem(EXPIRED_2015).unwrap().try_into().unwrap();
    anchor
}

#[test]
fn the_compiled_in_ca_is_cloudflares_and_proves_the_edge() {
    let shared = shared();
    assert_eq!(hex(&shared.fingerprint()), "9a1ac2b4be15f9f27eee20a734cba4e9898f61001b3bd7c84b69b56a3e25a2b9");
    assert_eq!((shared.level(), &**shared.subject()), (TrustLevel::Edge, SHARED_SUBJECT));
    // 2019-10-10 18:45:00 to 2029-11-01 17:00:00 UTC.
    let (from, to) = (1_570_733_100, 1_888_246_800);
    assert_eq!(shared.not_after(), at(to));
    for (now, expected) in [(from - 1, false), (from, true), (NOW, true), (to, true), (to + 1, false)] {
        assert_eq!(shared.in_force(at(now)), expected, "{now}");
    }
}

#[test]
fn the_expired_ca_of_2015_is_told_apart_and_proves_the_edge_too() {
    let (old, new) = (expired(), shared());
    assert_eq!((old.level(), old.subject(), old.trust_anchor()), (TrustLevel::Edge, new.subject(), new.trust_anchor()));
    assert_eq!(hex(&old.fingerprint()), "062465eea14401f48be7d9a873f2ee674f96806584225d50c04f761d4480b8ba");
    // 2020-01-12 02:52:53 UTC.
    assert_eq!(old.not_after(), at(1_578_797_573));
}

#[test]
fn a_list_of_cas_needs_one_that_is_in_force() {
    let none = |anchors: Vec<Anchor>| Trust::new(anchors, at(NOW)).unwrap_err().to_string();
    assert_eq!(none(vec![]), "no CA of the list is in force: it is empty");
    let refusal = none(vec![expired()]);
    assert!(refusal.contains("SHA-256 062465eea14401f4") && refusal.contains("to 1578797573"), "{refusal}");
    let trust = Trust::new(vec![expired(), shared()], at(NOW)).unwrap();
    assert_eq!(trust.anchors().len(), 2);
    let future = anchor(&Ca::root("root").reissued(NOW + 1, NOW + 2));
    assert!(Trust::new(vec![future.clone()], at(NOW)).is_err());
    assert!(Trust::new(vec![future], at(NOW + 1)).is_ok());
}

#[test]
fn another_key_under_cloudflares_name_proves_the_account() {
    let forged = Ca::root_with("origin-pull.cloudflare.net", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "CloudFlare, Inc.");
    });
    assert_eq!(forged.anchor().level(), TrustLevel::Account);
    let mixed = Trust::new(vec![shared(), forged.anchor()], at(NOW)).unwrap();
    let Verdict::Verified(proof) = verify(&forged.client(), &mixed, at(NOW)) else { panic!() };
    assert_eq!(proof.level, TrustLevel::Account);
    assert_eq!(
        verify(&forged.client(), &Trust::new(vec![shared()], at(NOW)).unwrap(), at(NOW)),
        Verdict::Refused(Cause::UnknownIssuer)
    );
}

#[test]
fn what_bears_cloudflares_whole_name_proves_the_edge_and_no_more() {
    let cloudflares = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name = Default::default();
        for (kind, value) in [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "CloudFlare, Inc."),
            (DnType::OrganizationalUnitName, "Origin Pull"),
            (DnType::LocalityName, "San Francisco"),
            (DnType::StateOrProvinceName, "California"),
            (DnType::CommonName, "origin-pull.cloudflare.net"),
        ] {
            params.distinguished_name.push(kind, value);
        }
    };
    let successor = Ca::root_with("", cloudflares);
    assert_eq!(&**successor.anchor().subject(), SHARED_SUBJECT);
    assert_eq!(successor.anchor().level(), TrustLevel::Edge);
    let below = successor.intermediate("an intermediate of Cloudflare's", |_| {});
    assert_eq!(anchor(below.certificate()).level(), TrustLevel::Edge);
}

/// Its roots issue to every account: as trust for clients they would let anybody in.
#[test]
fn the_origin_ca_is_no_trust() {
    for pem in [&include_bytes!("origin_ca_ecc_root.pem")[..], include_bytes!("origin_ca_rsa_root.pem")] {
        let error = Anchor::from_pem(pem).unwrap_err();
        assert!(matches!(&error, AnchorError::OriginCa(name) if name.contains("Origin")), "{error}");
    }
}

#[test]
fn a_trust_is_known_by_its_cas_alone() {
    let (one, two) = (Ca::root("one"), Ca::root("two"));
    let renewed = anchor(&one.reissued(NOW, NOW + 1));
    let id = |anchors: &[&Anchor], now: u64| {
        Trust::new(anchors.iter().map(|anchor| (*anchor).clone()).collect(), at(now)).unwrap().id()
    };
    let (one, two) = (one.anchor(), two.anchor());
    let both = id(&[&one, &two], NOW);
    assert_eq!(both, id(&[&two, &one], NOW));
    assert_eq!(both, id(&[&one, &two, &one], NOW));
    assert_eq!(both, id(&[&one, &two], NOW + 1));
    let others = [id(&[&one], NOW), id(&[&two], NOW), id(&[&one, &two, &renewed], NOW), id(&[&renewed, &two], NOW)];
    assert!(!others.contains(&both));
}

#[test]
fn only_a_cas_certificate_is_an_anchor() {
    let ca = Ca::root("root");
    let no_ca = |edit: IsCa| {
        AnchorError::NotCa({
            let leaf = ca.leaf(|params| params.is_ca = edit);
            let Err(AnchorError::NotCa(subject)) = Anchor::from_pem(leaf.pem().as_bytes()) else { panic!() };
            subject
        })
    };
    assert_eq!(no_ca(IsCa::NoCa), AnchorError::NotCa("CN=zone.example.com".into()));
    assert_eq!(no_ca(IsCa::ExplicitNoCa), AnchorError::NotCa("CN=zone.example.com".into()));
    let mut trailing = ca.der().to_vec();
    trailing.push(0);
    for der in [vec![], b"no certificate".to_vec(), trailing] {
        assert!(matches!(Anchor::from_der(&der.into()), Err(AnchorError::Malformed(_))));
    }
}

#[test]
fn every_section_of_a_pem_text_counts() {
    let ca = Ca::root("root");
    let good = ca.certificate().pem();
    let two = format!("# two CAs\n{good}\nand the other\n{}", Ca::root("other").certificate().pem());
    assert_eq!(Anchor::from_pem(two.as_bytes()).unwrap().len(), 2);
    let line = good.lines().nth(2).unwrap();
    let bad = [
        ("empty", String::new()),
        ("no section", "a text without certificates\n".into()),
        ("not base64", format!("{good}{}", good.replace(line, "!!!!"))),
        ("a line lost", format!("{good}{}", good.replace(line, ""))),
        ("the end lost", format!("{good}{}", good.replace("-----END CERTIFICATE-----", ""))),
        ("the bad one first", format!("{}{good}", good.replace(line, "!!!!"))),
        ("a leaf among them", format!("{good}{}", ca.leaf(|_| {}).pem())),
        ("start damaged", format!("{good}{}", good.replace("-----BEGIN", "----BEGIN"))),
        ("start indented", format!("{good}{}", good.replace("-----BEGIN", "  -----BEGIN"))),
        ("another kind", format!("{good}{}", good.replace("CERTIFICATE", "TRUSTED CERTIFICATE"))),
    ];
    for (name, pem) in bad {
        assert!(Anchor::from_pem(pem.as_bytes()).is_err(), "{name}");
    }
}
