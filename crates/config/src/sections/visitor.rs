//! Key `visitor` of a host.

use super::client_certificate;
use super::headers::name;
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::section::Section;
use http::HeaderName;
use pullgate_policy::headers::{feature_of, is_owned};
use pullgate_policy::visitor::{Missing, VisitorRule};
use pullgate_policy::{Feature, Features};

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum WhenMissing {
    Refuse,
    Source,
}

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Declared {
    Access,
    Location,
    Bot,
    TrueClientIp,
    Waf,
    EarlyData,
}

pub(super) fn read(section: &mut Section<'_>) -> Read<VisitorRule> {
    let default = VisitorRule::default();
    let features = section.or("features", default.features, features);
    let declared = features.as_ref().ok().copied();
    let address_header = section.or("address_header", default.address_header, |entry| address_header(entry, declared));
    let missing = section.or("missing", WhenMissing::Refuse, Entry::typed);
    let client_certificate = section.optional("client_certificate", |entry| entry.section(client_certificate::fields));
    let forwarded = section.or("forwarded", default.forwarded, Entry::typed);
    let missing = match missing? {
        WhenMissing::Refuse => Missing::Refuse,
        WhenMissing::Source => Missing::Source,
    };
    Ok(VisitorRule {
        address_header: address_header?,
        missing,
        features: features?,
        forwarded: forwarded?,
        client_certificate: client_certificate?,
    })
}

fn features(list: &Entry<'_>) -> Read<Features> {
    let mut names = Unique::new("the feature");
    let features = list.list(|item| {
        let feature = match item.typed()? {
            Declared::Access => Feature::Access,
            Declared::Location => Feature::Location,
            Declared::Bot => Feature::Bot,
            Declared::TrueClientIp => Feature::TrueClientIp,
            Declared::Waf => Feature::Waf,
            Declared::EarlyData => Feature::EarlyData,
        };
        names.claim(item, feature.label())?;
        Ok(feature)
    })?;
    Ok(features.into_iter().collect())
}

/// The header that names the visitor. Where the features could not be read (none), nothing is said of the one that it may belong to.
fn address_header(entry: &Entry<'_>, declared: Option<Features>) -> Read<HeaderName> {
    let header = entry.written(name)?;
    if header == "cf-pseudo-ipv4" {
        let fault = Fault::new("`CF-Pseudo-IPv4` is made up from an IPv6 address, and is nobody's");
        return Err(entry.wrong(fault.help("write CF-Connecting-IP, which has the real one")));
    }
    match feature_of(&header) {
        Some(feature) if declared.is_some_and(|declared| !declared.contains(feature)) => {
            let fault = Fault::new(format!(
                "without Cloudflare's feature `{0}`, visitors choose `{header}` themselves",
                feature.label()
            ));
            Err(entry.wrong(fault.help(format!("turn it on in the zone and write features: [{}]", feature.label()))))
        }
        None if is_owned(header.as_str()) && header != "cf-connecting-ip" => {
            let fault = Fault::new(format!(
                "`{header}` passes Cloudflare as visitors send it: they would choose their address themselves"
            ));
            Err(entry.wrong(fault.help("write CF-Connecting-IP, or a name of your own that a rule of the zone sets")))
        }
        _ => Ok(header),
    }
}
