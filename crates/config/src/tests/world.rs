//! A world in memory: a clock that stands still, a few files, a few names.

use crate::world::{CertificateCheck, CertificateFault, World};
use ipnet::IpNet;
use pullgate_policy::ranges::Partner;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyPair, SerialNumber,
    date_time_ymd,
};
use rustls_pki_types::UnixTime;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// More than a header may carry.
static LONG: LazyLock<String> = LazyLock::new(|| "SECRET-BYTES".repeat(100));

/// 2026-01-01, in the shared CA's time.
pub(super) const NOW: u64 = 1_767_225_600;

/// The world of the tests.
pub(super) struct Village {
    pub(super) files: HashMap<PathBuf, Vec<u8>>,
    pub(super) variables: HashMap<String, String>,
    /// What is in force, by its SHA-256; nothing at a start.
    pub(super) in_force: Option<Vec<[u8; 32]>>,
    /// What was read, in order.
    pub(super) read: RefCell<Vec<PathBuf>>,
}

impl Default for Village {
    fn default() -> Self {
        let texts = [
            ("shop.pem", "chain 1 until 2027"),
            ("shop.key", "key 1"),
            ("old.pem", "chain 1 until 2025"),
            ("other.key", "key 2"),
            ("rsa.pem", "chain 2 until 2027"),
            ("third.pem", "chain 3 until 2027"),
            ("third.key", "key 3"),
            ("shop.ocsp", "ocsp 1 until 2027"),
            ("old.ocsp", "ocsp 1 until 2025"),
            ("broken.pem", "nothing"),
            ("broken.key", "SECRET-BYTES"),
            ("ranges.txt", "173.245.48.0/20\n2400:cb00::/32\n"),
            ("ranges-china.txt", "173.245.48.0/20\n2400:cb00::/32\njdcloud\n106.225.240.96/27\n"),
            ("ranges-empty.txt", ""),
            ("ranges-v4.txt", "173.245.48.0/20\n"),
            ("ranges-private.txt", "10.0.0.0/8\n2400:cb00::/32\n"),
            ("edge-a", "SECRET-BYTES-of-edge-a\n"),
            ("edge-b", "SECRET-BYTES-of-edge-b"),
            ("edge-a-twin", "SECRET-BYTES-of-edge-a\r\n"),
            ("edge-empty", "\n"),
            ("edge-short", "SECRET-BYTES"),
            ("edge-lines", "SECRET-BYTES-of-edge\nSECRET-BYTES\n"),
            ("edge-long", LONG.as_str()),
        ];
        let text = texts.map(|(name, text)| (name, text.as_bytes().to_vec()));
        let cas = CAS.iter().map(|(name, pem)| (*name, pem.clone()));
        Self {
            files: text.into_iter().chain(cas).map(|(name, bytes)| (name.into(), bytes)).collect(),
            variables: [
                ("PORT", "8443"),
                ("EMPTY", ""),
                ("HOST", "env.example.com"),
                ("LIST", "[a, b]"),
                ("DOLLAR", "${PORT}"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            in_force: None,
            read: RefCell::default(),
        }
    }
}

/// CAs are made once: a key costs more than a load.
static CAS: LazyLock<[(&str, Vec<u8>); 7]> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let (params, in_force) = ca("in force", 2020, 2030, &key);
    let list = |end: i32| crl(&params, &key, end);
    [
        ("ca.pem", in_force),
        ("ca-old.pem", ca("old", 2010, 2020, &key).1),
        ("ca-new.pem", ca("new", 2027, 2030, &key).1),
        ("ca-twin.pem", ca("in force", 2020, 2030, &KeyPair::generate().unwrap()).1),
        ("ca-two.pem", ca("two", 2020, 2030, &key).1),
        ("ca.crl", list(2027)),
        ("ca-old.crl", list(2025)),
    ]
});

/// A CA in PEM form.
fn ca(name: &str, from: i32, to: i32, key: &KeyPair) -> (CertificateParams, Vec<u8>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let pem = params.self_signed(key).unwrap().pem().into_bytes();
    (params, pem)
}

/// A CA's empty revocation list in PEM form.
fn crl(ca: &CertificateParams, key: &KeyPair, end: i32) -> Vec<u8> {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(end, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: ca.key_identifier_method.clone(),
    };
    params.signed_by(&Issuer::from_params(ca, key)).unwrap().pem().unwrap().into_bytes()
}

/// The ID and the end in `KIND ID until YEAR`.
fn until<'a>(text: &'a str, kind: &str) -> Option<(&'a str, UnixTime)> {
    let (id, year) = text.strip_prefix(kind)?.split_once(" until ")?;
    let seconds = (year.parse::<u64>().ok()? - 1970) * 31_557_600;
    Some((id, UnixTime::since_unix_epoch(Duration::from_secs(seconds))))
}

impl World for Village {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(NOW))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read.borrow_mut().push(path.to_owned());
        let missing = || io::Error::from_raw_os_error(2);
        self.files.get(path).cloned().ok_or_else(missing)
    }

    fn resolve(&self, server: &str) -> io::Result<SocketAddr> {
        match server {
            "app.internal:9000" => Ok("10.0.0.7:9000".parse().unwrap()),
            _ => Err(io::Error::other("no such name")),
        }
    }

    fn is_new(&self, digest: [u8; 32]) -> bool {
        self.in_force.as_ref().is_some_and(|in_force| !in_force.contains(&digest))
    }

    /// A chain is `chain ID until YEAR`, its key `key ID`, an answer for it `ocsp ID until YEAR`. Even IDs are RSA's.
    fn check_certificate(
        &self,
        chain: &[u8],
        key: &[u8],
        ocsp: Option<&[u8]>,
    ) -> Result<CertificateCheck, CertificateFault> {
        let [chain, key] = [chain, key].map(String::from_utf8_lossy);
        let (id, not_after) =
            until(&chain, "chain ").ok_or_else(|| CertificateFault::Chain("no certificate in it".into()))?;
        let key = key.strip_prefix("key ").ok_or_else(|| CertificateFault::Key("no private key in it".into()))?;
        if id != key {
            return Err(CertificateFault::Mismatch);
        }
        let ocsp_until = match ocsp.map(String::from_utf8_lossy) {
            None => None,
            Some(text) => match until(&text, "ocsp ") {
                Some((answered, end)) if answered == id => Some(end),
                _ => return Err(CertificateFault::Ocsp("no answer for this certificate in it".into())),
            },
        };
        let key = if id.parse::<u32>().unwrap() % 2 == 0 { "RSA" } else { "ECDSA" };
        Ok(CertificateCheck { not_after, key, ocsp_until })
    }

    /// With a partner's networks behind a line that names it.
    fn ranges(&self, list: &[u8], partners: &[Partner]) -> Result<Vec<IpNet>, String> {
        let text = String::from_utf8_lossy(list);
        let (text, theirs) = text.split_once("jdcloud\n").unwrap_or((&text, ""));
        let theirs = if partners.is_empty() { "" } else { theirs };
        let text = format!("{text}{theirs}");
        text.lines().map(|line| line.parse().map_err(|_| format!("`{line}` is no range"))).collect()
    }
}
