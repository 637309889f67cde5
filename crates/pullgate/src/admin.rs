//! The admin listener: `/metrics`, `/-/healthy`, `/-/ready`, `/-/ranges`. GET and HEAD alone, on loopback unless the configuration says otherwise.

use crate::heartbeat::Heartbeat;
use crate::ranges::{RANGES, Ranges};
use crate::reload::Succession;
use crate::spare::Spare;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use log::debug;
use pullgate_metrics::Metrics;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// From accept to a whole request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until its runtime ends, which is none of those that serve: it answers when they are stuck, and metrics can be read to the last moment of a drain.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    ready: watch::Receiver<bool>,
    succession: Arc<Succession>,
    heartbeat: Arc<Heartbeat>,
) {
    let spare = Arc::new(Spare::default());
    spare.refill();
    loop {
        let Ok((io, _)) = listener.accept().await else {
            // At once, before anybody else takes what is given away here.
            if !spare.give() {
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            continue;
        };
        spare.refill();
        let spare = Arc::clone(&spare);
        let (metrics, ready) = (metrics.clone(), ready.clone());
        let (succession, heartbeat) = (Arc::clone(&succession), Arc::clone(&heartbeat));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &metrics, *ready.borrow(), heartbeat.is_beating(), succession.ranges());
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            if let Err(error) = server.serve_connection(TokioIo::new(io), service).await {
                debug!("admin connection: {error}");
            }
            // The socket is closed by now: what it leaves is kept for the next one.
            spare.refill();
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    ready: bool,
    alive: bool,
    ranges: &Ranges,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => match metrics.render() {
            Ok(series) => text(StatusCode::OK, series),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/-/healthy" if alive => text(StatusCode::OK, "healthy\n"),
        "/-/healthy" => text(StatusCode::SERVICE_UNAVAILABLE, "not healthy: the threads that serve are stuck\n"),
        "/-/ready" if ready => text(StatusCode::OK, "ready\n"),
        "/-/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n"),
        RANGES => json(StatusCode::OK, ranges.json()),
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /-/healthy, /-/ready and /-/ranges\n"),
    }
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = text(status, body);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
