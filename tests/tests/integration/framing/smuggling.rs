//! D 32: a request inside another one stays there.

use super::streams::{exchange, fields_of};
use super::{SMUGGLED, answers_in, assert_nothing_smuggled, head, said, smuggled, statuses};
use pullgate_tests::frames::{END_STREAM, frame, kind};
use pullgate_tests::origin::{Entry, sha256};
use pullgate_tests::stage::Stage;

/// Ways to write `Transfer-Encoding: chunked` that one recipient takes for it and another does not.
const MUTATIONS: [&str; 40] = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding:chunked",
    "TRANSFER-ENCODING: CHUNKED",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: chunked ",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding\x0b: chunked",
    "Transfer-Encoding\0: chunked",
    "Transfer-Encoding;: chunked",
    "\"Transfer-Encoding\": chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "\0Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\r\n\rTransfer-Encoding: chunked",
    "Transfer-Encoding\r\n: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked\r\n\tx",
    "Transfer-Encoding:\n chunked",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: \x0cchunked",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: chunked\0",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: chun\u{212a}ed",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "Transfer.Encoding: chunked",
];

/// TE.TE and CL.TE: whichever of the two fields somebody believes, there is nobody to believe it.
#[tokio::test]
async fn d32_no_spelling_of_transfer_encoding_passes_beside_a_length() {
    let stage = Stage::new().await;
    let inner = format!("0\r\n\r\n{}", smuggled());
    for (count, mutation) in (1..).zip(MUTATIONS) {
        let fields = format!("Content-Length: {}\r\n{mutation}\r\n\r\n{inner}", inner.len());
        let answer = said(&stage, head("POST /", &fields).as_bytes()).await;
        assert_eq!(statuses(&answer), [400], "{mutation:?}: {}", String::from_utf8_lossy(&answer));
        let line = stage.access_lines(count).await.pop().unwrap();
        assert!(
            ["body_ambiguous", "head_malformed"].contains(&line["reason"].as_str().unwrap()),
            "{mutation:?}: {line}"
        );
    }
    stage.assert_nothing_reached_the_origin();
}

/// CL.0, 0.CL and TE.0: what one end leaves out is still the body of that request.
#[tokio::test]
async fn d32_a_body_is_a_body_under_every_method() {
    let stage = Stage::new().await;
    let inner = smuggled();
    let length = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
    let chunks =
        format!("Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let mut count = 0;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        for fields in [&length, &chunks] {
            count += 1;
            let answer = said(&stage, head(&format!("{method} /digest"), fields).as_bytes()).await;
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{method}: {}", String::from_utf8_lossy(&answer));
            let entry = stage.origin.wait_for(count).await.pop().unwrap();
            assert_eq!((entry.method.as_str(), entry.body_sha256), (method, sha256(inner.as_bytes())));
        }
    }
    assert_eq!(stage.origin.ledger().len(), count);
}

/// Ends of chunks that one parser takes for an end and another for a part of it.
#[tokio::test]
async fn d32_lines_of_chunks_end_in_one_way_or_not_at_all() {
    let stage = Stage::new().await;
    let inner = smuggled();
    let hidden = format!("5;a\nhello\r\n0\r\n\r\n{inner}");
    let bodies = [
        ("a line feed in an extension", hidden.clone()),
        ("a line feed in a quoted extension", hidden.replace(";a\n", ";a=\"\n\"\r\n")),
        ("a carriage return in an extension", hidden.replace(";a\n", ";a\rx\r\n")),
        ("a line feed behind a size", format!("5\nhello\r\n0\r\n\r\n{inner}")),
        ("a line feed behind a chunk", format!("5\r\nhello\n0\r\n\r\n{inner}")),
        ("a line feed behind the last size", format!("5\r\nhello\r\n0\n\r\n{inner}")),
        ("no line end behind a chunk", format!("5\r\nhello0\r\n\r\n{inner}")),
        ("another line end behind a chunk", format!("5\r\nhelloXX0\r\n\r\n{inner}")),
        ("a field that is none among the trailers", format!("0\r\nno colon\r\n\r\n{inner}")),
        ("a length among the trailers", format!("0\r\nContent-Length: {}\r\n\r\n{inner}", inner.len())),
        ("a bare line feed among the trailers", format!("0\r\nA: b\n\r\n\r\n{inner}")),
    ];
    for (what, body) in bodies {
        let fields = format!("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}");
        let answer = said(&stage, head("POST /digest", &fields).as_bytes()).await;
        assert!(answer.is_empty() || statuses(&answer).len() == 1, "{what}: {}", String::from_utf8_lossy(&answer));
        assert_nothing_smuggled(&stage, what);
    }
    for entry in stage.origin.ledger().iter().filter(|entry| entry.body_complete) {
        let whole = [sha256(b"hello"), sha256(b"")];
        assert!(whole.contains(&entry.body_sha256) && entry.all("content-length").is_empty(), "{entry:#?}");
    }
}

