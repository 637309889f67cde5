//! Two stories of one visitor are counted and logged, and refuse nothing.

use super::*;
use http::Request;
use pullgate_tests::client::get;

const WHAT: [&str; 2] = ["scheme", "address"];

fn counted(stage: &Stage, host: &str) -> [f64; 2] {
    WHAT.map(|what| stage.metric(&format!(r#"pullgate_visitor_disagreements_total{{host="{host}",what="{what}"}}"#)))
}

const HTTPS: (&str, &[u8]) = ("CF-Visitor", br#"{"scheme":"https"}"#);

#[tokio::test]
async fn what_a_believed_peer_says_twice_and_differently_is_counted_and_logged() {
    let stage = Stage::new().await;
    let table: [(&[(&str, &[u8])], &[&str]); 5] = [
        (&[HTTPS, ("X-Forwarded-Proto", b"https"), ("X-Forwarded-For", b"6.6.6.6, 203.0.113.7")], &[]),
        (&[HTTPS, ("X-Forwarded-Proto", b"http")], &["scheme"]),
        (&[("X-Forwarded-For", b"203.0.113.7, 6.6.6.6")], &["address"]),
        (&[HTTPS, ("X-Forwarded-Proto", b"http"), ("X-Forwarded-For", b"6.6.6.6")], &["scheme", "address"]),
        (&[], &[]),
    ];
    let (mut lines, mut expected) = (0, [0.0, 0.0]);
    for (fields, differing) in table {
        for answer in ask_both(&stage, &with(visit(SHOP, "/"), fields)).await {
            assert_eq!(answer.unwrap().status, 200);
        }
        lines += 2;
        for line in &stage.access_lines(lines).await[lines - 2..] {
            let logged = line.get("disagreements").cloned().unwrap_or_else(|| serde_json::json!([]));
            assert_eq!(logged, serde_json::json!(differing), "{fields:?}");
            assert_eq!(line["decision"], "permit");
        }
        for (count, what) in expected.iter_mut().zip(WHAT) {
            *count += if differing.contains(&what) { 2.0 } else { 0.0 };
        }
        assert_eq!(counted(&stage, "shop"), expected, "{fields:?}");
    }
    // The upstream hears one story all the same.
    for seen in stage.origin.ledger() {
        assert_eq!(seen.all("x-forwarded-for"), [VISITOR]);
    }
}

#[tokio::test]
async fn a_stranger_is_not_asked_what_it_says() {
    let listeners = "listeners:\n  - {name: http, address: '127.0.0.1:0', protocol: http, sources: any}\n";
    let recipe = Recipe { listeners: listeners.into(), hosts: crate::admission::open_host(), ..Recipe::default() };
    let stage = Stage::with(recipe).await;
    let fields: [(&str, &[u8]); 4] =
        [HTTPS, ("X-Forwarded-Proto", b"http"), ("CF-Connecting-IP", b"203.0.113.7"), ("X-Forwarded-For", b"6.6.6.6")];
    let request: Request<_> = with(get("open.example.com", "/"), &fields);
    let mut client = H1::plain(Some(stranger()), stage.at("http")).await.unwrap();
    assert_eq!(client.send(request).await.unwrap().status, 200);
    assert_eq!(stage.access_lines(1).await[0].get("disagreements"), None);
    assert_eq!(counted(&stage, "open"), [0.0, 0.0]);
}
