//! Section `cloudflare`: what counts as Cloudflare.

use super::{lacks_port, networks};
use crate::duration;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::model::{AccessRefresh, Cloudflare, RangesFeed, RangesSource};
use crate::section::{Inert, Section};
use http::Uri;
use http::uri::Authority;
use ipnet::IpNet;
use pullgate_policy::ranges::{self, Partner};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The list changes a few times a year, the keys of a team every few weeks.
const OFTEN: Duration = Duration::from_secs(60);
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Where the list of ranges comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Builtin,
    Api,
    File,
}

/// The networks of partners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Network {
    Jdcloud,
}

pub(super) fn read(section: &mut Section<'_>) -> Read<Cloudflare> {
    let ranges = section.subsection("ranges", ranges);
    let access = section.subsection("access", access);
    section.later(&[("api", Inert::Nothing)]);
    Ok(Cloudflare { access: access?, ..ranges? })
}

fn access(section: &mut Section<'_>) -> Read<AccessRefresh> {
    let usual = AccessRefresh::default();
    let often = section.entry("refresh");
    let refresh = section.or("refresh", usual.refresh, |refresh| refresh.written(interval));
    let written = section.entry("stale_after");
    let stale_after = section.or("stale_after", usual.stale_after, |stale| stale.written(duration::length));
    let (refresh, stale_after) = (refresh?, stale_after?);
    if let Some(entry) = often.filter(|_| refresh < OFTEN) {
        entry.warn(Fault::new("a team has a new key every few weeks; asking this often may get the gateway refused"));
    }
    if stale_after <= refresh {
        let fault = Fault::new("keys would be dropped before they are fetched again");
        let fault = fault.help("write a `stale_after` of several times `refresh`: 24h, for instance");
        return Err(written.unwrap_or_else(|| section.map().clone()).wrong(fault));
    }
    Ok(AccessRefresh { refresh, stale_after })
}

fn ranges(section: &mut Section<'_>) -> Read<Cloudflare> {
    let source = section.or("source", Source::Api, Entry::typed);
    let partners = section.or("networks", Vec::new(), |list| partners(list, source));
    let feed = feed(section, source, partners.clone());
    let file = file(section, source, partners);
    let extra = section.or("extra", Vec::new(), networks::read);
    let (source, list) = match source? {
        Source::Builtin => (RangesSource::Builtin, ranges::builtin()),
        Source::File => {
            let (path, list) = file?;
            (RangesSource::File(path), list)
        }
        Source::Api => (RangesSource::Api(feed?), ranges::builtin()),
    };
    Ok(Cloudflare { source, list, extra: extra?, access: AccessRefresh::default() })
}

fn partners(entry: &Entry<'_>, source: Read<Source>) -> Read<Vec<Partner>> {
    let listed = entry.list(Entry::typed::<Network>)?;
    if source == Ok(Source::Builtin) && !listed.is_empty() {
        let fault = Fault::new("the compiled-in list has no partners' networks");
        return Err(entry.misplaced(fault.help("write source: api, or source: file with a saved answer of the API")));
    }
    let mut partners: Vec<Partner> = listed.into_iter().map(|Network::Jdcloud| Partner::Jdcloud).collect();
    partners.dedup();
    Ok(partners)
}

/// What only `source: api` has a use for.
fn feed(section: &mut Section<'_>, source: Read<Source>, partners: Read<Vec<Partner>>) -> Read<RangesFeed> {
    if let Ok(Source::Builtin | Source::File) = source {
        for key in ["url", "refresh", "removal_grace"] {
            if let Some(given) = section.entry(key) {
                let fault = Fault::new("only `source: api` fetches a list");
                given.misplaced(fault.help(format!("remove `{key}`, or write source: api")));
            }
        }
    }
    let usual = RangesFeed::default();
    let url = section.or("url", usual.url, |entry| entry.parsed(|text| url(text, &LIST)));
    let often = section.entry("refresh");
    let refresh = section.or("refresh", usual.refresh, |refresh| refresh.written(interval));
    let removal_grace = section.or("removal_grace", usual.removal_grace, |grace| grace.written(duration::length));
    let feed = RangesFeed { url: url?, partners: partners?, refresh: refresh?, removal_grace: removal_grace? };
    if let Some(entry) = often.filter(|_| feed.refresh < OFTEN && !is_here(&feed.url)) {
        entry.warn(Fault::new("the list changes a few times a year; asking this often may get the gateway refused"));
    }
    Ok(feed)
}

fn interval(text: &str) -> Result<Duration, Fault> {
    let interval = duration::length(text)?;
    if interval < SHORTEST_REFRESH {
        return Err(Fault::new(format!("`{text}` is too often")).help("write 1h, for instance; 1s is the least"));
    }
    Ok(interval)
}

/// Something that is fetched, in the words of a problem.
pub(super) struct Sought {
    /// With an article.
    pub(super) a: &'static str,
    /// With another one.
    pub(super) the: &'static str,
    /// What would be right.
    pub(super) help: &'static str,
}

const LIST: Sought = Sought {
    a: "a list",
    the: "the list",
    help: "write https://api.cloudflare.com/client/v4/ips, or the https URL of a mirror",
};

/// What anybody on the way could change admits anybody: without TLS it may only come from this machine.
pub(super) fn url(text: &str, sought: &Sought) -> Result<Uri, Fault> {
    let Sought { a, the, help } = sought;
    let fault = || Fault::new(format!("`{text}` is not a URL that {a} can be fetched from"));
    let url: Uri = text.parse().map_err(|_| fault().help(help))?;
    let names_nobody = |authority: &&Authority| !authority.as_str().contains('@') && !authority.host().is_empty();
    let authority = url.authority().filter(names_nobody).ok_or_else(|| fault().help(help))?;
    if lacks_port(authority) {
        return Err(Fault::new(format!("`{text}` has no port behind its colon")).help(help));
    }
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if is_here(&url) => Ok(url),
        Some("http") => {
            Err(fault().help(format!("write https: without it {the} may only come from 127.0.0.1 or [::1]")))
        }
        _ => Err(fault().help(help)),
    }
}

/// Whether a URL names a loopback address; a name could be resolved to anything.
fn is_here(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn file(section: &mut Section<'_>, source: Read<Source>, partners: Read<Vec<Partner>>) -> Read<(PathBuf, Vec<IpNet>)> {
    let file = section.entry("file");
    match (source, file) {
        (Ok(Source::File), None) => Err(section.demand("file", Fault::new("missing: `source: file` reads it"))),
        (Ok(Source::Builtin | Source::Api), Some(file)) => {
            Err(file
                .misplaced(Fault::new("only `source: file` reads a file").help("remove `file`, or write source: file")))
        }
        (_, Some(file)) => from_file(&file, &partners?),
        // Nobody looks at it.
        (_, None) => Ok(Default::default()),
    }
}

fn from_file(entry: &Entry<'_>, partners: &[Partner]) -> Read<(PathBuf, Vec<IpNet>)> {
    let path = entry.typed::<&str>()?;
    let bytes = super::file(entry, path)?;
    let unfit = |error: &dyn std::fmt::Display| entry.wrong(Fault::new(format!("`{path}`: {error}")));
    let list = entry.loading.world.ranges(&bytes, partners).map_err(|error| unfit(&error))?;
    let list = ranges::admissible(list).map_err(|error| unfit(&error))?;
    Ok((path.into(), list))
}
