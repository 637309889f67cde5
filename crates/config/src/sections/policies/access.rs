//! Policy `access`.

use super::super::cloudflare::{Sought, url};
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::section::Section;
use http::Uri;
use pullgate_policy::access::{EmailPattern, Identities, KeyFeed, NotATeam, NotAnEmailPattern, Team};
use pullgate_policy::policies::{Access, Cookie, Policy};
use std::collections::hash_map;
use std::sync::Arc;

/// What `jwks_url` names.
const KEYS: Sought = Sought {
    a: "keys",
    the: "they",
    help: "write https://TEAM.cloudflareaccess.com/cdn-cgi/access/certs, or the https URL of a mirror",
};

pub(super) fn read(section: &mut Section<'_>) -> Read<Arc<dyn Policy>> {
    let team = section.required("team", |entry| entry.parsed(team));
    let audiences = section
        .required("audiences", |list| list.full_list("the AUD tag of an application", |item| item.written(audience)));
    // A list whose items are all commented out reads as null: that must not mean everybody.
    let identities = section.given("identities").map(|entry| entry.section(identities)).transpose();
    let given = section.entry("jwks_url");
    let jwks_url = section.optional("jwks_url", |entry| entry.parsed(|text| url(text, &KEYS)));
    let cookie = section.or("cookie", false, Entry::typed);
    let feed = feed(section.map(), given, team?, jwks_url?);
    let cookie = if cookie? { Cookie::Read } else { Cookie::Ignored };
    Ok(Arc::new(Access::new(feed?, audiences?, identities?, cookie)))
}

fn team(text: &str) -> Result<Team, Fault> {
    let help = "write `example` for https://example.cloudflareaccess.com, or `example.fed` for the FedRAMP service";
    text.parse().map_err(|fault: NotATeam| Fault::new(fault).help(help))
}

fn audience(text: &str) -> Result<String, Fault> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == 64 && digits {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(format!("`{text}` is not the AUD tag of an application"));
    Err(fault.help("write the 64 lowercase hexadecimal digits that Cloudflare shows for the application"))
}

fn identities(section: &mut Section<'_>) -> Read<Identities> {
    let emails = section.or("emails", Vec::new(), |list| list.list(|item| item.parsed(email)));
    let groups = section.or("groups", Vec::new(), |list| list.list(|item| item.parsed(name)));
    let common_names = section.or("common_names", Vec::new(), |list| list.list(|item| item.parsed(name)));
    let identities = Identities { emails: emails?, groups: groups?, common_names: common_names? };
    if identities.is_empty() {
        let fault = Fault::new("nobody is named, so that nobody could pass");
        let help = "list emails, groups or common_names, or remove `identities` to take everybody with a token";
        return Err(section.map().wrong(fault.help(help)));
    }
    Ok(identities)
}

fn email(text: &str) -> Result<EmailPattern, Fault> {
    let help = "write alice@example.com, or \"*@example.com\" for everybody there";
    text.parse().map_err(|fault: NotAnEmailPattern| Fault::new(fault).help(help))
}

fn name(text: &str) -> Result<String, Fault> {
    if text.trim() == text && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err(Fault::new("the name is empty, or has spaces around it"))
    }
}

/// Where the team's keys come from: from one place, whichever policy says so.
fn feed(policy: &Entry<'_>, given: Option<Entry<'_>>, team: Team, jwks_url: Option<Uri>) -> Read<KeyFeed> {
    let here = given.as_ref().unwrap_or(policy);
    let usual = || team.certs().parse().map_err(|_| policy.wrong(Fault::new("the team's name makes no URL")));
    let url = jwks_url.map_or_else(usual, Ok)?;
    match policy.loading.key_feeds.borrow_mut().entry(team.clone()) {
        hash_map::Entry::Vacant(free) => drop(free.insert((url.clone(), here.at()))),
        hash_map::Entry::Occupied(first) if first.get().0 == url => {}
        hash_map::Entry::Occupied(first) => {
            let line = first.get().1.line;
            let fault = Fault::new(format!("the keys of team `{team}` come from somewhere else in line {line}"));
            return Err(here.wrong(fault.help("write the same jwks_url in all policies of the team")));
        }
    }
    Ok(KeyFeed { team, url })
}
