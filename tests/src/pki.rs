//! A throw-away PKI made at run time: authorities, the leaves they issue, and the ways in which either can be wrong.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_ML_DSA_44,
    PKCS_ML_DSA_65, PKCS_ML_DSA_87, PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SanType, SerialNumber,
};
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};

/// What kind of key a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256, unless told otherwise.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 4096 bits.
    Rsa4096,
    /// ML-DSA-44 (FIPS 204).
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl KeyKind {
    /// What every client knows.
    pub const CLASSICAL: [Self; 5] = [Self::P256, Self::P384, Self::Ed25519, Self::Rsa2048, Self::Rsa4096];

    /// The post-quantum ones.
    pub const ML_DSA: [Self; 3] = [Self::MlDsa44, Self::MlDsa65, Self::MlDsa87];

    fn generate(self) -> KeyPair {
        let made = match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => KeyPair::generate_for(&PKCS_ED25519).and_then(|key| first_version(&key)),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
            Self::MlDsa44 => KeyPair::generate_for(&PKCS_ML_DSA_44),
            Self::MlDsa65 => KeyPair::generate_for(&PKCS_ML_DSA_65),
            Self::MlDsa87 => KeyPair::generate_for(&PKCS_ML_DSA_87),
        };
        made.unwrap()
    }
}

/// A certification authority, with a P-256 key unless told otherwise.
#[derive(Clone)]
pub struct Authority {
    params: CertificateParams,
    key: Arc<KeyPair>,
    certificate: Certificate,
    /// What a leaf presents after its own certificate: nothing below a root.
    path: Vec<Certificate>,
}

impl Authority {
    /// A root in force from yesterday for ten years.
    pub fn new(common_name: &str) -> Self {
        Self::root(authority_params(common_name, -DAY, YEAR * 10))
    }

    /// The same with a key of another kind.
    pub fn with_key(common_name: &str, kind: KeyKind) -> Self {
        let key = Arc::new(kind.generate());
        Self::signing_itself(named_by_key(authority_params(common_name, -DAY, YEAR * 10), &key), key)
    }

    /// A root whose ten years ended yesterday. What it issues is itself in force.
    pub fn expired(common_name: &str) -> Self {
        Self::root(authority_params(common_name, -YEAR * 10, -DAY))
    }

    /// An authority issued by this one. Its leaves present it in their chain.
    pub fn intermediate(&self, common_name: &str) -> Self {
        self.subordinate(authority_params(common_name, -DAY, YEAR * 10))
    }

    /// An intermediate that ended yesterday.
    pub fn expired_intermediate(&self, common_name: &str) -> Self {
        self.subordinate(authority_params(common_name, -YEAR * 10, -DAY))
    }

    /// An intermediate below which there may be `length` more of them.
    pub fn bounded_intermediate(&self, common_name: &str, length: u8) -> Self {
        let mut params = authority_params(common_name, -DAY, YEAR * 10);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        self.subordinate(params)
    }

    /// An intermediate whose leaves may bear DNS names of one domain only.
    pub fn confined_intermediate(&self, common_name: &str, domain: &str) -> Self {
        let mut params = authority_params(common_name, -DAY, YEAR * 10);
        let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        self.subordinate(params)
    }

    /// A forged issuer: the same name, serial number and key identifier over another key. Always a root.
    pub fn twin(&self) -> Self {
        Self::signing_itself(self.params.clone(), Arc::new(new_key()))
    }

    /// The same name, serial number and key in a root certificate that ended yesterday.
    pub fn lapsed(&self) -> Self {
        let mut params = self.params.clone();
        (params.not_before, params.not_after) = (from_now(-YEAR * 10), from_now(-DAY));
        Self::signing_itself(params, Arc::clone(&self.key))
    }

    /// The authority's own certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's key in PKCS#8 as PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The authority's own certificate as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Writes the authority's certificate to `<stem>.pem` in `dir`.
    pub fn write(&self, dir: &Path, stem: &str) -> PathBuf {
        let path = dir.join(format!("{stem}.pem"));
        fs::write(&path, self.pem()).unwrap();
        path
    }

