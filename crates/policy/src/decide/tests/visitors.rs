//! Who the visitor is, and which peers are believed when they say so.

use super::*;
use crate::visitor::{Missing, VisitorRule};
use http::HeaderName;

fn reading(address_header: &'static str, missing: Missing) -> Rules {
    let address_header = HeaderName::from_static(address_header);
    rules(vec![Host { visitor: VisitorRule { address_header, missing, ..VisitorRule::default() }, ..shop() }])
}

/// A name of the operator's own is owned like the others: in any spelling, and `Connection` takes it from nobody.
#[test]
fn a_field_of_the_operators_own_has_no_second_spelling() {
    let rules = reading("x-my-ip", Missing::Refuse);
    let arrival = Arrival::good().with("x-my-ip", "203.0.113.9").with("x_my_ip", "6.6.6.6").with("x.my-ip", "6.6.6.6");
    let forwarded = arrival.forwarded(&rules);
    assert_eq!(forwarded.get("x-my-ip").unwrap(), "203.0.113.9");
    assert!(!forwarded.contains_key("x_my_ip") && !forwarded.contains_key("x.my-ip"));
    let nominated = Arrival::good().with("x-my-ip", "203.0.113.9").with("connection", "close, X-My-IP");
    assert_eq!(visitor(&nominated, &rules), Err(Reason::HopByHopIdentity));
}

fn visitor(arrival: &Arrival, rules: &Rules) -> Result<String, Reason> {
    let ruling = arrival.ruling(rules);
    ruling.outcome.map(|_| ruling.visitor.unwrap().address.to_string()).map_err(|denial| denial.reason)
}

#[test]
fn an_admitted_peer_names_the_visitor_in_one_field() {
    let from = |source| Arrival::good().without("cf-connecting-ip").admitted_as(source);
    for source in [Source::Cloudflare, Source::Listed] {
        let table = [
            (from(source).with("cf-connecting-ip", VISITOR), Ok(VISITOR), Ok(VISITOR)),
            (from(source).with("cf-connecting-ip", "::ffff:203.0.113.7"), Ok(VISITOR), Ok(VISITOR)),
            (from(source), Err(Reason::VisitorMissing), Ok(PEER)),
            // Other fields never stand in for the one that is missing.
            (
                from(source)
                    .with("x-forwarded-for", VISITOR)
                    .with("true-client-ip", VISITOR)
                    .with("cf_connecting_ip", VISITOR),
                Err(Reason::VisitorMissing),
                Ok(PEER),
            ),
            (from(source).with("cf-connecting-ip", ""), Err(Reason::VisitorMalformed), Err(Reason::VisitorMalformed)),
            (
                from(source).with("cf-connecting-ip", "203.0.113.7, 10.0.0.1"),
                Err(Reason::VisitorMalformed),
                Err(Reason::VisitorMalformed),
            ),
            (
                from(source).with("cf-connecting-ip", VISITOR).with("cf-connecting-ip", VISITOR),
                Err(Reason::VisitorMalformed),
                Err(Reason::VisitorMalformed),
            ),
        ];
        for (arrival, refuse, peer) in table {
            let expected = |result: Result<&str, Reason>| result.map(str::to_owned);
            assert_eq!(
                visitor(&arrival, &reading("cf-connecting-ip", Missing::Refuse)),
                expected(refuse),
                "{arrival:?}"
            );
            assert_eq!(visitor(&arrival, &reading("cf-connecting-ip", Missing::Source)), expected(peer), "{arrival:?}");
        }
    }
}

#[test]
fn a_host_chooses_the_field_that_names_its_visitors() {
    let rules = reading("true-client-ip", Missing::Refuse);
    let arrival = Arrival::good().without("cf-connecting-ip").with("cf-connecting-ip", "198.51.100.1");
    assert_eq!(visitor(&arrival, &rules), Err(Reason::VisitorMissing));
    let arrival = arrival.with("true-client-ip", VISITOR);
    assert_eq!(visitor(&arrival, &rules), Ok(VISITOR.into()));
    let headers = arrival.forwarded(&rules);
    assert_eq!((values(&headers, "cf-connecting-ip"), values(&headers, "true-client-ip")), (vec![VISITOR], vec![]));
}

