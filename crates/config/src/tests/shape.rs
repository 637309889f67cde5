//! YAML that does not have the shape of a configuration.

use super::*;

fn check(text: &str, expected: &[&str]) {
    let problems = wrong(text);
    let found: Vec<String> =
        problems.list().iter().map(|problem| format!("{}: {}", place(problem), problem.message)).collect();
    assert_eq!(found, expected, "{text}\n{problems}");
}

#[test]
fn a_file_without_a_document_is_empty() {
    for text in ["", "\n\n", "# nothing yet\n", "---\n", "\u{feff}", "--- # nothing\n...\n"] {
        check(text, &["1:1 : the file is empty"]);
    }
}

#[test]
fn a_document_is_a_map() {
    check("[]", &["1:1 : expected a map, found a list"]);
    check("version", &["1:1 : expected a map, found `version`"]);
    check("~", &["1:1 : expected a map, found nothing"]);
}

#[test]
fn a_syntax_error_has_its_place() {
    let table = [
        ("version: 1\nhosts: [a, b\nadmin: {}\n", 3, 6),
        ("version: 1\n\tadmin: {}\n", 1, 10),
        ("version: 1\nadmin: *unknown\n", 2, 8),
        ("version: 1\nadmin: 'open\n", 2, 8),
        ("version: 1\n  admin: {}\n", 2, 8),
        ("%YAML\n", 1, 1),
        ("a: b: c\n", 1, 5),
    ];
    for (text, line, column) in table {
        let problems = wrong(text);
        let [problem] = problems.list() else { panic!("{problems}") };
        assert_eq!((problem.at.line, problem.at.column), (line, column), "{problems}");
        assert!(problem.message.starts_with("this is not YAML: "), "{problems}");
    }
}

#[test]
fn every_flaw_of_the_shape_is_found_beside_the_others() {
    let text = format!(
        "{}{}",
        with(
            MINIMAL,
            "version: 1\n",
            "version: 1\nlog: {level: info, level: debug, format: !!str json}\n? [a]\n: 1\n<<: {}\n: 2\n"
        ),
        "runtime: !mine {drain: 10}\n"
    );
    check(
        &text,
        &[
            "2:20 log.level: duplicate key; line 2 has it already",
            "2:42 log.format: YAML tags have no meaning here",
            "3:3 : a key has to be plain text",
            "5:1 : merge keys (`<<`) are not supported",
            "6:1 : a key is missing in front of the colon",
            "18:10 runtime: YAML tags have no meaning here",
            "18:24 runtime.drain: `10` has no unit",
        ],
    );
}

#[test]
fn a_second_document_is_refused() {
    check(&format!("{MINIMAL}---\nversion: 1\n"), &["13:1 : a second document starts here"]);
}

#[test]
fn aliases_stand_for_what_they_name() {
    let text = with(MINIMAL, "origin_pull: {mode: require}", "origin_pull: &pull {mode: require}");
    let more = "  - name: api
    hostnames: [&name api.example.com]
    certificate: {chain: shop.pem, key: shop.key}
    origin_pull: *pull
    headers: {set: {X-Name: *name}}
    routes: [{name: all, upstream: shop}]
upstreams:";
    let config = right(&with(&text, "upstreams:", more)).config;
    assert_eq!(config.hosts[1].rule.headers.set.len(), 1);
    assert!(config.hosts[1].rule.origin_pull.trust().is_some());
}

#[test]
fn what_an_alias_names_is_complained_about_where_the_alias_stands() {
    let text = with(MINIMAL, "upstream: shop}", "upstream: &name shp}\n      - {name: b, path: /b, upstream: *name}");
    check(
        &text,
        &[
            "10:31 hosts[0].routes[0].upstream: there is no upstream `shp`",
            "11:39 hosts[0].routes[1].upstream: there is no upstream `shp`",
        ],
    );
}

#[test]
fn an_alias_cannot_hold_itself() {
    check("version: &a [*a]\n", &["1:14 version[0]: this alias stands within what it stands for"]);
}

#[test]
fn a_small_text_cannot_grow_without_bound() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let problems = wrong(&laughs);
    assert!(problems.list()[0].message.contains("more than 100000 values"), "{problems}");
    let wide = format!("a: [{}]\n", "x, ".repeat(100_001));
    assert!(wrong(&wide).list()[0].message.contains("more than 100000 values"));
}

#[test]
fn nesting_has_an_end() {
    let flow = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    let block = format!("a:\n  {}x", "- ".repeat(100_000));
    let mut aliases = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        aliases.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    for text in [flow, block, aliases] {
        let problems = wrong(&text);
        assert!(problems.list()[0].message.contains("nested more than 64 deep"), "{}", problems.list()[0].message);
    }
}

#[test]
fn columns_count_characters_and_lines_end_as_they_like() {
    let text = with(MINIMAL, "routes:", "headers: {set: {X-Ä: x, \"X-é\": \"ö\"}, remov: []}\n    routes:");
    for text in [text.replace('\n', "\r\n"), text] {
        let problems = wrong(&text);
        let expected =
            ["9:21 hosts[0].headers.set.X-Ä", "9:29 hosts[0].headers.set.X-é", "9:42 hosts[0].headers.remov"];
        assert_eq!(places(problems.list()), expected, "{problems}");
    }
}

#[test]
fn keys_that_would_blur_a_path_stand_in_quotes() {
    let problems = wrong("version: 1\n\"a.b\": 1\n'': 1\n\"c\\nd\": {}\n");
    let unknown: Vec<_> = places(problems.list()).into_iter().filter(|place| place.contains('"')).collect();
    assert_eq!(unknown, ["2:1 \"a.b\"", "4:1 \"c\\nd\""]);
}