    /// Writes `<stem>.pem` with the authority's certificate and `<stem>.key` with its key to `dir`.
    pub fn write_with_key(&self, dir: &Path, stem: &str) -> Files {
        let files = Files { chain: self.write(dir, stem), key: dir.join(format!("{stem}.key")) };
        write_secret(&files.key, &self.key.serialize_pem());
        files
    }

    /// A leaf to be issued by this authority.
    pub fn leaf(&self) -> LeafBuilder<'_> {
        LeafBuilder { params: leaf_params(LEAF), kind: KeyKind::P256, issuer: self.issuer(), path: &self.path }
    }

    /// A revocation list as PEM that names `revoked`, in force from yesterday for thirty days.
    pub fn revocations(&self, revoked: &[&Identity]) -> String {
        self.dated_revocations(revoked, -DAY, DAY * 30)
    }

    /// An empty revocation list that ended yesterday.
    pub fn lapsed_revocations(&self) -> String {
        self.dated_revocations(&[], -DAY * 31, -DAY)
    }

    /// A revocation list as PEM with its dates as offsets from now.
    pub fn dated_revocations(&self, revoked: &[&Identity], this_update: Duration, next_update: Duration) -> String {
        let revoked_certs = revoked.iter().map(|identity| revoked_params(&identity.params)).collect();
        let params = CertificateRevocationListParams {
            this_update: from_now(this_update),
            next_update: from_now(next_update),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: self.params.key_identifier_method.clone(),
        };
        params.signed_by(&self.issuer()).unwrap().pem().unwrap()
    }

    fn root(params: CertificateParams) -> Self {
        let key = Arc::new(new_key());
        Self::signing_itself(named_by_key(params, &key), key)
    }

    fn subordinate(&self, params: CertificateParams) -> Self {
        let key = Arc::new(new_key());
        let params = named_by_key(params, &key);
        let certificate = params.signed_by(&*key, &self.issuer()).unwrap();
        let path = [std::slice::from_ref(&certificate), &self.path].concat();
        Self { params, key, certificate, path }
    }

    fn signing_itself(params: CertificateParams, key: Arc<KeyPair>) -> Self {
        let certificate = params.self_signed(&*key).unwrap();
        Self { params, key, certificate, path: Vec::new() }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// An authority read from PEM: it issues, and forges.
pub struct LoadedAuthority {
    certificate: String,
    key: KeyPair,
    other_key: KeyPair,
}

impl LoadedAuthority {
    /// The authority's own certificate and its key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, rcgen::Error> {
        let loaded = Self { certificate: certificate.to_owned(), key: KeyPair::from_pem(key)?, other_key: new_key() };
        Issuer::from_ca_cert_pem(certificate, &loaded.key)?;
        Ok(loaded)
    }

    /// A leaf to be issued by this authority.
    pub fn leaf(&self) -> LeafBuilder<'_> {
        self.signed_with(&self.key)
    }

    /// A leaf to be issued under this authority's name and key identifier by another key.
    pub fn forged_leaf(&self) -> LeafBuilder<'_> {
        self.signed_with(&self.other_key)
    }

    fn signed_with<'a>(&self, key: &'a KeyPair) -> LeafBuilder<'a> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, key).unwrap();
        LeafBuilder { params: leaf_params(LEAF), kind: KeyKind::P256, issuer, path: &[] }
    }
}

/// A leaf about to be issued. Unless told otherwise it is named "leaf", is in force from yesterday for thirty days,
/// may sign, and has no extended key usage, so that it serves a client and a server alike.
pub struct LeafBuilder<'a> {
    params: CertificateParams,
    kind: KeyKind,
    issuer: Issuer<'a, &'a KeyPair>,
    path: &'a [Certificate],
}

