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
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// Whether it ended the handshake, and then what the leaf says of itself. A finished handshake has the chain.
    pub(crate) ended: Option<Option<Leaf>>,
}

tokio::task_local! {
    /// The judgement of the handshake that this task is in: rustls's verifier knows no connection, so it hands it out here.
    static JUDGEMENT: RefCell<Option<Judgement>>;
}

/// Runs a handshake and returns, with its result, what the host's verifier came to, if it was asked.
pub(crate) async fn with_judgement<T>(handshake: impl Future<Output = T>) -> (T, Option<Judgement>) {
    JUDGEMENT
        .scope(RefCell::new(None), async {
            let result = handshake.await;
            (result, JUDGEMENT.with(|judgement| judgement.borrow_mut().take()))
        })
        .await
}

fn hand_out(judgement: Judgement) {
    // Outside a handshake of ours there is nobody to tell.
    let _ = JUDGEMENT.try_with(|slot| slot.replace(Some(judgement)));
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
    hand_out(Judgement { verdict: Verdict::Refused(Cause::BadSignature), ended: Some(Leaf::describe(leaf)) });
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
        let chain: Vec<CertificateDer<'_>> = std::iter::once(leaf).chain(intermediates).cloned().collect();
        let verdict = origin_pull::verify(&chain, &self.trust, now);
        let refusal = match (&verdict, self.demand) {
            (Verdict::Refused(cause), Demand::Require) => Some(*cause),
            _ => None,
        };
        hand_out(Judgement { verdict, ended: refusal.map(|_| Leaf::describe(leaf)) });
        refusal.map_or_else(|| Ok(ClientCertVerified::assertion()), |cause| Err(alert_for(cause)))
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
