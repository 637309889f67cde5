//! The thin adapter between rustls, which asks about a client's chain, and `policy`, which knows.

use pullgate_policy::OriginPull;
use pullgate_policy::origin_pull::{self, Cause, Leaf, Trust, Verdict};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// The verifier of a host: its rule, as rustls wants it.
pub(crate) fn verifier(origin_pull: &OriginPull, provider: &Arc<CryptoProvider>) -> Arc<dyn ClientCertVerifier> {
    let adapt = |trust: &Arc<Trust>, demand| {
        Arc::new(OriginPullVerifier { trust: Arc::clone(trust), demand, provider: Arc::clone(provider) })
    };
    match origin_pull {
        OriginPull::Off => WebPkiClientVerifier::no_client_auth(),
        OriginPull::Observe(trust) => adapt(trust, Demand::Observe),
        OriginPull::Require(trust) => adapt(trust, Demand::Require),
    }
}

/// What a verifier came to.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// The handshake goes on with this verdict: a good one, or one that is observed.
    Passed(Verdict),
    /// The handshake ends here.
    Ended(Cause, Option<Box<Leaf>>),
}

/// What is noted of the handshake that a task is in. rustls's verifier and session storage know no connection.
#[derive(Debug, Default)]
struct Notes {
    judgement: Option<Judgement>,
    /// The end of the session that is being resumed.
    resumed_until: Option<UnixTime>,
}

tokio::task_local! {
    static NOTES: RefCell<Notes>;
}

/// Runs a handshake and returns, with its result, what the host's verifier came to, if it was asked.
pub(crate) async fn with_judgement<T>(handshake: impl Future<Output = T>) -> (T, Option<Judgement>) {
    NOTES
        .scope(RefCell::default(), async {
            let result = handshake.await;
            (result, NOTES.with(|notes| notes.borrow_mut().judgement.take()))
        })
        .await
}

fn note(judgement: Judgement) {
    // Outside a handshake of ours there is nobody to tell.
    let _ = NOTES.try_with(|notes| notes.borrow_mut().judgement = Some(judgement));
}

/// Notes the end of the session that is about to be resumed. False outside a handshake of ours: nobody would hold on to it.
pub(crate) fn note_resumed(until: UnixTime) -> bool {
    NOTES.try_with(|notes| notes.borrow_mut().resumed_until = Some(until)).is_ok()
}

/// Until when a session made in this handshake is worth remembering: as long as the proof in it, or in the session that it goes on from.
/// One without a proof has no end of its own. None outside a handshake.
pub(crate) fn session_until() -> Option<UnixTime> {
    let forever = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let until = |notes: &RefCell<Notes>| match &*notes.borrow() {
        Notes { judgement: Some(Judgement::Passed(Verdict::Verified(proof))), .. } => proof.valid_until,
        Notes { resumed_until: Some(until), .. } => *until,
        Notes { .. } => forever,
    };
    NOTES.try_with(until).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    Observe,
    Require,
}

/// Asks [`origin_pull::verify`].
#[derive(Debug)]
struct OriginPullVerifier {
    trust: Arc<Trust>,
    demand: Demand,
    provider: Arc<CryptoProvider>,
}

/// A chain proves nothing without the key to its leaf, in any mode.
fn unproven(leaf: &CertificateDer<'_>, error: Error) -> Error {
    let described = Leaf::describe(leaf);
    // In a leaf that does not parse there is no key to fail with.
    let cause = if described.is_some() { Cause::BadSignature } else { Cause::Malformed };
    note(Judgement::Ended(cause, described.map(Box::new)));
    error
}

impl ClientCertVerifier for OriginPullVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.demand == Demand::Require
    }

    /// None: the names would tell a scanner whose origin this is.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Borrowed: what the client presents may be large, and is bounded only by the verdict.
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(leaf).chain(intermediates).map(|der| CertificateDer::from(der.as_ref())).collect();
        match (origin_pull::verify(&chain, &self.trust, now), self.demand) {
            (Verdict::Refused(cause), Demand::Require) => {
                note(Judgement::Ended(cause, Leaf::describe(leaf).map(Box::new)));
                Err(alert_for(cause))
            }
            (verdict, _) => {
                note(Judgement::Passed(verdict));
                Ok(ClientCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
            .map_err(|error| unproven(cert, error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
            .map_err(|error| unproven(cert, error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The rustls error of a cause, which chooses the TLS alert (RFC 8446 section 6.2).
fn alert_for(cause: Cause) -> Error {
    let error = match cause {
        Cause::NotPresented => return Error::NoCertificatesPresented,
        Cause::Expired => CertificateError::Expired,
        Cause::NotYetValid => CertificateError::NotValidYet,
        Cause::UnknownIssuer => CertificateError::UnknownIssuer,
        Cause::WrongUsage => CertificateError::InvalidPurpose,
        Cause::BadSignature => CertificateError::BadSignature,
        Cause::Malformed => CertificateError::BadEncoding,
        Cause::Revoked => CertificateError::Revoked,
        Cause::CrlStale | Cause::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        Cause::ConstraintViolated | Cause::ChainTooLong | Cause::NotPinned => {
            CertificateError::Other(OtherError(Arc::new(std::io::Error::other(cause.label()))))
        }
    };
    Error::InvalidCertificate(error)
}

/// Notes that a verifier was content until then.
#[cfg(test)]
pub(crate) fn proved_until(valid_until: UnixTime) {
    let level = pullgate_policy::TrustLevel::Account;
    note(Judgement::Passed(Verdict::Verified(origin_pull::Proof { level, valid_until, anchor: "CN=test".into() })));
}
