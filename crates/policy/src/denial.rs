//! What a refusal is: a reason from a closed set, and the status that the client gets for it.

use http::StatusCode;
use std::fmt;
use std::sync::Arc;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal => $status:ident,)+) => {
        /// Why a request was refused: the `reason` of logs and metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The label in logs and metrics, `snake_case`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// The status that the client is answered with; it says nothing of the rule behind it.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }
        }
    };
}

reasons! {
    /// The gateway itself is at fault: its code panicked before there was a decision, and nobody passes without one.
    Panicked = "panicked" => INTERNAL_SERVER_ERROR,
    /// The head of a request is no HTTP: a bare line feed, a control byte, a field that does not parse.
    HeadMalformed = "head_malformed" => BAD_REQUEST,
    /// The head of a request did not arrive within `header_timeout`.
    HeadTimedOut = "head_timed_out" => REQUEST_TIMEOUT,
    /// The head of a request has more bytes or fields than its listener takes.
    HeadTooLarge = "head_too_large" => REQUEST_HEADER_FIELDS_TOO_LARGE,
    /// The length of the body is told twice, in two ways, or not as a number (RFC 9112 section 6.3): two recipients could disagree on it.
    BodyAmbiguous = "body_ambiguous" => BAD_REQUEST,
    /// `Expect` holds something else than one `100-continue` (RFC 9110 section 10.1.1), or comes with HTTP/1.0, which knows no 100.
    ExpectationUnknown = "expectation_unknown" => EXPECTATION_FAILED,
    /// The target's scheme is not that of the connection: `http` over TLS, or `https` without it.
    SchemeMismatched = "scheme_mismatched" => BAD_REQUEST,
    /// A stream of HTTP/2 whose head, or whose body, breaks the protocol (RFC 9113 section 8.1.1): the HTTP library has reset it.
    StreamMalformed = "stream_malformed" => BAD_REQUEST,
    /// The frames of an HTTP/2 connection break the protocol, or are a flood: the HTTP library has ended it.
    FramesMalformed = "frames_malformed" => BAD_REQUEST,
    /// The peer's address was admitted when it connected, and is no more.
    SourceUnlisted = "source_unlisted" => MISDIRECTED_REQUEST,
    /// No Host header and no `:authority`.
    HostMissing = "host_missing" => BAD_REQUEST,
    /// Host is not a name or an address with an optional port, or Host and `:authority` disagree.
    HostMalformed = "host_malformed" => BAD_REQUEST,
    /// The target is not origin-form, or its bytes are not those of a path and query (RFC 9112 section 3.2.1).
    TargetMalformed = "target_malformed" => BAD_REQUEST,
    /// The target's path means one route as it is written and another once it is decoded.
    TargetAmbiguous = "target_ambiguous" => BAD_REQUEST,
    /// `Connection` names a header that the gateway owns, to have it removed on the way.
    HopByHopIdentity = "hop_by_hop_identity" => BAD_REQUEST,
    /// The request has passed here, or through Cloudflare, too many times (`CDN-Loop`, RFC 8586).
    Loop = "loop" => LOOP_DETECTED,
    /// No host of the configuration, or none that this listener serves, has this name.
    HostUnknown = "host_unknown" => MISDIRECTED_REQUEST,
    /// The host demands an origin-pull certificate and the connection is not TLS.
    PlainConnection = "plain_connection" => MISDIRECTED_REQUEST,
    /// The host demands an origin-pull certificate that this connection has not shown.
    ProofMissing = "proof_missing" => MISDIRECTED_REQUEST,
    /// The proof that this connection was admitted with has run out since.
    ProofExpired = "proof_expired" => MISDIRECTED_REQUEST,
    /// The visitor's address is not in the header that carries it.
    VisitorMissing = "visitor_missing" => BAD_REQUEST,
    /// The header that carries the visitor's address holds something else, or stands there twice.
    VisitorMalformed = "visitor_malformed" => BAD_REQUEST,
    /// No route of the host fits the path.
    RouteUnknown = "route_unknown" => NOT_FOUND,
    /// The host or the path's routes do not take this method; CONNECT is taken nowhere.
    MethodUnlisted = "method_unlisted" => METHOD_NOT_ALLOWED,
    /// The body of a request is larger than its host takes.
    BodyTooLarge = "body_too_large" => PAYLOAD_TOO_LARGE,
    /// The body of a request came to a halt, or comes slower than `body_timeout` allows.
    BodyTimedOut = "body_timed_out" => REQUEST_TIMEOUT,
    /// Policy `client-certificate`: the request tells of no certificate of its visitor's, or nobody who is believed does.
    ClientCertificateMissing = "client_certificate_missing" => FORBIDDEN,
    /// Policy `client-certificate`: the fields that tell of a certificate do not parse, stand there twice, or contradict one another.
    ClientCertificateMalformed = "client_certificate_malformed" => FORBIDDEN,
    /// Policy `client-certificate`: Cloudflare says that it did not verify the certificate.
    ClientCertificateUnverified = "client_certificate_unverified" => FORBIDDEN,
    /// Policy `client-certificate`: Cloudflare says that the certificate is revoked.
    ClientCertificateRevoked = "client_certificate_revoked" => FORBIDDEN,
    /// Policy `client-certificate`: the certificate has no path to a CA of `trust`, or is not in force.
    ClientCertificateUntrusted = "client_certificate_untrusted" => FORBIDDEN,
    /// Policy `client-certificate`: the certificate's subject is not in `subjects`.
    ClientCertificateSubject = "client_certificate_subject" => FORBIDDEN,
    /// Policy `client-certificate`: the certificate is not in `fingerprints`.
    ClientCertificateFingerprint = "client_certificate_fingerprint" => FORBIDDEN,
    /// Policy `client-networks`: the visitor's address is in `deny`.
    NetworkDenied = "network_denied" => FORBIDDEN,
    /// Policy `client-networks`: the visitor's address is not in `allow`.
    NetworkUnlisted = "network_unlisted" => FORBIDDEN,
    /// Policy `countries`: the visitor's country is in `deny`.
    CountryDenied = "country_denied" => FORBIDDEN,
    /// Policy `countries`: the visitor's country is not in `allow`.
    CountryUnlisted = "country_unlisted" => FORBIDDEN,
    /// Policy `countries`: there is an `allow`, or `deny` has XX, and nobody who is believed said where the visitor is.
    CountryUnknown = "country_unknown" => FORBIDDEN,
    /// Policy `edge-secret`: the header with the secret is not there.
    SecretMissing = "secret_missing" => FORBIDDEN,
    /// Policy `edge-secret`: the header is there and holds none of the values.
    SecretWrong = "secret_wrong" => FORBIDDEN,
    /// Policy `edge-secret`: the header is there more than once.
    SecretRepeated = "secret_repeated" => FORBIDDEN,
    /// Policy `proof`: the connection proves less to this host than is demanded.
    ProofTooWeak = "proof_too_weak" => FORBIDDEN,
    /// Policy `workers`: the request comes from a Worker of a zone that is not listed.
    WorkerUnlisted = "worker_unlisted" => FORBIDDEN,
    /// Policy `workers`: `CF-Worker` is not one zone name.
    WorkerMalformed = "worker_malformed" => FORBIDDEN,
    /// Policy `access`: no token of Cloudflare Access.
    AccessTokenMissing = "access_token_missing" => FORBIDDEN,
    /// Policy `access`: more than one token, or a header and a cookie that disagree.
    AccessTokenDuplicated = "access_token_duplicated" => FORBIDDEN,
    /// Policy `access`: what stands for a token is none, or a claim has a form that it may not have.
    AccessTokenMalformed = "access_token_malformed" => FORBIDDEN,
    /// Policy `access`: the token is not signed by RS256.
    AccessAlgorithm = "access_algorithm" => FORBIDDEN,
    /// Policy `access`: the token names a key that the team, as far as is known, does not have.
    AccessKeyUnknown = "access_key_unknown" => FORBIDDEN,
    /// Policy `access`: the signature is not that of the key that the token names.
    AccessSignature = "access_signature" => FORBIDDEN,
    /// Policy `access`: the token is another issuer's.
    AccessIssuer = "access_issuer" => FORBIDDEN,
    /// Policy `access`: the token is for another application.
    AccessAudience = "access_audience" => FORBIDDEN,
    /// Policy `access`: the token has run out.
    AccessExpired = "access_expired" => FORBIDDEN,
    /// Policy `access`: the token is not in force yet, or from the future.
    AccessNotYetValid = "access_not_yet_valid" => FORBIDDEN,
    /// Policy `access`: the token is not one for an application: the login to the team itself, for instance.
    AccessType = "access_type" => FORBIDDEN,
    /// Policy `access`: the token is good and `identities` names nobody whom it is for.
    AccessIdentity = "access_identity" => FORBIDDEN,
    /// Policy `access`: no keys of the team are known yet. Whoever waits here is not at fault.
    AccessKeysMissing = "access_keys_missing" => SERVICE_UNAVAILABLE,
    /// Policy `access`: there was no news of the team's keys for too long.
    AccessKeysStale = "access_keys_stale" => SERVICE_UNAVAILABLE,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A refusal, with what the operator needs to understand it. The client sees the status alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The policy that refused, by its label; none for what stands before the policies.
    pub policy: Option<Arc<str>>,
    /// The reason in logs and metrics: its label, or the closer word of the origin-pull rule, the same that observe mode would use.
    pub label: &'static str,
}

impl Denial {
    /// A policy's refusal.
    #[must_use]
    pub fn by(policy: Arc<str>, reason: Reason) -> Self {
        Self { policy: Some(policy), ..reason.into() }
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self { reason, policy: None, label: reason.label() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_unique_and_every_status_is_a_refusal() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            // Not the client's fault, and a refusal all the same.
            let own =
                [Reason::Panicked, Reason::Loop, Reason::AccessKeysMissing, Reason::AccessKeysStale].contains(reason);
            assert!(reason.status().is_client_error() || own && reason.status().is_server_error(), "{reason}");
        }
    }
}
