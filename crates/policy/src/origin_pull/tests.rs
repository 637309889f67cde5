//! Tables for origin-pull verification.

mod anchors;
mod chains;
mod narrowed;

use super::*;
use crate::testing::{Ca, NOW, at};

#[test]
fn causes_have_labels_of_their_own() {
    let labels: std::collections::HashSet<_> = Cause::ALL.iter().map(|cause| cause.label()).collect();
    assert_eq!(labels.len(), Cause::ALL.len());
    assert!(!labels.contains("verified") && !labels.contains("not_requested"));
}

#[test]
fn a_leaf_is_described_by_what_it_says_of_itself() {
    let ca = Ca::root("root");
    let leaf = ca.leaf(|params| params.serial_number = Some(0x1234_abcd_u64.into()));
    let described = Leaf::describe(leaf.der()).unwrap();
    assert_eq!((&*described.subject, &*described.issuer), ("CN=zone.example.com", "CN=root"));
    assert_eq!(
        described.sha256,
        hex(&sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), leaf.der())))
    );
    assert!(described.not_after > at(NOW));
    assert_eq!(Leaf::describe(&CertificateDer::from(vec![0x30, 0])), None);
}
