//! D 31 over HTTP/2: heads that no HTTP library would make, written by hand. What the libraries refuse by themselves is counted and logged
//! too.

use crate::requests::answer_on_stream_1;
use pullgate_tests::client::Wire;
use pullgate_tests::frames::{END_HEADERS, END_STREAM, block, frame, kind, opening};
use pullgate_tests::stage::{Stage, VISITOR, cloudflare};
use tokio::io::AsyncWriteExt;

/// Fields of a head, pseudo ones first.
pub(super) type Fields = Vec<(String, String)>;

/// A sound head, to be spoilt.
pub(super) fn fields_of(method: &str, path: &str) -> Fields {
    let sound = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "shop.example.com"),
        (":path", path),
        ("cf-connecting-ip", VISITOR),
    ];
    sound.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// One request on a connection of its own; `body` are the frames behind its head, none where the head ends the stream. The status, where
/// there is one.
pub(super) async fn exchange(stage: &Stage, fields: &Fields, body: &[Vec<u8>]) -> Option<u16> {
    let config = stage.tls().alpn(&["h2"]).client_config();
    let mut wire = Wire::tls(Some(cloudflare()), stage.at("https"), "shop.example.com", config).await.unwrap();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let end = if body.is_empty() { END_STREAM } else { 0 };
    // It may be refused before all of it is written.
    let _ = wire.write_all(&[opening(), head_of(&block(&fields), end), body.concat()].concat()).await;
    answer_on_stream_1(&mut wire).await.0
}

/// A block as HEADERS, with CONTINUATION where one frame is too small.
fn head_of(block: &[u8], flags: u8) -> Vec<u8> {
    const LARGEST: usize = 16 << 10;
    let last = block.len().div_ceil(LARGEST) - 1;
    let frames = block.chunks(LARGEST).enumerate().map(|(at, part)| {
        let (kind, flags) = if at == 0 { (kind::HEADERS, flags) } else { (kind::CONTINUATION, 0) };
        frame(kind, if at == last { flags | END_HEADERS } else { flags }, 1, part)
    });
    frames.collect::<Vec<_>>().concat()
}

/// A row: what it is, the head, the status (none where the stream or the connection ends), the reason that the log gives.
type Row = (&'static str, Fields, Option<u16>, &'static str);

fn with(fields: &[(&str, &str)]) -> Fields {
    let mut head = fields_of("GET", "/");
    head.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    head
}

/// A sound head with another value, or none, for one of its fields.
fn but(name: &str, value: Option<&str>) -> Fields {
    let mut head = fields_of("GET", "/");
    match value {
        None => head.retain(|(given, _)| given != name),
        Some(value) => head.iter_mut().filter(|(given, _)| given == name).for_each(|field| field.1 = value.into()),
    }
    head
}

/// What is no field of HTTP/2 at all (RFC 9113 section 8.2).
fn broken_fields() -> Vec<Row> {
    let of_the_connection = [("connection", "close"), ("keep-alive", "timeout=5"), ("proxy-connection", "close")];
    let mut rows: Vec<Row> = vec![
        ("an uppercase name", with(&[("X-Upper", "1")]), None, "frames_malformed"),
        ("a colon in a name", with(&[("a:b", "1")]), None, "frames_malformed"),
        ("a space in a name", with(&[("a b", "1")]), None, "frames_malformed"),
        ("an empty name", with(&[("", "1")]), None, "frames_malformed"),
        ("a line feed in a value", with(&[("a", "b\r\nc: d")]), None, "frames_malformed"),
        ("a carriage return in a value", with(&[("a", "b\rc")]), None, "frames_malformed"),
        ("NUL in a value", with(&[("a", "b\0c")]), None, "frames_malformed"),
        ("te", with(&[("te", "gzip")]), None, "stream_malformed"),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")]), None, "stream_malformed"),
        ("upgrade", with(&[("upgrade", "h2c")]), None, "stream_malformed"),
    ];
    rows.extend(of_the_connection.map(|field| (field.0, with(&[field]), None, "stream_malformed")));
    rows
}

/// Pseudo header fields (RFC 9113 section 8.3).
fn pseudo_fields() -> Vec<Row> {
    vec![
        ("path twice", with(&[(":path", "/other")]), None, "stream_malformed"),
        ("a pseudo field behind others", with(&[(":scheme", "https")]), None, "stream_malformed"),
        ("an unknown pseudo field", with(&[(":extra", "1")]), None, "frames_malformed"),
        ("a status", with(&[(":status", "200")]), None, "stream_malformed"),
        ("no method", but(":method", None), None, "stream_malformed"),
        ("no scheme", but(":scheme", None), None, "stream_malformed"),
        ("no path", but(":path", None), None, "stream_malformed"),
        ("an empty path", but(":path", Some("")), None, "stream_malformed"),
        ("a path without its slash", but(":path", Some("other")), None, "stream_malformed"),
        ("a space in the path", but(":path", Some("/a b")), None, "stream_malformed"),
        ("a line feed in the path", but(":path", Some("/a\r\nb")), None, "stream_malformed"),
        ("an asterisk", but(":path", Some("*")), Some(400), "target_malformed"),
        ("an absolute path", but(":path", Some("https://shop.example.com/")), None, "stream_malformed"),
        ("a scheme that is none", but(":scheme", Some("https://evil.example/")), None, "stream_malformed"),
        ("http inside of TLS", but(":scheme", Some("http")), Some(400), "scheme_mismatched"),
        ("another scheme", but(":scheme", Some("ftp")), Some(400), "scheme_mismatched"),
        ("a method that is none", but(":method", Some("GET /other HTTP/1.1")), None, "frames_malformed"),
        ("TRACE", but(":method", Some("TRACE")), Some(405), "method_unlisted"),
    ]
}

