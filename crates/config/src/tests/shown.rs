//! How problems look.

use super::*;
use crate::{Location, Severity};

#[test]
fn a_problem_shows_its_line_its_column_and_the_way_out() {
    let text = with(MINIMAL, "mode: require", "mode: requir");
    assert_eq!(
        wrong(&text).to_string(),
        "\
test.yaml:8:25: error: hosts[0].origin_pull.mode: expected off, observe or require, found `requir`
 8 |     origin_pull: {mode: requir}
   |                         ^
  help: did you mean `require`?

1 problem"
    );
}

#[test]
fn the_gutter_is_as_wide_as_the_number_and_the_count_comes_last() {
    let text = with(&with(MINIMAL, "servers:", "sever:"), "version: 1", "version: 2");
    assert_eq!(
        wrong(&text).to_string(),
        "\
test.yaml:1:10: error: version: `2` is not a version this build reads
 1 | version: 2
   |          ^
  help: write version: 1

test.yaml:12:10: error: upstreams.shop.sever: unknown key
 12 |   shop: {sever: [\"127.0.0.1:9000\"]}
    |          ^
  help: did you mean `servers`?

2 problems"
    );
}

#[test]
fn a_warning_looks_alike() {
    let text = with(MINIMAL, "upstreams:\n", "upstreams:\n  spare: {servers: [\"127.0.0.1:9001\"]}\n");
    let warnings = right(&text).warnings;
    assert_eq!(
        warnings[0].show(Severity::Warning, "test.yaml", &text).to_string(),
        "\
test.yaml:12:3: warning: upstreams.spare: no route uses this upstream
 12 |   spare: {servers: [\"127.0.0.1:9001\"]}
    |   ^
"
    );
}

#[test]
fn places_that_do_not_exist_and_control_characters_do_no_harm() {
    let at = Location { line: 7, column: 3 };
    let problem = Problem { at, key: String::new(), message: "a\x1b[31mb".into(), help: Some("c\nd".into()) };
    let shown = problem.show(Severity::Error, "f", "one line").to_string();
    assert_eq!(shown, "f:7:3: error: a\u{fffd}[31mb\n  help: c\u{fffd}d\n");
    let nowhere = Problem { at: Location { line: 0, column: 0 }, ..problem.clone() };
    assert!(nowhere.show(Severity::Error, "f", "one line").to_string().starts_with("f:0:0: error: "));
    let tabs = Problem { at: Location { line: 1, column: 3 }, ..problem };
    assert!(tabs.show(Severity::Error, "f", "\ta\x07b").to_string().contains(" 1 | \ta\u{fffd}b\n   | \t ^\n"));
}

#[test]
fn problems_go_into_json() {
    let problems = wrong(&with(MINIMAL, "version: 1", "version: 2"));
    let json = serde_json::to_value(problems.list()).unwrap();
    let expected = serde_json::json!([{
        "at": {"line": 1, "column": 10},
        "key": "version",
        "message": "`2` is not a version this build reads",
        "help": "write version: 1",
    }]);
    assert_eq!(json, expected);
}

#[test]
fn what_a_key_file_holds_is_never_shown() {
    let problems = wrong(&with(MINIMAL, "shop.key", "broken.key"));
    assert_eq!(places(problems.list()), ["7:41 hosts[0].certificate.key"]);
    assert!(!format!("{problems}{problems:?}").contains("SECRET-BYTES"));
    let config = right(MINIMAL).config;
    assert!(!format!("{config:?}").contains("key 1"));
    for (files, problems) in [("{file: edge-a}, {file: edge-b}", 0), ("{file: edge-short}, {file: edge-lines}", 2)] {
        let policies = format!("    policies: [{{kind: edge-secret, header: X-Edge, values: [{files}]}}]\n    routes:");
        let loaded = load("test.yaml", &with(MINIMAL, "    routes:", &policies), &Village::default());
        assert_eq!(loaded.as_ref().err().map_or(0, |problems| problems.list().len()), problems);
        assert!(!format!("{loaded:?}").contains("SECRET-BYTES"));
    }
}
