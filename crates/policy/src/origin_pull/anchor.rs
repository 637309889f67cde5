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

/// What the first line of every PEM section holds (RFC 7468 section 2).
const BEGIN: &[u8] = b"-BEGIN ";

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
        let shared = <[u8; 32]>::from(Sha256::digest(parsed.public_key().raw)) == SHARED_KEY;
        Ok(Self {
            anchor,
            subject: parsed.subject().to_string().into(),
            level: if shared { TrustLevel::Edge } else { TrustLevel::Account },
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
        // The parser passes over sections of another kind and over those whose first line is damaged or indented.
        let begun = pem.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
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

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub(super) fn trust_anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.not_before.as_secs(), self.not_after.as_secs());
        write!(f, "{} (SHA-256 {}, in force from {from} to {to})", self.subject, hex(&self.fingerprint[..8]))
    }
}
