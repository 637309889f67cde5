//! What the fields of a request say of its framing and of the way to it, in either version of HTTP.
//!
//! For a head of HTTP/1.1, [`crate::head`] has looked at the bytes before. Here it is the parsed request that counts, so that HTTP/2 is held to
//! the same: what goes on to an upstream goes on as HTTP/1.1.

use crate::denial::Reason;
use crate::facts::Facts;
use crate::headers::is_spelling_of;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Method};

/// Judges how a request frames itself and names its way.
///
/// # Errors
/// [`Reason::MethodUnlisted`] for CONNECT, [`Reason::SchemeMismatched`], [`Reason::BodyAmbiguous`] or [`Reason::ExpectationUnknown`].
pub(crate) fn check(facts: &Facts<'_>) -> Result<(), Reason> {
    let request = &facts.request;
    // A tunnel has no path, and nothing in it could be judged.
    if request.method == Method::CONNECT {
        return Err(Reason::MethodUnlisted);
    }
    let own = if facts.connection.tls().is_some() { "https" } else { "http" };
    if request.scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case(own)) {
        return Err(Reason::SchemeMismatched);
    }
    check_fields(request.headers)
}

/// Most requests have none of these fields: one look at the names costs less than a search for each.
fn check_fields(headers: &HeaderMap) -> Result<(), Reason> {
    for name in headers.keys() {
        match name.as_str() {
            "content-length" => check_length(headers)?,
            "expect" => check_expectation(headers)?,
            name if poses(name) => return Err(Reason::BodyAmbiguous),
            _ => {}
        }
    }
    Ok(())
}

/// Whether somebody may take a field for one that frames (`content_length`, which CGI folds into it).
fn poses(name: &str) -> bool {
    match name.len() {
        14 => is_spelling_of(name, "content-length"),
        17 => name != "transfer-encoding" && is_spelling_of(name, "transfer-encoding"),
        _ => false,
    }
}

/// The number of bytes that a `Content-Length` tells (RFC 9110 section 8.6): digits, and no more than a machine can count.
#[must_use]
pub fn length(value: &[u8]) -> Option<usize> {
    let is_number = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

/// The length is told once.
fn check_length(headers: &HeaderMap) -> Result<(), Reason> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = lengths.next().is_some_and(|value| length(value.as_bytes()).is_some());
    if is_number && lengths.next().is_none() { Ok(()) } else { Err(Reason::BodyAmbiguous) }
}

/// Servers and proxies disagree on what follows an `Expect` that is not the one everybody knows.
fn check_expectation(headers: &HeaderMap) -> Result<(), Reason> {
    let mut told = headers.get_all(EXPECT).iter();
    match (told.next(), told.next()) {
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        _ => Err(Reason::ExpectationUnknown),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::Arrival;

    #[test]
    fn what_a_request_may_say_of_its_framing() {
        let good = Arrival::good;
        let table = [
            ("nothing", good(), Ok(())),
            ("a length", good().with("content-length", "5"), Ok(())),
            ("chunks", good().with("transfer-encoding", "chunked"), Ok(())),
            (
                "one length twice",
                good().with("content-length", "5").with("content-length", "5"),
                Err(Reason::BodyAmbiguous),
            ),
            ("a list", good().with("content-length", "5, 5"), Err(Reason::BodyAmbiguous)),
            ("a sign", good().with("content-length", "+5"), Err(Reason::BodyAmbiguous)),
            ("an empty length", good().with("content-length", ""), Err(Reason::BodyAmbiguous)),
            ("a length beyond all", good().with("content-length", "18446744073709551616"), Err(Reason::BodyAmbiguous)),
            ("a length for CGI", good().with("content_length", "5"), Err(Reason::BodyAmbiguous)),
            ("a coding for CGI", good().with("Transfer_Encoding", "chunked"), Err(Reason::BodyAmbiguous)),
            ("a coding with dots", good().with("transfer.encoding", "chunked"), Err(Reason::BodyAmbiguous)),
            ("a longer name", good().with("x-content_length", "5"), Ok(())),
            ("a name behind it", good().with("content_length_x", "5"), Ok(())),
            ("a wait for leave", good().with("expect", "100-Continue"), Ok(())),
            ("another expectation", good().with("expect", "x"), Err(Reason::ExpectationUnknown)),
            ("two in a list", good().with("expect", "100-continue, 100-continue"), Err(Reason::ExpectationUnknown)),
            (
                "two fields",
                good().with("expect", "100-continue").with("expect", "100-continue"),
                Err(Reason::ExpectationUnknown),
            ),
            ("none in it", good().with("expect", ""), Err(Reason::ExpectationUnknown)),
            ("a tunnel", good().asks("CONNECT", "shop.example.com:443"), Err(Reason::MethodUnlisted)),
            ("its scheme", good().scheme("https"), Ok(())),
            ("its scheme in capitals", good().scheme("HTTPS"), Ok(())),
            ("no such scheme", good().scheme("ftp"), Err(Reason::SchemeMismatched)),
            ("plain in TLS", good().scheme("http"), Err(Reason::SchemeMismatched)),
            ("plain", good().plain().scheme("http"), Ok(())),
            ("TLS in plain", good().plain().scheme("https"), Err(Reason::SchemeMismatched)),
        ];
        for (what, arrival, expected) in table {
            assert_eq!(check(&arrival.facts()), expected, "{what}");
        }
    }
}