#[tokio::test]
async fn d32_trailers_go_nowhere() {
    let stage = Stage::new().await;
    let body = "5\r\nhello\r\n0\r\nHost: evil.example\r\nTransfer-Encoding: x\r\nX-Trailer: evil\r\n\r\n";
    let fields = format!("Transfer-Encoding: chunked\r\nTrailer: X-Trailer\r\nConnection: close\r\n\r\n{body}");
    let answer = said(&stage, head("POST /digest", &fields).as_bytes()).await;
    assert_eq!(answers_in(&answer), [(200, sha256(b"hello"))]);
    let entry = stage.origin.wait_for(1).await.remove(0);
    assert!(!entry.headers.iter().any(|(_, value)| value.contains("evil")), "{entry:#?}");
}

/// H2.CL, H2.TE and H2.0: the frames of HTTP/2 are the only framing there is, and what disagrees with them is refused.
#[tokio::test]
async fn d32_http2_brings_no_framing_of_its_own() {
    let stage = Stage::new().await;
    let inner = smuggled();
    let (whole, less, more) = (inner.len().to_string(), "0".to_owned(), (inner.len() + 1).to_string());
    let post = |name: &str, value: &str| {
        let mut fields = fields_of("POST", "/digest");
        fields.push((name.into(), value.into()));
        fields
    };
    let data = [frame(kind::DATA, END_STREAM, 1, inner.as_bytes())];
    let refused = [
        ("H2.CL: less", post("content-length", &less)),
        ("H2.CL: more", post("content-length", &more)),
        ("H2.TE", post("transfer-encoding", "chunked")),
        ("H2.TE: in CGI's spelling", post("transfer_encoding", "chunked")),
        ("H2.CL: in CGI's spelling", post("content_length", &less)),
        ("H2.CL: a list", post("content-length", &format!("{whole}, {whole}"))),
        ("H2.TE: in a value", post("x", "y\r\ntransfer-encoding: chunked")),
        ("H2.TE: in a name", post("x: y\r\ntransfer-encoding", "chunked")),
    ];
    for (what, fields) in refused {
        let status = exchange(&stage, &fields, &data).await;
        assert!(status.is_none_or(|status| status == 400), "{what}: {status:?}");
        assert_nothing_smuggled(&stage, what);
        let ledger = stage.origin.ledger();
        // Whose head says that there is no body has gone on before the body came.
        let is_whole = |entry: &Entry| entry.body_complete && entry.header("content-length") != Some("0");
        assert!(!ledger.iter().any(is_whole), "{what}: {status:?} {ledger:#?}");
    }
    let sound = [("H2.0", fields_of("POST", "/digest")), ("H2.CL: right", post("content-length", &whole))];
    for (count, (what, fields)) in (1..).zip(sound) {
        assert_eq!(exchange(&stage, &fields, &data).await, Some(200), "{what}");
        let whole = |entry: &Entry| entry.body_sha256 == sha256(inner.as_bytes());
        assert_eq!(stage.origin.ledger().iter().filter(|entry| whole(entry)).count(), count, "{what}");
    }
    assert_nothing_smuggled(&stage, SMUGGLED);
}
