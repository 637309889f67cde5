//! Keys of clients that do not sign as they should, and one that rustls would not hold.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use rustls::{
    Error, SignatureAlgorithm, SignatureScheme,
    crypto::aws_lc_rs,
    sign::{Signer, SigningKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::pki::{Files, Identity};

/// The key of an identity.
pub fn key_of(identity: &Identity) -> Arc<dyn SigningKey> {
    aws_lc_rs::sign::any_supported_type(&identity.key()).unwrap()
}

/// Chain and key from files that hold them as PEM.
pub fn from_files(files: &Files) -> (Vec<CertificateDer<'static>>, Arc<dyn SigningKey>) {
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    (chain_from(&files.chain), aws_lc_rs::sign::any_supported_type(&key).unwrap())
}

/// The certificates of a PEM file, in their order.
pub fn chain_from(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}

/// An RSA key of any length, in a PEM file: the openssl program signs with it.
#[derive(Debug, Clone)]
pub struct ProgramKey(PathBuf);

impl ProgramKey {
    /// The key of a file.
    pub fn of_file(file: &Path) -> Arc<dyn SigningKey> {
        Arc::new(Self(file.to_owned()))
    }
}

impl SigningKey for ProgramKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for ProgramKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest", "-sign"];
        let mut command = Command::new("openssl");
        command.args(["dgst", "-sha256"]).args(pss).arg(&self.0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        Ok(output.stdout)
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// Nothing: to see that the others are refused for what they are.
    None,
    /// One bit is turned.
    Flipped,
    /// It has no bytes.
    Empty,
    /// Its last byte is missing.
    Truncated,
    /// It is no signature at all.
    Noise,
    /// It is one of the same key over something else.
    OfAnotherMessage,
    /// It names an algorithm that is not the key's.
    AnotherScheme,
    /// It names an algorithm that does not exist.
    UnknownScheme,
}

impl Forgery {
    /// Everything that can be wrong.
    pub const ALL: [Self; 7] = [
        Self::Flipped,
        Self::Empty,
        Self::Truncated,
        Self::Noise,
        Self::OfAnotherMessage,
        Self::AnotherScheme,
        Self::UnknownScheme,
    ];

    /// The key of an identity, which signs like this from now on.
    pub fn key(self, identity: &Identity) -> Arc<dyn SigningKey> {
        Arc::new(Forger { key: key_of(identity), forgery: self })
    }
}

#[derive(Debug)]
struct Forger {
    key: Arc<dyn SigningKey>,
    forgery: Forgery,
}

impl SigningKey for Forger {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Forged { signer: self.key.choose_scheme(offered)?, forgery: self.forgery }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct Forged {
    signer: Box<dyn Signer>,
    forgery: Forgery,
}

impl Signer for Forged {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = self.signer.sign(message)?;
        match self.forgery {
            Forgery::None | Forgery::AnotherScheme | Forgery::UnknownScheme => {}
            Forgery::Flipped => {
                let middle = signature.len() / 2;
                signature[middle] ^= 1;
            }
            Forgery::Empty => signature.clear(),
            Forgery::Truncated => signature.truncate(signature.len() - 1),
            Forgery::Noise => signature = vec![0xaa; signature.len()],
            Forgery::OfAnotherMessage => signature = self.signer.sign(b"what nobody asked to sign")?,
        }
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        match self.forgery {
            Forgery::AnotherScheme => SignatureScheme::ED25519,
            Forgery::UnknownScheme => SignatureScheme::Unknown(0x6a6a),
            _ => self.signer.scheme(),
        }
    }
}
