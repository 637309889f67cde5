//! The JSON Schema of the configuration, by which editors complete, explain and check while somebody types.

/// The schema, draft 07 of JSON Schema: the newest that the YAML support of editors takes.
///
/// It refuses nothing that [`load`](crate::load) takes. What one file by itself does not show, it leaves to `load`: other files, names,
/// what sections have to agree on.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("schema.json")
}
