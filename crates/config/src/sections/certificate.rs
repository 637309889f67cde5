//! Key `certificate` of a host: one certificate, or several with keys of different kinds.

use super::listeners::Shown;
use super::{date, file};
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::model::Certificate;
use crate::section::{Inert, Section};
use crate::world::CertificateFault;
use crate::yaml::Content;
use sha2::{Digest, Sha256};

/// The certificates, where the host is shown on a listener that needs one; one that nobody would see is refused.
pub(super) fn read(section: &mut Section<'_>, shown: Shown) -> Read<Vec<Certificate>> {
    let entry = section.entry("certificate");
    match (entry, shown) {
        (None, Shown::Tls) => {
            Err(section.demand("certificate", Fault::new("missing: an https listener serves this host")))
        }
        (None, Shown::Plain | Shown::Nowhere | Shown::Unclear) => Ok(Vec::new()),
        (Some(entry), Shown::Tls | Shown::Unclear) => certificates(&entry),
        (Some(entry), Shown::Plain | Shown::Nowhere) => {
            let certificates = certificates(&entry);
            let useless =
                entry.misplaced(Fault::new("no https listener serves this host").help("remove `certificate`"));
            certificates.and(Err(useless))
        }
    }
}

fn certificates(entry: &Entry<'_>) -> Read<Vec<Certificate>> {
    // One key is shown to a client: which of two of one kind would be luck.
    let mut kinds = Unique::new("a certificate with a key of the kind");
    match entry.node.content {
        Content::List(_) => {
            entry.full_list("at least one {chain: …, key: …}", |item| certificate(item, &mut kinds))
        }
        _ => certificate(entry, &mut kinds).map(|one| vec![one]),
    }
}

fn certificate(entry: &Entry<'_>, kinds: &mut Unique) -> Read<Certificate> {
    entry.section(|section| {
        let mut found = (None, None);
        let chain = section.required("chain", |entry| bytes(found.0.insert(entry.clone())));
        let key = section.required("key", |entry| bytes(found.1.insert(entry.clone())));
        let ocsp_entry = section.entry("ocsp");
        let ocsp = ocsp_entry.as_ref().map(bytes).transpose();
        section.later(&[("origin_ca", Inert::Nothing)]);
        let ((chain_path, chain), (_, key), ocsp) = (chain?, key?, ocsp?);
        let certificate = Certificate { chain_path: chain_path.into(), chain, key, ocsp: ocsp.map(|(_, der)| der) };
        if let (Some(chain), Some(key)) = found {
            check(&certificate, &Files { chain, key, ocsp: ocsp_entry }, kinds)?;
        }
        Ok(certificate)
    })
}

/// A path and what the file holds.
fn bytes<'a>(entry: &Entry<'a>) -> Read<(&'a str, Vec<u8>)> {
    let path = entry.typed::<&str>()?;
    Ok((path, file(entry, path)?))
}

/// Where the files of a certificate are named.
struct Files<'a> {
    chain: Entry<'a>,
    key: Entry<'a>,
    ocsp: Option<Entry<'a>>,
}

fn check(certificate: &Certificate, files: &Files<'_>, kinds: &mut Unique) -> Read<()> {
    let Files { chain, key, ocsp } = files;
    let world = chain.loading.world;
    let check = world.check_certificate(&certificate.chain, &certificate.key, certificate.ocsp.as_deref()).map_err(
        |fault| match fault {
            CertificateFault::Chain(message) => chain.wrong(Fault::new(message)),
            CertificateFault::Key(message) => key.wrong(Fault::new(message)),
            CertificateFault::Mismatch => key.wrong(Fault::new("this key does not belong to the certificate")),
            CertificateFault::Ocsp(message) => ocsp.as_ref().unwrap_or(chain).wrong(Fault::new(message)),
        },
    )?;
    kinds.claim(key, check.key)?;
    if check.not_after < world.now() {
        let message = format!("the certificate expired on {}", date(check.not_after));
        chain.outdated(Sha256::digest(&certificate.chain).into(), Fault::new(message))?;
    }
    match (ocsp.as_ref().zip(certificate.ocsp.as_deref()), check.ocsp_until) {
        (Some((ocsp, answer)), Some(until)) if until < world.now() => {
            let message = format!("the answer ran out on {} and is not stapled", date(until));
            ocsp.outdated(Sha256::digest(answer).into(), Fault::new(message))
        }
        _ => Ok(()),
    }
}
