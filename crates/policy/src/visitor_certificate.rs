//! The visitor's certificate, as Cloudflare tells of it: in the fields of the one feature that a host declares, from a peer that is believed.
//!
//! The visitor showed it to the edge, which saw the proof that the visitor holds its key; the origin sees none. So it is worth what the
//! connection that tells of it is worth: the certificate itself is no secret.

use crate::denial::Reason;
use crate::distinguished_name::DistinguishedName;
use crate::origin_pull::seconds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::str::FromStr;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Which of Cloudflare's features tells of visitors' certificates; the fields of the others are a client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFields {
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440), by rules that set them for certificates that Cloudflare has verified
    /// (<https://developers.cloudflare.com/ssl/client-certificates/forward-a-client-certificate/>).
    Rfc9440,
    /// `Cf-Cert-*`, by the managed transform "Add client certificate headers": what the certificate says, and not the certificate.
    CfCert,
    /// `Cf-Client-Cert-Der-Base64` and `-Sha256`, by the certificate settings of Access; perhaps on the first request of a visitor's
    /// connection alone.
    CfClientCert,
}

/// SHA-256 of a certificate in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 in hexadecimal (64 digits, with or without colons between the pairs)")]
pub struct NotAFingerprint(String);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(der: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let between_pairs = |at: usize, byte: u8| text.len() == 95 && at % 3 == 2 && byte == b':';
        let digits = text.bytes().enumerate().filter(|(at, byte)| !between_pairs(*at, *byte));
        let digit = |(_, byte)| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits = digits.map(digit).collect::<Option<Vec<u8>>>().unwrap_or_default();
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        match (digits.len(), bytes.try_into()) {
            (64, Ok(digest)) => Ok(Self(digest)),
            _ => Err(NotAFingerprint(text.to_owned())),
        }
    }
}

/// A visitor's certificate that Cloudflare stands for, or that is at least well-formed: see [`CertificateFields`].
#[derive(Debug)]
pub struct VisitorCertificate {
    /// Leaf first, the others in any order; empty where the fields only describe it.
    chain: Vec<CertificateDer<'static>>,
    fingerprint: Fingerprint,
    subject: Option<DistinguishedName>,
    /// The first and the last second, where the certificate is at hand.
    validity: Option<(UnixTime, UnixTime)>,
}

impl VisitorCertificate {
    fn parsed(leaf: Vec<u8>, others: Vec<Vec<u8>>) -> Option<Self> {
        let leaf = CertificateDer::from(leaf);
        let (rest, parsed) = X509Certificate::from_der(&leaf).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = parsed.validity();
        let validity = (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()));
        let subject = DistinguishedName::of(parsed.subject());
        let fingerprint = Fingerprint::of(&leaf);
        let chain = std::iter::once(leaf).chain(others.into_iter().map(CertificateDer::from)).collect();
        Some(Self { chain, fingerprint, subject, validity: Some(validity) })
    }

    /// The certificate and those that came with it, leaf first, the others in any order; empty where the fields only describe it.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Its SHA-256: of the certificate at hand, else as Cloudflare tells it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Its subject; none where it is empty in the fields that describe it, or cannot be read in one way alone.
    #[must_use]
    pub fn subject(&self) -> Option<&DistinguishedName> {
        self.subject.as_ref()
    }

    /// Whether `now` lies in its validity, where the certificate is at hand; Cloudflare looked at the clock for the others.
    #[must_use]
    pub fn in_force(&self, now: UnixTime) -> bool {
        self.validity.is_none_or(|(first, last)| first <= now && now <= last)
    }
}

/// What a request says of its visitor's certificate; read when somebody asks, and then once.
#[derive(Debug)]
pub struct CertificateClaim<'a> {
    fields: Option<CertificateFields>,
    headers: &'a HeaderMap,
    read: OnceCell<Result<VisitorCertificate, Reason>>,
}

impl<'a> CertificateClaim<'a> {
    /// The claim in `fields`; none where the host declares none, or nobody who is believed makes it.
    #[must_use]
    pub fn new(fields: Option<CertificateFields>, headers: &'a HeaderMap) -> Self {
        Self { fields, headers, read: OnceCell::new() }
    }

    /// The certificate.
    ///
    /// # Errors
    /// [`Reason::ClientCertificateMissing`], [`Reason::ClientCertificateMalformed`], and where the fields say so
    /// [`Reason::ClientCertificateUnverified`] or [`Reason::ClientCertificateRevoked`].
    pub fn certificate(&self) -> Result<&VisitorCertificate, Reason> {
        let read = || match self.fields {
            None => Err(Reason::ClientCertificateMissing),
            Some(CertificateFields::Rfc9440) => rfc9440(self.headers),
            Some(CertificateFields::CfCert) => cf_cert(self.headers),
            Some(CertificateFields::CfClientCert) => cf_client_cert(self.headers),
        };
        self.read.get_or_init(read).as_ref().map_err(|reason| *reason)
    }

    /// The fields by which the upstream hears of the certificate: `Client-Cert`, written anew from what was read, or the `Cf-Cert-*` that
    /// describe it. None of a certificate that is missing, malformed, not verified or revoked.
    #[must_use]
    pub fn forwarded(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Ok(certificate) = self.certificate() else { return Vec::new() };
        match certificate.chain.first() {
            Some(leaf) => client_cert(leaf).into_iter().collect(),
            None => CF_CERT.iter().filter_map(|name| self.description(name)).collect(),
        }
    }