impl LeafBuilder<'_> {
    /// The DNS names of the leaf, as subject alternative names.
    pub fn dns(mut self, names: &[&str]) -> Self {
        self.params.subject_alt_names = names.iter().map(|&name| SanType::DnsName(name.try_into().unwrap())).collect();
        self
    }

    /// The subject's common name.
    pub fn common_name(mut self, name: &str) -> Self {
        self.params.distinguished_name = named(name);
        self
    }

    /// Extended key usage: client authentication only.
    pub fn usage_client(mut self) -> Self {
        self.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    /// Extended key usage: server authentication only.
    pub fn usage_server(mut self) -> Self {
        self.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    /// No extended key usage at all.
    pub fn no_usage(mut self) -> Self {
        self.params.extended_key_usages.clear();
        self
    }

    /// A key usage that allows key encipherment and no signature.
    pub fn key_usage_without_signature(mut self) -> Self {
        self.params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        self
    }

    /// The validity as offsets from now.
    pub fn validity(mut self, not_before: Duration, not_after: Duration) -> Self {
        (self.params.not_before, self.params.not_after) = (from_now(not_before), from_now(not_after));
        self
    }

    /// In force for thirty days that ended yesterday.
    pub fn expired(self) -> Self {
        self.validity(-DAY * 31, -DAY)
    }

    /// In force for thirty days from tomorrow.
    pub fn not_yet_valid(self) -> Self {
        self.validity(DAY, DAY * 31)
    }

    /// Basic constraints that call the leaf an authority.
    pub fn ca(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        self
    }

    /// An extension that nobody knows and that is marked critical.
    pub fn critical_extension(mut self) -> Self {
        let mut extension = CustomExtension::from_oid_content(UNKNOWN_EXTENSION, DER_NULL.to_vec());
        extension.set_criticality(true);
        self.params.custom_extensions.push(extension);
        self
    }

    /// A key of another kind than P-256.
    pub fn key(mut self, kind: KeyKind) -> Self {
        self.kind = kind;
        self
    }

    /// Makes a key and has the certificate signed.
    pub fn issue(self) -> Identity {
        let key = Arc::new(self.kind.generate());
        let params = named_by_key(self.params, &key);
        let certificate = params.signed_by(&*key, &self.issuer).unwrap();
        let chain = [&[certificate], self.path].concat();
        Identity { chain, params, key }
    }
}

/// A certificate chain, the leaf first and no root, with the leaf's key.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<Certificate>,
    params: CertificateParams,
    key: Arc<KeyPair>,
}

impl Identity {
    /// A leaf that signed itself.
    pub fn self_signed(common_name: &str) -> Self {
        let key = Arc::new(new_key());
        let params = named_by_key(leaf_params(common_name), &key);
        let chain = vec![params.self_signed(&*key).unwrap()];
        Self { chain, params, key }
    }

    /// The chain as DER, the leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|certificate| certificate.der().clone()).collect()
    }

    /// The leaf's serial number, as openssl writes it: hexadecimal, upper case.
    pub fn serial(&self) -> String {
        let serial = self.params.serial_number.as_ref().unwrap();
        serial.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The leaf's key in PKCS#8.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// The chain as PEM blocks, the leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(Certificate::pem).collect()
    }

    /// The leaf's key in PKCS#8 as PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Writes `<stem>.pem` with the chain and `<stem>.key` with the key, for the owner's eyes only, to `dir`.
    pub fn write(&self, dir: &Path, stem: &str) -> Files {
        let files = Files { chain: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) };
        fs::write(&files.chain, self.chain_pem()).unwrap();
        write_secret(&files.key, &self.key_pem());
        files
    }

    /// A leaf to be issued by this leaf, which has no right to.
    pub fn leaf(&self) -> LeafBuilder<'_> {
        LeafBuilder {
            params: leaf_params(LEAF),
            kind: KeyKind::P256,
            issuer: Issuer::from_params(&self.params, &self.key),
            path: &self.chain,
        }
    }

    /// The leaf alone, without the intermediates that lead to the root.
    pub fn alone(&self) -> Self {
        Self { chain: self.chain[..1].to_vec(), ..self.clone() }
    }

    /// This chain with the key of `other`: a thief of certificates, whose signature does not verify.
    pub fn with_key_of(&self, other: &Self) -> Self {
        Self { key: Arc::clone(&other.key), ..self.clone() }
    }

    /// The chain made `length` certificates long by repeating its last one.
    pub fn padded(&self, length: usize) -> Self {
        let mut padded = self.clone();
        let last = padded.chain.last().unwrap().clone();
        padded.chain.resize(length, last);
        padded
    }
}

