//! Keys of the policy `edge-secret`, and what else of a configuration may not name its header.

use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::section::Section;
use crate::sections::file;
use crate::yaml::Content;
use http::HeaderName;
use pullgate_policy::policies::{Attached, EdgeSecret, Policy};
use pullgate_policy::secrets::{Secret, SecretNames};
use std::sync::Arc;

pub(super) fn read(section: &mut Section<'_>) -> Read<Arc<dyn Policy>> {
    let header = section.required("header", |entry| {
        entry.written(|text| text.parse().map_err(|bad| Fault::new(bad).help("write X-Edge-Secret, for instance")))
    });
    let values = section.required("values", secrets);
    Ok(Arc::new(EdgeSecret::new(header?, values?)))
}

fn secrets(list: &Entry<'_>) -> Read<Vec<Secret>> {
    let mut secrets: Vec<Secret> = Vec::new();
    list.full_list("at least one {file: …}", |item| {
        if let Content::Scalar(_) = item.node.content {
            // Not quoted: whoever wrote it here may have written the secret itself.
            let fault = Fault::new("a secret stands in a file of its own, and here stands where that is");
            return Err(item.wrong(fault.help("write {file: /run/secrets/edge}")));
        }
        item.section(|section| section.required("file", |entry| secret(entry, &mut secrets)))
    })?;
    Ok(secrets)
}

/// Adds the secret of a file to those before it.
fn secret(entry: &Entry<'_>, before: &mut Vec<Secret>) -> Read<()> {
    let path = entry.typed::<&str>()?;
    let fault = |fault: &dyn std::fmt::Display| Fault::new(format!("`{path}`: {fault}"));
    let secret = Secret::new(&file(entry, path)?)
        .map_err(|bad| entry.wrong(fault(&bad).help(format!("openssl rand -hex 32 > {path}"))))?;
    if before.iter().any(|other| other.is(&secret)) {
        let twice = "a file before it holds the same secret";
        return Err(entry.wrong(fault(&twice).help("remove it, or write another secret into it")));
    }
    before.push(secret);
    Ok(())
}

/// Headers that hosts depend on by name; a secret's is removed from every request of all hosts, and would leave them nothing.
#[derive(Default)]
pub(in crate::sections) struct Headers<'a> {
    secret: Vec<HeaderName>,
    set: Vec<(HeaderName, Entry<'a>)>,
    address: Vec<(HeaderName, Entry<'a>)>,
}

impl<'a> Headers<'a> {
    /// Notes the headers that bring secrets to policies.
    pub(in crate::sections) fn brought_to<'p>(&mut self, policies: impl IntoIterator<Item = &'p Attached>) {
        self.secret.extend(policies.into_iter().filter_map(|attached| attached.policy.secret_header()).cloned());
    }

    /// Notes what `headers` of a host sets.
    pub(in crate::sections) fn set_by<'s: 'a>(&mut self, headers: &mut Section<'s>) {
        let Some(map) = headers.entry("set") else { return };
        let Content::Map(entries) = &map.node.content else { return };
        for (key, node) in entries {
            // Names that are none are reported by whoever reads the section.
            let name = key.text.parse().ok();
            self.set.extend(name.map(|name| (name, Entry::under(map.loading, &map.path, key, node))));
        }
    }

    /// Notes the header that a host takes the visitor's address from.
    pub(in crate::sections) fn read_by<'s: 'a>(&mut self, visitor: &mut Section<'s>) {
        let Some(entry) = visitor.entry("address_header") else { return };
        if let Content::Scalar(scalar) = &entry.node.content {
            self.address.extend(scalar.text.parse().ok().map(|name| (name, entry.clone())));
        }
    }

    /// Reports those that are also a secret's.
    pub(in crate::sections) fn check(&self) -> Read<()> {
        let secrets = SecretNames::new(&self.secret);
        let taken = |(name, _): &&(HeaderName, Entry<'a>)| secrets.contains(name.as_str());
        let fault = |name: &HeaderName| {
            let fault =
                Fault::new(format!("`{name}` is the header of an `edge-secret`, and removed from every request"));
            fault.help("take another name for one of them")
        };
        let set = self.set.iter().filter(taken).map(|(name, entry)| entry.misplaced(fault(name)));
        let address = self.address.iter().filter(taken).map(|(name, entry)| entry.wrong(fault(name)));
        // All of them, not only the first.
        set.chain(address).collect::<Vec<_>>().into_iter().next().map_or(Ok(()), Err)
    }
}
