//! Visitors' certificates: key `client_certificate` of a host's `visitor`, and the policy `client-certificate`.

use super::origin_pull;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::section::Section;
use pullgate_policy::distinguished_name::Subject;
use pullgate_policy::origin_pull::{Anchor, Trust};
use pullgate_policy::policies::{ClientCertificate, Policy};
use pullgate_policy::visitor_certificate::Fingerprint;
use pullgate_policy::{CertificateFields, TrustLevel, VisitorRule};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Headers {
    Rfc9440,
    CfCert,
    CfClientCert,
}

/// Which fields tell of certificates.
pub(super) fn fields(section: &mut Section<'_>) -> Read<CertificateFields> {
    let headers = section.required("headers", Entry::typed);
    Ok(match headers? {
        Headers::Rfc9440 => CertificateFields::Rfc9440,
        Headers::CfCert => CertificateFields::CfCert,
        Headers::CfClientCert => CertificateFields::CfClientCert,
    })
}

/// Reads a policy; `visitor` is the rule of its host, none where that could not be read.
pub(super) fn policy(section: &mut Section<'_>, visitor: Option<&VisitorRule>) -> Read<Arc<dyn Policy>> {
    let trust = listed(section, "trust", trust);
    let subjects = listed(section, "subjects", |list| list.list(subject));
    let fingerprints = listed(section, "fingerprints", |list| list.list(fingerprint));
    let fields = visitor.map(|visitor| declared(section, visitor)).transpose();
    let (trust, subjects, fingerprints) = (trust?, subjects?, fingerprints?);
    let by = match (&trust, fingerprints.as_slice()) {
        (Some(_), _) => By::Trust,
        (None, []) => By::SubjectAlone,
        (None, _) => By::Fingerprint,
    };
    let policy = ClientCertificate::new(trust, subjects, fingerprints).ok_or_else(|| {
        let fault = Fault::new("a certificate by itself is no identity: Cloudflare's accounts share a client CA");
        section.map().wrong(fault.help("give trust, subjects or fingerprints an entry"))
    })?;
    if let Some(fields) = fields? {
        fits(section, fields, by)?;
    }
    Ok(Arc::new(policy))
}

/// What vouches for a certificate besides Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Trust,
    Fingerprint,
    SubjectAlone,
}

/// A list, empty where its key is absent. One whose items are all commented out reads as null: that must not mean that nothing is asked for.
fn listed<'a, T: Default>(
    section: &mut Section<'a>,
    key: &'static str,
    read: impl FnOnce(&Entry<'a>) -> Read<T>,
) -> Read<T> {
    section.given(key).map_or_else(|| Ok(T::default()), |list| read(&list))
}

fn trust(list: &Entry<'_>) -> Read<Option<Trust>> {
    let anchors: Vec<Anchor> = list.list(anchors)?.into_iter().flatten().collect();
    if anchors.is_empty() {
        return Ok(None);
    }
    Trust::new(anchors, list.loading.world.now()).map(Some).map_err(|error| list.wrong(Fault::new(error)))
}

fn anchors(item: &Entry<'_>) -> Read<Vec<Anchor>> {
    let anchors = origin_pull::anchors(item, item.typed()?)?;
    if anchors.iter().any(|anchor| anchor.level() != TrustLevel::Account) {
        let fault = Fault::new("Cloudflare's origin-pull CA certifies the edge, and no visitor");
        return Err(item.wrong(fault.help("name the PEM file of the CA that your visitors' certificates are from")));
    }
    Ok(anchors)
}

fn subject(item: &Entry<'_>) -> Read<Subject> {
    let help = "write \"CN=alice\", or the whole subject as `openssl x509 -noout -subject -nameopt RFC2253` shows it";
    item.parsed(|text| text.parse().map_err(|error| Fault::new(error).help(help)))
}

fn fingerprint(item: &Entry<'_>) -> Read<Fingerprint> {
    let help = "openssl x509 -noout -fingerprint -sha256 -in client.pem";
    item.written(|text| text.parse().map_err(|error| Fault::new(error).help(help)))
}

fn declared(section: &Section<'_>, visitor: &VisitorRule) -> Read<CertificateFields> {
    visitor.client_certificate.ok_or_else(|| {
        let fault = Fault::new("nothing tells this host of its visitors' certificates, so that everybody is refused");
        let help = "write client_certificate: {headers: rfc9440} in its `visitor`, or cf-cert or cf-client-cert: whichever Cloudflare sends";
        section.map().wrong(fault.help(help))
    })
}

/// Whether the fields can tell what is asked of them.
fn fits(section: &mut Section<'_>, fields: CertificateFields, by: By) -> Read<()> {
    let key = if by == By::Trust { "trust" } else { "subjects" };
    let Some(list) = section.entry(key) else { return Ok(()) };
    match (fields, by) {
        (CertificateFields::CfCert, By::Trust) => {
            let fault =
                Fault::new("the fields of cf-cert describe a certificate and do not hold it: no chain can be checked");
            Err(list
                .misplaced(fault.help("list `fingerprints` instead, or have Cloudflare send the fields of rfc9440")))
        }
        (CertificateFields::CfClientCert, By::SubjectAlone) => {
            let fault = Fault::new(
                "the fields of cf-client-cert do not say that Cloudflare verified a certificate: anybody can make one with this subject",
            );
            Err(list.wrong(fault.help("name your CA in `trust`, or list `fingerprints`")))
        }
        (CertificateFields::Rfc9440 | CertificateFields::CfCert, By::SubjectAlone) => {
            let fault = Fault::new(
                "Cloudflare's accounts share a client CA: where it is the one in use, others may have a certificate with this subject",
            );
            list.warn(
                fault.help("name a CA of your own in `trust` (with the fields of rfc9440), or list `fingerprints`"),
            );
            Ok(())
        }
        _ => Ok(()),
    }
}