/// A chain and a key to present. They need not fit each other.
#[derive(Clone)]
pub struct Credentials {
    /// The chain, the leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key, of a kind that can sign.
    pub key: Arc<PrivateKeyDer<'static>>,
}

impl Credentials {
    /// A chain and its key from PEM. Here they must fit.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, UnfitPem> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(UnfitPem::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(UnfitPem::Key)?;
        let signing = aws_lc_rs::sign::any_supported_type(&key).map_err(UnfitPem::Pair)?;
        CertifiedKey::new(chain.clone(), signing).keys_match().map_err(UnfitPem::Pair)?;
        Ok(Self { chain, key: Arc::new(key) })
    }

    /// The same chain with a key that is not its own.
    pub fn with_key_of(&self, other: &Identity) -> Self {
        Self { chain: self.chain.clone(), key: Arc::new(other.key()) }
    }
}

impl From<&Identity> for Credentials {
    fn from(identity: &Identity) -> Self {
        Self { chain: identity.chain(), key: Arc::new(identity.key()) }
    }
}

/// Why PEM is no chain and key.
#[derive(Debug, thiserror::Error)]
pub enum UnfitPem {
    /// The chain does not parse.
    #[error("the certificate is not PEM")]
    Chain(#[source] rustls_pki_types::pem::Error),
    /// The key does not parse.
    #[error("the key is not PEM")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// No certificate, a key that cannot sign, or a key of another certificate.
    #[error("certificate and key do not fit")]
    Pair(#[source] rustls::Error),
}

/// Where an identity was written.
#[derive(Debug, Clone)]
pub struct Files {
    /// The chain, PEM, the leaf first.
    pub chain: PathBuf,
    /// The key, PEM, PKCS#8.
    pub key: PathBuf,
}

const LEAF: &str = "leaf";
const DAY: Duration = Duration::days(1);
const YEAR: Duration = Duration::days(365);

/// In the arc that RFC 5612 sets aside for documentation: it is nobody's extension.
const UNKNOWN_EXTENSION: &[u64] = &[1, 3, 6, 1, 4, 1, 32473, 1];
const DER_NULL: [u8; 2] = [5, 0];

fn new_key() -> KeyPair {
    KeyKind::P256.generate()
}

/// The same Ed25519 key in PKCS#8 of version 1 (RFC 8410, section 7): OpenSSL 3.0 and GnuTLS read no version 2, which
/// rcgen writes.
fn first_version(key: &KeyPair) -> Result<KeyPair, rcgen::Error> {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let second = key.serialize_der();
    let seed = second.windows(4).position(|bytes| bytes == &HEAD[12..]).unwrap() + 4;
    KeyPair::try_from([&HEAD[..], &second[seed..seed + 32]].concat())
}

/// For the owner's eyes only.
fn write_secret(file: &Path, text: &str) {
    let mut opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file).unwrap();
    opened.write_all(text.as_bytes()).unwrap();
}

fn from_now(offset: Duration) -> OffsetDateTime {
    OffsetDateTime::now_utc() + offset
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn authority_params(common_name: &str, not_before: Duration, not_after: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    (params.not_before, params.not_after) = (from_now(not_before), from_now(not_after));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    (params.not_before, params.not_after) = (from_now(-DAY), from_now(DAY * 30));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Fixes the serial number and the key identifier to those of `key`, so that a twin with another key can keep them.
fn named_by_key(mut params: CertificateParams, key: &KeyPair) -> CertificateParams {
    // DER makes a number positive that begins with a high bit, and 16 bytes are within the 20 of RFC 5280.
    params.serial_number = Some(SerialNumber::from_slice(&key.public_key_raw()[..16]));
    params.key_identifier_method = KeyIdMethod::PreSpecified(params.key_identifier(key));
    params
}

fn revoked_params(params: &CertificateParams) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: params.serial_number.clone().unwrap(),
        revocation_time: from_now(-DAY),
        reason_code: None,
        invalidity_date: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Output, openssl};

    async fn verify(root: &Authority, identity: &Identity, extra: &[&str]) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let root = root.write(dir.path(), "root");
        let files = identity.write(dir.path(), "leaf");
        let (root, chain) = (root.to_str().unwrap(), files.chain.to_str().unwrap());
        let mut args = vec!["verify", "-CAfile", root, "-untrusted", chain];
        args.extend(extra);
        args.push(chain);
        openssl(&args, b"").await
    }

