//! A collector of OTLP over HTTP that keeps what it is sent, and behaves as badly as it is told to.

use crate::pki::Identity;
use crate::stage::eventually;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What the collector does with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    Takes,
    /// Takes it but for so many spans.
    Rejects(i64),
    /// Answers with this status, and takes nothing.
    Answers(u16),
    /// Never answers.
    Hangs,
}

/// A request that the collector received, whatever became of it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Method and path.
    pub line: String,
    /// `Content-Type`.
    pub content_type: String,
    /// The body as it came.
    pub body: Bytes,
    taken: bool,
}

/// A collector on loopback.
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    manner: Arc<Mutex<Manner>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    serving: AbortHandle,
}

impl Collector {
    /// A collector without TLS.
    pub async fn start(manner: Manner) -> Self {
        Self::serve(manner, None).await
    }

    /// A collector that shows a certificate.
    pub async fn with_tls(manner: Manner, identity: &Identity) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(identity.chain(), identity.key()).unwrap();
        Self::serve(manner, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (manner, sent) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (says, keeps) = (Arc::clone(&manner), Arc::clone(&sent));
        let serving = tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let (says, keeps, tls) = (Arc::clone(&says), Arc::clone(&keeps), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(io, &says, &keeps).await,
                        Some(tls) => {
                            if let Ok(io) = tls.accept(io).await {
                                converse(io, &says, &keeps).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, manner, sent, serving: serving.abort_handle() }
    }

    /// Its URL, as `tracing.otlp` has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Behaves otherwise from now on.
    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Everything that it was sent.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// What it was sent and took.
    #[must_use]
    pub fn taken(&self) -> Vec<ResourceSpans> {
        let taken = self.sent().into_iter().filter(|sent| sent.taken);
        taken.flat_map(|sent| ExportTraceServiceRequest::decode(sent.body).unwrap().resource_spans).collect()
    }

    /// The spans among that, in the order in which they began.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.taken().into_iter().flat_map(|resource| resource.scope_spans);
        let mut spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// Waits for `count` spans.
    pub async fn wait_for(&self, count: usize) -> Vec<Span> {
        assert!(eventually(|| self.spans().len() >= count).await, "{:#?}", self.spans());
        self.spans()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn converse<T: AsyncRead + AsyncWrite + Unpin>(io: T, manner: &Mutex<Manner>, sent: &Mutex<Vec<Sent>>) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request, manner, sent).await) });
    // The client may be gone before its answer.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
}

async fn answer(request: Request<Incoming>, manner: &Mutex<Manner>, sent: &Mutex<Vec<Sent>>) -> Response<Full<Bytes>> {
    let line = format!("{} {}", request.method(), request.uri());
    let content_type = request.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let manner = manner.lock().unwrap().clone();
    let taken = matches!(manner, Manner::Takes | Manner::Rejects(_));
    sent.lock().unwrap().push(Sent { line, content_type, body, taken });
    let rejected = match manner {
        Manner::Takes => 0,
        Manner::Rejects(count) => count,
        Manner::Answers(status) => {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            return answer;
        }
        Manner::Hangs => std::future::pending().await,
    };
    let told = ExportTracePartialSuccess { rejected_spans: rejected, error_message: "too old".into() };
    let answer = ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(told) };
    Response::new(Full::new(answer.encode_to_vec().into()))
}

/// Attributes as a JSON object.
#[must_use]
pub fn attributes(attributes: &[KeyValue]) -> Map<String, Value> {
    let value = |attribute: &KeyValue| plain(attribute.value.as_ref().unwrap());
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute))).collect()
}

fn plain(value: &AnyValue) -> Value {
    match value.value.as_ref().unwrap() {
        Any::StringValue(value) => json!(value),
        Any::BoolValue(value) => json!(value),
        Any::IntValue(value) => json!(value),
        Any::DoubleValue(value) => json!(value),
        Any::ArrayValue(list) => list.values.iter().map(plain).collect(),
        other => panic!("{other:?}"),
    }
}

/// Bytes as lowercase hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
