//! Values and what the schema says of each place in them.

use super::SCHEMA;
use serde_json::Value;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Every place in a value, with what is there; the outermost first.
pub(super) fn places(value: &Value) -> Vec<(Vec<Step>, Value)> {
    let mut found = vec![(Vec::new(), value.clone())];
    let inner: Vec<(Step, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, inner)| (Step::Key(key.clone()), inner)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, inner)| (Step::Index(index), inner)).collect(),
        _ => Vec::new(),
    };
    for (step, inner) in inner {
        found.extend(places(inner).into_iter().map(|(place, value)| ([vec![step.clone()], place].concat(), value)));
    }
    found
}

/// The value at a place.
pub(super) fn at<'a>(value: &'a mut Value, place: &[Step]) -> &'a mut Value {
    place.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key],
        Step::Index(index) => &mut value[index],
    })
}

/// A place in the words of problems.
pub(super) fn path(place: &[Step]) -> String {
    place.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => crate::yaml::path_of(&path, key),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}

/// The parts of the schema that speak of a place in a value.
pub(super) fn parts(value: &Value, place: &[Step]) -> Vec<&'static Value> {
    let mut parts = applied(&SCHEMA, value);
    let mut value = value;
    for step in place {
        let inner = match step {
            Step::Key(key) => &value[key],
            Step::Index(index) => &value[index],
        };
        parts = parts.into_iter().filter_map(|part| below(part, step)).flat_map(|part| applied(part, inner)).collect();
        value = inner;
    }
    parts
}

/// The schema itself and what it refers to, as far as that is about this value.
fn applied(schema: &'static Value, value: &Value) -> Vec<&'static Value> {
    let mut found = vec![schema];
    if let Some(reference) = schema.get("$ref") {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#')).unwrap();
        found.extend(applied(SCHEMA.pointer(pointer).unwrap(), value));
    }
    for list in ["allOf", "anyOf"] {
        let inner = schema.get(list).and_then(Value::as_array);
        found.extend(inner.into_iter().flatten().flat_map(|inner| applied(inner, value)));
    }
    if schema.get("if").is_some_and(|condition| jsonschema::is_valid(condition, value)) {
        found.extend(applied(&schema["then"], value));
    }
    found
}

fn below(schema: &'static Value, step: &Step) -> Option<&'static Value> {
    match step {
        Step::Key(key) => schema
            .get("properties")
            .and_then(|known| known.get(key))
            .or_else(|| schema.get("additionalProperties").filter(|others| others.is_object())),
        Step::Index(_) => schema.get("items"),
    }
}
