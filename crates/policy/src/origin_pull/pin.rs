//! A pin: the one key that a leaf may have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use sha2::{Digest, Sha256};
use std::str::FromStr;

/// SHA-256 of a leaf's SubjectPublicKeyInfo in DER, as RFC 7469 section 2.4 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin([u8; 32]);

/// A text that is no pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the base64 of a SHA-256 (44 characters)")]
pub struct NotAPin(String);

impl Pin {
    /// The pin of a key.
    #[must_use]
    pub fn of(key: &SubjectPublicKeyInfoDer<'_>) -> Self {
        Self(Sha256::digest(key).into())
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        self.0
    }
}

impl FromStr for Pin {
    type Err = NotAPin;

    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let bytes = STANDARD.decode(text).map_err(|_| NotAPin(text.to_owned()))?;
        bytes.try_into().map(Self).map_err(|_| NotAPin(text.to_owned()))
    }
}
