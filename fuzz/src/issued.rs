//! The certificates in `fuzz/pki`, and what each proves to whom: the table that verdicts are held against.
//!
//! `fuzz/mint` made them and threw the keys of their CAs away. So the table is complete: whatever else is accepted is a forgery.

use pullgate_policy::TrustLevel;
use pullgate_policy::origin_pull::{Anchor, RevocationList, Trust};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::time::Duration;

/// The present of every run: 2026-09-21, within the validity of Cloudflare's shared CA and of all that is not expired on purpose.
pub const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_790_000_000));

/// Who is asked to accept a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A host with the operator's own CA.
    Operator,
    /// The same, with the key of `leaf.der` as its only pin.
    Pinned,
    /// The same, with the revocation lists of the CA and of its intermediate.
    Listed,
    /// A host with Cloudflare's shared CA, and one under its name with another key.
    Edge,
    /// A host with all of these CAs.
    Both,
}

impl Asked {
    /// Everybody.
    pub const ALL: [Self; 5] = [Self::Operator, Self::Pinned, Self::Listed, Self::Edge, Self::Both];

    /// What it trusts.
    #[must_use]
    pub fn trust(self) -> Trust {
        let operator = || vec![anchor(pki::ROOT)];
        let edge = || {
            let shared = Anchor::cloudflare().expect("it is compiled in");
            shared.into_iter().chain([anchor(pki::EDGE_ROOT)])
        };
        let of = |anchors| Trust::new(anchors, NOW).expect("its CAs are in force at NOW");
        match self {
            Self::Operator => of(operator()),
            Self::Pinned => of(operator()).with_pins(vec![pki::LEAF_PIN.parse().expect("fuzz/mint writes a pin")]),
            Self::Listed => of(operator()).with_revocations([pki::ROOT_LIST, pki::INTERMEDIATE_LIST].map(list).into()),
            Self::Edge => of(edge().collect()),
            Self::Both => of(operator().into_iter().chain(edge()).collect()),
        }
    }
}

fn anchor(der: &'static [u8]) -> Anchor {
    Anchor::from_der(&CertificateDer::from(der)).expect("fuzz/mint makes CAs")
}

fn list(der: &'static [u8]) -> RevocationList {
    RevocationList::from_der(&CertificateRevocationListDer::from(der)).expect("fuzz/mint makes lists")
}

/// A certificate and what it proves.
#[derive(Debug, Clone, Copy)]
pub struct Issued {
    /// DER.
    pub der: &'static [u8],
    /// The intermediate CA without which there is no path.
    pub through: Option<&'static [u8]>,
    /// Who accepts it as a leaf.
    pub accepted_by: &'static [Asked],
    /// What it proves to them.
    pub level: TrustLevel,
}

/// A certificate that nobody accepts as a leaf.
const fn refused(der: &'static [u8]) -> Issued {
    Issued { der, through: None, accepted_by: &[], level: TrustLevel::None }
}

const fn account(der: &'static [u8], through: Option<&'static [u8]>, accepted_by: &'static [Asked]) -> Issued {
    Issued { der, through, accepted_by, level: TrustLevel::Account }
}

/// All of them. Inputs of the target `chain` name them by their place here: new ones go to the end.
pub const CERTIFICATES: &[Issued] = &[
    account(pki::LEAF, None, &[Asked::Operator, Asked::Pinned, Asked::Listed, Asked::Both]),
    account(pki::LEAF_RSA, None, &[Asked::Operator, Asked::Listed, Asked::Both]),
    account(pki::LEAF_BELOW, Some(pki::INTERMEDIATE), &[Asked::Operator, Asked::Listed, Asked::Both]),
    account(pki::REVOKED, None, &[Asked::Operator, Asked::Both]),
    Issued { der: pki::EDGE, through: None, accepted_by: &[Asked::Edge, Asked::Both], level: TrustLevel::Edge },
    refused(pki::INTERMEDIATE),
    refused(pki::ROOT),
    refused(pki::EDGE_ROOT),
    refused(pki::EXPIRED),
    refused(pki::FUTURE),
    refused(pki::SERVER_ONLY),
    refused(pki::UNFIT_TO_SIGN),
    refused(pki::OUTSIDE_NAME),
    refused(pki::TOO_DEEP),
    refused(pki::LEAF_TOO_DEEP),
    refused(pki::IMPOSTOR_ROOT),
    refused(pki::IMPOSTOR),
    // No certificates, but what a client sends in their place is its own choice.
    refused(pki::ROOT_LIST),
    refused(pki::INTERMEDIATE_LIST),
];

mod pki {
    pub(super) const LEAF_PIN: &str = include_str!("../pki/leaf.pin");
    pub(super) const ROOT: &[u8] = include_bytes!("../pki/root.der");
    pub(super) const ROOT_LIST: &[u8] = include_bytes!("../pki/root-list.der");
    pub(super) const LEAF: &[u8] = include_bytes!("../pki/leaf.der");
    pub(super) const LEAF_RSA: &[u8] = include_bytes!("../pki/leaf-rsa.der");
    pub(super) const REVOKED: &[u8] = include_bytes!("../pki/revoked.der");
    pub(super) const EXPIRED: &[u8] = include_bytes!("../pki/expired.der");
    pub(super) const FUTURE: &[u8] = include_bytes!("../pki/future.der");
    pub(super) const SERVER_ONLY: &[u8] = include_bytes!("../pki/server-only.der");
    pub(super) const UNFIT_TO_SIGN: &[u8] = include_bytes!("../pki/unfit-to-sign.der");
    pub(super) const INTERMEDIATE: &[u8] = include_bytes!("../pki/intermediate.der");
    pub(super) const INTERMEDIATE_LIST: &[u8] = include_bytes!("../pki/intermediate-list.der");
    pub(super) const LEAF_BELOW: &[u8] = include_bytes!("../pki/leaf-below.der");
    pub(super) const OUTSIDE_NAME: &[u8] = include_bytes!("../pki/outside-name.der");
    pub(super) const TOO_DEEP: &[u8] = include_bytes!("../pki/too-deep.der");
    pub(super) const LEAF_TOO_DEEP: &[u8] = include_bytes!("../pki/leaf-too-deep.der");
    pub(super) const IMPOSTOR_ROOT: &[u8] = include_bytes!("../pki/impostor-root.der");
    pub(super) const IMPOSTOR: &[u8] = include_bytes!("../pki/impostor.der");
    pub(super) const EDGE_ROOT: &[u8] = include_bytes!("../pki/edge-root.der");
    pub(super) const EDGE: &[u8] = include_bytes!("../pki/edge.der");
}
