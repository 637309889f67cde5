//! A certificate revocation list (RFC 5280 section 5), with the dates that webpki keeps to itself.

use super::{hex, seconds};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateRevocationListDer, UnixTime};
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

/// One list: which serial numbers of its issuer are revoked.
#[derive(Debug, Clone)]
pub struct RevocationList {
    list: Arc<CertRevocationList<'static>>,
    issuer: Arc<str>,
    this_update: UnixTime,
    next_update: UnixTime,
    fingerprint: [u8; 32],
}

/// A text that holds no usable list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// No PEM, or one that is cut or damaged.
    #[error("no revocation list in PEM form: {0}")]
    Pem(String),
    /// Not a list of version 2 with an end, or one of a kind that is not supported (delta, indirect).
    #[error("not a usable revocation list: {0}")]
    Malformed(String),
}

impl RevocationList {
    /// Parses every list of a PEM text (`X509 CRL` sections).
    ///
    /// # Errors
    /// When there is none, or one is not usable: nothing is skipped.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, RevocationError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem)
            .map(|der| Self::from_der(&der.map_err(|error| RevocationError::Pem(error.to_string()))?))
            .collect::<Result<Vec<_>, _>>()?;
        match super::pem_sections(pem) {
            0 => Err(RevocationError::Pem("the text has no X509 CRL section".into())),
            begun if begun != lists.len() => {
                Err(RevocationError::Pem(format!("{begun} sections begin, {} are of an X509 CRL", lists.len())))
            }
            _ => Ok(lists),
        }
    }

    /// Parses one list.
    ///
    /// # Errors
    /// When it is not usable.
    pub fn from_der(der: &CertificateRevocationListDer<'_>) -> Result<Self, RevocationError> {
        let malformed = |error: &dyn fmt::Display| RevocationError::Malformed(error.to_string());
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| malformed(&error))?;
        let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|error| malformed(&error))?;
        let list = CertRevocationList::from(list);
        if list.issuing_distribution_point().is_some() {
            // Two such lists of one CA say different things: which one webpki took could not be told from outside.
            return Err(malformed(&"it covers a part of what its CA issues (issuingDistributionPoint)"));
        }
        let next_update = parsed.next_update().ok_or_else(|| malformed(&"it has no nextUpdate"))?;
        Ok(Self {
            list: Arc::new(list),
            issuer: parsed.issuer().to_string().into(),
            this_update: seconds(parsed.last_update().timestamp()),
            next_update: seconds(next_update.timestamp()),
            fingerprint: Sha256::digest(der).into(),
        })
    }

    /// Whether `now` lies between its own two dates.
    #[must_use]
    pub fn in_force(&self, now: UnixTime) -> bool {
        self.this_update <= now && now < self.next_update
    }

    /// Its `thisUpdate`: before that it says nothing.
    pub(super) fn this_update(&self) -> UnixTime {
        self.this_update
    }

    /// Its `nextUpdate`: from then on it says nothing.
    #[must_use]
    pub fn next_update(&self) -> UnixTime {
        self.next_update
    }

    /// The list's SHA-256, lowercase hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&self.fingerprint)
    }

    /// The issuer's distinguished name.
    #[must_use]
    pub fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// Whether it is of the CA with this name, DER without its outer tag.
    pub(super) fn is_of(&self, issuer: &[u8]) -> bool {
        self.list.issuer() == issuer
    }

    /// Whether it has begun: a list from the future says nothing of today.
    pub(super) fn has_begun(&self, now: UnixTime) -> bool {
        self.this_update <= now
    }

    pub(super) fn list(&self) -> &CertRevocationList<'static> {
        &self.list
    }

    /// The list's SHA-256, over its DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub(super) fn newest_first(&self, other: &Self) -> Ordering {
        other.this_update.cmp(&self.this_update).then(self.fingerprint.cmp(&other.fingerprint))
    }
}

impl fmt::Display for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the list of {} (SHA-256 {})", self.issuer, hex(&self.fingerprint[..8]))
    }
}
