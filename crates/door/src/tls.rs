//! TLS of one host: its own `ServerConfig`, with its own sessions and its own origin-pull verifier.

use crate::certificate::{CertificateFault, CertificateFiles, Certificates};
use crate::verifier::{note_resumed, session_until, verifier};
use pullgate_policy::OriginPull;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls::{Error, ServerConfig, SupportedProtocolVersion, version};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

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
    id: TlsId,
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

/// Sessions that a host remembers for resumption.
const SESSIONS: usize = 2048;

/// The largest session that is remembered: it holds the client's chain, which in observe mode may be any.
const LARGEST_SESSION: usize = 8 * 1024;

/// A host's memory of sessions, bounded in number and size. A session ends with the proof in it: on resumption a client is asked for no
/// certificate, so that one that has a new one by now could not show it.
#[derive(Debug)]
struct Sessions(Arc<ServerSessionMemoryCache>);

/// Seconds since 1970, big-endian, before the session itself.
const UNTIL: usize = size_of::<u64>();

impl Sessions {
    /// A remembered session that has not ended.
    fn resume(remembered: Vec<u8>) -> Option<Vec<u8>> {
        let (until, session) = Self::live(&remembered, UnixTime::now())?;
        note_resumed(until).then(|| session.to_vec())
    }

    fn live(remembered: &[u8], now: UnixTime) -> Option<(UnixTime, &[u8])> {
        let (until, session) = remembered.split_first_chunk::<UNTIL>()?;
        let until = UnixTime::since_unix_epoch(Duration::from_secs(u64::from_be_bytes(*until)));
        (now <= until).then_some((until, session))
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let Some(until) = session_until() else { return false };
        let remembered = [&until.as_secs().to_be_bytes()[..], &value].concat();
        value.len() <= LARGEST_SESSION && self.0.put(key, remembered)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        Self::resume(self.0.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        Self::resume(self.0.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

/// What a host's TLS is made of: two with the same may share their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TlsId([u8; 32]);

impl TlsId {
    fn of(files: &[CertificateFiles<'_>], origin_pull: &OriginPull, settings: TlsSettings) -> Self {
        let TlsSettings { tls12, tls13, http2 } = settings;
        let mode = match origin_pull {
            OriginPull::Off => 0,
            OriginPull::Observe(_) => 1,
            OriginPull::Require(_) => 2,
        };
        let mut hash = Sha256::new_with_prefix([mode, tls12.into(), tls13.into(), http2.into()]);
        if let Some(trust) = origin_pull.trust() {
            hash.update(trust.id().as_bytes());
        }
        for file in files.iter().flat_map(|files| [files.chain, files.key, files.ocsp.unwrap_or_default()]) {
            hash.update(Sha256::digest(file));
        }
        Self(hash.finalize().into())
    }
}

impl HostTls {
    /// Builds a host's configuration. Where nothing that it is made of has changed, what was in force `before` goes on, sessions
    /// included; where anything has, no session outlives the change.
    ///
    /// # Errors
    /// When the files do not fit, or no protocol version is left.
    pub fn new(
        files: &[CertificateFiles<'_>],
        origin_pull: OriginPull,
        settings: TlsSettings,
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let id = TlsId::of(files, &origin_pull, settings);
        if let Some(before) = before.filter(|before| before.id == id) {
            return Ok(before.clone());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(settings.tls12, &version::TLS12), (settings.tls13, &version::TLS13)]
                .into_iter()
                .filter_map(|(offered, version)| offered.then_some(version))
                .collect();
        let verifier = verifier(&origin_pull, &provider);
        let certificates = Certificates::new(files, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(certificates));
        config.session_storage = Arc::new(Sessions(ServerSessionMemoryCache::new(SESSIONS)));
        config.send_tls13_tickets = 1;
        config.alpn_protocols =
            if settings.http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(Self { config: Arc::new(config), origin_pull, id })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::verifier::{proved_until, with_judgement};

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn a_session_ends_with_its_proof_and_hands_its_end_on() {
        let sessions = Sessions(ServerSessionMemoryCache::new(8));
        assert!(!sessions.put(b"nobody's".to_vec(), b"x".to_vec()), "outside a handshake nothing is remembered");
        let far = UnixTime::now().as_secs() + 1000;
        with_judgement(async {
            proved_until(at(far));
            assert!(sessions.put(b"first".to_vec(), b"session".to_vec()));
            assert!(sessions.put(b"large".to_vec(), vec![0; LARGEST_SESSION]));
            assert!(!sessions.put(b"larger".to_vec(), vec![0; LARGEST_SESSION + 1]), "a client chooses its chain");
        })
        .await;
        let remembered = sessions.0.get(b"first").unwrap();
        for (now, live) in [(far - 1, true), (far, true), (far + 1, false)] {
            assert_eq!(Sessions::live(&remembered, at(now)).is_some(), live, "{now}");
        }
        assert_eq!(sessions.get(b"first"), None, "outside a handshake nothing is resumed");
        // What a resumed session leaves behind ends when it ends.
        with_judgement(async {
            assert_eq!(sessions.take(b"first").as_deref(), Some(&b"session"[..]));
            assert!(sessions.put(b"second".to_vec(), b"session".to_vec()));
        })
        .await;
        assert_eq!(sessions.0.get(b"second"), Some(remembered));
        // Without a proof there is nothing to end with.
        with_judgement(async { assert!(sessions.put(b"open".to_vec(), b"session".to_vec())) }).await;
        assert!(Sessions::live(&sessions.0.get(b"open").unwrap(), at(u64::MAX)).is_some());
    }
}
