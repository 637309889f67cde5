//! One request to a collector: OTLP over HTTP with protobuf, as <https://opentelemetry.io/docs/specs/otlp/> has it.

use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use pullgate_cloudflare::{AGENT, Client, FetchError};
use pullgate_config::TRACES_PATH;
use pullgate_metrics::Receipt;
use std::time::Duration;
use tokio::time::timeout;

/// How long an export may take, from the resolving of the name to the end of the answer: OTLP's own default.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer: a few, with a sentence in them at most.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Spans that a collector did not take, as far as anybody knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// It is not reached, speaks no HTTP, or broke off.
    #[error(transparent)]
    Unheard(#[from] FetchError),
    /// Its URL cannot be asked for.
    #[error("the URL is none that can be asked for")]
    Url(#[from] http::Error),
    /// It took too long.
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
    /// It does not want them.
    #[error("the answer is {0}")]
    Status(StatusCode),
}

/// Sends one batch, on a connection of its own, which costs little beside what is in it. It is not sent again.
pub(super) async fn export(client: &Client, collector: &Uri, body: Vec<u8>) -> Result<Receipt, ExportError> {
    timeout(PATIENCE, send(client, collector, body)).await.map_err(|_| ExportError::TimedOut)?
}

async fn send(client: &Client, collector: &Uri, body: Vec<u8>) -> Result<Receipt, ExportError> {
    let request = request(collector, body)?;
    let answer = client.open(collector).await?.exchange(request).await?;
    if !answer.status().is_success() {
        return Err(ExportError::Status(answer.status()));
    }
    // What an answer says beyond its status is read as far as it can be.
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    Ok(body.map_or_else(|_| Receipt::default(), |body| Receipt::read(&body.to_bytes())))
}

fn request(collector: &Uri, body: Vec<u8>) -> Result<Request<Full<Bytes>>, http::Error> {
    let authority = collector.authority().map_or("", http::uri::Authority::as_str);
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}{TRACES_PATH}", collector.path().trim_end_matches('/')))
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Full::new(body.into()))
}
