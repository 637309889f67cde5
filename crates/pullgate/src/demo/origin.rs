//! A small origin that remembers the head of every request that reached it.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A running origin.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    runtime: Runtime,
}

impl Origin {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(serve(listener, Arc::clone(&seen)));
        Ok(Self { address, seen, runtime })
    }

    /// How many requests reached it.
    pub(super) fn requests(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The head of the last request.
    pub(super) fn last(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    pub(super) fn stop(self) {
        self.runtime.shutdown_background();
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>) {
    while let Ok((io, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(head_of(&request));
                async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello from the origin\n")))) }
            });
            // A connection that breaks is the client's affair.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
        });
    }
}

fn head_of(request: &Request<Incoming>) -> String {
    let mut head = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        head.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    head
}
