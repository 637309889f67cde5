//! What the gateway answers by itself: small fixed bodies that tell a client nothing.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorSource, ErrorType};
use pullgate_metrics::UpstreamEnd;

/// Seconds after which a client may try again when no server could be reached.
const RETRY: &str = "5";

/// The head and body of an answer of ours; what it says is the status line over again.
pub(crate) fn fixed(status: StatusCode, location: Option<HeaderValue>) -> pingora::Result<(ResponseHeader, Bytes)> {
    let body = body_of(status);
    let mut head = ResponseHeader::build(status, Some(6))?;
    // A refusal must not be cached at the edge and shown to somebody else.
    head.insert_header(CACHE_CONTROL, "no-store")?;
    if let Some(location) = location {
        head.insert_header(LOCATION, location)?;
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        head.insert_header(RETRY_AFTER, RETRY)?;
    }
    if has_body(status) {
        head.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
        head.insert_header(CONTENT_LENGTH, body.len())?;
        return Ok((head, Bytes::from(body)));
    }
    Ok((head, Bytes::new()))
}

/// The same as bytes of HTTP/1.1, for a connection that ends with it.
pub(crate) fn raw(status: StatusCode) -> Vec<u8> {
    let body = body_of(status);
    format!(
        "HTTP/1.1 {status}\r\n{CACHE_CONTROL}: no-store\r\n{CONTENT_TYPE}: text/plain; charset=utf-8\r\n{CONTENT_LENGTH}: {}\r\n{CONNECTION}: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn body_of(status: StatusCode) -> String {
    format!("{} {}\n", status.as_str(), status.canonical_reason().unwrap_or(""))
}

/// RFC 9110 section 6.4.1.
fn has_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT)
}

/// How an exchange with a server ended, from Pingora's error.
pub(crate) fn end_of(error: &Error) -> UpstreamEnd {
    use ErrorType as E;
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, _) => UpstreamEnd::Abandoned,
        (_, E::ConnectTimedout | E::ReadTimedout | E::WriteTimedout) => UpstreamEnd::TimedOut,
        (_, E::ConnectRefused | E::ConnectNoRoute | E::ConnectError | E::SocketError | E::BindError) => {
            UpstreamEnd::Unreachable
        }
        _ => UpstreamEnd::Broken,
    }
}

/// The status of a failed exchange: 503 where no server was reached, 504 where it was too slow, 502 where its answer was no HTTP,
/// none where the client is gone.
pub(crate) fn status_of(error: &Error) -> Option<StatusCode> {
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(code)) => StatusCode::from_u16(*code).ok(),
        (ErrorSource::Downstream, ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed) => None,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(StatusCode::REQUEST_TIMEOUT),
        (ErrorSource::Downstream, ErrorType::WriteTimedout) => None,
        (ErrorSource::Downstream, _) => Some(StatusCode::BAD_REQUEST),
        (ErrorSource::Upstream, ErrorType::ConnectTimedout) => Some(StatusCode::SERVICE_UNAVAILABLE),
        (ErrorSource::Upstream, _) => Some(match end_of(error) {
            UpstreamEnd::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            UpstreamEnd::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }),
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
