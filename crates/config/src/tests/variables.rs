//! Variables of the environment in values.

use super::*;
use crate::interpolate::replaced;

fn environment(name: &str) -> Option<String> {
    Village::default().variables.get(name).cloned()
}

#[test]
fn variables_and_defaults() {
    let table = [
        ("plain", "plain"),
        ("${PORT}", "8443"),
        ("[::]:${PORT}/${HOST}", "[::]:8443/env.example.com"),
        ("${PORT:-1}", "8443"),
        ("${UNSET:-1}", "1"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${UNSET:-{x}", "{x"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:- spaced }", " spaced "),
        ("$PORT $ $$ costs 5$", "$PORT $ $$ costs 5$"),
        ("$${PORT}", "${PORT}"),
        ("a$${PORT}${PORT}", "a${PORT}8443"),
        ("${DOLLAR}", "${PORT}"),
    ];
    for (text, expected) in table {
        assert_eq!(replaced(text, &environment).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_cannot_be_replaced() {
    let table = [
        ("${UNSET}", "the environment has no variable `UNSET`", "set UNSET, or give a default: ${UNSET:-default}"),
        ("${PORT", "`${` is not closed", "write ${NAME} or ${NAME:-default}; $${ stands for a literal ${"),
        ("a${", "`${` is not closed", "write ${NAME} or ${NAME:-default}; $${ stands for a literal ${"),
        ("${}", "`` is not the name of a variable", "write ${NAME} or ${NAME:-default}"),
        ("${1ST}", "`1ST` is not the name of a variable", "write ${NAME} or ${NAME:-default}"),
        ("${A B}", "`A B` is not the name of a variable", "write ${NAME} or ${NAME:-default}"),
        ("${PORT-1}", "`PORT-1` is not the name of a variable", "write ${NAME} or ${NAME:-default}"),
    ];
    for (text, message, help) in table {
        let fault = replaced(text, &environment).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.help.as_deref()), (message, Some(help)), "{text}");
    }
}

#[test]
fn a_value_may_become_a_number_a_boolean_or_text_as_its_key_wants_it_with_quotes_or_without() {
    let idle =
        |value: &str| with(MINIMAL, "version: 1\n", &format!("version: 1\nruntime:\n  upstream_idle: {value}\n"));
    assert_eq!(right(&idle("${UNSET:-7}")).config.runtime.upstream_idle, 7);
    assert_eq!(right(&idle("${PORT}")).config.runtime.upstream_idle, 8443);
    // Inside { } and [ ] quotes are the only way to write a variable.
    assert_eq!(right(&idle("\"${PORT}\"")).config.runtime.upstream_idle, 8443);
    assert_eq!(
        right(&with(MINIMAL, "name: all", "name: \"${PORT}\"")).config.hosts[0].rule.routes[0].name.as_ref(),
        "8443"
    );
    let help = wrong(&with(MINIMAL, "name: all", "name: ${PORT}")).list()[0].help.clone();
    assert!(help.is_some_and(|help| help.contains("needs quotes")));
    let http2 = with(MINIMAL, "version: 1\n", "version: 1\ntls:\n  http2: ${UNSET:-false}\n");
    assert!(!right(&http2).config.tls.http2);
}

#[test]
fn a_variable_never_becomes_structure() {
    let text = with(MINIMAL, "[shop.example.com]", "[\"${LIST}\"]");
    assert_eq!(places(wrong(&text).list()), ["6:17 hosts[0].hostnames[0]"]);
    let list = with(MINIMAL, "    hostnames: [shop.example.com]", "    hostnames: ${LIST}");
    assert!(wrong(&list).list()[0].message.contains("expected a list, found `[a, b]`"));
}

#[test]
fn an_empty_variable_is_not_the_absence_of_a_key() {
    let text = with(MINIMAL, "version: 1\n", "version: 1\nlog:\n  level: ${UNSET:-}\n");
    assert_eq!(places(wrong(&text).list()), ["3:10 log.level"]);
    let null = with(MINIMAL, "version: 1\n", "version: 1\nlog:\n  level: ${UNSET:-null}\n");
    assert_eq!(places(wrong(&null).list()), ["3:10 log.level"]);
}

#[test]
fn a_value_that_cannot_be_replaced_is_reported_once() {
    let mut text = MINIMAL.to_owned();
    for (from, to) in [
        ("name: shop", "name: \"${A}\""),
        ("[shop.example.com]", "[\"${B}\", \"${HOST}\"]"),
        ("upstream: shop", "upstream: \"${C}\""),
    ] {
        text = with(&text, from, to);
    }
    let expected = ["5:11 hosts[0].name", "6:17 hosts[0].hostnames[0]", "10:31 hosts[0].routes[0].upstream"];
    let problems = wrong(&text);
    assert_eq!(places(problems.list()), expected, "{problems}");
}

#[test]
fn keys_are_not_looked_at() {
    let text = with(MINIMAL, "version: 1\n", "version: 1\n\"${PORT}\": 1\n");
    assert_eq!(places(wrong(&text).list()), ["2:1 \"${PORT}\""]);
}
