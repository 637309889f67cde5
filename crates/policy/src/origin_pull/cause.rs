//! Why a chain is not accepted: a closed set.

use std::fmt;

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
    /// A signature does not verify, or its algorithm is not accepted; among them the client's own, which proves that it holds the key.
    BadSignature = "bad_signature",
    /// A path length or name constraint is violated.
    ConstraintViolated = "constraint_violated",
    /// The chain has more certificates or bytes, or its path costs more work to build, than is allowed.
    ChainTooLong = "chain_too_long",
    /// A certificate on the path stands on its issuer's revocation list.
    Revoked = "revoked",
    /// The revocation list that covers a certificate on the path has run out, or is not in force yet.
    CrlStale = "crl_stale",
    /// No revocation list of the trust covers a certificate on the path, or the one that does is not signed by the issuer.
    RevocationUnknown = "revocation_unknown",
    /// The leaf's key is not among the pins.
    NotPinned = "not_pinned",
    /// A certificate does not parse, or carries a critical extension that is not understood.
    Malformed = "malformed",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The cause behind an error of webpki's.
pub(super) fn cause_of(error: &webpki::Error) -> Cause {
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
        E::CertRevoked => Cause::Revoked,
        E::CrlExpired { .. } => Cause::CrlStale,
        E::UnknownRevocationStatus
        | E::InvalidCrlSignatureForPublicKey
        | E::IssuerNotCrlSigner
        | E::UnsupportedCrlSignatureAlgorithmContext(_)
        | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Cause::RevocationUnknown,
        _ => Cause::Malformed,
    }
}
