//! Section `log`.

use crate::closest::closest;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::model::{AccessLog, Log, LogFormat, LogLevel};
use crate::section::Section;

pub(super) fn read(section: &mut Section<'_>) -> Read<Log> {
    let level = section.or("level", LogLevel::Info, Entry::typed);
    let format = section.or("format", LogFormat::Json, Entry::typed);
    let access = section.or("access", AccessLog::Stdout, |entry| entry.parsed(access));
    let redact_query = section.subsection("redact", |redact| {
        redact.or("query", Vec::new(), |names| names.list(|name| name.parsed(parameter)))
    });
    Ok(Log { level: level?, format: format?, access: access?, redact_query: redact_query? })
}

fn access(text: &str) -> Result<AccessLog, Fault> {
    match text {
        "stdout" => Ok(AccessLog::Stdout),
        "off" => Ok(AccessLog::Off),
        // A bare word is a slip more likely than a file: `stderr` would silently become one.
        _ if text.contains(['/', '.']) => Ok(AccessLog::File(text.into())),
        _ => {
            let help = closest(text, ["stdout", "off"]).map_or_else(
                || format!("write ./{text} for a file of this name"),
                |word| format!("did you mean `{word}`?"),
            );
            Err(Fault::new(format!("expected stdout, off or a path, found `{text}`")).help(help))
        }
    }
}

fn parameter(text: &str) -> Result<String, Fault> {
    if text.is_empty() { Err(Fault::new("the name of a parameter is empty")) } else { Ok(text.to_owned()) }
}
