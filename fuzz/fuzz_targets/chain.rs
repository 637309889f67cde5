//! Certificate chains: whatever a client presents, only what the CA really issued is accepted, and only where it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullgate_fuzz::forge;
use pullgate_fuzz::issued::{Asked, CERTIFICATES, Issued, NOW};
use pullgate_policy::TrustLevel;
use pullgate_policy::origin_pull::{Anchor, Cause, Leaf, Proof, RevocationList, Trust, Verdict, verify};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use std::sync::LazyLock;

static TRUSTS: LazyLock<Vec<(Asked, Trust)>> =
    LazyLock::new(|| Asked::ALL.into_iter().map(|asked| (asked, asked.trust())).collect());

fuzz_target!(init: the_table_is_true(), |bytes: &[u8]| {
    let chain = forge::chain(bytes);
    let verdicts: Vec<Verdict> = TRUSTS.iter().map(|(_, trust)| verify(&chain, trust, NOW)).collect();
    for ((asked, _), verdict) in TRUSTS.iter().zip(&verdicts) {
        match verdict {
            Verdict::Verified(proof) => earned(&chain, *asked, proof),
            Verdict::Refused(cause) => assert_eq!(*cause == Cause::NotPresented, chain.is_empty(), "{asked:?}"),
            Verdict::NotRequested => panic!("{asked:?} asks for a certificate"),
        }
    }
    let [operator, pinned, listed, ..] = &verdicts[..] else { panic!("Asked::ALL has them") };
    not_better(pinned, operator);
    not_better(listed, operator);
    the_operators_files(bytes, &chain, operator);
});

/// A table that lies would let the target find nothing for ever: what is accepted has to be accepted now. And so would forgeries that
/// are none of the certificate: without edits it has to be the certificate, and with an element of its own content as well.
fn the_table_is_true() {
    for (number, issued) in (0..).zip(CERTIFICATES) {
        assert_eq!(forge::chain(&[number, 0]), [CertificateDer::from(issued.der)]);
        assert_eq!(forge::chain(&[number, 1, 1, u8::MAX]), [CertificateDer::from(issued.der)]);
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(issued.der).chain(issued.through).map(Into::into).collect();
        for (asked, trust) in TRUSTS.iter() {
            let verified = matches!(verify(&chain, trust, NOW), Verdict::Verified(_));
            assert_eq!(verified, issued.accepted_by.contains(asked), "{asked:?}: {:?}", Leaf::describe(&chain[0]));
        }
    }
}

/// Holds a proof against the table.
///
/// A certificate under a signature is either the very one that was issued or a forgery: webpki takes DER only, and the two algorithm
/// names have to agree. The one exception is out of reach of mutations: an ECDSA signature (r, s) has a twin (r, n - s).
fn earned(chain: &[CertificateDer<'_>], asked: Asked, proof: &Proof) {
    let (leaf, rest) = chain.split_first().expect("an empty chain proves nothing");
    let fits = |issued: &&Issued| issued.der == leaf.as_ref() && issued.accepted_by.contains(&asked);
    let issued = CERTIFICATES.iter().find(fits).unwrap_or_else(|| panic!("{asked:?} took a forgery: {chain:02x?}"));
    if let Some(through) = issued.through {
        assert!(rest.iter().any(|der| der.as_ref() == through), "{asked:?} needs no intermediate: {chain:02x?}");
    }
    assert_eq!(proof.level, issued.level, "{asked:?}");
    assert!(asked != Asked::Edge || proof.level < TrustLevel::Account, "Cloudflare's CA stands for every account");
    assert!(proof.valid_until >= NOW, "{proof:?}");
}

/// What narrows a trust never widens it.
fn not_better(narrow: &Verdict, wide: &Verdict) {
    if let Verdict::Verified(narrow) = narrow {
        let Verdict::Verified(wide) = wide else { panic!("{wide:?} without, {narrow:?} with pins or lists") };
        assert!(narrow.level <= wide.level && narrow.valid_until <= wide.valid_until, "{narrow:?} {wide:?}");
    }
}

/// What only an operator gives is no attack, but it must not panic either; and a list, however odd, never opens anything.
fn the_operators_files(bytes: &[u8], chain: &[CertificateDer<'_>], operator: &Verdict) {
    // The input itself, since no certificate of a chain is PEM.
    let _ = (Anchor::from_pem(bytes), RevocationList::from_pem(bytes));
    for der in chain {
        let _ = Leaf::describe(der).map(|leaf| format!("{leaf:?}"));
        let _ = Anchor::from_der(der).map(|anchor| anchor.to_string());
        if let Ok(list) = RevocationList::from_der(&CertificateRevocationListDer::from(der.as_ref())) {
            let trust = TRUSTS[0].1.clone().with_revocations(vec![list]);
            not_better(&verify(chain, &trust, NOW), operator);
        }
    }
}
