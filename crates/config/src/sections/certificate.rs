//! Key `certificate` of a host.

use super::listeners::Shown;
use super::{date, file};
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::model::Certificate;
use crate::section::{Inert, NOT_YET, Section};
use crate::world::CertificateFault;
use crate::yaml::Content;

/// The certificate, where the host is shown on a listener that needs one; one that nobody would see is refused.
pub(super) fn read(section: &mut Section<'_>, shown: Shown) -> Read<Option<Certificate>> {
    let entry = section.entry("certificate");
    match (entry, shown) {
        (None, Shown::Tls) => {
            Err(section.demand("certificate", Fault::new("missing: an https listener serves this host")))
        }
        (None, Shown::Plain | Shown::Nowhere | Shown::Unclear) => Ok(None),
        (Some(entry), Shown::Tls | Shown::Unclear) => pair(&entry).map(Some),
        (Some(entry), Shown::Plain | Shown::Nowhere) => {
            let pair = pair(&entry);
            let useless =
                entry.misplaced(Fault::new("no https listener serves this host").help("remove `certificate`"));
            pair.and(Err(useless))
        }
    }
}

fn pair(entry: &Entry<'_>) -> Read<Certificate> {
    if let Content::List(_) = entry.node.content {
        return Err(entry
            .wrong(Fault::new(format!("a list of certificates is {NOT_YET}")).help("write one {chain: …, key: …}")));
    }
    entry.section(|section| {
        let mut found = (None, None);
        let chain = section.required("chain", |entry| pem(found.0.insert(entry.clone())));
        let key = section.required("key", |entry| pem(found.1.insert(entry.clone())));
        section.later(&[("ocsp", Inert::Null), ("origin_ca", Inert::Nothing)]);
        let ((chain_path, chain), (_, key)) = (chain?, key?);
        if let (Some(chain_entry), Some(key_entry)) = found {
            check(&chain_entry, &chain, &key_entry, &key)?;
        }
        Ok(Certificate { chain_path: chain_path.into(), chain, key })
    })
}

/// A path and what the file holds.
fn pem<'a>(entry: &Entry<'a>) -> Read<(&'a str, Vec<u8>)> {
    let path = entry.typed::<&str>()?;
    Ok((path, file(entry, path)?))
}

fn check(chain_entry: &Entry<'_>, chain: &[u8], key_entry: &Entry<'_>, key: &[u8]) -> Read<()> {
    let world = chain_entry.loading.world;
    let check = world.check_certificate(chain, key).map_err(|fault| match fault {
        CertificateFault::Chain(message) => chain_entry.wrong(Fault::new(message)),
        CertificateFault::Key(message) => key_entry.wrong(Fault::new(message)),
        CertificateFault::Mismatch => key_entry.wrong(Fault::new("this key does not belong to the certificate")),
    })?;
    if check.not_after < world.now() {
        chain_entry.warn(Fault::new(format!("the certificate expired on {}", date(check.not_after))));
    }
    Ok(())
}
