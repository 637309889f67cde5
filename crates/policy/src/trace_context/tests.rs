//! What is a trace context and what is none, case by case and by laws.

use super::*;
use proptest::prelude::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn shown(text: &str) -> Option<String> {
    Caller::parse(text.as_bytes()).map(|caller| format!("{} {}", caller.trace, caller.span))
}

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

#[test]
fn what_names_a_caller() {
    let table = [
        (format!("00-{TRACE}-{SPAN}-01"), true),
        (format!("00-{TRACE}-{SPAN}-00"), true),
        (format!("00-{TRACE}-{SPAN}-ff"), true),
        // Version 00 ends here, later ones may go on behind a dash, and ff is none.
        (format!("00-{TRACE}-{SPAN}-01-"), false),
        (format!("00-{TRACE}-{SPAN}-01-more"), false),
        (format!("01-{TRACE}-{SPAN}-01"), true),
        (format!("cc-{TRACE}-{SPAN}-01-more"), true),
        (format!("cc-{TRACE}-{SPAN}-01-"), true),
        (format!("cc-{TRACE}-{SPAN}-01.more"), false),
        (format!("cc-{TRACE}-{SPAN}-0"), false),
        (format!("ff-{TRACE}-{SPAN}-01"), false),
        (format!("ff-{TRACE}-{SPAN}-01-more"), false),
        (format!("0-{TRACE}-{SPAN}-01"), false),
        (format!("000{TRACE}-{SPAN}-01"), false),
        (format!("00-{TRACE}-{SPAN}_01"), false),
        (format!("00-{TRACE}_{SPAN}-01"), false),
        (format!("00-{TRACE}-{SPAN}-0g"), false),
        (format!("00-{TRACE}-{SPAN}"), false),
        (format!(" 0-{TRACE}-{SPAN}-01"), false),
        (format!("0A-{TRACE}-{SPAN}-01"), false),
        (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
        (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), false),
        (format!("00-{TRACE}-{SPAN}-0A"), false),
        (format!("00-{}-{SPAN}-01", "0".repeat(32)), false),
        (format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
        (String::new(), false),
        ("0".repeat(55), false),
    ];
    for (text, named) in table {
        assert_eq!(shown(&text), named.then(|| format!("{TRACE} {SPAN}")), "{text}");
    }
}

#[test]
fn two_callers_are_none() {
    let text = format!("00-{TRACE}-{SPAN}-01");
    assert!(Caller::of(&headers(&[(TRACEPARENT, &text)])).is_some());
    assert_eq!(Caller::of(&headers(&[(TRACEPARENT, &text), (TRACEPARENT, &text)])), None);
    assert_eq!(Caller::of(&headers(&[(TRACESTATE, &text)])), None);
}

fn context(caller: Option<Caller>) -> TraceContext {
    TraceContext::begin(TraceId::of(7), SpanId::of(9), false).called_by(caller)
}

#[test]
fn what_the_upstream_is_told() {
    let text = format!("00-{TRACE}-{SPAN}-01");
    let sent = headers(&[(TRACEPARENT, &text), (TRACESTATE, "a=1")]);
    let edits = context(Caller::of(&sent)).edits(&sent);
    assert_eq!(edits.set, [(TRACEPARENT, format!("00-{TRACE}-0000000000000009-00").parse().unwrap())]);
    assert_eq!(edits.remove, [""; 0]);
    // Nobody's state goes with a trace that begins here.
    let stray = headers(&[(TRACESTATE, "a=1")]);
    let edits = TraceContext { sampled: true, ..context(Caller::of(&stray)) }.edits(&stray);
    let own = format!("00-{:032x}-{:016x}-01", 7, 9);
    assert_eq!((edits.set, edits.remove), (vec![(TRACEPARENT, own.parse().unwrap())], vec![TRACESTATE]));
}

#[test]
fn which_states_pass() {
    let many = |count: usize| (0..count).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
    let table = [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".to_owned(), true),
        ("fw529a3039@dt=FfffffffA, 0=x ,, a_-*/=b c".to_owned(), true),
        (String::new(), true),
        (many(32), true),
        (many(33), false),
        (format!("a={}", "x".repeat(256)), true),
        (format!("a={}", "x".repeat(257)), false),
        (format!("a={},b={}", "x".repeat(256), "x".repeat(251)), true),
        (format!("a={},b={}", "x".repeat(256), "x".repeat(252)), false),
        ("a".to_owned(), false),
        ("a=".to_owned(), false),
        ("=a".to_owned(), false),
        ("A=a".to_owned(), false),
        ("_a=a".to_owned(), false),
        ("a b=a".to_owned(), false),
        ("a=b=c".to_owned(), false),
        ("a=\u{e9}".to_owned(), false),
        ("a=\tb".to_owned(), false),
    ];
    for (state, passes) in table {
        let mut sent = HeaderMap::new();
        sent.append(TRACESTATE, HeaderValue::from_bytes(state.as_bytes()).unwrap());
        assert_eq!(state_passes(&sent), passes, "{state}");
    }
    // Lines count together.
    let half = format!("a={}", "x".repeat(300));
    assert!(!state_passes(&headers(&[(TRACESTATE, &half), (TRACESTATE, &half)])));
    assert!(state_passes(&headers(&[(TRACESTATE, "a=1"), (TRACESTATE, "b=2")])));
}

#[test]
fn zero_is_no_identity() {
    assert_eq!((TraceId::of(0).to_bytes()[15], SpanId::of(0).to_bytes()[7]), (1, 1));
}

#[test]
fn how_many_are_sampled() {
    let sample = |count| Sample::of_a_million(count).unwrap();
    assert_eq!(Sample::of_a_million(1_000_001), None);
    assert!([0, 1, u64::MAX].iter().all(|draw| sample(1_000_000).takes(*draw) && !sample(0).takes(*draw)));
    assert!(sample(500_000).takes(u64::MAX / 2) && !sample(500_000).takes(u64::MAX / 2 + 1));
    assert_eq!(Sample::default(), sample(10_000));
    assert_eq!(
        [1_000_000, 10_000, 1_000, 1, 0].map(|count| sample(count).to_string()),
        ["100%", "1%", "0.1%", "0.0001%", "0%"]
    );
}

proptest! {
    #[test]
    fn what_is_said_is_read_back(trace in 1u128.., span in 1u64.., sampled: bool) {
        let context = TraceContext::begin(TraceId::of(trace), SpanId::of(span), sampled);
        let edits = context.edits(&HeaderMap::new());
        let caller = Caller::parse(edits.set[0].1.as_bytes());
        prop_assert_eq!(caller, Some(Caller { trace: context.trace, span: context.span }));
    }

    #[test]
    fn nothing_else_is_read(text in "([0-9a-fg]{2}-)?[0-9a-f]{31,33}-[0-9a-fA]{15,17}-[0-9a-f]{1,3}(-x)?") {
        let told = Caller::parse(text.as_bytes()).map(|caller| format!("{}-{}", caller.trace, caller.span));
        prop_assert!(told.is_none_or(|told| text[3..52] == told && (text.len() == 55 || !text.starts_with("00"))));
    }

    #[test]
    fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Caller::parse(&bytes);
    }

    #[test]
    fn edits_are_made_once(state in "[a-c]{0,2}=?[a-z,=]{0,20}", called: bool) {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let mut sent = headers(&[(TRACESTATE, &state)]);
        if called {
            sent.insert(TRACEPARENT, text.parse().unwrap());
        }
        let context = context(Caller::of(&sent));
        for _ in 0..2 {
            let edits = context.edits(&sent);
            edits.remove.iter().for_each(|name| drop(sent.remove(name)));
            sent.extend(edits.set.into_iter().map(|(name, value)| (Some(name), value)));
            prop_assert_eq!(Caller::of(&sent), Some(Caller { trace: context.trace, span: context.span }));
            prop_assert_eq!(sent.get_all(TRACEPARENT).iter().count(), 1);
        }
    }
}
