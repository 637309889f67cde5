//! What loads and deserves a word.

use super::*;
use crate::Occasion;

fn check(text: &str, expected: &[(&str, &str)]) {
    let warnings = right(text).warnings;
    let found: Vec<_> = warnings.iter().map(|warning| (place(warning), warning.message.as_str())).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((place, message), (expected, fragment)) in found.iter().zip(expected) {
        assert!(place == expected && message.contains(fragment), "{place} {message}\n{expected} {fragment}");
    }
}

#[test]
fn an_upstream_that_no_route_uses() {
    let text = format!("{MINIMAL}  spare:\n    servers: [\"127.0.0.1:1\"]\n");
    check(&text, &[("13:3 upstreams.spare", "no route uses this upstream")]);
}

#[test]
fn a_certificate_that_has_expired() {
    let expected = [("7:26 hosts[0].certificate.chain", "the certificate expired on 2024-12-31T18:00:00Z")];
    check(&with(MINIMAL, "shop.pem", "old.pem"), &expected);
}

#[test]
fn cas_out_of_force_beside_one_in_force() {
    let text = with(MINIMAL, "{mode: require}", "{mode: require, trust: [ca-old.pem, cloudflare, ca-new.pem]}");
    let expected = [
        ("8:42 hosts[0].origin_pull.trust[0]", "not in force matches nothing: CN=old"),
        ("8:66 hosts[0].origin_pull.trust[2]", "not in force matches nothing: CN=new"),
    ];
    check(&text, &expected);
}

#[test]
fn a_host_that_no_listener_serves() {
    let text = with(MINIMAL, "8443\"}", "8443\", hosts: [shop]}");
    let other = "  - name: other
    hostnames: [other.example.com]
    origin_pull: {mode: off}
    routes: [{name: all, respond: {status: 404}}]
upstreams:";
    check(&with(&text, "upstreams:", other), &[("11:5 hosts[1]", "no listener serves this host")]);
}

#[test]
fn a_network_with_more_bits_than_its_prefix() {
    let text = with(MINIMAL, "8443\"}", "8443\", sources: [10.0.0.7/8, \"::ffff:10.0.0.0/104\"]}");
    check(&text, &[("3:51 listeners[0].sources[0]", "10.0.0.7/8 means 10.0.0.0/8")]);
}

/// What has run out is let in at the start, where nothing better serves, and refused at a reload.
#[test]
fn what_has_run_out_warns_at_the_start_and_is_refused_at_a_reload() {
    let table = [
        ("chain: shop.pem", "chain: old.pem", "7:26 hosts[0].certificate.chain", "the certificate expired on"),
        (
            "key: shop.key",
            "key: shop.key, ocsp: old.ocsp",
            "7:57 hosts[0].certificate.ocsp",
            "ran out on 2024-12-31T18:00:00Z and is not stapled",
        ),
        (
            "{mode: require}",
            "{mode: require, trust: [ca.pem], crl: ca-old.crl}",
            "8:56 hosts[0].origin_pull.crl",
            "it ends 2025-01-01T00:00:00Z, and what it covers is refused",
        ),
    ];
    for (from, to, at, message) in table {
        let text = with(MINIMAL, from, to);
        check(&text, &[(at, message)]);
        let reloading = Village { occasion: Occasion::Reload, ..Village::default() };
        let problems = load("test.yaml", &text, &reloading).unwrap_err();
        let [problem] = problems.list() else { panic!("{problems}") };
        assert!(place(problem) == at && problem.message.contains(message), "{problems}");
    }
}
