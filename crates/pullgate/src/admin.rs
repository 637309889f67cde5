//! The admin listener: `/metrics`, `/-/healthy`, `/-/ready`, `/-/ranges`. GET and HEAD alone, on loopback unless the configuration says otherwise.

use crate::heartbeat::Heartbeat;
use crate::ranges::RANGES;
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
                let state =
                    State { draining: !*ready.borrow(), alive: heartbeat.is_beating(), succession: &succession };
                let answer = answer(&request, &metrics, &state);
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

/// How the gateway is.
struct State<'a> {
    draining: bool,
    alive: bool,
    succession: &'a Succession,
}

fn answer(request: &Request<Incoming>, metrics: &Metrics, state: &State<'_>) -> Response<Full<Bytes>> {
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
        "/-/healthy" if state.alive => text(StatusCode::OK, "healthy\n"),
        "/-/healthy" => text(StatusCode::SERVICE_UNAVAILABLE, "not healthy: the threads that serve are stuck\n"),
        "/-/ready" => match unready(state) {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        RANGES => json(StatusCode::OK, state.succession.ranges().json()),
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /-/healthy, /-/ready and /-/ranges\n"),
    }
}

/// Why no traffic should be sent here; none where it may.
fn unready(state: &State<'_>) -> Option<String> {
    if state.draining {
        return Some("draining".to_owned());
    }
    let missing = state.succession.teams().never_complete();
    (!missing.is_empty()).then(|| format!("no keys yet of Access team {}", missing.join(", ")))
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
