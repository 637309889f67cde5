//! Section `tracing`: whether requests become spans, and where those go.

use super::lacks_port;
use crate::loading::{Fault, Read};
use crate::model::{TRACES_PATH, Tracing};
use crate::section::Section;
use http::Uri;
use pullgate_policy::Sample;

pub(super) fn read(section: &mut Section<'_>) -> Read<Tracing> {
    let otlp = section.required("otlp", |entry| entry.parsed(collector));
    let sample = section.or("sample", Sample::default(), |entry| entry.written(sample));
    Ok(Tracing { otlp: otlp?, sample: sample? })
}

fn collector(text: &str) -> Result<Uri, Fault> {
    let fault = |what: &str| Fault::new(format!("`{text}` {what}")).help("write http://127.0.0.1:4318, for instance");
    let url: Uri = text.parse().map_err(|_| fault("is not the URL of a collector"))?;
    let authority = url.authority().filter(|authority| !authority.host().is_empty());
    let (Some("http" | "https"), Some(authority)) = (url.scheme_str(), authority) else {
        return Err(fault("is not the http or https URL of a collector"));
    };
    match url.path().trim_end_matches('/') {
        _ if authority.as_str().contains('@') => Err(fault("has a user in it, which nobody would be told")),
        _ if text.contains(['?', '#']) => Err(fault("has a query or a fragment, and the path goes on behind it")),
        path if path.ends_with(TRACES_PATH) => {
            let base = text.trim_end_matches('/').trim_end_matches(TRACES_PATH);
            Err(Fault::new(format!("`{TRACES_PATH}` is added by the gateway")).help(format!("write {base}")))
        }
        _ if lacks_port(authority) => Err(fault("has no port behind its colon")),
        _ => Ok(url),
    }
}

/// Digits behind the point of a percentage: one request of a million.
const PLACES: usize = 4;

fn sample(text: &str) -> Result<Sample, Fault> {
    let fault = |what: &str| Fault::new(format!("`{text}` {what}")).help("write 1%, 0.1% or 100%, for instance");
    let number = text.strip_suffix('%').map(str::trim_end).ok_or_else(|| fault("is not a percentage"))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return Err(fault("is not a percentage"));
    }
    if part.len() > PLACES {
        return Err(fault("is finer than one request of a million"));
    }
    let count = format!("{whole}{part:0<PLACES$}").parse().ok().and_then(Sample::of_a_million);
    count.ok_or_else(|| fault("is more than all requests"))
}
