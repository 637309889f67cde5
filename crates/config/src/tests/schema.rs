//! The schema for editors, held to the readers: it knows their keys, words and defaults, and refuses nothing that they take.

mod agreement;
mod defaults;
mod mistakes;
mod tree;

use super::*;
use crate::problem::unmarked;
use crate::yaml::{Content, Node, parse, path_of};
use crate::{scalar, schema};
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(schema()).unwrap());

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::validator_for(&SCHEMA).unwrap());

/// What the schema has against a value.
#[derive(Debug)]
struct Complaint {
    /// The paths that it may be about; more than one where several forms were possible.
    paths: Vec<String>,
    #[allow(dead_code, reason = "shown where a test fails")]
    message: String,
}

/// Panics where the schema refuses a text.
pub(super) fn approve(text: &str) {
    let complaints = complaints(&value_of(text));
    assert!(complaints.is_empty(), "{complaints:#?}\n{text}");
}

/// A text as an editor sees it: with its variables, and with its scalars as in YAML's core schema.
fn value_of(text: &str) -> Value {
    parse(unmarked(text)).0.as_ref().map_or(Value::Null, value)
}

fn value(node: &Node) -> Value {
    match &node.content {
        Content::Scalar(scalar) => scalar::typed(scalar).unwrap(),
        Content::List(nodes) => nodes.iter().map(value).collect(),
        Content::Map(entries) => {
            entries.iter().map(|(key, node)| (key.text.clone(), value(node))).collect::<Map<_, _>>().into()
        }
        Content::Faulty(_) => Value::Null,
    }
}

fn complaints(value: &Value) -> Vec<Complaint> {
    let complaint = |error: ValidationError<'_>| Complaint { paths: paths(&error), message: error.to_string() };
    VALIDATOR.iter_errors(value).map(complaint).collect()
}

fn paths(error: &ValidationError<'_>) -> Vec<String> {
    let map = path(error.instance_path());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|key| path_of(&map, key)).collect()
        }
        ValidationErrorKind::Required { property } => vec![path_of(&map, property.as_str().unwrap())],
        ValidationErrorKind::PropertyNames { error } => vec![path_of(&map, error.instance().as_str().unwrap())],
        ValidationErrorKind::AnyOf { context } => context.iter().flatten().flat_map(paths).collect(),
        _ => vec![map],
    }
}

/// A place in the words of problems.
fn path(location: &Location) -> String {
    location.iter().fold(String::new(), |path, segment| match segment {
        LocationSegment::Index(index) => format!("{path}[{index}]"),
        LocationSegment::Property(key) => path_of(&path, &key),
    })
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::draft7::meta::is_valid(&SCHEMA));
    assert_eq!(SCHEMA["$schema"], "http://json-schema.org/draft-07/schema#");
}

#[test]
fn every_configuration_of_ours_is_approved() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf");
    let mut files = 0;
    for folder in ["", "examples", "kubernetes/config", "systemd"] {
        for entry in std::fs::read_dir(conf.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                approve(&std::fs::read_to_string(path).unwrap());
                files += 1;
            }
        }
    }
    assert!(files >= 10, "{files}");
    approve(MINIMAL);
    approve(include_str!("complete.yaml"));
}

/// A variable may stand for every single value but null, which asks for nothing.
#[test]
fn variables_are_approved_wherever_they_are_read() {
    for (place, found) in tree::places(&value_of(include_str!("complete.yaml"))) {
        if !found.is_object() && !found.is_array() && !found.is_null() {
            let mut text = value_of(include_str!("complete.yaml"));
            *tree::at(&mut text, &place) = json!("${NAME:-default}");
            let complaints = complaints(&text);
            assert!(complaints.is_empty(), "{complaints:#?}");
        }
    }
}
