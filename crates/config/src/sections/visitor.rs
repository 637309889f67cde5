//! Key `visitor` of a host.

use super::client_certificate;
use super::headers::name;
use crate::entry::Entry;
use crate::loading::Read;
use crate::section::{Inert, Section};
use http::HeaderName;
use pullgate_policy::visitor::{Missing, VisitorRule};

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum WhenMissing {
    Refuse,
    Source,
}

pub(super) fn read(section: &mut Section<'_>) -> Read<VisitorRule> {
    let address_header =
        section.or("address_header", HeaderName::from_static("cf-connecting-ip"), |entry| entry.written(name));
    let missing = section.or("missing", WhenMissing::Refuse, Entry::typed);
    let client_certificate = section.optional("client_certificate", |entry| entry.section(client_certificate::fields));
    section.later(&[("features", Inert::EmptyList), ("forwarded", Inert::False)]);
    let missing = match missing? {
        WhenMissing::Refuse => Missing::Refuse,
        WhenMissing::Source => Missing::Source,
    };
    Ok(VisitorRule { address_header: address_header?, missing, client_certificate: client_certificate? })
}
