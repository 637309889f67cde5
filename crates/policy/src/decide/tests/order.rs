//! What refuses first, and how the policies follow each other.

use super::*;
use http::Method;

/// A host where everything that can refuse does, and requests that are cured of one fault after the other.
#[test]
fn of_several_faults_the_first_in_order_is_the_reason() {
    let ca = Ca::root("root");
    let guarded = Rules {
        listener_hosts: HashMap::from([("https".into(), vec![0]), ("http".into(), vec![])]),
        ..rules(vec![Host {
            origin_pull: OriginPull::Require(ca.trust()),
            policies: vec![attached("host", Mode::Enforce, Says(Err(Reason::WorkerMalformed)))],
            routes: vec![Route {
                methods: Some(vec![Method::GET]),
                policies: vec![attached("route", Mode::Enforce, Says(Err(Reason::NetworkDenied)))],
                ..route("/a")
            }],
            ..shop()
        }])
    };
    let mut arrival = Arrival::bare()
        .with("expect", "x")
        .with("content-length", "5, 5")
        .with("host", "shop.example.org")
        .with("host", "shop.example.org")
        .with("connection", "cf-ray")
        .with("cdn-loop", "pullgate")
        .asks("POST", "a/../b");
    arrival.connection.listener = "http".into();

    type Cure = fn(Arrival, &Ca) -> Arrival;
    let cures: [(Reason, Cure); 14] = [
        (Reason::ExpectationUnknown, |arrival, _| arrival.without("expect")),
        (Reason::BodyAmbiguous, |arrival, _| arrival.without("content-length")),
        (Reason::HostMalformed, |arrival, _| arrival.without("host")),
        (Reason::HostMissing, |arrival, _| arrival.to("shop.example.org")),
        (Reason::TargetMalformed, |arrival, _| arrival.asks("POST", "/x/../a")),
        (Reason::HopByHopIdentity, |arrival, _| arrival.without("connection")),
        (Reason::Loop, |arrival, _| arrival.without("cdn-loop")),
        (Reason::HostUnknown, |arrival, _| arrival.to("shop.example.com")),
        (Reason::HostUnknown, |mut arrival, _| {
            arrival.connection.listener = "https".into();
            arrival
        }),
        (Reason::ProofMissing, |arrival, ca| arrival.shown(ca.client(), &ca.trust())),
        (Reason::VisitorMissing, |arrival, _| arrival.with("cf-connecting-ip", VISITOR)),
        (Reason::TargetAmbiguous, |arrival, _| arrival.asks("POST", "/b")),
        (Reason::RouteUnknown, |arrival, _| arrival.asks("POST", "/a")),
        (Reason::MethodUnlisted, |arrival, _| arrival.asks("GET", "/a")),
    ];
    for (reason, cure) in cures {
        assert_eq!(arrival.outcome(&guarded), Err(reason));
        arrival = cure(arrival, &ca);
    }
    let denial = arrival.ruling(&guarded).outcome.unwrap_err();
    assert_eq!(denial, Denial::by("host".into(), Reason::WorkerMalformed));
}

#[test]
fn a_ruling_tells_how_far_the_request_got() {
    let limited = rules(vec![Host {
        policies: vec![attached("first", Mode::Enforce, Says(Ok(())))],
        routes: vec![Route { methods: Some(vec![Method::GET]), ..route("/a") }],
        ..shop()
    }]);
    let good = || Arrival::good().asks("GET", "/a");
    let table = [
        ("unknown host", good().to("blog.example.com"), (None, None, false)),
        ("unknown route", good().asks("GET", "/b"), (Some(0), None, true)),
        ("unlisted method", good().asks("PUT", "/a"), (Some(0), None, true)),
        ("no visitor", good().without("cf-connecting-ip"), (Some(0), Some(0), false)),
        ("good", good(), (Some(0), Some(0), true)),
    ];
    for (name, arrival, expected) in table {
        let ruling = arrival.ruling(&limited);
        assert_eq!((ruling.host, ruling.route, ruling.visitor.is_some()), expected, "{name}");
    }
}

