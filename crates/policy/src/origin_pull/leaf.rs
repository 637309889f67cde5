//! What a presented leaf says of itself.

use super::{hex, seconds};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a presented leaf says of itself: for the log, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The subject's distinguished name, as parsed, cut to 256 characters.
    pub subject: String,
    /// The issuer's, cut likewise.
    pub issuer: String,
    /// The serial number, lowercase hexadecimal, cut to 64 digits; RFC 5280 allows 40.
    pub serial: String,
    /// The certificate's SHA-256, lowercase hexadecimal.
    pub sha256: String,
    /// The end of its validity.
    pub not_after: UnixTime,
}

impl Leaf {
    /// Reads what a leaf says of itself; none if it does not parse.
    #[must_use]
    pub fn describe(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            subject: short(&parsed.subject().to_string()),
            issuer: short(&parsed.issuer().to_string()),
            serial: hex(&parsed.raw_serial()[..parsed.raw_serial().len().min(32)]),
            sha256: hex(&Sha256::digest(der)),
            not_after: seconds(parsed.validity().not_after.timestamp()),
        })
    }
}

/// The client chose the names, and every line of the log repeats them.
fn short(name: &str) -> String {
    name.chars().take(256).collect()
}
