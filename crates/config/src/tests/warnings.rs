//! What loads and deserves a word.

use super::*;
use pullgate_policy::origin_pull::RevocationList;
use sha2::{Digest, Sha256};
use std::path::Path;

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
fn a_list_that_is_asked_for_too_often() {
    let text = with(MINIMAL, "version: 1\n", "version: 1\ncloudflare: {ranges: {refresh: 59s}}\n");
    check(&text, &[("2:32 cloudflare.ranges.refresh", "a few times a year")]);
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
        let reloading = Village { in_force: Some(vec![]), ..Village::default() };
        let problems = load("test.yaml", &text, &reloading).unwrap_err();
        let [problem] = problems.list() else { panic!("{problems}") };
        assert!(place(problem) == at && problem.message.contains(message), "{problems}");
        // What serves already is no worse than itself: it must not stand in the way of the rest.
        let serving = Village { in_force: Some(digests()), ..Village::default() };
        assert_eq!(load("test.yaml", &text, &serving).unwrap().warnings.len(), 1);
    }
}

/// The SHA-256 of every file, and of the list that has run out.
fn digests() -> Vec<[u8; 32]> {
    let files = Village::default().files;
    let list = &RevocationList::from_pem(&files[Path::new("ca-old.crl")]).unwrap()[0];
    files.values().map(|file| Sha256::digest(file).into()).chain([list.fingerprint()]).collect()
}

#[test]
fn pins_of_the_certificate_that_every_account_shows() {
    let pin = "\"eOa3RzrL5KqXbeLkjHXXpzAqNCnfDBmiJxyyjuAd6Ac=\"";
    let rule = |trust: &str| with(MINIMAL, "{mode: require}", &format!("{{mode: require, pins: [{pin}]{trust}}}"));
    let expected = [("8:40 hosts[0].origin_pull.pins", "a pin of it proves nothing")];
    check(&rule(""), &expected);
    check(&rule(", trust: [cloudflare, ca.pem]"), &[]);
}

/// A list that has run out beside a newer one of the same CA says nothing, and does no harm.
#[test]
fn an_old_list_beside_a_new_one() {
    let both = ["ca.crl", "ca-old.crl"].map(|name| Village::default().files[Path::new(name)].clone());
    let text = with(MINIMAL, "{mode: require}", "{mode: require, trust: [ca.pem], crl: both.crl}");
    for in_force in [None, Some(vec![])] {
        let mut village = Village { in_force, ..Village::default() };
        village.files.insert("both.crl".into(), both.concat());
        assert_eq!(load("test.yaml", &text, &village).unwrap().warnings, []);
    }
}

/// Whoever asks the shared CA for a certificate chooses its subject.
#[test]
fn subjects_that_anybody_may_have() {
    let keys = |headers: &str, policy: &str| {
        let policy = format!("{{kind: client-certificate, subjects: [\"CN=alice\"]{policy}}}");
        let visitor = format!("    visitor: {{client_certificate: {{headers: {headers}}}}}\n");
        with(MINIMAL, "    routes:", &format!("{visitor}    policies: [{policy}]\n    routes:"))
    };
    let expected = [("10:53 hosts[0].policies[0].subjects", "others may have a certificate with this subject")];
    let fingerprint = format!(", fingerprints: [{}]", "ab".repeat(32));
    for headers in ["rfc9440", "cf-cert"] {
        check(&keys(headers, ""), &expected);
        check(&keys(headers, &fingerprint), &[]);
    }
    check(&keys("rfc9440", ", trust: [ca.pem]"), &[]);
    check(&keys("cf-client-cert", ", trust: [ca.pem]"), &[]);
    check(&keys("cf-client-cert", &fingerprint), &[]);
}