#[test]
fn a_stranger_is_the_visitor_itself_whatever_it_says() {
    let rules = reading("cf-connecting-ip", Missing::Refuse);
    let table = [
        Arrival::good(),
        Arrival::good().without("cf-connecting-ip"),
        Arrival::good().with("cf-connecting-ip", "twice"),
        Arrival::good().with("x-forwarded-for", VISITOR).with("x-forwarded-proto", "http").with("cf-ipcountry", "DE"),
    ];
    for arrival in table {
        let arrival =
            arrival.admitted_as(Source::Anybody).with("cf-ray", "1").with("cf-visitor", r#"{"scheme":"http"}"#);
        let ruling = arrival.ruling(&rules);
        assert_eq!(ruling.visitor, Some(Visitor { address: PEER.parse().unwrap(), country: None }));
        assert_eq!(ruling.trust, TrustLevel::None);
        let headers = arrival.forwarded(&rules);
        assert!(!headers.keys().any(|name| name.as_str().starts_with("cf-")), "{headers:?}");
        assert_eq!(values(&headers, "x-forwarded-for"), [PEER]);
        assert_eq!(values(&headers, "x-forwarded-proto"), ["https"]);
    }
}

#[test]
fn a_stranger_keeps_no_field_that_the_host_reads_visitors_from() {
    let rules = reading("x-visitor", Missing::Refuse);
    let arrival = Arrival::good().with("x-visitor", VISITOR);
    assert_eq!(values(&arrival.forwarded(&rules), "x-visitor"), [VISITOR]);
    let headers = arrival.admitted_as(Source::Anybody).forwarded(&rules);
    assert_eq!((values(&headers, "x-visitor"), values(&headers, "x-forwarded-for")), (vec![], vec![PEER]));
}

#[test]
fn a_stranger_is_believed_by_a_host_that_accepts_its_certificate() {
    let (ca, other) = (Ca::root("root"), Ca::root("other"));
    let host = |name: &str, origin_pull| Host { origin_pull, ..open_host(name, &[&format!("{name}.example.com")]) };
    let rules = rules(vec![
        host("shop", OriginPull::Require(ca.trust())),
        host("watched", OriginPull::Observe(ca.trust())),
        host("open", OriginPull::Off),
        host("other", OriginPull::Observe(other.trust())),
    ]);
    let shown = |chain| Arrival::good().admitted_as(Source::Anybody).shown(chain, &ca.trust());
    let table = [
        (shown(ca.client()), "shop", VISITOR),
        (shown(ca.client()), "watched", VISITOR),
        (shown(vec![]), "watched", PEER),
        (shown(other.client()), "watched", PEER),
        // A certificate for one host makes nobody believed by another.
        (shown(ca.client()), "open", PEER),
        (shown(ca.client()), "other", PEER),
        (shown(other.client()), "other", VISITOR),
    ];
    for (arrival, host, expected) in table {
        let arrival = arrival.to(&format!("{host}.example.com"));
        assert_eq!(visitor(&arrival, &rules), Ok(expected.into()), "{host}");
    }
    let mut expired = shown(ca.client()).to("watched.example.com");
    expired.now = at(u64::MAX);
    assert_eq!(visitor(&expired, &rules), Ok(PEER.into()));
}

#[test]
fn the_country_is_what_a_believed_peer_says_in_one_code() {
    let rules = reading("cf-connecting-ip", Missing::Refuse);
    let table = [
        (vec!["DE"], Some("DE")),
        (vec!["T1"], Some("T1")),
        (vec!["XX"], Some("XX")),
        (vec![], None),
        (vec!["de"], None),
        (vec!["DEU"], None),
        (vec!["D"], None),
        (vec![""], None),
        (vec!["D-"], None),
        (vec!["DE", "DE"], None),
    ];
    for (codes, expected) in table {
        let arrival = codes.iter().fold(Arrival::good(), |arrival, code| arrival.with("cf-ipcountry", code));
        assert_eq!(arrival.ruling(&rules).visitor.unwrap().country(), expected, "{codes:?}");
    }
}

#[test]
fn what_a_believed_peer_contradicts_is_told_and_refuses_nothing() {
    let rules = reading("cf-connecting-ip", Missing::Refuse);
    let arrival = || Arrival::good().with("x-forwarded-for", "6.6.6.6").with("x-forwarded-proto", "http");
    let table = [
        (arrival(), vec![Disagreement::Address]),
        (arrival().with("cf-visitor", r#"{"scheme":"https"}"#), vec![Disagreement::Scheme, Disagreement::Address]),
        (arrival().admitted_as(Source::Anybody), vec![]),
        (Arrival::good(), vec![]),
    ];
    for (arrival, expected) in table {
        let ruling = arrival.ruling(&rules);
        assert_eq!(ruling.disagreements, expected, "{arrival:?}");
        assert!(ruling.outcome.is_ok());
    }
}