    fn description(&self, name: &'static str) -> Option<(HeaderName, HeaderValue)> {
        let value = one(self.headers, name).ok().flatten()?;
        let fits =
            value.len() <= LONGEST_DESCRIPTION && value.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte));
        fits.then(|| (HeaderName::from_static(name), value.clone()))
    }
}

/// `Client-Cert` of RFC 9440 section 2.2: a byte sequence of RFC 8941.
fn client_cert(leaf: &CertificateDer<'_>) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&format!(":{}:", STANDARD.encode(leaf))).ok()?;
    Some((HeaderName::from_static(CLIENT_CERT), value))
}

const CLIENT_CERT: &str = "client-cert";

/// Characters of base64 in one certificate; Cloudflare's own limit for `Client-Cert`.
const LONGEST_LEAF: usize = 10 * 1024;

/// Bytes of `Client-Cert-Chain`; Cloudflare's own limit, with room for its colons and commas.
const LONGEST_CHAIN: usize = 16 * 1024 + 64;

/// Bytes of a field that describes a certificate.
const LONGEST_DESCRIPTION: usize = 1024;

/// What the managed transform sets.
const CF_CERT: [&str; 17] = [
    "cf-cert-presented",
    "cf-cert-verified",
    "cf-cert-revoked",
    "cf-cert-issuer-dn",
    "cf-cert-issuer-dn-legacy",
    "cf-cert-issuer-dn-rfc2253",
    "cf-cert-issuer-serial",
    "cf-cert-issuer-ski",
    "cf-cert-not-after",
    "cf-cert-not-before",
    "cf-cert-serial",
    "cf-cert-sha1",
    "cf-cert-sha256",
    "cf-cert-ski",
    "cf-cert-subject-dn",
    "cf-cert-subject-dn-legacy",
    "cf-cert-subject-dn-rfc2253",
];

/// The one value of a field: Cloudflare sets each once, so that a second line is somebody else's.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Reason::ClientCertificateMalformed),
    }
}

fn rfc9440(headers: &HeaderMap) -> Result<VisitorCertificate, Reason> {
    let leaf = one(headers, CLIENT_CERT)?.ok_or(Reason::ClientCertificateMissing)?;
    let chain = one(headers, "client-cert-chain")?.map_or(Some(Vec::new()), |value| byte_sequences(value.as_bytes()));
    byte_sequence(leaf.as_bytes())
        .zip(chain)
        .and_then(|(leaf, chain)| VisitorCertificate::parsed(leaf, chain))
        .ok_or(Reason::ClientCertificateMalformed)
}

/// A byte sequence of RFC 8941 section 3.3.5, padded and without parameters, as Cloudflare writes it.
fn byte_sequence(text: &[u8]) -> Option<Vec<u8>> {
    decoded(text.strip_prefix(b":")?.strip_suffix(b":")?)
}

/// A list of them (RFC 8941 section 3.1); an empty one where the visitor sent no certificate but the leaf.
fn byte_sequences(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    if text.len() > LONGEST_CHAIN {
        return None;
    }
    if text.trim_ascii().is_empty() {
        return Some(Vec::new());
    }
    text.split(|byte| *byte == b',').map(|member| byte_sequence(member.trim_ascii())).collect()
}

fn decoded(base64: &[u8]) -> Option<Vec<u8>> {
    if base64.len() > LONGEST_LEAF { None } else { STANDARD.decode(base64).ok() }
}

fn cf_client_cert(headers: &HeaderMap) -> Result<VisitorCertificate, Reason> {
    let leaf = one(headers, "cf-client-cert-der-base64")?.ok_or(Reason::ClientCertificateMissing)?;
    let told = one(headers, "cf-client-cert-sha256")?.and_then(fingerprint);
    decoded(leaf.as_bytes())
        .and_then(|leaf| VisitorCertificate::parsed(leaf, Vec::new()))
        .filter(|certificate| told == Some(certificate.fingerprint))
        .ok_or(Reason::ClientCertificateMalformed)
}

fn fingerprint(value: &HeaderValue) -> Option<Fingerprint> {
    value.to_str().ok()?.parse().ok()
}

fn cf_cert(headers: &HeaderMap) -> Result<VisitorCertificate, Reason> {
    if flag(headers, "cf-cert-presented")? != Some(true) {
        return Err(Reason::ClientCertificateMissing);
    }
    match (flag(headers, "cf-cert-verified")?, flag(headers, "cf-cert-revoked")?) {
        // Of a revoked certificate, `verified` is true all the same.
        (_, Some(true)) => Err(Reason::ClientCertificateRevoked),
        (Some(false), Some(false)) => Err(Reason::ClientCertificateUnverified),
        (None, _) | (_, None) => Err(Reason::ClientCertificateMalformed),
        (Some(true), Some(false)) => described(headers),
    }
}

fn described(headers: &HeaderMap) -> Result<VisitorCertificate, Reason> {
    let told = one(headers, "cf-cert-sha256")?.and_then(fingerprint);
    let subject =
        one(headers, "cf-cert-subject-dn-rfc2253")?.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    Ok(VisitorCertificate {
        chain: Vec::new(),
        fingerprint: told.ok_or(Reason::ClientCertificateMalformed)?,
        subject: subject.and_then(|text| text.parse().ok()),
        validity: None,
    })
}

fn flag(headers: &HeaderMap, name: &str) -> Result<Option<bool>, Reason> {
    match one(headers, name)?.map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(_) => Err(Reason::ClientCertificateMalformed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests;
