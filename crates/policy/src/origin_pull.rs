//! Origin-pull verification (Cloudflare's Authenticated Origin Pulls): a client's chain, the trust of a host and a time in, a verdict out.
//!
//! The path is webpki's (RFC 5280); this module adds what webpki leaves out: the trust anchor's own validity period and the
//! leaf's KeyUsage. An extended key usage has to allow client authentication only where it is present, since Cloudflare's
//! recipe for customer certificates has none
//! (<https://developers.cloudflare.com/ssl/origin-configuration/authenticated-origin-pull/>).

mod anchor;

pub use anchor::{Anchor, AnchorError};

use crate::facts::TrustLevel;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The origin-pull rule of a host.
#[derive(Debug, Clone)]
pub enum OriginPull {
    /// No certificate is asked for.
    Off,
    /// A certificate is asked for and judged; a bad one is let through and counted.
    Observe(Arc<Trust>),
    /// A certificate is demanded.
    Require(Arc<Trust>),
}

impl OriginPull {
    /// The trust that certificates are judged by, where they are asked for.
    #[must_use]
    pub fn trust(&self) -> Option<&Arc<Trust>> {
        match self {
            Self::Off => None,
            Self::Observe(trust) | Self::Require(trust) => Some(trust),
        }
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// Why a chain was not accepted: the closed set of the metric's `verdict` label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cause { $($(#[$doc])* $name,)+ }

        impl Cause {
            /// Every cause there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The label in logs and metrics, `snake_case`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

causes! {
    /// The client was asked and sent no certificate.
    NotPresented = "not_presented",
    /// A certificate on the path has expired.
    Expired = "expired",
    /// A certificate on the path is not valid yet.
    NotYetValid = "not_yet_valid",
    /// No path ends at a trusted CA that is in force.
    UnknownIssuer = "unknown_issuer",
    /// KeyUsage or extended key usage does not allow client authentication, or a CA was used as a leaf.
    WrongUsage = "wrong_usage",
    /// A signature does not verify, or its algorithm is not accepted.
    BadSignature = "bad_signature",
    /// A path length or name constraint is violated.
    ConstraintViolated = "constraint_violated",
    /// The path is longer, or costs more work to build, than is allowed.
    ChainTooLong = "chain_too_long",
    /// A certificate does not parse, or carries a critical extension that is not understood.
    Malformed = "malformed",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A chain that was accepted: what it proves, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What the trust anchor at the end of the path stands for.
    pub level: TrustLevel,
    /// The earliest end of validity on the path, the anchor included.
    pub valid_until: UnixTime,
    /// The anchor's subject.
    pub anchor: Arc<str>,
}

/// The outcome of an origin-pull verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host does not ask for certificates.
    NotRequested,
    /// The chain is not good enough; what `require` refuses and `observe` counts.
    Refused(Cause),
    /// The chain ends at a trusted CA.
    Verified(Proof),
}

impl Verdict {
    /// The metric's `verdict` label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotRequested => "not_requested",
            Self::Refused(cause) => cause.label(),
            Self::Verified(_) => "verified",
        }
    }
}

/// Identifies the content of a [`Trust`]: two hosts with the same CAs have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrustId([u8; 32]);

/// The CAs that a host accepts origin-pull certificates from.
#[derive(Debug, Clone)]
pub struct Trust {
    anchors: Vec<Anchor>,
    id: TrustId,
}

/// A list of CAs of which none is in force: no chain could ever be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no CA of the list is in force: {0}")]
pub struct NoAnchorInForce(String);

impl Trust {
    /// Builds the trust from its CAs. CAs outside their validity period are kept for the day they come into force
    /// and never match before or after.
    ///
    /// # Errors
    /// When none of them is in force at `now`, or the list is empty.
    pub fn new(mut anchors: Vec<Anchor>, now: UnixTime) -> Result<Self, NoAnchorInForce> {
        if !anchors.iter().any(|anchor| anchor.in_force(now)) {
            let named: Vec<_> = anchors.iter().map(ToString::to_string).collect();
            return Err(NoAnchorInForce(if named.is_empty() { "it is empty".into() } else { named.join("; ") }));
        }
        anchors.sort_by_key(Anchor::fingerprint);
        anchors.dedup_by_key(|anchor| anchor.fingerprint());
        let mut hash = Sha256::new();
        for anchor in &anchors {
            hash.update(anchor.fingerprint());
        }
        Ok(Self { anchors, id: TrustId(hash.finalize().into()) })
    }

