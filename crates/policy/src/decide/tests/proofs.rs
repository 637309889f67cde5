//! Whose proof counts for which host, and until when.

use super::*;
use crate::testing::valid;
use crate::{Admission, Networks};
use rustls_pki_types::CertificateDer;

/// `shop` and `twin` trust one CA, `blog` another, `watched` observes with the first, `open` asks for nothing.
struct Hosts {
    ca: Ca,
    other: Ca,
    rules: Rules,
}

fn hosts() -> Hosts {
    let (ca, other) = (Ca::root("root"), Ca::root("other"));
    let guarded = |name: &str, origin_pull| Host { origin_pull, ..open_host(name, &[&format!("{name}.example.com")]) };
    let rules = rules(vec![
        guarded("shop", OriginPull::Require(ca.trust())),
        guarded("twin", OriginPull::Require(ca.trust())),
        guarded("blog", OriginPull::Require(other.trust())),
        guarded("watched", OriginPull::Observe(ca.trust())),
        guarded("open", OriginPull::Off),
    ]);
    Hosts { ca, other, rules }
}

fn denied(reason: Reason, label: &'static str) -> Result<(), Denial> {
    Err(Denial { label, ..Denial::by(ORIGIN_PULL.into(), reason) })
}

#[test]
fn a_proof_counts_for_the_requested_host_or_not_at_all() {
    let Hosts { ca, other, rules } = hosts();
    let unknown = || denied(Reason::ProofMissing, "unknown_issuer");
    let missing = || denied(Reason::ProofMissing, "not_presented");
    let shown_to_shop = || Arrival::good().shown(ca.client(), &ca.trust());
    let shown_to_blog = || Arrival::good().shown(other.client(), &other.trust());
    let refused_by_watched = || Arrival::good().shown(other.client(), &ca.trust());
    let table: [(&str, &dyn Fn() -> Arrival, [Result<(), Denial>; 5]); 5] = [
        ("shop's", &shown_to_shop, [Ok(()), Ok(()), unknown(), Ok(()), Ok(())]),
        ("blog's", &shown_to_blog, [unknown(), unknown(), Ok(()), Ok(()), Ok(())]),
        // Observed at the handshake's host, and good for the one that is asked for.
        ("blog's, shown to watched", &refused_by_watched, [unknown(), unknown(), Ok(()), Ok(()), Ok(())]),
        (
            "no certificate",
            &|| Arrival::good().shown(vec![], &ca.trust()),
            [missing(), missing(), missing(), Ok(()), Ok(())],
        ),
        ("none asked for", &Arrival::good, [missing(), missing(), missing(), Ok(()), Ok(())]),
    ];
    for (name, arrival, expected) in table {
        for (host, expected) in ["shop", "twin", "blog", "watched", "open"].iter().zip(expected) {
            let arrival = arrival().to(&format!("{host}.example.com"));
            assert_eq!(arrival.ruling(&rules).outcome.map(|_| ()), expected, "{name} certificate, {host}");
        }
    }
}

#[test]
fn one_connection_is_judged_anew_for_each_host_it_asks_for() {
    let Hosts { ca, rules, .. } = hosts();
    let mut arrival = Arrival::good().shown(ca.client(), &ca.trust());
    for _ in 0..2 {
        for (host, expected) in [("shop", Ok(())), ("blog", Err(Reason::ProofMissing)), ("twin", Ok(()))] {
            arrival = arrival.to(&format!("{host}.example.com"));
            assert_eq!(arrival.outcome(&rules), expected, "{host}");
        }
    }
}

#[test]
fn a_connection_through_more_trusts_than_it_remembers_is_judged_as_before() {
    let ca = Ca::root("root");
    let trusts: Vec<_> = (0..20).map(|_| Ca::root("root").trust()).chain([ca.trust()]).collect();
    let arrival = Arrival::good().shown(ca.client(), &trusts[0]);
    let tls = arrival.connection.tls().unwrap();
    for _ in 0..3 {
        let good: Vec<_> =
            trusts.iter().map(|trust| tls.verdict_against(trust, at(NOW)).label() == "verified").collect();
        assert_eq!(good.iter().position(|good| *good), Some(20));
    }
}

#[test]
fn a_proof_runs_out_between_two_requests() {
    let Hosts { ca, rules, .. } = hosts();
    let leaf = ca.leaf(|params| valid(params, NOW - 10, NOW + 10));
    let other_leaf = || vec![leaf.der().clone()];
    let table = [
        ("shop", NOW + 10, Ok(()), vec![]),
        ("shop", NOW + 11, denied(Reason::ProofExpired, "expired"), vec![]),
        ("twin", NOW + 11, denied(Reason::ProofExpired, "expired"), vec![]),
        ("watched", NOW + 10, Ok(()), vec![]),
        ("watched", NOW + 11, Ok(()), vec!["expired"]),
    ];
    for (host, now, expected, observed) in table {
        let mut arrival = Arrival::good().to(&format!("{host}.example.com")).shown(other_leaf(), &ca.trust());
        arrival.now = at(now);
        let ruling = arrival.ruling(&rules);
        assert_eq!(
            ruling.observed.iter().map(|observed| observed.reason).collect::<Vec<_>>(),
            observed,
            "{host} {now}"
        );
        assert_eq!(ruling.outcome.map(|_| ()), expected, "{host} {now}");
    }
}

