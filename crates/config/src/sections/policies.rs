//! Lists of policies, of hosts and of routes.
//!
//! A new kind is a variant of [`Kind`], its arm in [`rule`] and the reader of its keys.

mod access;
pub(super) mod edge_secret;

use super::{client_certificate, label, networks};
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::section::{NOT_YET, Section};
use pullgate_policy::Networks;
use pullgate_policy::decide::ORIGIN_PULL;
use pullgate_policy::hosts::normal_name;
use pullgate_policy::policies::{Attached, ClientNetworks, Countries, Mode, Policy, Proof, Workers};
use pullgate_policy::visitor::country_code;
use pullgate_policy::{TrustLevel, VisitorRule};
use std::sync::Arc;

/// The kinds of policies that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Access,
    ClientCertificate,
    ClientNetworks,
    Countries,
    EdgeSecret,
    Proof,
    Workers,
}

/// Kinds that the reference describes and this version does not have.
const LATER: [&str; 3] = ["rate-limit", "expression", "forward-auth"];

/// `visitor` is the rule of the host, none where that could not be read.
fn rule(kind: Kind, section: &mut Section<'_>, visitor: Option<&VisitorRule>) -> Read<Arc<dyn Policy>> {
    match kind {
        Kind::Access => access::read(section),
        Kind::ClientCertificate => client_certificate::policy(section, visitor),
        Kind::ClientNetworks => client_networks(section),
        Kind::Countries => countries(section),
        Kind::EdgeSecret => edge_secret::read(section),
        Kind::Proof => proof(section),
        Kind::Workers => workers(section),
    }
}

fn client_networks(section: &mut Section<'_>) -> Read<Arc<dyn Policy>> {
    let allow = section.or("allow", Vec::new(), networks::read);
    let deny = section.or("deny", Vec::new(), networks::read);
    let (allow, deny) = (allow?, deny?);
    if allow.is_empty() && deny.is_empty() {
        return Err(section
            .map()
            .wrong(Fault::new("a policy without networks decides nothing").help("give allow or deny a network")));
    }
    Ok(Arc::new(ClientNetworks::new(Networks::new(allow), Networks::new(deny))))
}

fn countries(section: &mut Section<'_>) -> Read<Arc<dyn Policy>> {
    let mut codes = Unique::new("the country");
    let allow = section.or("allow", Vec::new(), |list| list.list(|item| listed_country(item, &mut codes)));
    let deny = section.or("deny", Vec::new(), |list| list.list(|item| listed_country(item, &mut codes)));
    let (allow, deny) = (allow?, deny?);
    if allow.is_empty() && deny.is_empty() {
        return Err(section
            .map()
            .wrong(Fault::new("a policy without countries decides nothing").help("give allow or deny a country")));
    }
    Ok(Arc::new(Countries::new(allow, deny)))
}

/// A country that stands nowhere else in the policy.
fn listed_country(item: &Entry<'_>, codes: &mut Unique) -> Read<[u8; 2]> {
    let code = item.written(country)?;
    codes.claim(item, &String::from_utf8_lossy(&code))?;
    Ok(code)
}

fn country(text: &str) -> Result<[u8; 2], Fault> {
    let capitals = text.to_ascii_uppercase();
    let meant = match capitals.as_str() {
        // ISO 3166-1 has the United Kingdom under another code than everybody's; UK would match nobody.
        "UK" => "GB",
        other if country_code(other.as_bytes()).is_some() => other,
        _ => "DE, for instance; XX stands for unknown, T1 for Tor",
    };
    let fault = || Fault::new(format!("`{text}` is not a country")).help(format!("write {meant}"));
    country_code(text.as_bytes()).filter(|code| code != b"UK").ok_or_else(fault)
}

/// The levels that can be demanded; `none` would demand nothing.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Least {
    Network,
    Edge,
    Account,
}

fn proof(section: &mut Section<'_>) -> Read<Arc<dyn Policy>> {
    let least = section.required("least", Entry::typed);
    Ok(Arc::new(Proof::new(match least? {
        Least::Network => TrustLevel::Network,
        Least::Edge => TrustLevel::Edge,
        Least::Account => TrustLevel::Account,
    })))
}

fn workers(section: &mut Section<'_>) -> Read<Arc<dyn Policy>> {
    let zones = section.required("zones", |list| {
        list.list(|item| {
            item.written(|text| {
                let fault = || Fault::new(format!("`{text}` is not the name of a zone")).help("write example.com");
                normal_name(text).ok_or_else(fault)
            })
        })
    });
    Ok(Arc::new(Workers::new(zones?)))
}

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenMode {
    Enforce,
    Observe,
}

/// Reads a list; `labels` holds the labels that metrics could not tell these apart from, `visitor` is the rule of the host, none where that
/// could not be read.
pub(super) fn read(list: &Entry<'_>, labels: &mut Unique, visitor: Option<&VisitorRule>) -> Read<Vec<Attached>> {
    list.list(|entry| entry.section(|section| attached(section, labels, visitor)))
}

fn attached(section: &mut Section<'_>, labels: &mut Unique, visitor: Option<&VisitorRule>) -> Read<Attached> {
    let kind = section.required("kind", kind);
    let name = section.optional("name", |entry| entry.parsed(label));
    let label = claimed(section, &kind, &name, labels);
    let mode = section.or("mode", WrittenMode::Enforce, Entry::typed);
    let policy = match kind {
        Ok((kind, _)) => rule(kind, section, visitor),
        Err(reported) => {
            section.pass_others();
            Err(reported)
        }
    };
    let mode = match mode? {
        WrittenMode::Enforce => Mode::Enforce,
        WrittenMode::Observe => Mode::Observe,
    };
    Ok(Attached { label: label?.into(), mode, policy: policy? })
}

fn kind<'a>(entry: &Entry<'a>) -> Read<(Kind, &'a str)> {
    let text = &entry.scalar()?.text;
    if LATER.contains(&text.as_str()) {
        return Err(entry.wrong(Fault::new(format!("`{text}` is {NOT_YET}")).help("remove this policy")));
    }
    Ok((entry.typed()?, text))
}

/// The policy's label, by which metrics and logs know it.
fn claimed(
    section: &mut Section<'_>,
    kind: &Read<(Kind, &str)>,
    name: &Read<Option<String>>,
    labels: &mut Unique,
) -> Read<String> {
    match (name, kind) {
        (Err(reported), _) | (Ok(None), Err(reported)) => Err(*reported),
        (Ok(Some(name)), _) => {
            let entry = section.entry("name").unwrap_or_else(|| section.map().clone());
            if name == ORIGIN_PULL {
                return Err(entry.wrong(Fault::new(format!("`{name}` is the label of the check of `origin_pull`"))));
            }
            labels.claim(&entry, name).map(|()| name.clone())
        }
        (Ok(None), Ok((_, kind))) => labels.claim(section.map(), kind).map(|()| (*kind).to_owned()),
    }
}
