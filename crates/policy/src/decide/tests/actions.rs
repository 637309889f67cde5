//! What is done with a permitted request: the target, the answer, the operator's edits.

use super::*;
use crate::headers::HeaderRules;
use crate::routes::PathPattern;
use crate::template::Template;
use http::HeaderName;

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn header_rules(remove: &[&'static str], set: &[(&'static str, &str)]) -> HeaderRules {
    HeaderRules {
        remove: remove.iter().map(|field| name(field)).collect(),
        set: set.iter().map(|(field, template)| (name(field), template.parse().unwrap())).collect(),
    }
}

fn permit(arrival: &Arrival, rules: &Rules) -> Permit {
    arrival.ruling(rules).outcome.unwrap()
}

#[test]
fn a_permit_names_the_upstream_of_its_route() {
    let to = |path, index| Route { action: RouteAction::Upstream { index, strip_prefix: false }, ..route(path) };
    let rules = rules(vec![Host { routes: vec![to("/", 3), to("/api", 7)], ..shop() }]);
    for (target, expected) in [("/", 3), ("/api/x", 7)] {
        let permit = permit(&Arrival::good().asks("GET", target), &rules);
        let Action::Forward { upstream, target, .. } = permit.action() else { panic!("{permit:?}") };
        assert_eq!((*upstream, target), (expected, &None));
    }
}

#[test]
fn a_stripped_target_starts_with_a_slash_and_keeps_its_query() {
    let table = [
        ("/api", "/api", "/"),
        ("/api", "/api/", "/"),
        ("/api", "/api?x=1", "/?x=1"),
        ("/api", "/api/v2/x?y=/api", "/v2/x?y=/api"),
        ("/api", "/api/api", "/api"),
        ("/api", "/api/a%20b", "/a%20b"),
        ("/api/", "/api/x", "/x"),
        ("/", "/x?", "/x?"),
        ("=/api/x", "/api/x?y", "/?y"),
    ];
    for (path, target, expected) in table {
        let action = RouteAction::Upstream { index: 0, strip_prefix: true };
        let rules = rules(vec![Host { routes: vec![Route { action, ..route(path) }], ..shop() }]);
        let permit = permit(&Arrival::good().asks("GET", target), &rules);
        let Action::Forward { target: Some(stripped), .. } = permit.action() else { panic!("{permit:?}") };
        assert_eq!(String::from_utf8_lossy(stripped), expected, "{path} {target}");
    }
}

#[test]
fn the_gateway_answers_by_itself_what_policies_let_pass() {
    let location = Some(HeaderValue::from_static("https://shop.example.com/"));
    let action = RouteAction::Respond {
        status: StatusCode::PERMANENT_REDIRECT,
        location: location.clone().map(Template::Literal),
    };
    let refusing = vec![attached("guard", Mode::Enforce, Says(Err(Reason::NetworkDenied)))];
    let routes = vec![
        Route { action: action.clone(), ..route("/") },
        Route { action, policies: refusing, path: PathPattern::Exact("/guarded".into()), ..route("/guarded") },
    ];
    let rules = rules(vec![Host {
        routes,
        response_headers: header_rules(&[], &[("x-answer", "{visitor.address}")]),
        ..shop()
    }]);
    let answer = permit(&Arrival::good(), &rules);
    assert_eq!(*answer.action(), Action::Respond { status: StatusCode::PERMANENT_REDIRECT, location });
    assert_eq!(answer.response_edits().set, [(name("x-answer"), HeaderValue::from_static(VISITOR))]);
    assert_eq!(Arrival::good().asks("GET", "/guarded").outcome(&rules), Err(Reason::NetworkDenied));
}

#[test]
fn the_operators_edits_come_after_the_gateways_own() {
    let headers = header_rules(
        &["accept-language", "x-forwarded-proto", "x-set"],
        &[
            ("x-address", "{visitor.address}"),
            ("x-country", "from {visitor.country}"),
            ("x-trust", "{connection.trust}"),
            ("x-id", "{request.id}"),
            ("x-forwarded-host", "inner.example.com"),
            ("x-set", "one"),
        ],
    );
    let rules = rules(vec![Host { headers, ..shop() }]);
    let arrival = Arrival::good()
        .with("accept-language", "de")
        .with("x-set", "by the client")
        .with("x-set", "twice")
        .with("x-trust", "account")
        .with("x-other", "kept");
    let table: [(&str, &[&str]); 10] = [
        ("accept-language", &[]),
        ("x-forwarded-proto", &[]),
        ("x-address", &[VISITOR]),
        ("x-country", &["from XX"]),
        ("x-trust", &["network"]),
        ("x-id", &["000000000000feed"]),
        ("x-forwarded-host", &["inner.example.com"]),
        ("x-set", &["one"]),
        ("x-other", &["kept"]),
        ("host", &["shop.example.com"]),
    ];
    let forwarded = arrival.forwarded(&rules);
    for (field, expected) in table {
        assert_eq!(values(&forwarded, field), expected, "{field}");
    }
    let forwarded = arrival.with("cf-ipcountry", "DE").forwarded(&rules);
    assert_eq!(values(&forwarded, "x-country"), ["from DE"]);
}

#[test]
fn a_template_tells_the_upstream_what_was_proved() {
    let ca = Ca::root("root");
    let rules = rules(vec![Host {
        origin_pull: OriginPull::Observe(ca.trust()),
        headers: header_rules(&[], &[("x-trust", "{connection.trust}")]),
        ..shop()
    }]);
    let shown = || Arrival::good().shown(ca.client(), &ca.trust());
    let table = [
        (shown(), "account"),
        (shown().admitted_as(Source::Anybody), "account"),
        (Arrival::good(), "network"),
        (Arrival::good().admitted_as(Source::Listed).plain(), "network"),
        (Arrival::good().admitted_as(Source::Anybody), "none"),
    ];
    for (arrival, expected) in table {
        assert_eq!(values(&arrival.forwarded(&rules), "x-trust"), [expected]);
    }
}

#[test]
fn the_response_is_edited_as_the_host_says() {
    let response_headers =
        header_rules(&["server", "x-powered-by"], &[("server", "shop"), ("x-request", "{request.id}")]);
    let rules = rules(vec![Host { response_headers, ..shop() }]);
    let permit = permit(&Arrival::good(), &rules);
    let mut headers = http::HeaderMap::new();
    for (field, value) in [("server", "nginx"), ("x-powered-by", "PHP"), ("x-powered-by", "Express"), ("etag", "1")] {
        headers.append(field, HeaderValue::from_static(value));
    }
    crate::testing::apply(permit.response_edits(), &mut headers);
    let table: [(&str, &[&str]); 4] =
        [("server", &["shop"]), ("x-powered-by", &[]), ("x-request", &["000000000000feed"]), ("etag", &["1"])];
    for (field, expected) in table {
        assert_eq!(values(&headers, field), expected, "{field}");
    }
}
