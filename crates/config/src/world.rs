//! What loading a configuration needs from outside, so that the rest of this crate is pure.

use ipnet::IpNet;
use pullgate_policy::ranges::Partner;
use rustls_pki_types::UnixTime;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// The outside: a clock, the environment, files, the resolver and the TLS library. Tests bring their own.
pub trait World {
    /// The present.
    fn now(&self) -> UnixTime;

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// A file's bytes; relative paths count from the configuration file's folder.
    ///
    /// # Errors
    /// As reading fails.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The address of `host:port`.
    ///
    /// # Errors
    /// When it does not resolve.
    fn resolve(&self, server: &str) -> io::Result<SocketAddr>;

    /// Whether something, by its SHA-256, is not in force yet in a gateway that serves: at a reload, unless it serves already. A file of
    /// certificates and an OCSP answer count as they are, a revocation list in DER.
    fn is_new(&self, digest: [u8; 32]) -> bool;

    /// Whether a chain and a key (both PEM) can serve together, with a stapled answer (DER) where there is one.
    ///
    /// # Errors
    /// What does not fit, and in which of them.
    fn check_certificate(
        &self,
        chain: &[u8],
        key: &[u8],
        ocsp: Option<&[u8]>,
    ) -> Result<CertificateCheck, CertificateFault>;

    /// A list of Cloudflare's ranges, as text or as the API's saved answer, with those of the partners that are wanted.
    ///
    /// # Errors
    /// Why the list is not taken.
    fn ranges(&self, list: &[u8], partners: &[Partner]) -> Result<Vec<IpNet>, String>;
}

/// What a fitting pair says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateCheck {
    /// The leaf's end of validity.
    pub not_after: UnixTime,
    /// The kind of its key, as people call it: RSA, ECDSA, Ed25519.
    pub key: &'static str,
    /// When the stapled answer runs out, where it says so.
    pub ocsp_until: Option<UnixTime>,
}

/// Why a chain and a key cannot serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    /// The chain's file is to blame.
    Chain(String),
    /// The key's file is to blame.
    Key(String),
    /// Each is sound; they do not belong together.
    Mismatch,
    /// The stapled answer's file is to blame.
    Ocsp(String),
}