    #[tokio::test]
    async fn another_implementation_accepts_what_should_pass() {
        let root = Authority::new("root");
        let middle = root.intermediate("middle");
        let every_kind = KeyKind::CLASSICAL.map(|kind| root.leaf().key(kind).issue());
        let confined = root.confined_intermediate("confined", "a.test").leaf().dns(&["www.a.test"]).issue();
        let bounded = root.bounded_intermediate("last", 0).leaf().issue();
        let usual = [root.leaf().dns(&["a.test"]).issue(), middle.leaf().usage_client().issue(), confined, bounded];
        for identity in every_kind.into_iter().chain(usual) {
            let output = verify(&root, &identity, &["-purpose", "sslclient"]).await;
            assert!(output.success, "{}", output.stderr);
        }
    }

    #[tokio::test]
    async fn another_implementation_names_each_fault() {
        let root = Authority::new("root");
        let middle = root.intermediate("middle");
        let faults = [
            (root.leaf().expired().issue(), "certificate has expired"),
            (root.leaf().not_yet_valid().issue(), "certificate is not yet valid"),
            (root.leaf().usage_server().issue(), "unsuitable certificate purpose"),
            (root.leaf().key_usage_without_signature().issue(), "unsuitable certificate purpose"),
            (root.twin().leaf().issue(), "certificate signature failure"),
            (root.leaf().issue().leaf().issue(), "invalid CA certificate"),
            (middle.leaf().issue().alone(), "unable to get local issuer certificate"),
            (Identity::self_signed("alone"), "self-signed certificate"),
            (root.expired_intermediate("past").leaf().issue(), "certificate has expired"),
            (
                root.bounded_intermediate("last", 0).intermediate("more").leaf().issue(),
                "path length constraint exceeded",
            ),
            (
                root.confined_intermediate("confined", "b.test").leaf().dns(&["a.test"]).issue(),
                "permitted subtree violation",
            ),
            (root.leaf().critical_extension().issue(), "unhandled critical extension"),
        ];
        for (identity, expected) in faults {
            let output = verify(&root, &identity, &["-purpose", "sslclient"]).await;
            assert!(!output.success && output.stderr.contains(expected), "{expected}: {}", output.stderr);
        }
        let lapsed = verify(&root.lapsed(), &root.leaf().issue(), &[]).await;
        assert!(lapsed.stderr.contains("certificate has expired"), "{}", lapsed.stderr);
    }

    #[tokio::test]
    async fn a_revocation_list_names_the_revoked_only() {
        let root = Authority::new("root");
        let (kept, revoked) = (root.leaf().issue(), root.leaf().issue());
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("crl.pem");
        fs::write(&list, root.revocations(&[&revoked])).unwrap();
        let extra = ["-crl_check", "-CRLfile", list.to_str().unwrap()];
        assert!(verify(&root, &kept, &extra).await.success);
        assert!(verify(&root, &revoked, &extra).await.stderr.contains("certificate revoked"));
    }

    #[test]
    fn a_twin_shares_all_but_the_key() {
        let root = Authority::new("root");
        let twin = root.twin();
        assert_eq!(twin.params, root.params);
        assert_ne!(twin.key.public_key_raw(), root.key.public_key_raw());
        assert_eq!(root.lapsed().key.public_key_raw(), root.key.public_key_raw());
        assert_eq!(root.leaf().issue().padded(100).chain().len(), 100);
    }
}