    /// The identity of this trust's content.
    #[must_use]
    pub fn id(&self) -> TrustId {
        self.id
    }

    /// The CAs, in force or not.
    #[must_use]
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }
}

/// Judges a client's chain, leaf first as TLS delivers it, against a trust at a time.
///
/// Possession of the leaf's key is not judged here: TLS's CertificateVerify proves it.
#[must_use]
pub fn verify(chain: &[CertificateDer<'_>], trust: &Trust, now: UnixTime) -> Verdict {
    match accept(chain, trust, now) {
        Ok(proof) => Verdict::Verified(proof),
        Err(cause) => Verdict::Refused(cause),
    }
}

/// Certificates accepted in one chain, the leaf included: the shared CA allows a path length of 2.
const LONGEST_CHAIN: usize = 6;

fn accept(chain: &[CertificateDer<'_>], trust: &Trust, now: UnixTime) -> Result<Proof, Cause> {
    let (leaf, intermediates) = chain.split_first().ok_or(Cause::NotPresented)?;
    if chain.len() > LONGEST_CHAIN {
        return Err(Cause::ChainTooLong);
    }
    let in_force: Vec<&Anchor> = trust.anchors.iter().filter(|anchor| anchor.in_force(now)).collect();
    let anchors: Vec<TrustAnchor<'_>> = in_force.iter().map(|anchor| anchor.trust_anchor().clone()).collect();
    let entity = EndEntityCert::try_from(leaf).map_err(|error| cause_of(&error))?;
    let path = entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            intermediates,
            now,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(|error| cause_of(&error))?;
    let leaf_end = leaf_fit_to_sign(leaf)?;
    let found = path.anchor();
    let anchor = in_force
        .into_iter()
        .filter(|anchor| anchor.trust_anchor() == found)
        .max_by_key(|anchor| anchor.not_after())
        .ok_or(Cause::UnknownIssuer)?;
    if !anchor.bears(path.intermediate_certificates().count()) {
        return Err(Cause::ConstraintViolated);
    }
    let intermediates_end = path.intermediate_certificates().filter_map(|cert| end_of(&cert.der())).min();
    let valid_until = [Some(leaf_end), intermediates_end, Some(anchor.not_after())].into_iter().flatten().min();
    Ok(Proof {
        level: anchor.level(),
        valid_until: valid_until.unwrap_or(leaf_end),
        anchor: Arc::clone(anchor.subject()),
    })
}

/// The leaf's end of validity, provided that its KeyUsage, if it has one, allows signatures (RFC 5280 section 4.2.1.3).
fn leaf_fit_to_sign(leaf: &CertificateDer<'_>) -> Result<UnixTime, Cause> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| Cause::Malformed)?;
    let usage = parsed.key_usage().map_err(|_| Cause::Malformed)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(Cause::WrongUsage);
    }
    Ok(seconds(parsed.validity().not_after.timestamp()))
}

fn end_of(der: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(seconds(parsed.validity().not_after.timestamp()))
}

pub(crate) fn seconds(timestamp: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(timestamp).unwrap_or(0)))
}

fn cause_of(error: &webpki::Error) -> Cause {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => Cause::Expired,
        E::CertNotValidYet { .. } => Cause::NotYetValid,
        E::UnknownIssuer | E::EndEntityUsedAsCa => Cause::UnknownIssuer,
        E::CaUsedAsEndEntity | E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => Cause::WrongUsage,
        E::InvalidSignatureForPublicKey
        | E::SignatureAlgorithmMismatch
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Cause::BadSignature,
        E::NameConstraintViolation | E::PathLenConstraintViolated => Cause::ConstraintViolated,
        E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => Cause::ChainTooLong,
        _ => Cause::Malformed,
    }
}

/// What a presented leaf says of itself: for the log, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The subject's distinguished name, as parsed, cut to 256 characters.
    pub subject: String,
    /// The issuer's, cut likewise.
    pub issuer: String,
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
            sha256: hex(&Sha256::digest(der)),
            not_after: seconds(parsed.validity().not_after.timestamp()),
        })
    }
}

/// The client chose the names, and every line of the log repeats them.
fn short(name: &str) -> String {
    name.chars().take(256).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