fn hosts() -> Vec<Row> {
    let twice = [("host", "shop.example.com"), ("host", "shop.example.com")];
    vec![
        ("another host", with(&[("host", "twin.example.com")]), Some(400), "host_malformed"),
        ("two hosts", with(&twice), Some(400), "host_malformed"),
        ("no host at all", but(":authority", None), Some(400), "host_malformed"),
        ("an empty authority", but(":authority", Some("")), None, "stream_malformed"),
        ("an authority with a user", but(":authority", Some("a@shop.example.com")), Some(400), "host_malformed"),
        ("an authority with a path", but(":authority", Some("shop.example.com/a")), None, "stream_malformed"),
        ("a list of authorities", but(":authority", Some("shop.example.com,b")), Some(400), "host_malformed"),
    ]
}

fn tunnels() -> Vec<Row> {
    let connect = |fields: &[(&str, &str)]| -> Fields {
        fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let (method, authority) = ((":method", "CONNECT"), (":authority", "shop.example.com:443"));
    let extended = [method, (":protocol", "websocket"), (":scheme", "https"), (":path", "/"), authority];
    vec![
        ("CONNECT", connect(&[method, authority]), Some(405), "method_unlisted"),
        (
            "CONNECT with a path",
            connect(&[method, (":scheme", "https"), (":path", "/"), authority]),
            None,
            "stream_malformed",
        ),
        ("an extended CONNECT", connect(&extended), None, "stream_malformed"),
        ("a protocol for GET", [connect(&[(":protocol", "websocket")]), with(&[])].concat(), None, "stream_malformed"),
    ]
}

fn framing() -> Vec<Row> {
    let twice = [("content-length", "0"), ("content-length", "0")];
    let large = "x".repeat(140_000);
    vec![
        ("two lengths", with(&twice), Some(400), "body_ambiguous"),
        (
            "two lengths that differ",
            with(&[("content-length", "0"), ("content-length", "1")]),
            None,
            "stream_malformed",
        ),
        ("a list of lengths", with(&[("content-length", "0, 0")]), None, "stream_malformed"),
        ("a length with a sign", with(&[("content-length", "+0")]), None, "stream_malformed"),
        ("a length without a body", with(&[("content-length", "5")]), None, "stream_malformed"),
        ("a length for CGI", with(&[("content_length", "5")]), Some(400), "body_ambiguous"),
        ("a coding for CGI", with(&[("transfer_encoding", "chunked")]), Some(400), "body_ambiguous"),
        ("another expectation", with(&[("expect", "x")]), Some(417), "expectation_unknown"),
        (
            "two expectations",
            with(&[("expect", "100-continue"), ("expect", "100-continue")]),
            Some(417),
            "expectation_unknown",
        ),
        ("a head above the limit", with(&[("x", &large[..15_000])].repeat(10)), Some(431), "head_too_large"),
    ]
}

#[tokio::test]
async fn d31_what_no_head_of_http2_may_hold() {
    let stage = Stage::new().await;
    let rows = [broken_fields(), pseudo_fields(), hosts(), tunnels(), framing()].concat();
    let mut wrong = Vec::new();
    for (count, (what, fields, expected, reason)) in (1..).zip(rows) {
        let status = exchange(&stage, &fields, &[]).await;
        let line = stage.access_lines(count).await.pop().unwrap();
        let told = (line["reason"].as_str(), line["decision"].as_str(), line["http.response.status_code"].as_u64());
        if status != expected || told != (Some(reason), Some("refuse"), Some(expected.unwrap_or(0).into())) {
            wrong.push(format!("{what}: {status:?} {told:?}"));
        }
        let count = f64::from(u32::try_from(count).unwrap());
        assert_eq!(count, refusals(&stage), "{what} is counted once");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    stage.assert_nothing_reached_the_origin();
}

/// All refusals that were counted.
fn refusals(stage: &Stage) -> f64 {
    let text = stage.gateway.metrics().render().unwrap();
    let series =
        text.lines().filter_map(|line| line.strip_prefix("pullgate_policy_decisions_total{")?.split_once("} "));
    series
        .filter(|(labels, _)| labels.contains(r#"decision="refuse""#))
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum()
}

/// What stands beside it in the tables and is sound.
#[tokio::test]
async fn d31_what_passes_over_http2_arrives_as_it_was_judged() {
    let stage = Stage::new().await;
    let sound = [
        ("a sound head", with(&[]), "/"),
        ("trailers are welcome", with(&[("te", "trailers")]), "/"),
        ("Host beside the authority", with(&[("host", "shop.example.com")]), "/"),
        (
            "Host instead of it",
            [but(":authority", None), vec![("host".into(), "shop.example.com".into())]].concat(),
            "/",
        ),
        ("a scheme in capitals", but(":scheme", Some("HTTPS")), "/"),
        ("the name of a city", with(&[("x-city", "S\u{e3}o Paulo")]), "/"),
        ("a fragment, which the library cuts off", but(":path", Some("/a#b")), "/a"),
    ];
    for (count, (what, fields, target)) in (1..).zip(sound) {
        assert_eq!(exchange(&stage, &fields, &[]).await, Some(200), "{what}");
        let entry = stage.origin.wait_for(count).await.pop().unwrap();
        assert_eq!((entry.target.as_str(), entry.all("host")), (target, vec!["shop.example.com"]), "{what}");
        assert_eq!((entry.all("te").len(), entry.all("connection").len()), (0, 0), "{what}");
    }
    assert_eq!(stage.origin.ledger()[5].all("x-city"), ["S\u{e3}o Paulo"]);
}
