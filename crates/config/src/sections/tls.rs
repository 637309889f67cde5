//! Section `tls`.

use crate::entry::Entry;
use crate::loading::Read;
use crate::model::Tls;
use crate::section::Section;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
enum Version {
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

pub(super) fn read(section: &mut Section<'_>) -> Read<Tls> {
    let versions = section
        .or("versions", vec![Version::V1_2, Version::V1_3], |list| list.full_list("\"1.2\" or \"1.3\"", Entry::typed));
    let http2 = section.or("http2", true, Entry::typed);
    let versions = versions?;
    Ok(Tls { tls12: versions.contains(&Version::V1_2), tls13: versions.contains(&Version::V1_3), http2: http2? })
}
