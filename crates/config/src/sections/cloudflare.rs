//! Section `cloudflare`: what counts as Cloudflare.

use super::networks;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::section::{Inert, NOT_YET, Section};
use ipnet::IpNet;
use pullgate_policy::{Networks, ranges};

/// Where the list of ranges comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Builtin,
    Api,
    File,
}

pub(super) fn read(section: &mut Section<'_>) -> Read<Networks> {
    let ranges = section.subsection("ranges", ranges);
    section.later(&[("api", Inert::Nothing)]);
    ranges
}

fn ranges(section: &mut Section<'_>) -> Read<Networks> {
    let source = section.or("source", Source::Builtin, source);
    let file = section.entry("file");
    let list = match (source, file) {
        (Ok(Source::File), None) => Err(section.demand("file", Fault::new("missing: `source: file` reads it"))),
        (Ok(Source::Builtin | Source::Api), Some(file)) => {
            Err(file
                .misplaced(Fault::new("only `source: file` reads a file").help("remove `file`, or write source: file")))
        }
        (_, Some(file)) => from_file(&file),
        (_, None) => Ok(ranges::builtin()),
    };
    let extra = section.or("extra", Vec::new(), networks::read);
    let inert = Inert::Nothing;
    section.later(&[("url", inert), ("refresh", inert), ("removal_grace", inert), ("networks", inert)]);
    source?;
    let (list, extra) = (list?, extra?);
    Ok(Networks::new(list.into_iter().chain(extra)))
}

fn source(entry: &Entry<'_>) -> Read<Source> {
    match entry.typed()? {
        Source::Api => Err(entry.wrong(Fault::new(NOT_YET).help("write source: builtin, or source: file"))),
        source => Ok(source),
    }
}

fn from_file(entry: &Entry<'_>) -> Read<Vec<IpNet>> {
    let path = entry.typed::<&str>()?;
    let bytes = super::file(entry, path)?;
    let list =
        entry.loading.world.ranges(&bytes).map_err(|error| entry.wrong(Fault::new(format!("`{path}`: {error}"))))?;
    ranges::admissible(list).map_err(|error| entry.wrong(Fault::new(format!("`{path}`: {error}"))))
}