#[test]
fn the_verdict_of_another_trust_is_remembered_and_runs_out_all_the_same() {
    let Hosts { ca, other, rules } = hosts();
    let leaf = ca.leaf(|params| valid(params, NOW - 10, NOW + 10));
    let mut arrival = Arrival::good().shown(vec![leaf.der().clone()], &other.trust());
    for (now, expected) in [(NOW, Ok(())), (NOW + 10, Ok(())), (NOW + 11, Err(Reason::ProofExpired))] {
        arrival.now = at(now);
        assert_eq!(arrival.outcome(&rules), expected, "{now}");
    }
}

#[test]
fn observe_lets_pass_and_names_what_require_refuses() {
    let Hosts { ca, other, rules } = hosts();
    let usage = ca.leaf(|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    let shown = |chain: Vec<CertificateDer<'static>>| Arrival::good().shown(chain, &ca.trust());
    let table = [
        (shown(ca.client()), None),
        (shown(vec![]), Some("not_presented")),
        (shown(other.client()), Some("unknown_issuer")),
        (shown(vec![usage.der().clone()]), Some("wrong_usage")),
        (Arrival::good(), Some("not_presented")),
        (Arrival::good().plain(), Some("plain_connection")),
    ];
    for (arrival, expected) in table {
        let ruling = arrival.to("watched.example.com").ruling(&rules);
        let expected: Vec<_> =
            expected.into_iter().map(|reason| Observed { policy: "origin-pull".into(), reason }).collect();
        assert_eq!(ruling.observed, expected);
        assert!(ruling.outcome.is_ok());
    }
}

#[test]
fn a_plain_connection_gets_nothing_of_a_guarded_host_but_answers_of_the_gateway() {
    let ca = Ca::root("root");
    let redirect = || Route {
        action: RouteAction::Respond { status: StatusCode::PERMANENT_REDIRECT, location: None },
        methods: Some(vec![http::Method::GET]),
        ..route("/moved")
    };
    let host = |origin_pull| rules(vec![Host { origin_pull, routes: vec![route("/"), redirect()], ..shop() }]);
    let guarded = host(OriginPull::Require(ca.trust()));
    let open = host(OriginPull::Off);
    let table = [
        ("GET", "/", Err(Reason::PlainConnection), Ok(())),
        ("GET", "/moved", Ok(()), Ok(())),
        ("POST", "/moved", Err(Reason::PlainConnection), Err(Reason::MethodUnlisted)),
        ("GET", "/x/../moved", Err(Reason::PlainConnection), Err(Reason::TargetAmbiguous)),
    ];
    for (method, target, of_guarded, of_open) in table {
        let arrival = || Arrival::good().asks(method, target);
        assert_eq!(arrival().plain().outcome(&guarded), of_guarded, "{method} {target}");
        assert_eq!(arrival().plain().outcome(&open), of_open, "{method} {target}");
        // Over TLS the client could have shown a certificate: nothing is answered without one.
        assert_eq!(arrival().outcome(&guarded), Err(Reason::ProofMissing), "{method} {target}");
    }
}

#[test]
fn a_connection_is_worth_what_it_proves_to_the_requested_host() {
    let Hosts { ca, other, rules } = hosts();
    let shown_to_shop = || Arrival::good().shown(ca.client(), &ca.trust());
    let shown_to_blog = || Arrival::good().shown(other.client(), &other.trust());
    let expired = || {
        let mut arrival = shown_to_shop();
        arrival.now = at(u64::MAX);
        arrival
    };
    let table: [(&str, &dyn Fn() -> Arrival, &str, TrustLevel); 10] = [
        ("shop's", &shown_to_shop, "shop", TrustLevel::Account),
        ("shop's", &shown_to_shop, "twin", TrustLevel::Account),
        ("shop's", &shown_to_shop, "watched", TrustLevel::Account),
        (
            "blog's, shown to watched",
            &|| Arrival::good().shown(other.client(), &ca.trust()),
            "blog",
            TrustLevel::Account,
        ),
        ("no", &Arrival::good, "watched", TrustLevel::Network),
        ("no", &Arrival::good, "open", TrustLevel::Network),
        ("expired", &expired, "watched", TrustLevel::Network),
        // What one host's CA says of a client is nothing to a host that does not trust it.
        ("blog's", &shown_to_blog, "watched", TrustLevel::Network),
        ("blog's", &shown_to_blog, "open", TrustLevel::Network),
        ("shop's", &shown_to_shop, "open", TrustLevel::Network),
    ];
    for (certificate, arrival, host, expected) in table {
        for (source, expected) in [
            (Source::Cloudflare, expected),
            (Source::Listed, expected),
            (Source::Anybody, if expected == TrustLevel::Network { TrustLevel::None } else { expected }),
        ] {
            let arrival = arrival().admitted_as(source).to(&format!("{host}.example.com"));
            assert_eq!(arrival.ruling(&rules).trust, expected, "{certificate} certificate, {host}, {source:?}");
        }
    }
}

/// A connection that its own host would not take any more ends; one that only asked at the wrong door goes on.
#[test]
fn a_connection_ends_when_its_own_host_would_refuse_it() {
    let Hosts { ca, other, rules } = hosts();
    let leaf = ca.leaf(|params| valid(params, NOW - 10, NOW + 10));
    let arrival = |now: u64, host: &str| {
        let mut arrival =
            Arrival::good().to(&format!("{host}.example.com")).shown(vec![leaf.der().clone()], &ca.trust());
        arrival.now = at(now);
        arrival
    };
    let table = [
        ("in force, its own host", NOW, "shop", &rules, false),
        ("in force, a host with another trust", NOW, "blog", &rules, false),
        ("in force, no host", NOW, "nowhere", &rules, false),
        ("run out, its own host", NOW + 11, "shop", &rules, true),
        ("run out, a host with another trust", NOW + 11, "blog", &rules, true),
        // What needs no proof is served as to anybody else.
        ("run out, an open host", NOW + 11, "open", &rules, false),
    ];
    for (name, now, host, rules, ends) in table {
        assert_eq!(arrival(now, host).ruling(rules).ends_connection, ends, "{name}");
    }
    let changed = |origin_pull| crate::testing::rules(vec![Host { origin_pull, ..shop() }]);
    assert!(arrival(NOW, "shop").ruling(&changed(OriginPull::Require(other.trust()))).ends_connection);
    assert!(!arrival(NOW, "shop").ruling(&changed(OriginPull::Observe(other.trust()))).ends_connection);
    let gone = crate::testing::rules(vec![Host {
        origin_pull: OriginPull::Require(ca.trust()),
        ..open_host("twin", &["twin.example.com"])
    }]);
    assert!(arrival(NOW, "shop").ruling(&gone).ends_connection, "the host of the handshake has left");
    assert!(!arrival(NOW, "twin").ruling(&gone).ends_connection);
    assert!(!Arrival::good().plain().ruling(&rules).ends_connection);
}

/// A connection that outlives many generations asks for the newest trust: the oldest verdicts go.
#[test]
fn the_newest_verdicts_are_remembered() {
    let ca = Ca::root("root");
    let arrival = Arrival::good().shown(ca.client(), &Ca::root("first").trust());
    let tls = arrival.connection.tls().unwrap();
    let trusts: Vec<_> = (0..40).map(|_| Ca::root("root").trust()).collect();
    for trust in &trusts {
        let _ = tls.verdict_against(trust, at(NOW));
    }
    assert_eq!(tls.others.remembered(), trusts[24..].iter().map(|trust| trust.id()).collect::<Vec<_>>());
}

/// Belief and trust follow the source as it is admitted now, not as it was when the connection began.
#[test]
fn a_source_counts_as_it_is_admitted_now() {
    let admitted = |admission: Option<Admission>| {
        let listeners = admission.map(|admission| ("https".into(), admission)).into_iter().collect();
        let admissions = Admissions {
            cloudflare: Networks::new(vec!["173.245.48.0/20".parse().unwrap()]),
            listeners,
            balancers: HashMap::new(),
        };
        Rules { admissions: Arc::new(admissions), ..rules(vec![shop()]) }
    };
    let strange = || Networks::new(vec!["192.0.2.0/24".parse().unwrap()]);
    let near = || Networks::new(vec!["173.245.48.8/31".parse().unwrap()]);
    let table = [
        (Some(Admission::Cloudflare), Ok(()), TrustLevel::Network),
        (Some(Admission::Networks(near())), Ok(()), TrustLevel::Network),
        (Some(Admission::Networks(strange())), Err(Reason::SourceUnlisted), TrustLevel::None),
        (None, Err(Reason::SourceUnlisted), TrustLevel::None),
    ];
    for (admission, expected, trust) in table {
        let ruling = Arrival::good().ruling(&admitted(admission.clone()));
        assert_eq!(ruling.ends_connection, expected.is_err(), "{admission:?}");
        assert_eq!(
            (ruling.trust, ruling.outcome.map(|_| ()).map_err(|denial| denial.reason)),
            (trust, expected),
            "{admission:?}"
        );
    }
}
