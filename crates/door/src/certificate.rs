//! The certificates that a host shows: chain, key and stapled OCSP answer, and the choice among several by what the client can verify.

use der::Decode;
use pullgate_policy::origin_pull::{Leaf, hex};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureAlgorithm};
use std::sync::Arc;
use std::time::Duration;
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, OcspResponseStatus, SingleResponse};

/// A certificate as its files hold it.
#[derive(Clone)]
pub struct CertificateFiles<'a> {
    /// PEM, leaf first.
    pub chain: &'a [u8],
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: &'a [u8],
    /// An OCSP answer for the leaf, DER (RFC 6960).
    pub ocsp: Option<&'a [u8]>,
}

/// What certificate files that fit together say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCertificate {
    /// The leaf.
    pub leaf: CertificateDer<'static>,
    /// The kind of its key, as people call it.
    pub key: &'static str,
    /// When the stapled answer runs out, where it says so.
    pub ocsp_until: Option<UnixTime>,
}

/// Why a chain and a key cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// The chain is to blame.
    #[error("certificate chain: {0}")]
    Chain(String),
    /// The key is to blame.
    #[error("private key: {0}")]
    Key(String),
    /// Each is sound; they do not belong together.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// The stapled answer is to blame.
    #[error("OCSP answer: {0}")]
    Ocsp(String),
}

impl CertificateFiles<'_> {
    /// Whether they can serve together.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<CheckedCertificate, CertificateFault> {
        let shown = Shown::new(self, &aws_lc_rs::default_provider())?;
        let leaf = shown.bare.cert.first().cloned().ok_or_else(|| CertificateFault::Chain("it is empty".into()))?;
        let (key, ocsp_until) = (name_of(shown.bare.key.algorithm()), shown.stapled.and_then(|(_, until)| until));
        Ok(CheckedCertificate { leaf, key, ocsp_until })
    }
}

fn name_of(key: SignatureAlgorithm) -> &'static str {
    match key {
        SignatureAlgorithm::RSA => "RSA",
        SignatureAlgorithm::ECDSA => "ECDSA",
        SignatureAlgorithm::ED25519 => "Ed25519",
        _ => "other",
    }
}

/// One certificate, with and without its stapled answer.
#[derive(Debug)]
struct Shown {
    bare: Arc<CertifiedKey>,
    /// With the answer, and until when that counts.
    stapled: Option<(Arc<CertifiedKey>, Option<UnixTime>)>,
}

impl Shown {
    fn new(files: &CertificateFiles<'_>, provider: &CryptoProvider) -> Result<Self, CertificateFault> {
        let bare = certified(files, provider)?;
        let stapled = match (files.ocsp, bare.cert.first()) {
            (Some(answer), Some(leaf)) => {
                let until = ocsp_end(answer, leaf)?;
                let with_answer = CertifiedKey { ocsp: Some(answer.to_vec()), ..bare.clone() };
                Some((Arc::new(with_answer), until))
            }
            _ => None,
        };
        Ok(Self { bare: Arc::new(bare), stapled })
    }

    /// An answer that has run out is worse than none: it reads as a replay.
    fn now(&self, now: UnixTime) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some((stapled, until)) if until.is_none_or(|until| now <= until) => stapled,
            _ => &self.bare,
        }
    }
}

fn certified(files: &CertificateFiles<'_>, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateFault> {
    let chain = CertificateDer::pem_slice_iter(files.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateFault::Chain(format!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(CertificateFault::Chain("it has no CERTIFICATE section".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(files.key).map_err(|_| {
        CertificateFault::Key("it has no unencrypted private key in PEM form (PKCS#8, PKCS#1 or SEC1)".into())
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateFault::Mismatch,
        Error::InvalidCertificate(_) => CertificateFault::Chain(error.to_string()),
        other => CertificateFault::Key(other.to_string()),
    })
}

/// Until when an OCSP answer counts, provided that it says that this leaf is good.
fn ocsp_end(answer: &[u8], leaf: &CertificateDer<'_>) -> Result<Option<UnixTime>, CertificateFault> {
    let fault = |why: &str| CertificateFault::Ocsp(why.to_owned());
    let outer = OcspResponse::from_der(answer).map_err(|error| fault(&format!("not an answer in DER: {error}")))?;
    if outer.response_status != OcspResponseStatus::Successful {
        return Err(fault(&format!("the responder said {:?}", outer.response_status)));
    }
    let bytes = outer.response_bytes.ok_or_else(|| fault("the answer is empty"))?;
    let basic = BasicOcspResponse::from_der(bytes.response.as_bytes())
        .map_err(|error| fault(&format!("not a basic answer: {error}")))?;
    let leaf = Leaf::describe(leaf).ok_or_else(|| CertificateFault::Chain("the leaf is not X.509".into()))?;
    let is_of_leaf = |single: &&SingleResponse| serial(single) == leaf.serial.trim_start_matches('0');
    let single = basic.tbs_response_data.responses.iter().find(is_of_leaf);
    let single = single.ok_or_else(|| fault("the answer is about another certificate"))?;
    match single.cert_status {
        CertStatus::Good(_) => Ok(single
            .next_update
            .as_ref()
            .map(|end| UnixTime::since_unix_epoch(Duration::from_secs(end.0.to_unix_duration().as_secs())))),
        CertStatus::Revoked(_) => Err(fault("the answer says that the certificate is revoked")),
        CertStatus::Unknown(_) => Err(fault("the answer says that the responder does not know the certificate")),
    }
}

/// Lowercase hexadecimal without leading zeros, of which encodings may differ.
fn serial(single: &SingleResponse) -> String {
    hex(single.cert_id.serial_number.as_bytes()).trim_start_matches('0').to_owned()
}

/// Shows what the client can verify.
#[derive(Debug)]
pub(crate) struct Certificates(Vec<Shown>);

impl Certificates {
    /// ECDSA and Ed25519 stand before RSA, whatever the order of the files: their signatures cost a tenth.
    pub(crate) fn new(files: &[CertificateFiles<'_>], provider: &CryptoProvider) -> Result<Self, CertificateFault> {
        let mut shown = files.iter().map(|files| Shown::new(files, provider)).collect::<Result<Vec<_>, _>>()?;
        shown.sort_by_key(|shown| shown.bare.key.algorithm() == SignatureAlgorithm::RSA);
        Ok(Self(shown))
    }
}

impl ResolvesServerCert for Certificates {
    /// The first whose key can sign in a way that the client offers; rustls has taken out of the offer what no shared suite allows.
    /// Where none fits, rustls says so of the first, with `handshake_failure`.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |shown: &&Shown| shown.bare.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).or(self.0.first()).map(|shown| Arc::clone(shown.now(UnixTime::now())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_stapled_until_it_runs_out() {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let (chain, key) = (leaf.pem(), key.serialize_pem());
        let files = CertificateFiles { chain: chain.as_bytes(), key: key.as_bytes(), ocsp: None };
        let mut shown = Shown::new(&files, &aws_lc_rs::default_provider()).unwrap();
        let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let stapled = |shown: &Shown, now: u64| shown.now(at(now)).ocsp.is_some();
        assert!(!stapled(&shown, 0));
        let answered = Arc::new(CertifiedKey { ocsp: Some(vec![1]), ..(*shown.bare).clone() });
        for (until, expected) in [(Some(10), [true, true, false]), (None, [true; 3])] {
            shown.stapled = Some((Arc::clone(&answered), until.map(at)));
            assert_eq!([9, 10, 11].map(|now| stapled(&shown, now)), expected, "{until:?}");
        }
    }
}
