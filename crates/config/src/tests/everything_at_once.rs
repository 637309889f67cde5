//! One load finds everything: no mistake hides another.

use super::*;

#[test]
fn eight_mistakes_are_eight_problems() {
    let text = "\
version: 2
runtime: {workers: 0}
listeners:
  - {name: https, address: \"8443\", hosts: [shpo]}
hosts:
  - name: shop
    hostnames: [shop.example.com, \"*\"]
    certificate: {chain: shop.pem, key: nowhere.key}
    origin_pull: {mode: requir}
    routes:
      - {name: all, upstream: app}
upstreams:
  shop: {servers: [\"127.0.0.1:9000\"]}
";
    let problems = wrong(text);
    let expected = [
        "1:10 version",
        "2:20 runtime.workers",
        "4:28 listeners[0].address",
        "4:44 listeners[0].hosts[0]",
        "7:35 hosts[0].hostnames[1]",
        "8:41 hosts[0].certificate.key",
        "9:25 hosts[0].origin_pull.mode",
        "11:31 hosts[0].routes[0].upstream",
    ];
    assert_eq!(places(problems.list()), expected, "{problems}");
    assert_eq!(problems.to_string().matches(": error: ").count(), 8);
    assert!(problems.to_string().ends_with("\n8 problems"));
    assert_eq!(problems.file(), "test.yaml");
}

/// Of every two values that follow one another in the complete file, both are found wrong, whichever section they are in.
#[test]
fn two_mistakes_anywhere_are_both_found() {
    let complete = include_str!("complete.yaml");
    let lines: Vec<&str> = complete.lines().collect();
    let scalars: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].split_once(": ").is_some_and(|(_, value)| !value.starts_with(['{', '['])))
        .filter(|at| !lines[*at].contains("null") && !lines[*at].contains("kind: "))
        .collect();
    let broken = |breaks: &[usize]| -> Vec<String> {
        let line = |(at, line): (usize, &&str)| match line.split_once(": ") {
            Some((key, _)) if breaks.contains(&at) => format!("{key}: {{x: y}}\n"),
            _ => format!("{line}\n"),
        };
        places(wrong(&lines.iter().enumerate().map(line).collect::<String>()).list())
    };
    assert!(scalars.len() > 40, "{}", scalars.len());
    for (one, other) in scalars.iter().zip(scalars.iter().skip(1)) {
        let both = broken(&[*one, *other]);
        for at in [one, other] {
            let own = format!("{}:", at + 1);
            assert!(both.iter().any(|place| place.starts_with(&own)), "line {own} of {both:#?}");
        }
    }
}

#[test]
fn a_listener_that_cannot_be_read_makes_no_problem_of_certificates() {
    let without = with(MINIMAL, "    certificate: {chain: shop.pem, key: shop.key}\n", "");
    for text in [MINIMAL, &without] {
        let text = with(text, "name: https, ", "name: https, protocol: htps, ");
        assert_eq!(places(wrong(&text).list()), ["3:29 listeners[0].protocol"]);
        let no_listeners = with(&text, "listeners:", "listener:");
        assert_eq!(places(wrong(&no_listeners).list()), ["2:1 listener"]);
    }
}

#[test]
fn a_listener_with_another_mistake_still_tells_which_hosts_need_certificates() {
    let text = with(MINIMAL, "    certificate: {chain: shop.pem, key: shop.key}\n", "");
    let text = with(&text, "name: https, ", "name: https, limits: {header_timeout: 1}, ");
    let expected = ["3:44 listeners[0].limits.header_timeout", "5:5 hosts[0].certificate"];
    assert_eq!(places(wrong(&text).list()), expected);
}
