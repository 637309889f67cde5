//! Laws of header hygiene, by generated maps.

use super::*;
use crate::features::Features;
use crate::testing::cases;
use crate::visitor::Missing;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Owned names as the table of the documentation has them, with made-up ones below each owned prefix.
const IDENTITY: &str = "\
    cdn-loop cf-access-authenticated-user-email cf-access-client-secret cf-access-jwt-assertion cf-bot-score cf-ipcity cf-ja3-hash \
    cf-ja4 cf-region cf-timezone cf-verified-bot malicious-uploads-detection cf-cert-verified cf-connecting-ip cf-connecting-ipv6 \
    cf-connecting-o2o cf-ew-via cf-ipcountry cf-made-up cf-pseudo-ipv4 cf-ray cf-visitor cf-warp-tag-id \
    cf-worker client-cert client-cert-chain early-data exposed-credential-check forwarded true-client-ip \
    via x-client-cert-subject x-client-ip x-cluster-client-ip x-forwarded x-forwarded-for \
    x-forwarded-host x-forwarded-port x-forwarded-proto x-original-forwarded-for x-real-ip \
    x-ssl-client-verify";

/// Those that a believed peer may send on, told here once more so that the code cannot widen its own yardstick.
const PASSING: &str = "\
    cdn-loop cf-connecting-ipv6 cf-connecting-o2o cf-ew-via cf-ipcountry cf-pseudo-ipv4 cf-ray \
    cf-visitor cf-warp-tag-id cf-worker";

/// And those that it may only where the host declares their feature.
const PASSING_WITH: [(Feature, &str); 5] = [
    (Feature::Access, "cf-access-authenticated-user-email cf-access-jwt-assertion"),
    (Feature::Location, "cf-ipcity cf-region cf-timezone"),
    (Feature::Bot, "cf-bot-score cf-ja3-hash cf-ja4 cf-verified-bot"),
    (Feature::TrueClientIp, "true-client-ip"),
    (Feature::Waf, "exposed-credential-check malicious-uploads-detection"),
];

fn may_pass(name: &HeaderName, features: Features) -> bool {
    let declared = PASSING_WITH.iter().filter(|(feature, _)| features.contains(*feature));
    let mut names = PASSING.split_whitespace().chain(declared.flat_map(|(_, names)| names.split_whitespace()));
    names.any(|passing| name == passing)
}

const BENIGN: &str = "\
    accept authorization cache-control content-type range user-agent x-request-id x-requested-with";

