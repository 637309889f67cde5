//! Key `request` of a host: what its requests may be.

use super::routes;
use crate::entry::Entry;
use crate::loading::Read;
use crate::section::Section;
use crate::size::size;
use http::Method;
use pullgate_policy::request::RequestLimits;

pub(super) fn read(section: &mut Section<'_>) -> Read<RequestLimits> {
    let body_bytes = section.or("body_bytes", RequestLimits::default().body_bytes, |entry| entry.written(size));
    let methods = section.or("methods", RequestLimits::default().methods, methods);
    Ok(RequestLimits { body_bytes: body_bytes?, methods: methods? })
}

fn methods(entry: &Entry<'_>) -> Read<Vec<Method>> {
    routes::method_list(entry, "a method")
}
