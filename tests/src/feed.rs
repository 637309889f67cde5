//! A feed of ranges that does as it is told: any status, head and body, at any pace, with TLS or without.

use crate::pki::Identity;
use pullgate_policy::ranges::BUILTIN;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What the feed says to whoever asks.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// Takes the request and says nothing.
    Silent,
    /// A byte now and then, for ever.
    Dripping,
    /// Promises more than it sends.
    Cut,
}

impl Reply {
    /// A status with a body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), pace: Pace::AtOnce }
    }

    /// An answer of the API with these prefixes.
    #[must_use]
    pub fn list(prefixes: &[&str], etag: &str) -> Self {
        let (v6, v4): (Vec<&str>, Vec<&str>) = prefixes.iter().partition(|prefix| prefix.contains(':'));
        let result = json!({"ipv4_cidrs": v4, "ipv6_cidrs": v6, "etag": etag});
        let answer = json!({"result": result, "success": true, "errors": [], "messages": []});
        Self::new(200, answer.to_string()).header("ETag", &format!("W/\"{etag}\""))
    }

    /// An answer of the API: the published list without some prefixes and with others.
    #[must_use]
    pub fn published_but(without: &[&str], with: &[&str], etag: &str) -> Self {
        let kept = BUILTIN.iter().filter(|prefix| !without.contains(prefix));
        Self::list(&kept.chain(with).copied().collect::<Vec<_>>(), etag)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Never sent.
    #[must_use]
    pub fn silent(self) -> Self {
        Self { pace: Pace::Silent, ..self }
    }

    /// Head and body at once, and then a space now and then without an end.
    #[must_use]
    pub fn dripping(self) -> Self {
        Self { pace: Pace::Dripping, ..self }
    }

    /// Broken off before its end.
    #[must_use]
    pub fn cut(self) -> Self {
        Self { pace: Pace::Cut, ..self }
    }
}

/// A feed on loopback.
pub struct Feed {
    address: SocketAddr,
    scheme: &'static str,
    reply: Arc<Mutex<Reply>>,
    asked: Arc<Mutex<Vec<String>>>,
    serving: AbortHandle,
}

impl Feed {
    /// A feed without TLS.
    pub async fn start(reply: Reply) -> Self {
        Self::serve(reply, None).await
    }

    /// A feed that shows a certificate.
    pub async fn with_tls(reply: Reply, identity: &Identity) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(identity.chain(), identity.key()).unwrap();
        Self::serve(reply, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, asked) = (Arc::new(Mutex::new(reply)), Arc::new(Mutex::new(Vec::new())));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (script, ledger) = (Arc::clone(&reply), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let (script, ledger, tls) = (Arc::clone(&script), Arc::clone(&ledger), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(io, &script, &ledger).await,
                        Some(tls) => match tls.accept(io).await {
                            Ok(io) => answer(io, &script, &ledger).await,
                            Err(_) => Some(()),
                        },
                    }
                });
            }
        });
        Self { address, scheme, reply, asked, serving: serving.abort_handle() }
    }

    /// Its URL, by a name or address of this machine.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        format!("{}://{host}:{}/client/v4/ips", self.scheme, self.address.port())
    }

    /// Says something else from now on.
    pub fn say(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// The heads of the requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Goes away: nobody answers there any more.
    pub fn end(self) {
        self.serving.abort();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer<T: AsyncRead + AsyncWrite + Unpin>(
    mut io: T,
    script: &Mutex<Reply>,
    ledger: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    // What is said when the request is there is what counts for it.
    let Reply { status, headers, body, pace } = script.lock().unwrap().clone();
    ledger.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    if pace == Pace::Silent {
        // Until the client has had enough.
        return io.read_u8().await.ok().map(drop);
    }
    let promised = if pace == Pace::AtOnce { body.len() } else { body.len() + 1000 };
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if status == 304 { String::new() } else { format!("Content-Length: {promised}\r\n") };
    io.write_all(format!("HTTP/1.1 {status} Said\r\n{length}{fields}\r\n").as_bytes()).await.ok()?;
    if status != 304 {
        io.write_all(&body).await.ok()?;
    }
    io.flush().await.ok()?;
    if pace == Pace::Dripping {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            io.write_all(b" ").await.ok()?;
            io.flush().await.ok()?;
        }
    }
    io.shutdown().await.ok()
}
