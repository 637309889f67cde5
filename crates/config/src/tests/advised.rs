//! What works and deserves a second thought.

use super::*;

fn check(text: &str, expected: &[(&str, &str)]) {
    let found = advice(text, &right(text).config);
    let found: Vec<_> = found.iter().map(|problem| (place(problem), problem.message.as_str())).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((place, message), (expected, fragment)) in found.iter().zip(expected) {
        assert!(place == expected && message.contains(fragment), "{place} {message}\n{expected} {fragment}");
    }
}

/// The minimal configuration with a CA of its own.
fn own() -> String {
    with(MINIMAL, "{mode: require}", "{mode: require, trust: [ca.pem]}")
}

const SHARED: &str = "the only proof is the certificate that all Cloudflare accounts share";

#[test]
fn a_host_whose_only_proof_is_the_shared_certificate() {
    check(&own(), &[]);
    check(MINIMAL, &[("8:5 hosts[0].origin_pull", SHARED)]);
    let both = with(MINIMAL, "{mode: require}", "{mode: observe, trust: [cloudflare, ca.pem]}");
    check(&both, &[("8:5 hosts[0].origin_pull", SHARED)]);
    let proved = |policies: &str| with(&both, "ca.pem]}", &format!("ca.pem]}}\n    policies: [{policies}]"));
    check(&proved("{kind: proof, least: account}"), &[]);
    check(&proved("{kind: proof, least: edge}"), &[("8:5 hosts[0].origin_pull", SHARED)]);
    check(&proved("{kind: proof, least: account, mode: observe}"), &[("8:5 hosts[0].origin_pull", SHARED)]);
    let secret = |mode: &str| {
        let policy = format!("{{kind: edge-secret, mode: {mode}, header: X-Edge, values: [{{file: edge-a}}]}}");
        with(MINIMAL, "upstream: shop", &format!("upstream: shop, policies: [{policy}]"))
    };
    check(&secret("enforce"), &[]);
    check(&secret("observe"), &[("8:5 hosts[0].origin_pull", SHARED)]);
    // What the gateway answers itself reaches nobody.
    check(
        &with(
            MINIMAL,
            "upstream: shop}\nupstreams:\n  shop: {servers: [\"127.0.0.1:9000\"]}",
            "respond: {status: 404}}",
        ),
        &[],
    );
}

#[test]
fn certificates_of_visitors_that_anybody_may_send() {
    let told =
        |text: &str| with(text, "    routes:", "    visitor: {client_certificate: {headers: cf-cert}}\n    routes:");
    let off = with(MINIMAL, "{mode: require}", "{mode: off}");
    check(&off, &[]);
    check(&told(&off), &[("9:15 hosts[0].visitor.client_certificate", "can send the certificate of any visitor")]);
    check(&told(&own()), &[]);
    // Who is only watched is refused nothing.
    let watched = with(&own(), "mode: require", "mode: observe");
    check(&told(&watched), &[("9:15 hosts[0].visitor.client_certificate", "can send the certificate of any visitor")]);
    check(&told(MINIMAL), &[("8:5 hosts[0].origin_pull", SHARED)]);
    let answered = with(
        &told(&off),
        "upstream: shop}\nupstreams:\n  shop: {servers: [\"127.0.0.1:9000\"]}",
        "respond: {status: 404}}",
    );
    check(&answered, &[]);
}

#[test]
fn a_demand_that_nobody_can_meet() {
    let text = with(MINIMAL, "{mode: require}", "{mode: off}\n    policies: [{kind: proof, least: account}]");
    check(&text, &[("9:16 hosts[0].policies[0]", "no connection proves more than `network`")]);
    let text = with(MINIMAL, "{mode: require}", "{mode: require}\n    policies: [{kind: proof, least: account}]");
    check(&text, &[("9:16 hosts[0].policies[0]", "no connection proves more than `edge`")]);
    let watched = with(&text, "least: account", "least: account, mode: observe");
    check(&watched, &[("8:5 hosts[0].origin_pull", SHARED)]);
    let route = with(MINIMAL, "upstream: shop", "upstream: shop, policies: [{kind: proof, least: account}]");
    check(&route, &[("10:48 hosts[0].routes[0].policies[0]", "everybody is refused")]);
}

#[test]
fn listeners_that_let_anybody_in_or_answer_nobody() {
    let open = with(&own(), "8443\"}", "8443\", sources: any}");
    check(&open, &[("3:41 listeners[0].sources", "anybody may connect")]);
    let plain = |more: &str| {
        let listener = format!("  - {{name: http, address: \"127.0.0.1:80\", protocol: http{more}}}\nhosts:\n");
        with(&own(), "hosts:\n", &listener)
    };
    let silent = [("4:43 listeners[1].protocol", "every request for `shop` is answered 421")];
    check(&plain(""), &silent);
    check(&plain(", hosts: [shop]"), &silent);
    let redirect = "routes:\n      - {name: moved, protocol: http, respond: {status: 301, location: \"https://a.b/\"}}";
    check(&with(&plain(""), "routes:", redirect), &[]);
    check(&with(&plain(""), "routes:", &redirect.replace("protocol: http,", "protocol: https,")), &silent);
    check(&with(&plain(""), "{mode: require, trust: [ca.pem]}", "{mode: observe, trust: [ca.pem]}"), &[]);
}
