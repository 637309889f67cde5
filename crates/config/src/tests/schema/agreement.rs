//! One value after another is changed in a complete configuration: what the readers say of it, and what the schema says.

use super::tree::{at, parts, path, places};
use super::*;
use crate::section::NOT_YET;
use std::collections::BTreeSet;

/// What no key and no word of ours looks like.
const NONSENSE: &str = "zzzzzzzz";

fn complete() -> Value {
    value_of(include_str!("../complete.yaml"))
}

/// What the readers say; JSON is YAML.
fn problems(value: &Value) -> Vec<Problem> {
    match load("test.json", &value.to_string(), &Village::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list().to_vec(),
    }
}

fn find<'a>(problems: &'a [Problem], path: &str) -> Option<&'a Problem> {
    problems.iter().find(|problem| problem.key == path)
}

fn is_about(complaints: &[Complaint], path: &str) -> bool {
    complaints.iter().any(|complaint| complaint.paths.iter().any(|about| about == path))
}

/// The maps with known keys, and the keys that the schema knows there.
fn sections() -> impl Iterator<Item = (Vec<tree::Step>, BTreeSet<&'static str>)> {
    let complete = complete();
    places(&complete).into_iter().filter(|(_, found)| found.is_object()).filter_map(move |(place, _)| {
        let known = parts(&complete, &place).into_iter().filter_map(|part| part.get("properties")?.as_object());
        let keys: BTreeSet<&str> = known.flatten().map(|(key, _)| key.as_str()).collect();
        (!keys.is_empty()).then_some((place, keys))
    })
}

#[test]
fn the_schema_has_the_keys_that_the_readers_ask_for_and_no_others() {
    let mut found = 0;
    for (place, keys) in sections() {
        let mut value = complete();
        at(&mut value, &place)[NONSENSE] = json!(1);
        let path = path_of(&path(&place), NONSENSE);
        let problems = problems(&value);
        let help = find(&problems, &path).and_then(|problem| problem.help.as_deref()).unwrap();
        let asked: BTreeSet<&str> = help.strip_prefix("the keys here are ").unwrap().split(", ").collect();
        assert_eq!(asked.difference(&keys).collect::<Vec<_>>(), [&""; 0], "{path}");
        assert!(is_about(&complaints(&value), &path), "{path}");
        for key in keys.difference(&asked) {
            inert(&place, key);
        }
        found += 1;
    }
    assert!(found > 40, "{found}");
}

/// A key of a later version: its default loads, and nothing else.
fn inert(place: &[tree::Step], key: &str) {
    let mut value = complete();
    let default = parts(&value, place).into_iter().find_map(|part| part.get("properties")?.get(key)?.get("default"));
    at(&mut value, place)[key] = default.unwrap().clone();
    assert!(problems(&value).is_empty(), "{key}");
    at(&mut value, place)[key] = json!(NONSENSE);
    let path = path_of(&path(place), key);
    assert_eq!(find(&problems(&value), &path).map(|problem| problem.message.as_str()), Some(NOT_YET), "{path}");
    assert!(is_about(&complaints(&value), &path), "{path}");
}

/// Keys of a later version that may be there with a value that asks for nothing: the schema must let them pass.
#[test]
fn what_is_not_supported_yet_passes_where_it_asks_for_nothing() {
    for text in refused::texts() {
        for problem in wrong(&text).list().iter().filter(|problem| problem.message == NOT_YET) {
            let written = value_of(&text);
            let (place, _) = places(&written).into_iter().find(|(place, _)| path(place) == problem.key).unwrap();
            for inert in [json!(null), json!("http1")] {
                let mut value = written.clone();
                *at(&mut value, &place) = inert;
                let is_taken = find(&problems(&value), &problem.key).is_none();
                assert_eq!(is_taken, !is_about(&complaints(&value), &problem.key), "{value}");
            }
        }
    }
}

#[test]
fn what_the_readers_require_the_schema_requires() {
    for (place, keys) in sections() {
        for key in keys {
            let mut value = complete();
            at(&mut value, &place).as_object_mut().unwrap().remove(key);
            let path = path_of(&path(&place), key);
            let problems = problems(&value);
            let missing = find(&problems, &path).filter(|problem| problem.message.starts_with("missing"));
            // The schema does not know which listeners show a host.
            let is_known =
                missing.is_some_and(|problem| !problem.message.contains("an https listener serves this host"));
            assert_eq!(is_known, is_about(&complaints(&value), &path), "{path}: {missing:?}");
        }
    }
}

/// The words that a reader names: `expected a, b or c, found …`, without the forms that it describes.
fn words(problem: Option<&Problem>) -> BTreeSet<&str> {
    let expected = problem.and_then(|problem| problem.message.strip_prefix("expected ")?.split_once(", found `"));
    let alternatives = expected.map(|(words, _)| words).filter(|words| *words != "text").into_iter();
    let words = alternatives.flat_map(|words| words.split(", ").flat_map(|part| part.split(" or ")));
    words.filter(|word| !word.contains(' ')).collect()
}

#[test]
fn the_schema_has_the_words_that_the_readers_take_and_no_others() {
    let mut found = 0;
    for (place, _) in places(&complete()) {
        let path = path(&place);
        let parts = parts(&complete(), &place);
        let listed = parts.iter().filter_map(|part| part.get("enum")?.as_array()).flatten().filter_map(Value::as_str);
        let mut known: BTreeSet<&str> = listed.collect();
        let is_switch = |part: &&Value| part["type"].as_array().is_some_and(|kinds| kinds[0] == "boolean");
        if parts.iter().any(is_switch) {
            known.extend(["true", "false"]);
        }
        let mut value = complete();
        *at(&mut value, &place) = json!(NONSENSE);
        let problems = problems(&value);
        let problem = find(&problems, &path);
        match problem {
            // Its one value is the default, which another test loads.
            Some(problem) if problem.message == NOT_YET => continue,
            // The reader's words are those for a number.
            _ if path == "runtime.workers" => assert_eq!(known, BTreeSet::from(["auto"])),
            _ => assert_eq!(known, words(problem), "{path}: {problem:?}"),
        }
        found += known.len();
    }
    assert!(found > 100, "{found}");
}

const VARIABLE: &str = "${EMPTY:-1}";

/// Values of every type, and of no sense in most places.
fn others() -> [Value; 16] {
    [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(70000),
        json!(""),
        json!(NONSENSE),
        json!("1.2"),
        json!("10s"),
        json!("/x"),
        json!(VARIABLE),
        json!([]),
        json!([NONSENSE]),
        json!({}),
    ]
}

#[test]
fn whatever_loads_is_approved_and_no_wrong_type_is() {
    let complete = complete();
    let mut loaded = 0;
    for (place, _) in places(&complete) {
        for other in others() {
            let mut value = complete.clone();
            *at(&mut value, &place) = other.clone();
            let (problems, complaints) = (problems(&value), complaints(&value));
            if problems.is_empty() {
                assert!(complaints.is_empty(), "{}: {complaints:#?}", path(&place));
                loaded += 1;
            }
            let wrong_type = find(&problems, &path(&place)).filter(|problem| problem.message.starts_with("expected "));
            // What a variable holds shows in a load alone.
            let wrong_type = wrong_type.filter(|_| other != json!(VARIABLE));
            assert!(wrong_type.is_none() || !complaints.is_empty(), "{wrong_type:?}");
        }
    }
    assert!(loaded > 200, "{loaded}");
}
