//! Origin-pull verification (Cloudflare's Authenticated Origin Pulls): a client's chain, the trust of a host and a time in, a verdict out.
//!
//! The path is webpki's (RFC 5280), revocation lists included; this module adds what webpki leaves out: the trust anchor's own
//! validity period and path length, KeyUsage, pins, and bounds on what a client may present. An extended key usage has to allow client
//! authentication only where it is present, since Cloudflare's recipe for customer certificates has none
//! (<https://developers.cloudflare.com/ssl/origin-configuration/authenticated-origin-pull/>).

mod anchor;
mod cause;
mod leaf;
mod pin;
mod revocation;
mod trust;

pub use anchor::{Anchor, AnchorError};
pub use cause::Cause;
pub use leaf::Leaf;
pub use pin::{NotAPin, Pin};
pub use revocation::{RevocationError, RevocationList};
pub use trust::{NoAnchorInForce, Trust, TrustId};

use crate::facts::TrustLevel;
use cause::cause_of;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
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

/// Certificates accepted in one chain: a leaf, two intermediates as the shared CA's path length allows, a root. With certificates that
/// all bear one name, the paths to try grow by factorials: with four there are sixteen signatures to check at most, with six a hundred.
const LONGEST_CHAIN: usize = 4;

/// Bytes of DER accepted in one chain: three certificates of ML-DSA-87, the largest keys there are, have 24 KiB.
const LARGEST_CHAIN: usize = 32 * 1024;

fn accept(chain: &[CertificateDer<'_>], trust: &Trust, now: UnixTime) -> Result<Proof, Cause> {
    let (leaf, intermediates) = chain.split_first().ok_or(Cause::NotPresented)?;
    // Before anything is parsed: a client that is to be refused must not choose what that costs.
    if chain.len() > LONGEST_CHAIN || chain.iter().map(|der| der.len()).sum::<usize>() > LARGEST_CHAIN {
        return Err(Cause::ChainTooLong);
    }
    let in_force: Vec<&Anchor> = trust.anchors().iter().filter(|anchor| anchor.in_force(now)).collect();
    let anchors: Vec<TrustAnchor<'_>> = in_force.iter().map(|anchor| anchor.trust_anchor().clone()).collect();
    let lists: Vec<&CertRevocationList<'_>> =
        trust.revocations().iter().filter(|list| list.has_begun(now)).map(RevocationList::list).collect();
    let entity = EndEntityCert::try_from(leaf).map_err(|error| cause_of(&error))?;
    let path = entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            intermediates,
            now,
            KeyUsage::client_auth(),
            revocation(trust, &lists)?,
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
    if !trust.pins().is_empty() && !trust.pins().contains(&Pin::of(&entity.subject_public_key_info())) {
        return Err(Cause::NotPinned);
    }
    Ok(Proof {
        level: anchor.level(),
        valid_until: end_of_path(&path, leaf_end, anchor, trust, now)?,
        anchor: Arc::clone(anchor.subject()),
    })
}

/// What webpki is to check of revocation: the whole path, and a certificate of which no list knows anything is refused.
fn revocation<'a>(
    trust: &Trust,
    lists: &'a [&'a CertRevocationList<'a>],
) -> Result<Option<RevocationOptions<'a>>, Cause> {
    if trust.revocations().is_empty() {
        return Ok(None);
    }
    let options = RevocationOptionsBuilder::new(lists).map_err(|_| Cause::CrlStale)?;
    let options = options.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Deny);
    Ok(Some(options.with_expiration_policy(ExpirationPolicy::Enforce).build()))
}

/// The earliest end on a path: of its certificates, its anchor, and what the revocation lists say of it.
fn end_of_path(
    path: &VerifiedPath<'_>,
    leaf_end: UnixTime,
    anchor: &Anchor,
    trust: &Trust,
    now: UnixTime,
) -> Result<UnixTime, Cause> {
    let mut end = leaf_end.min(anchor.not_after());
    let mut issuers = vec![path.end_entity().issuer()];
    for intermediate in path.intermediate_certificates() {
        end = end.min(ca_fit_to_issue(&intermediate.der())?);
        issuers.push(intermediate.issuer());
    }
    let lists = issuers.iter().filter_map(|issuer| trust.lists_until(issuer, now));
    Ok(lists.fold(end, UnixTime::min))
}

/// An intermediate's end of validity, provided that its KeyUsage, if it has one, allows it to issue (RFC 5280 section 6.1.4, n).
fn ca_fit_to_issue(ca: &CertificateDer<'_>) -> Result<UnixTime, Cause> {
    let (_, parsed) = X509Certificate::from_der(ca).map_err(|_| Cause::Malformed)?;
    let usage = parsed.key_usage().map_err(|_| Cause::Malformed)?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(Cause::WrongUsage);
    }
    Ok(seconds(parsed.validity().not_after.timestamp()))
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

pub(crate) fn seconds(timestamp: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(timestamp).unwrap_or(0)))
}

/// How many sections a PEM text begins (RFC 7468 section 2). The parser passes over sections of another kind and over those whose
/// first line is damaged or indented, which this count gives away.
fn pem_sections(pem: &[u8]) -> usize {
    const BEGIN: &[u8] = b"-BEGIN ";
    pem.windows(BEGIN.len()).filter(|window| *window == BEGIN).count()
}

/// Bytes as lowercase hexadecimal, two digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
