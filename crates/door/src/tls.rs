//! TLS of one host: its own `ServerConfig`, with its own sessions and its own origin-pull verifier.

use pullgate_policy::OriginPull;
use pullgate_policy::origin_pull::{self, Cause, Trust, Verdict};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, InconsistentKeys, OtherError, ServerConfig,
    SignatureScheme, SupportedProtocolVersion, version,
};
use std::cell::RefCell;
use std::sync::Arc;

/// TLS settings for all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsSettings {
    /// Offer TLS 1.2.
    pub tls12: bool,
    /// Offer TLS 1.3.
    pub tls13: bool,
    /// Offer HTTP/2 by ALPN.
    pub http2: bool,
}

/// TLS of one host.
#[derive(Debug, Clone)]
pub struct HostTls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) origin_pull: OriginPull,
}

/// A host's TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Chain and key cannot serve.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// The TLS library refuses the settings.
    #[error("TLS settings: {0}")]
    Settings(#[from] Error),
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
}

/// Sessions that a host remembers for resumption.
const SESSIONS: usize = 2048;

/// The largest session that is remembered: it holds the client's chain, which in observe mode may be any.
const LARGEST_SESSION: usize = 8 * 1024;

/// A host's memory of sessions, bounded in number and size.
#[derive(Debug)]
struct Sessions(Arc<ServerSessionMemoryCache>);

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        value.len() <= LARGEST_SESSION && self.0.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.take(key)
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

impl HostTls {
    /// Builds a host's configuration from PEM.
    ///
    /// # Errors
    /// When chain and key do not fit, or no protocol version is left.
    pub fn new(chain: &[u8], key: &[u8], origin_pull: OriginPull, settings: TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(settings.tls12, &version::TLS12), (settings.tls13, &version::TLS13)]
                .into_iter()
                .filter_map(|(offered, version)| offered.then_some(version))
                .collect();
        let verifier: Arc<dyn ClientCertVerifier> = match &origin_pull {
            OriginPull::Off => WebPkiClientVerifier::no_client_auth(),
            OriginPull::Observe(trust) => OriginPullVerifier::adapt(trust, Demand::Observe, &provider),
            OriginPull::Require(trust) => OriginPullVerifier::adapt(trust, Demand::Require, &provider),
        };
        let certified = certified(chain, key, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.session_storage = Arc::new(Sessions(ServerSessionMemoryCache::new(SESSIONS)));
        config.send_tls13_tickets = 1;
        config.alpn_protocols =
            if settings.http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(Self { config: Arc::new(config), origin_pull })
    }
}

/// Whether a chain and a key (PEM) can serve together; the leaf comes back.
///
/// # Errors
/// What does not fit.
pub fn check_certificate(chain: &[u8], key: &[u8]) -> Result<CertificateDer<'static>, CertificateFault> {
    let certified = certified(chain, key, &aws_lc_rs::default_provider())?;
    certified.cert.first().cloned().ok_or_else(|| CertificateFault::Chain("it is empty".into()))
}

fn certified(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, CertificateFault> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateFault::Chain(format!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(CertificateFault::Chain("it has no CERTIFICATE section".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        CertificateFault::Key("it has no unencrypted private key in PEM form (PKCS#8, PKCS#1 or SEC1)".into())
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateFault::Mismatch,
        Error::InvalidCertificate(_) => CertificateFault::Chain(error.to_string()),
        other => CertificateFault::Key(other.to_string()),
    })
}

tokio::task_local! {
    /// The verdict of the handshake that this task is in: rustls's verifier knows no connection, so it hands the verdict out here.
    static VERDICT: RefCell<Option<Verdict>>;
}

/// Runs a handshake and returns, with its result, the verdict that the host's verifier came to, if it was asked.
pub(crate) async fn with_verdict<T>(handshake: impl Future<Output = T>) -> (T, Option<Verdict>) {
    VERDICT
        .scope(RefCell::new(None), async {
            let result = handshake.await;
            (result, VERDICT.with(|verdict| verdict.borrow_mut().take()))
        })
        .await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    Observe,
    Require,
}

/// The thin adapter between rustls and [`origin_pull::verify`].
#[derive(Debug)]
struct OriginPullVerifier {
    trust: Arc<Trust>,
    demand: Demand,
    provider: Arc<CryptoProvider>,
}

impl OriginPullVerifier {
    fn adapt(trust: &Arc<Trust>, demand: Demand, provider: &Arc<CryptoProvider>) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Self { trust: Arc::clone(trust), demand, provider: Arc::clone(provider) })
    }
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
        // Outside a handshake of ours there is nobody to tell.
        let _ = VERDICT.try_with(|slot| slot.replace(Some(verdict)));
        refusal.map_or_else(|| Ok(ClientCertVerified::assertion()), |cause| Err(alert_for(cause)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
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
        Cause::ConstraintViolated | Cause::ChainTooLong => {
            CertificateError::Other(OtherError(Arc::new(std::io::Error::other(cause.label()))))
        }
    };
    Error::InvalidCertificate(error)
}
