//! One CA of a trust list: parsed once, with the validity period that webpki does not look at.

use super::{hex, seconds};
use crate::facts::TrustLevel;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Cloudflare's shared origin-pull CA, `origin-pull.cloudflare.net`, 2019-10-10 to 2029-11-01, SHA-256 `9a1ac2b4…25a2b9`
/// (<https://developers.cloudflare.com/ssl/static/authenticated_origin_pull_ca.pem>).
const SHARED_CA: &[u8] = include_bytes!("authenticated_origin_pull_ca.pem");

/// SHA-256 of the shared CA's SubjectPublicKeyInfo, which the expired CA of 2015 has too.
const SHARED_KEY: [u8; 32] = [
    0xe2, 0xef, 0x9f, 0xe8, 0x5a, 0xc3, 0x9f, 0x52, 0x2d, 0xc7, 0x73, 0x50, 0x5f, 0x39, 0x98, 0x75, 0xaa, 0x75, 0xac,
    0x10, 0xc4, 0x97, 0x66, 0xca, 0x89, 0x9f, 0x8f, 0x99, 0xb0, 0x7d, 0xa3, 0x4c,
];

/// SHA-256 of the SubjectPublicKeyInfo of Cloudflare's Origin CA roots, ECC and RSA
/// (<https://developers.cloudflare.com/ssl/origin-configuration/origin-ca/>).
const ORIGIN_CA_KEYS: [[u8; 32]; 2] = [
    [
        0x91, 0x14, 0xb3, 0x91, 0x6b, 0x64, 0x57, 0xdb, 0xf1, 0x9b, 0x6f, 0xc0, 0x4e, 0xa6, 0xb6, 0x1a, 0xa3, 0x3a,
        0x98, 0x66, 0x8e, 0x71, 0xa0, 0x1b, 0xa6, 0x0c, 0x08, 0xf8, 0xa5, 0x16, 0x7d, 0x5e,
    ],
    [
        0xb6, 0xe8, 0xc8, 0xca, 0x4c, 0x7c, 0xa5, 0xe6, 0x93, 0x4e, 0xfe, 0xa0, 0x31, 0x36, 0x49, 0x27, 0xbb, 0xfe,
        0xdf, 0x08, 0x62, 0x29, 0x49, 0x9a, 0x60, 0xd8, 0x3b, 0x5d, 0x58, 0x72, 0x22, 0xb7,
    ],
];

/// The shared CA's distinguished name.
const SHARED_NAME: &str =
    "C=US, O=CloudFlare, Inc., OU=Origin Pull, L=San Francisco, ST=California, CN=origin-pull.cloudflare.net";

/// A CA certificate that chains may end at.
#[derive(Debug, Clone)]
pub struct Anchor {
    anchor: TrustAnchor<'static>,
    subject: Arc<str>,
    level: TrustLevel,
    not_before: UnixTime,
    not_after: UnixTime,
    /// How many CA certificates may stand below it.
    path_length: Option<u32>,
    fingerprint: [u8; 32],
}

/// Why a certificate cannot be a trust anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The text holds no PEM certificate, or one that is cut or damaged.
    #[error("no certificate in PEM form: {0}")]
    Pem(String),
    /// The certificate is not X.509.
    #[error("not an X.509 certificate: {0}")]
    Malformed(String),
    /// The certificate is not one of a CA.
    #[error("{0} is not a CA certificate (basicConstraints CA:TRUE is missing)")]
    NotCa(String),
    /// The certificate is a root of Cloudflare's Origin CA.
    #[error(
        "{0} is Cloudflare's Origin CA, which issues certificates to every account: as trust it would admit anybody"
    )]
    OriginCa(String),
}

impl Anchor {
    /// Parses one DER certificate.
    ///
    /// # Errors
    /// When it is not X.509, or not a CA's.
    pub fn from_der(der: &CertificateDer<'_>) -> Result<Self, AnchorError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| AnchorError::Malformed(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(AnchorError::NotCa(parsed.subject().to_string()));
        }
        let anchor = webpki::anchor_from_trusted_cert(der)
            .map_err(|error| AnchorError::Malformed(error.to_string()))?
            .to_owned();
        let key = <[u8; 32]>::from(Sha256::digest(parsed.public_key().raw));
        if ORIGIN_CA_KEYS.contains(&key) {
            return Err(AnchorError::OriginCa(parsed.subject().to_string()));
        }
        Ok(Self {
            anchor,
            subject: parsed.subject().to_string().into(),
            level: level_of(&parsed, key),
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            path_length: parsed.basic_constraints().ok().flatten().and_then(|found| found.value.path_len_constraint),
            fingerprint: Sha256::digest(der).into(),
        })
    }

    /// Parses every certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none, or one is not a CA's: nothing is skipped.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, AnchorError> {
        let anchors = CertificateDer::pem_slice_iter(pem)
            .map(|der| Self::from_der(&der.map_err(|error| AnchorError::Pem(error.to_string()))?))
            .collect::<Result<Vec<_>, _>>()?;
        if anchors.is_empty() {
            return Err(AnchorError::Pem("the text has no CERTIFICATE section".into()));
        }
        let begun = super::pem_sections(pem);
        if begun != anchors.len() {
            return Err(AnchorError::Pem(format!("{begun} sections begin, {} are of a CERTIFICATE", anchors.len())));
        }
        Ok(anchors)
    }

    /// The CA that all Cloudflare accounts share, compiled in.
    ///
    /// # Errors
    /// Never in a build whose tests passed.
    pub fn cloudflare() -> Result<Vec<Self>, AnchorError> {
        Self::from_pem(SHARED_CA)
    }

    /// Whether `now` lies within the certificate's own validity period.
    #[must_use]
    pub fn in_force(&self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// What a path that ends here proves.
    #[must_use]
    pub fn level(&self) -> TrustLevel {
        self.level
    }

    /// The subject's distinguished name.
    #[must_use]
    pub fn subject(&self) -> &Arc<str> {
        &self.subject
    }

    /// The end of its validity.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether so many CA certificates may stand below it, which webpki does not ask of an anchor (RFC 5280 section 4.2.1.9).
    pub(super) fn bears(&self, intermediates: usize) -> bool {
        self.path_length.is_none_or(|most| intermediates <= usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// The certificate's SHA-256, which tells two CAs of one name and key apart.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&self.fingerprint)
    }

    /// The subject's distinguished name in DER, as certificates and lists below it name their issuer.
    pub(super) fn name(&self) -> &[u8] {
        &self.anchor.subject
    }

    /// The SubjectPublicKeyInfo in DER, without its outer tag.
    pub(super) fn key(&self) -> &[u8] {
        &self.anchor.subject_public_key_info
    }

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub(super) fn trust_anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }
}

/// The key decides. A CA under Cloudflare's name, or issued under it, counts as Cloudflare's as well: a successor with another key, or
/// an intermediate, must not pass for the operator's own.
fn level_of(ca: &X509Certificate<'_>, key: [u8; 32]) -> TrustLevel {
    let named = [ca.subject(), ca.issuer()].iter().any(|name| name.to_string() == SHARED_NAME);
    if key == SHARED_KEY || named { TrustLevel::Edge } else { TrustLevel::Account }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.not_before.as_secs(), self.not_after.as_secs());
        write!(f, "{} (SHA-256 {}, in force from {from} to {to})", self.subject, hex(&self.fingerprint[..8]))
    }
}