fn one_of(names: &'static str) -> impl Strategy<Value = &'static str> {
    select(names.split_whitespace().collect::<Vec<_>>())
}

#[derive(Debug, Clone)]
struct Field {
    identity: bool,
    name: HeaderName,
    value: HeaderValue,
}

/// A name in which letters change case and each dash may be any other byte that a name can hold.
fn spelled(name: &'static str) -> impl Strategy<Value = HeaderName> {
    let dashes = vec(select(&b"-----_.!~*'|^`+&%$#"[..]), name.len());
    let capitals = vec(any::<bool>(), name.len());
    (dashes, capitals).prop_map(move |(dashes, capitals)| {
        let bytes = name.bytes().enumerate().map(|(at, byte)| match byte {
            b'-' => dashes[at],
            _ if capitals[at] => byte.to_ascii_uppercase(),
            _ => byte,
        });
        HeaderName::from_bytes(&bytes.collect::<Vec<_>>()).unwrap()
    })
}

fn some_value() -> impl Strategy<Value = HeaderValue> {
    let likely =
        select(vec!["203.0.113.99", "2001:db8::99", "DE", "example.com", r#"{"scheme":"http"}"#, "http", "1", ""]);
    prop_oneof![
        3 => likely.prop_map(HeaderValue::from_static),
        2 => "[ -~]{0,20}".prop_map(|text| HeaderValue::from_str(text.trim()).unwrap()),
        1 => vec(0x80_u8.., 1..4).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ]
}

fn some_field() -> impl Strategy<Value = Field> {
    let identity =
        prop_oneof![one_of(IDENTITY).prop_map(HeaderName::from_static), one_of(IDENTITY).prop_flat_map(spelled)];
    let name = prop_oneof![
        3 => identity.prop_map(|name| (true, name)),
        1 => one_of(BENIGN).prop_map(|name| (false, HeaderName::from_static(name))),
    ];
    (name, some_value()).prop_map(|((identity, name), value)| Field { identity, name, value })
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// What the gateway itself puts under a name that it owns.
fn of_the_gateway<'a>(name: &HeaderName, visitor: &'a str, believed: bool, features: Features) -> Option<&'a str> {
    match name.as_str() {
        "early-data" if believed && features.contains(Feature::EarlyData) => Some("1"),
        "x-forwarded-for" => Some(visitor),
        "x-forwarded-host" | "host" => Some("shop.example.com"),
        "cf-connecting-ip" if believed => Some(visitor),
        _ => None,
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn nothing_that_a_client_chose_survives_under_an_owned_name(
        fields in vec(some_field(), 0..12),
        again in vec(any::<prop::sample::Index>(), 0..3),
        source in select(vec![Source::Cloudflare, Source::Listed, Source::Anybody]),
        named in any::<bool>(),
        features in vec(select(Feature::ALL.to_vec()), 0..4),
    ) {
        let features = features.into_iter().collect();
        let believed = source != Source::Anybody;
        let mut arrival = Arrival::bare().with("host", "shop.example.com").admitted_as(source);
        if named {
            arrival = arrival.with("cf-connecting-ip", VISITOR);
        }
        let repeated = again.iter().filter(|_| !fields.is_empty()).map(|at| at.get(&fields));
        for field in fields.iter().chain(repeated) {
            arrival.headers.append(field.name.clone(), field.value.clone());
        }
        let mut host = shop();
        host.visitor = VisitorRule { missing: Missing::Source, features, ..VisitorRule::default() };
        let rules = rules(vec![host]);
        let ruling = arrival.ruling(&rules);
        prop_assume!(ruling.outcome.is_ok());
        let visitor = ruling.visitor.unwrap().address.to_string();
        let sent = &arrival.headers;
        let forwarded = arrival.forwarded(&rules);

        prop_assert_eq!(values(&forwarded, "x-forwarded-for"), [visitor.as_str()]);
        let benign: Vec<_> = fields.iter().filter(|field| !field.identity).map(|field| &field.name).collect();
        for name in forwarded.keys() {
            let (after, before) = (lines(&forwarded, name), lines(sent, name));
            if benign.contains(&name) {
                prop_assert_eq!(after, before, "{}", name);
            } else if believed && may_pass(name, features) {
                // Cloudflare's own, as a believed peer sent it, once.
                prop_assert!(after.len() == 1 && after == before, "{name}: {after:?} of {before:?}");
            } else if name == "x-forwarded-proto" {
                prop_assert!(after == [b"https"] || (believed && after == [b"http"]), "{after:?}");
            } else {
                let own = of_the_gateway(name, &visitor, believed, features).map(str::as_bytes);
                prop_assert_eq!(after, own.into_iter().collect::<Vec<_>>(), "{}", name);
            }
        }
        // The edits say what the fields become, not how they change.
        let mut twice = forwarded.clone();
        let permit = ruling.outcome.unwrap();
        let crate::decide::Action::Forward { edits, .. } = permit.action() else { panic!("{permit:?}") };
        crate::testing::apply(edits, &mut twice);
        prop_assert_eq!(twice, forwarded);
    }

    #[test]
    fn edits_applied_twice_change_nothing_more(
        fields in vec(some_field(), 0..8),
        removed in vec(some_field(), 0..4),
        set in vec(some_field(), 0..4),
        more in vec(some_field(), 0..3),
    ) {
        let pairs = |fields: Vec<Field>| fields.into_iter().map(|field| (field.name, field.value));
        let mut edits = HeaderEdits {
            remove: removed.into_iter().chain(more.clone()).map(|field| field.name).collect(),
            set: pairs(set).collect(),
        };
        edits.set.extend(pairs(more));
        let mut once = HeaderMap::new();
        for (name, value) in pairs(fields) {
            once.append(name, value);
        }
        crate::testing::apply(&edits, &mut once);
        let mut twice = once.clone();
        crate::testing::apply(&edits, &mut twice);
        prop_assert_eq!(twice, once);
    }
}