#[test]
fn policies_judge_in_order_and_the_first_enforced_refusal_wins() {
    use Mode::{Enforce, Observe};
    use Reason::{NetworkDenied, NetworkUnlisted, WorkerMalformed, WorkerUnlisted};
    type Attachment = (&'static str, Mode, Result<(), Reason>);
    type Expected = (Result<(), (&'static str, Reason)>, &'static [(&'static str, Reason)]);
    let pass = |label| (label, Enforce, Ok(()));
    let table: [(&[Attachment], &[Attachment], Expected); 7] = [
        (&[], &[], (Ok(()), &[])),
        (&[pass("a"), pass("b")], &[pass("c")], (Ok(()), &[])),
        (
            &[pass("a"), ("b", Enforce, Err(NetworkDenied)), ("c", Enforce, Err(WorkerUnlisted))],
            &[],
            (Err(("b", NetworkDenied)), &[]),
        ),
        (&[pass("a")], &[("b", Enforce, Err(NetworkUnlisted))], (Err(("b", NetworkUnlisted)), &[])),
        (
            &[("a", Enforce, Err(NetworkUnlisted))],
            &[("b", Enforce, Err(NetworkDenied))],
            (Err(("a", NetworkUnlisted)), &[]),
        ),
        (
            &[("a", Observe, Err(NetworkDenied)), pass("b"), ("c", Observe, Ok(()))],
            &[("d", Observe, Err(WorkerMalformed))],
            (Ok(()), &[("a", NetworkDenied), ("d", WorkerMalformed)]),
        ),
        (
            &[
                ("a", Observe, Err(NetworkDenied)),
                ("b", Enforce, Err(WorkerUnlisted)),
                ("c", Observe, Err(NetworkDenied)),
            ],
            &[],
            (Err(("b", WorkerUnlisted)), &[("a", NetworkDenied)]),
        ),
    ];
    for (of_host, of_route, (outcome, observed)) in table {
        let list = |attachments: &[Attachment]| {
            attachments.iter().map(|(label, mode, says)| attached(label, *mode, Says(*says))).collect()
        };
        let routes = vec![Route { policies: list(of_route), ..route("/") }];
        let ruling = Arrival::good().ruling(&rules(vec![Host { policies: list(of_host), routes, ..shop() }]));
        let expected = outcome.map_err(|(label, reason)| Denial::by(label.into(), reason));
        assert_eq!(ruling.outcome.map(|_| ()), expected, "{of_host:?} {of_route:?}");
        let expected: Vec<_> = observed
            .iter()
            .map(|(label, reason)| Observed { policy: (*label).into(), reason: reason.label() })
            .collect();
        assert_eq!(ruling.observed, expected, "{of_host:?} {of_route:?}");
    }
}

#[test]
fn the_policies_of_other_routes_have_no_say() {
    let refusing = || vec![attached("other", Mode::Enforce, Says(Err(Reason::NetworkDenied)))];
    let split = rules(vec![Host { routes: vec![Route { policies: refusing(), ..route("/a") }, route("/")], ..shop() }]);
    assert_eq!(Arrival::good().asks("GET", "/b").outcome(&split), Ok(()));
    assert_eq!(Arrival::good().asks("GET", "/a/b").outcome(&split), Err(Reason::NetworkDenied));
}

#[test]
fn a_policy_of_one_route_is_not_stepped_around_by_another_spelling() {
    let refusing = || vec![attached("guard", Mode::Enforce, Says(Err(Reason::NetworkDenied)))];
    let split = rules(vec![Host {
        routes: vec![route("/"), Route { policies: refusing(), ..route("/admin") }, route("/public")],
        ..shop()
    }]);
    for target in ["/admin", "/admin/", "/admin?x", "/admin/%61"] {
        assert_eq!(Arrival::good().asks("GET", target).outcome(&split), Err(Reason::NetworkDenied), "{target}");
    }
    let spellings = [
        "/%61dmin",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "//admin",
        "/./admin",
        "/admin;x",
        "/public\\..\\admin",
        "/public/..;/admin",
        "/admin%2f",
        "/%2e%2e/admin",
        "/admin%5Cx",
    ];
    for target in spellings {
        assert_eq!(Arrival::good().asks("GET", target).outcome(&split), Err(Reason::TargetAmbiguous), "{target}");
    }
}
