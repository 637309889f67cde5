//! Keys `headers` and `response_headers` of a host.

use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::section::Section;
use http::HeaderName;
use pullgate_policy::headers::HeaderRules;
use pullgate_policy::template::Template;

/// Names that belong to one connection, not to the message on it (RFC 9110 section 7.6.1): edits would break the framing.
const OF_THE_CONNECTION: [&str; 7] =
    ["connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"];

/// What `response_headers` removes, unless somebody says otherwise: the names of the origin's software.
pub(super) const TELLTALE: [HeaderName; 2] = [http::header::SERVER, HeaderName::from_static("x-powered-by")];

pub(super) fn read(section: &mut Section<'_>, removed: &[HeaderName]) -> Read<HeaderRules> {
    let set = section.or("set", Vec::new(), set);
    let remove = section.or("remove", removed.to_vec(), |list| list.list(|item| item.written(editable)));
    Ok(HeaderRules { remove: remove?, set: set? })
}

fn set(map: &Entry<'_>) -> Read<Vec<(HeaderName, Template)>> {
    let mut names = Unique::new("the header");
    map.named(|key, value| {
        let name = editable(key).map_err(|fault| value.misplaced(fault));
        let fresh = name.as_ref().map_or_else(|reported| Err(*reported), |name| names.claim(value, name.as_str()));
        let template = value.parsed(|text| text.parse::<Template>().map_err(Fault::new));
        fresh?;
        Ok((name?, template?))
    })
}

/// The name of a header.
pub(super) fn name(text: &str) -> Result<HeaderName, Fault> {
    text.parse().map_err(|_| Fault::new(format!("`{text}` is not the name of a header")))
}

fn editable(text: &str) -> Result<HeaderName, Fault> {
    let name = name(text)?;
    if OF_THE_CONNECTION.contains(&name.as_str()) {
        return Err(
            Fault::new(format!("`{text}` belongs to the connection, which the gateway looks after")).help("remove it")
        );
    }
    Ok(name)
}
