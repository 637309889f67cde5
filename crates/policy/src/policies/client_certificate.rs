//! `client-certificate`: visitors by the certificate that they showed to Cloudflare.
//!
//! ```yaml
//! visitor: {client_certificate: {headers: rfc9440}}
//! policies:
//!   - {kind: client-certificate, trust: [client-ca.pem], subjects: ["CN=alice"]}
//! ```
//!
//! Of `trust` (CAs that the chain has to end at), `subjects` and `fingerprints`, all that are given have to hold; each is a list of
//! alternatives. A visitor without a certificate is refused, and so is one whose certificate cannot be read, is not verified or is revoked.
//! Who issued a certificate says little where Cloudflare's own client CA did: its accounts share it.

use super::{Asked, Policy};
use crate::denial::Reason;
use crate::distinguished_name::Subject;
use crate::origin_pull::{self, Trust, Verdict};
use crate::visitor_certificate::Fingerprint;

/// Lets visitors pass by their certificate.
#[derive(Debug)]
pub struct ClientCertificate {
    trust: Option<Trust>,
    subjects: Vec<Subject>,
    fingerprints: Vec<Fingerprint>,
}

impl ClientCertificate {
    /// Certificates under one of the CAs, with one of the subjects and one of the fingerprints may pass; an empty list asks for nothing.
    /// None where nothing at all is asked for: that a visitor has a certificate does not say who it is.
    #[must_use]
    pub fn new(trust: Option<Trust>, subjects: Vec<Subject>, fingerprints: Vec<Fingerprint>) -> Option<Self> {
        let asks = trust.is_some() || !subjects.is_empty() || !fingerprints.is_empty();
        asks.then_some(Self { trust, subjects, fingerprints })
    }
}

impl Policy for ClientCertificate {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        let certificate = asked.certificate.certificate()?;
        let now = asked.facts.now;
        // Signatures last: they cost a thousand times what the rest does.
        if !self.fingerprints.is_empty() && !self.fingerprints.contains(&certificate.fingerprint()) {
            return Err(Reason::ClientCertificateFingerprint);
        }
        let is_named = |subject: &Subject| certificate.subject().is_some_and(|name| subject.is(name));
        if !self.subjects.is_empty() && !self.subjects.iter().any(is_named) {
            return Err(Reason::ClientCertificateSubject);
        }
        let is_under =
            |trust: &Trust| matches!(origin_pull::verify(certificate.chain(), trust, now), Verdict::Verified(_));
        if !certificate.in_force(now) || !self.trust.as_ref().is_none_or(is_under) {
            return Err(Reason::ClientCertificateUntrusted);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests;
