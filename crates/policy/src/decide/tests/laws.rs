//! Laws of the decision, by generated requests.

use super::*;
use crate::networks::Networks;
use crate::policies::{ClientCertificate, ClientNetworks, Countries, Workers};
use crate::testing::cases;
use crate::visitor::Missing;
use crate::visitor_certificate::CertificateFields;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn some_policy() -> impl Strategy<Value = Arc<dyn crate::policies::Policy>> {
    let networks = || select(vec![vec![], vec!["203.0.113.0/24"], vec!["0.0.0.0/0", "::/0"], vec!["2001:db8::/32"]]);
    let set = |list: Vec<&str>| Networks::new(list.into_iter().map(|network| network.parse().unwrap()));
    prop_oneof![
        Just(Arc::new(Says(Ok(()))) as Arc<dyn crate::policies::Policy>),
        select(Reason::ALL).prop_map(|reason| Arc::new(Says(Err(reason))) as _),
        (networks(), networks())
            .prop_map(move |(allow, deny)| Arc::new(ClientNetworks::new(set(allow), set(deny))) as _),
        (select(vec![vec![], vec![*b"DE"]]), select(vec![vec![], vec![*b"XX"], vec![*b"DE", *b"T1"]]))
            .prop_map(|(allow, deny)| Arc::new(Countries::new(allow, deny)) as _),
        vec(select(vec!["example.com", "example.net"]), 0..2)
            .prop_map(|zones| Arc::new(Workers::new(zones.into_iter().map(Into::into).collect())) as _),
        select(vec!["CN=alice", "CN=bob"]).prop_map(|subject| {
            Arc::new(ClientCertificate::new(None, vec![subject.parse().unwrap()], vec![]).unwrap()) as _
        }),
    ]
}

fn some_attached(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = Attached> {
    ("[a-z]{1,8}", mode, some_policy()).prop_map(|(label, mode, policy)| Attached { label: label.into(), mode, policy })
}

fn any_mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Enforce, Mode::Observe])
}

fn some_arrival() -> impl Strategy<Value = Arrival> {
    let source = select(vec![Source::Cloudflare, Source::Listed, Source::Anybody]);
    let host = select(vec!["shop.example.com", "shop.example.com", "blog.example.com"]);
    let target = select(vec!["/", "/a", "/a/b?c", "/%61", "/b", "nowhere"]);
    let method = select(vec!["GET", "POST"]);
    let visitor = select(vec![None, Some(VISITOR), Some("2001:db8::7"), Some("198.51.100.9"), Some("nobody")]);
    let worker = select(vec![None, None, Some("example.com"), Some("example.net"), Some("a b")]);
    let subject = select(vec![None, Some("CN=alice"), Some("CN=bob")]);
    let country = select(vec![None, Some("DE"), Some("FR"), Some("T1"), Some("de")]);
    let asked = (source, host, target, method, visitor, worker, subject, country);
    asked.prop_map(|(source, host, target, method, visitor, worker, subject, country)| {
        let arrival = Arrival::bare().admitted_as(source).with("host", host).asks(method, target);
        [
            ("cf-connecting-ip", visitor),
            ("cf-worker", worker),
            ("cf-ipcountry", country),
            ("cf-cert-subject-dn-rfc2253", subject),
            ("cf-cert-presented", subject.map(|_| "true")),
            ("cf-cert-verified", Some("true")),
            ("cf-cert-revoked", Some("false")),
            ("cf-cert-sha256", Some("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .fold(arrival, |arrival, (name, value)| arrival.with(name, value))
    })
}

/// Routes `/a` (GET only) and `/`, with these policies on the host and on each route.
fn shop_with(missing: Missing, of_host: &[Attached], of_routes: &[Attached]) -> Rules {
    let on = |route: Route| Route { policies: of_routes.to_vec(), ..route };
    let routes = vec![on(Route { methods: Some(vec![http::Method::GET]), ..route("/a") }), on(route("/"))];
    let mut host = Host { policies: of_host.to_vec(), routes, ..shop() };
    host.visitor.missing = missing;
    host.visitor.client_certificate = Some(CertificateFields::CfCert);
    rules(vec![host])
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn an_added_policy_never_turns_a_denial_into_a_permit(
        arrival in some_arrival(),
        missing in select(vec![Missing::Refuse, Missing::Source]),
        of_host in vec(some_attached(any_mode()), 0..3),
        of_routes in vec(some_attached(any_mode()), 0..3),
        added in some_attached(Just(Mode::Enforce)),
        place in any::<prop::sample::Index>(),
        to_host in any::<bool>(),
    ) {
        let before = arrival.ruling(&shop_with(missing, &of_host, &of_routes)).outcome;
        let (mut more_of_host, mut more_of_routes) = (of_host, of_routes);
        let list = if to_host { &mut more_of_host } else { &mut more_of_routes };
        list.insert(place.index(list.len() + 1), added);
        let after = arrival.ruling(&shop_with(missing, &more_of_host, &more_of_routes)).outcome;
        match (before, after) {
            (Err(before), after) => prop_assert!(after.is_err(), "{before:?} became {after:?}"),
            // What still passes passes in the same way.
            (Ok(before), Ok(after)) => prop_assert_eq!(before, after),
            (Ok(_), Err(_)) => {}
        }
    }

    #[test]
    fn observing_changes_no_outcome(
        arrival in some_arrival(),
        of_host in vec(some_attached(any_mode()), 0..3),
        watched in some_attached(Just(Mode::Observe)),
        place in any::<prop::sample::Index>(),
    ) {
        let before = arrival.ruling(&shop_with(Missing::Refuse, &of_host, &[])).outcome;
        let mut more = of_host;
        more.insert(place.index(more.len() + 1), watched);
        prop_assert_eq!(arrival.ruling(&shop_with(Missing::Refuse, &more, &[])).outcome, before);
    }
}
