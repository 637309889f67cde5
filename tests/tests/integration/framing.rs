//! Request heads and framing (scenarios D 31 to 36): what two recipients could read in two ways reaches nobody, and no answer reaches another
//! client than the one that asked.

mod answers;
mod heads;
mod pipelines;
mod smuggling;
mod streams;

use pullgate_tests::client::raw;
use pullgate_tests::stage::{Stage, VISITOR, cloudflare};

/// The head of a request for the guarded host, without its last empty line: the fields come behind Host and the visitor.
fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: shop.example.com\r\nCF-Connecting-IP: {VISITOR}\r\n{fields}")
}

/// What came back over one connection of HTTP/1.1, to its end.
async fn said(stage: &Stage, bytes: &[u8]) -> Vec<u8> {
    let tls = stage.tls().alpn(&["http/1.1"]).client_config();
    raw(Some(cloudflare()), stage.at("https"), Some(("shop.example.com", tls)), bytes).await.unwrap()
}

/// The answers in what came, each with a `Content-Length`: status and body. Interim ones have none.
fn answers_in(mut bytes: &[u8]) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let end =
            bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}")) + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head[9..12].parse().unwrap_or_else(|_| panic!("no status: {text}"));
        let told = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = told.map_or(0, |length| length.parse().unwrap());
        answers.push((status, String::from_utf8_lossy(&bytes[end..end + length]).into_owned()));
        bytes = &bytes[end + length..];
    }
    answers
}

fn statuses(bytes: &[u8]) -> Vec<u16> {
    answers_in(bytes).into_iter().map(|(status, _)| status).collect()
}

/// What stands in no request of its own wherever it is smuggled.
const SMUGGLED: &str = "/smuggled";

/// A request to be smuggled.
fn smuggled() -> String {
    head(&format!("GET {SMUGGLED}"), "\r\n")
}

/// Asserts that nothing smuggled has become a request, whatever else has.
fn assert_nothing_smuggled(stage: &Stage, what: &str) {
    let ledger = stage.origin.ledger();
    assert!(!ledger.iter().any(|entry| entry.target.starts_with(SMUGGLED)), "{what}: {ledger:#?}");
}
