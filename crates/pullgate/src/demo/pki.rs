//! A throw-away PKI: the CA and leaf that play a zone's own origin-pull certificate, and the origin's server certificate.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use std::io;
use std::path::{Path, PathBuf};

/// Where the files of the demo's PKI lie.
#[derive(Debug)]
pub(super) struct Pki {
    pub(super) server_ca: PathBuf,
    pub(super) client: PathBuf,
    pub(super) client_key: PathBuf,
}

/// The PKI could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PkiError {
    #[error("certificate: {0}")]
    Certificate(#[from] Error),
    #[error("certificate file: {0}")]
    File(#[from] io::Error),
}

/// Mints everything into a folder, under the names that the demo's configuration uses.
pub(super) fn mint(folder: &Path, hostname: &str) -> Result<Pki, PkiError> {
    let write = |name: &str, text: String| -> Result<PathBuf, PkiError> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let server_ca = authority("Pullgate demo: server CA")?;
    let (chain, key) = leaf(&server_ca, hostname, &[hostname], ExtendedKeyUsagePurpose::ServerAuth)?;
    write("shop.pem", chain)?;
    write("shop.key", key)?;
    let zone_ca = authority("Pullgate demo: the zone's own origin-pull CA")?;
    write("zone-ca.pem", zone_ca.pem.clone())?;
    let (chain, key) = leaf(&zone_ca, "origin-pull certificate of the zone", &[], ExtendedKeyUsagePurpose::ClientAuth)?;
    Ok(Pki {
        server_ca: write("server-ca.pem", server_ca.pem)?,
        client: write("cloudflare.pem", chain)?,
        client_key: write("cloudflare.key", key)?,
    })
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority(name: &str) -> Result<Authority, Error> {
    let mut params = named(name, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok(Authority { issuer: Issuer::new(params, key), pem })
}

fn leaf(
    authority: &Authority,
    name: &str,
    hostnames: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String), Error> {
    let mut params = named(name, hostnames)?;
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority.issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn named(name: &str, hostnames: &[&str]) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(hostnames.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
