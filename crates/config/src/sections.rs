//! The whole configuration: its sections in the order in which they need one another.

mod admin;
mod certificate;
mod client_certificate;
mod cloudflare;
mod headers;
mod hosts;
mod kernel_filter;
mod limits;
mod listeners;
mod log;
mod networks;
mod origin_pull;
mod policies;
mod request;
mod routes;
mod runtime;
mod tls;
mod tracing;
mod upstreams;
mod visitor;

pub(crate) use runtime::STATE_DIR;

use crate::closest::did_you_mean;
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::model::{Cloudflare, Config};
use crate::yaml::{Content, Node};
use http::uri::Authority;
use rustls_pki_types::UnixTime;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Reads the root of the tree.
pub(crate) fn read(root: &Entry<'_>) -> Read<Config> {
    let upstream_names = upstreams::Names::of(root.node);
    let host_names = listeners::HostNames::of(root.node);
    let mut addresses = Unique::new("the address");
    root.section(|section| {
        let version = section.required("version", version);
        let runtime = section.subsection("runtime", runtime::read);
        let admin = section.subsection("admin", |admin| admin::read(admin, &mut addresses));
        let log = section.subsection("log", log::read);
        let cloudflare = section.subsection("cloudflare", cloudflare::read);
        let tls = section.subsection("tls", tls::read);
        let mut exposure = listeners::Exposure::default();
        let ranges = cloudflare.as_ref().ok().map(Cloudflare::networks);
        let listeners = section.required("listeners", |list| {
            listeners::read(list, &host_names, addresses, &mut exposure, ranges.as_ref())
        });
        let hosts = section.required("hosts", |list| hosts::read(list, &exposure, &upstream_names));
        let upstreams = section.optional("upstreams", |map| upstreams::read(map, &upstream_names));
        let tracing = section.optional("tracing", |entry| entry.section(tracing::read));
        version?;
        Ok(Config {
            text: root.loading.text,
            runtime: runtime?,
            admin: admin?,
            log: log?,
            tracing: tracing?,
            cloudflare: cloudflare?,
            listeners: listeners?,
            tls: tls?,
            hosts: hosts?,
            upstreams: upstreams?.unwrap_or_default(),
        })
    })
}

fn version(entry: &Entry<'_>) -> Read<()> {
    match entry.typed::<u64>()? {
        1 => Ok(()),
        other => {
            Err(entry
                .wrong(Fault::new(format!("`{other}` is not a version this build reads")).help("write version: 1")))
        }
    }
}

/// The name of a listener, host, route or policy: a label in metrics.
fn label(text: &str) -> Result<String, Fault> {
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if TAKEN.contains(&text) {
        return Err(Fault::new(format!("`{text}` is what metrics call something else")).help("choose another name"));
    }
    if (1..=LONGEST_LABEL).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(format!("`{text}` cannot be a label in metrics"));
    Err(fault.help(format!("use up to {LONGEST_LABEL} letters, digits, `-`, `_` and `.`")))
}

/// Labels of the gateway's own: a request that got to no host, and what refuses before the policies.
const TAKEN: [&str; 2] = ["none", "gate"];

/// Bytes of a label.
const LONGEST_LABEL: usize = 64;

/// The state's folder as it is written, for a look at it before anything is read.
pub(crate) fn state_dir(root: &Node) -> Option<PathBuf> {
    match &child(child(root, "runtime")?, "state_dir")?.content {
        Content::Scalar(scalar) if !scalar.text.is_empty() => Some(PathBuf::from(&scalar.text)),
        _ => None,
    }
}

/// The fault of a name that nothing has.
fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Fault {
    Fault::new(format!("there is no {what} `{name}`")).maybe_help(did_you_mean(name, known))
}

/// The value of a key, for a look at it before its section is read.
fn child<'a>(map: &'a Node, key: &str) -> Option<&'a Node> {
    let Content::Map(entries) = &map.content else { return None };
    entries.iter().find(|(given, _)| given.text == key).map(|(_, node)| node)
}

/// Whether there is no port behind the colon of an authority without a user: whoever asks for the port would get that of the scheme.
fn lacks_port(authority: &Authority) -> bool {
    authority.port_u16().is_none_or(|port| port == 0) && authority.as_str() != authority.host()
}

/// The bytes of the file that a value names.
fn file(entry: &Entry<'_>, path: &str) -> Read<Vec<u8>> {
    entry.loading.world.read(path.as_ref()).map_err(|error| entry.wrong(unreadable(path, &error)))
}

fn unreadable(path: &str, error: &io::Error) -> Fault {
    Fault::new(format!("cannot read `{path}`: {error}"))
}

/// A time as people write it, in UTC.
fn date(time: UnixTime) -> String {
    let mut text = String::new();
    let since_epoch = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    // The formatter refuses years of more than four digits.
    let written = since_epoch.map(|time| write!(text, "{}", humantime::format_rfc3339_seconds(time)));
    if let Some(Ok(())) = written { text } else { format!("second {} since 1970", time.as_secs()) }
}
