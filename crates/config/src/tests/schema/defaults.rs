//! The defaults that the schema tells are those that the readers take.

use super::tree::{at, parts, places};
use super::*;
use std::collections::BTreeSet;

/// What becomes of a value, without the hash of its text.
fn loaded(value: &Value) -> Option<String> {
    let mut config = load("test.json", &value.to_string(), &Village::default()).ok()?.config;
    config.text = [0; 32];
    Some(format!("{config:?}"))
}

/// The least configuration, with every section that may be left out written as an empty one.
fn least() -> Value {
    let mut value = value_of(MINIMAL);
    let empty = json!({
        "runtime": {}, "admin": {}, "log": {"redact": {}}, "tls": {}, "cloudflare": {"ranges": {}, "access": {}},
    });
    value.as_object_mut().unwrap().extend(empty.as_object().unwrap().clone());
    value["listeners"][0]["limits"] = json!({});
    for section in ["visitor", "request", "headers", "response_headers"] {
        value["hosts"][0][section] = json!({});
    }
    value["upstreams"]["shop"]["timeouts"] = json!({});
    value
}

#[test]
fn every_default_that_is_told_is_the_one_that_is_taken() {
    let mut compared = BTreeSet::new();
    for base in [least(), value_of(include_str!("../complete.yaml"))] {
        for (place, _) in places(&base).into_iter().filter(|(_, found)| found.is_object()) {
            let known = parts(&base, &place).into_iter().filter_map(|part| part.get("properties")?.as_object());
            for (key, part) in known.flatten() {
                let Some(default) = part.get("default") else { continue };
                let mut absent = base.clone();
                at(&mut absent, &place).as_object_mut().unwrap().remove(key);
                let mut written = base.clone();
                at(&mut written, &place)[key] = default.clone();
                // Without the key, or with the default, this one may not be a configuration.
                if let (Some(absent), Some(written)) = (loaded(&absent), loaded(&written)) {
                    assert_eq!(absent, written, "{}.{key}", tree::path(&place));
                    compared.insert(std::ptr::from_ref(part));
                }
            }
        }
    }
    for (key, part, _) in described(&SCHEMA).into_iter().filter(|(_, part, _)| part.get("default").is_some()) {
        assert!(compared.contains(&std::ptr::from_ref(part)), "nobody saw the default of {key}: {part}");
    }
    assert!(compared.len() > 60, "{}", compared.len());
}

/// A default as somebody would write it.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Every key with what the schema says of it, and whether it is required.
fn described(schema: &'static Value) -> Vec<(&'static str, &'static Value, bool)> {
    let inner: Vec<&'static Value> = match schema {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    let is_required = |key: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|required| required == key))
    };
    let known = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let own = known.map(|(key, part)| {
        let pointer = part.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
        (key.as_str(), pointer.map_or(part, |pointer| SCHEMA.pointer(pointer).unwrap()), is_required(key))
    });
    own.chain(inner.into_iter().flat_map(described)).collect()
}

/// What somebody reads who points at a key: what it is, and what happens without it.
#[test]
fn every_key_says_what_it_is_and_what_happens_without_it() {
    let mut found = 0;
    // Conditions are no descriptions.
    let conditions = |part: &Value| part.get("description").is_none() && part.get("default").is_none();
    let mut bare = Vec::new();
    for (key, part, is_required) in described(&SCHEMA) {
        if conditions(part) {
            bare.push(key);
            continue;
        }
        let description = part["description"].as_str().unwrap();
        assert!(!description.is_empty(), "{key}");
        assert_eq!(is_required, description.ends_with(" Required."), "{key}: {description}");
        if let Some(default) = part.get("default") {
            assert!(description.ends_with(&format!(" Default: {}.", flow(default))), "{key}: {description}");
        }
        found += 1;
    }
    bare.sort_unstable();
    bare.dedup();
    // In `if` and `then`, and where a policy's kind repeats the keys that all kinds have.
    assert_eq!(
        bare,
        ["crl", "file", "kind", "location", "mode", "name", "pins", "respond", "source", "status", "trust", "upstream"]
    );
    assert!(found > 100, "{found}");
}
