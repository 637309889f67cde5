//! Real clients: HTTP/1.1 and HTTP/2 over hyper and rustls, raw bytes, and the programs curl and openssl.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    process::Stdio,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header, uri::Scheme};
use http_body_util::{
    BodyExt as _, Full,
    channel::{Channel, Sender},
    combinators::BoxBody,
};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore,
    SignatureScheme,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SigningKey},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpSocket, TcpStream},
    process::Command,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::pki::{Authority, Credentials};

/// Why a client did not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No connection: refused, or silence for 3 s (`TimedOut`).
    #[error("no TCP connection")]
    Tcp(#[source] io::Error),
    /// No TLS: an alert, at once or (a client certificate in TLS 1.3) with the first answer; or the end of the
    /// connection within the handshake; or a server certificate that the client does not trust.
    #[error("no TLS session: {text}")]
    Handshake {
        /// The alert that the server sent, if it sent one.
        alert: Option<AlertDescription>,
        /// The failure in words.
        text: String,
    },
    /// The connection ended, or what came over it is not HTTP.
    #[error("no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The connection ended before the request was on it.
    #[error("the connection ended before the request was sent")]
    Ended,
    /// Nothing came for 20 s.
    #[error("no answer in time")]
    Deadline,
}

impl Refused {
    /// The TLS alert that the server sent.
    pub fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::Handshake { alert, .. } => *alert,
            Self::Tcp(_) | Self::Http(_) | Self::Ended | Self::Deadline => None,
        }
    }

    /// Whether TCP was answered with silence, as a dropped SYN is.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Tcp(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    fn handshake(error: &io::Error) -> Self {
        Self::Handshake { alert: alert_in(error), text: error.to_string() }
    }
}

/// The TLS versions that a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
    /// Both.
    Both,
}

/// Which sessions a client offers to resume. Connections share them when they share a `ClientConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// None: every handshake is a full one.
    None,
    /// Those of the same server name, as a browser does.
    PerName,
    /// Those of any server name: an attacker who tries the session of one host at another.
    AcrossNames,
}

/// Whether the ClientHello names the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sni {
    /// It does.
    Sent,
    /// It does not, though the client still checks the name in the certificate.
    Withheld,
}

/// Which servers a client believes.
#[derive(Debug, Clone)]
pub enum Servers {
    /// Those whose certificate these authorities issued, for the name asked for.
    Of(Vec<CertificateDer<'static>>),
    /// All: an attacker does not care whose certificate it is shown.
    Any,
}

/// What a client brings to TLS handshakes.
#[derive(Clone)]
pub struct Tls {
    /// The servers believed.
    pub servers: Servers,
    /// The client certificate, presented wherever one is asked for, whether or not its key fits.
    pub identity: Option<Credentials>,
    /// What is presented instead of an identity, with whatever signs for it.
    pub shown: Option<Arc<CertifiedKey>>,
    /// The versions offered.
    pub versions: Versions,
    /// The application protocols offered, best first; none sends no such extension.
    pub alpn: Vec<Vec<u8>>,
    /// The sessions offered.
    pub sessions: Sessions,
    /// Whether the server is named.
    pub sni: Sni,
}

impl Tls {
    /// A client that trusts one authority, offers both versions, and has no certificate, protocols or sessions.
    pub fn trusting(root: &Authority) -> Self {
        Self::toward(Servers::Of(vec![root.der()]))
    }

    /// The same with any belief in servers.
    pub fn toward(servers: Servers) -> Self {
        Self {
            servers,
            identity: None,
            shown: None,
            versions: Versions::Both,
            alpn: Vec::new(),
            sessions: Sessions::None,
            sni: Sni::Sent,
        }
    }

    /// With a client certificate.
    pub fn presenting(self, identity: impl Into<Credentials>) -> Self {
        Self { identity: Some(identity.into()), ..self }
    }

    /// With these certificates, whether or not they are any, and a key that signs as it likes.
    pub fn showing(self, chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Self {
        Self { shown: Some(Arc::new(CertifiedKey::new(chain, key))), ..self }
    }

    /// With these versions.
    pub fn versions(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }

    /// With these application protocols, best first.
    pub fn alpn(self, protocols: &[&str]) -> Self {
        Self { alpn: protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(), ..self }
    }

    /// With these sessions.
    pub fn sessions(self, sessions: Sessions) -> Self {
        Self { sessions, ..self }
    }

    /// Without a server name in the ClientHello.
    pub fn nameless(self) -> Self {
        Self { sni: Sni::Withheld, ..self }
    }

    /// A configuration with a session store of its own: two connections resume only if they share the `Arc`.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let versions = match self.versions {
            Versions::Tls12 => &[&TLS12][..],
            Versions::Tls13 => &[&TLS13],
            Versions::Both => &[&TLS13, &TLS12],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match &self.servers {
            Servers::Of(roots) => {
                let mut store = RootCertStore::empty();
                roots.iter().for_each(|root| store.add(root.clone()).unwrap());
                builder.with_root_certificates(store)
            }
            Servers::Any => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer)),
        };
        let mut config = match (&self.shown, &self.identity) {
            (Some(shown), _) => builder.with_client_cert_resolver(Arc::new(Presented(Arc::clone(shown)))),
            (None, Some(identity)) => builder.with_client_cert_resolver(Arc::new(Presented::new(identity))),
            (None, None) => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_sni = self.sni == Sni::Sent;
        config.resumption = resumption(self.sessions);
        Arc::new(config)
    }
}

/// What a finished TLS handshake agreed on.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The TLS version.
    pub version: ProtocolVersion,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// The application protocol.
    pub alpn: Option<Vec<u8>>,
    /// The key exchange group; none in a resumption without one.
    pub group: Option<NamedGroup>,
    /// The server's chain, the leaf first.
    pub chain: Vec<CertificateDer<'static>>,
}

impl Handshake {
    fn of(session: &rustls::ClientConnection) -> Self {
        Self {
            version: session.protocol_version().unwrap(),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            group: session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
            chain: session.peer_certificates().unwrap_or_default().to_vec(),
        }
    }
}

/// A TCP connection from a chosen local address: 127.0.1.x plays Cloudflare, 127.0.2.x a stranger. Gives up after 3 s.
pub async fn connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = timeout(CONNECT, socket.connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection to read from and write to, over plain TCP or TLS.
pub struct Wire {
    stream: Stream,
    /// What came before a write failed, and nobody has asked for yet.
    unread: BytesMut,
    alert: Arc<OnceLock<AlertDescription>>,
}

impl Wire {
    /// Connects over plain TCP.
    pub async fn plain(from: Option<IpAddr>, to: SocketAddr) -> Result<Self, Refused> {
        let stream = connect(from, to).await.map_err(Refused::Tcp)?;
        Ok(Self::new(Stream::Plain(stream)))
    }

    /// Connects and shakes hands. In TLS 1.3 the server has not judged the client certificate yet when this returns.
    pub async fn tls(
        from: Option<IpAddr>,
        to: SocketAddr,
        sni: &str,
        config: Arc<ClientConfig>,
    ) -> Result<Self, Refused> {
        Self::secure(connect(from, to).await.map_err(Refused::Tcp)?, sni, config).await
    }

    /// Shakes hands on a connection that exists.
    pub async fn secure(stream: TcpStream, sni: &str, config: Arc<ClientConfig>) -> Result<Self, Refused> {
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        let handshake = timeout(ANSWER, TlsConnector::from(config).connect(name, stream));
        let stream = handshake.await.map_err(|_| Refused::Deadline)?.map_err(|error| Refused::handshake(&error))?;
        Ok(Self::new(Stream::Tls(Box::new(stream))))
    }

    /// What the handshake agreed on; none over plain TCP.
    pub fn handshake(&self) -> Option<Handshake> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(Handshake::of(stream.get_ref().1)),
        }
    }

    /// The alert that ended the TLS session, once a read or a write has met it.
    pub fn alert(&self) -> Option<AlertDescription> {
        self.alert.get().copied()
    }

    fn new(stream: Stream) -> Self {
        Self { stream, unread: BytesMut::new(), alert: Arc::default() }
    }

    /// Holds a failed write back until everything that still came was read. A reset may overtake what the server said
    /// before it, the alert above all; on Linux those bytes can still be read, and HTTP would not look.
    fn settle<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = &polled {
            ready!(self.read_out(context));
        }
        polled
    }

    fn read_out(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(self.read_on(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            self.unread.extend_from_slice(buffer.filled());
        }
    }

    /// Reads from the stream, and keeps an alert. The error alone is not enough for a caller: HTTP/2 drops its cause.
    fn read_on(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.stream.reading().poll_read(context, buffer));
        if let Some(alert) = read.as_ref().err().and_then(alert_in) {
            self.alert.get_or_init(|| alert);
        }
        Poll::Ready(read)
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Self::new(Stream::Plain(stream))
    }
}

impl From<TlsStream<TcpStream>> for Wire {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::new(Stream::Tls(Box::new(stream)))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return self.read_on(context, buffer);
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.stream.writing().poll_write(context, bytes);
        self.settle(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream.writing().poll_flush(context);
        self.settle(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writing().poll_shutdown(context)
    }
}

/// A request body.
pub type Body = BoxBody<Bytes, BodyError>;

/// Why a request body broke off.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A request body that is sent as the sender gives it, and ends when the sender is dropped.
pub fn streaming() -> (Sender<Bytes, BodyError>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed())
}

/// A GET for either HTTP version. The authority becomes the Host header or `:authority`.
pub fn get(authority: &str, path: &str) -> Request<Full<Bytes>> {
    request(Method::GET, authority, path, Bytes::new())
}

/// A POST for either HTTP version, with a body of known length.
pub fn post(authority: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request(Method::POST, authority, path, body.into())
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The first value of a header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, with U+FFFD for what is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One HTTP/1.1 connection.
pub struct H1 {
    sender: http1::SendRequest<Body>,
    line: Line,
}

impl std::fmt::Debug for H1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H1").finish_non_exhaustive()
    }
}

impl H1 {
    /// Connects over plain TCP.
    pub async fn plain(from: Option<IpAddr>, to: SocketAddr) -> Result<Self, Refused> {
        Self::over(Wire::plain(from, to).await?).await
    }

    /// Connects over TLS. `sni` is also the name that the server's certificate must have.
    pub async fn tls(
        from: Option<IpAddr>,
        to: SocketAddr,
        sni: &str,
        config: Arc<ClientConfig>,
    ) -> Result<Self, Refused> {
        Self::over(Wire::tls(from, to, sni, config).await?).await
    }

    /// Speaks HTTP/1.1 on a connection that exists.
    pub async fn over(wire: Wire) -> Result<Self, Refused> {
        let (line, ended) = Line::new(&wire);
        let (sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(|error| line.refused(error))?;
        tokio::spawn(async move {
            // Each request learns of the failure that concerns it.
            let _ = connection.with_upgrades().await;
            drop(ended);
        });
        Ok(Self { sender, line })
    }

    /// Sends a request and collects the answer. The target is sent in origin form; the URI's authority becomes the
    /// Host header unless the request has one.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response, Refused> {
        self.send_stream(request.map(whole)).await
    }

    /// The same with a body of any kind.
    pub async fn send_stream(&mut self, request: Request<Body>) -> Result<Response, Refused> {
        let response = self.send_open(request).await?;
        self.line.collect(response).await
    }

    /// The same, and leaves the answer's body to be read.
    pub async fn send_open(&mut self, request: Request<Body>) -> Result<http::Response<Incoming>, Refused> {
        let Self { sender, line } = self;
        let answer = async {
            sender.ready().await?;
            sender.send_request(origin_form(request)).await
        };
        line.wait_for_head(answer).await
    }

    /// Sends a request for another protocol, and gives the bytes that follow a 101; or the answer that was not one.
    pub async fn upgrade(&mut self, request: Request<Full<Bytes>>) -> Result<TokioIo<Upgraded>, Box<UpgradeRefused>> {
        let response = self.send_open(request.map(whole)).await.map_err(UpgradeRefused::from)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let answer = self.line.collect(response).await.map_err(UpgradeRefused::from)?;
            return Err(Box::new(UpgradeRefused::Answered(answer)));
        }
        let upgraded = hyper::upgrade::on(response).await;
        Ok(TokioIo::new(upgraded.map_err(|error| UpgradeRefused::from(self.line.refused(error)))?))
    }

    /// What the TLS handshake agreed on; none over plain TCP.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.line.handshake.as_ref()
    }

    /// Waits until the connection has ended. Fails the test after 10 s.
    pub async fn closed(&self) {
        self.line.closed().await;
    }
}

/// Why an upgrade did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeRefused {
    /// An answer other than 101.
    #[error("no upgrade but {}", .0.status)]
    Answered(Response),
    /// No answer.
    #[error("no upgrade")]
    Unanswered(#[source] Refused),
}

impl From<Refused> for UpgradeRefused {
    fn from(refused: Refused) -> Self {
        Self::Unanswered(refused)
    }
}

/// One HTTP/2 connection. Clones share it, so that streams can run at the same time.
#[derive(Clone)]
pub struct H2 {
    sender: http2::SendRequest<Body>,
    line: Line,
}

impl std::fmt::Debug for H2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H2").finish_non_exhaustive()
    }
}

impl H2 {
    /// Connects over plain TCP, with prior knowledge.
    pub async fn plain(from: Option<IpAddr>, to: SocketAddr) -> Result<Self, Refused> {
        Self::over(Wire::plain(from, to).await?).await
    }

    /// Connects over TLS; offering `h2` is up to the configuration. `sni` is also the name that the server's
    /// certificate must have.
    pub async fn tls(
        from: Option<IpAddr>,
        to: SocketAddr,
        sni: &str,
        config: Arc<ClientConfig>,
    ) -> Result<Self, Refused> {
        Self::over(Wire::tls(from, to, sni, config).await?).await
    }

    /// Speaks HTTP/2 on a connection that exists.
    pub async fn over(wire: Wire) -> Result<Self, Refused> {
        let (line, ended) = Line::new(&wire);
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await;
        let (sender, connection) = handshake.map_err(|error| line.refused(error))?;
        tokio::spawn(async move {
            // Each request learns of the failure that concerns it.
            let _ = connection.await;
            drop(ended);
        });
        Ok(Self { sender, line })
    }

    /// Sends a request and collects the answer. The URI's authority becomes `:authority`; without one the Host
    /// header takes that place. A Host header beside an authority is sent as it is.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response, Refused> {
        self.send_stream(request.map(whole)).await
    }

    /// The same with a body of any kind.
    pub async fn send_stream(&self, request: Request<Body>) -> Result<Response, Refused> {
        let response = self.send_open(request).await?;
        self.line.collect(response).await
    }

    /// The same, and leaves the answer's body to be read.
    pub async fn send_open(&self, request: Request<Body>) -> Result<http::Response<Incoming>, Refused> {
        let mut sender = self.sender.clone();
        let answer = async {
            sender.ready().await?;
            sender.send_request(absolute_form(request)).await
        };
        self.line.wait_for_head(answer).await
    }

    /// What the TLS handshake agreed on; none over plain TCP.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.line.handshake.as_ref()
    }

    /// Waits until the connection has ended. Fails the test after 10 s.
    pub async fn closed(&self) {
        self.line.closed().await;
    }
}

/// Writes bytes and gives what comes back until the connection ends, or for 5 s. A request that should not take them
/// all says `Connection: close`.
pub async fn raw(
    from: Option<IpAddr>,
    to: SocketAddr,
    tls: Option<(&str, Arc<ClientConfig>)>,
    bytes: &[u8],
) -> Result<Vec<u8>, Refused> {
    let mut wire = match tls {
        Some((sni, config)) => Wire::tls(from, to, sni, config).await?,
        None => Wire::plain(from, to).await?,
    };
    let mut came = Vec::new();
    let _ = timeout(RAW, exchange(&mut wire, bytes, &mut came)).await;
    match wire.alert() {
        Some(alert) => Err(Refused::Handshake { alert: Some(alert), text: format!("{alert:?}") }),
        None => Ok(came),
    }
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Whether it says that all went well.
    pub success: bool,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, with U+FFFD for what is not UTF-8.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

/// Runs curl, for 20 s at most, without the settings and proxies of whoever runs the tests.
pub async fn curl(args: &[&str]) -> Output {
    let always = ["--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20"];
    run("curl", &[&always, args].concat(), b"").await
}

/// Runs gnutls-cli, for 30 s at most. Its input stays open until it leaves, which it does when the server closes.
pub async fn gnutls_cli(args: &[&str], stdin: &[u8]) -> Output {
    run_with("gnutls-cli", args, stdin, Input::StaysOpen).await
}

/// Runs a Python script, for 30 s at most, without what the environment would bring in.
pub async fn python(script: &str, args: &[&str]) -> Output {
    run("python3", &[&["-I", "-c", script], args].concat(), b"").await
}

/// Runs a script of Node, for 30 s at most. Its arguments begin at `process.argv[1]`.
pub async fn node(script: &str, args: &[&str]) -> Output {
    run("node", &[&["-e", script, "--"], args].concat(), b"").await
}

/// Runs `openssl s_client`, for 30 s at most. It leaves at the end of `stdin`, without waiting for an answer, unless
/// `args` has `-ign_eof` or `-quiet`.
pub async fn openssl_s_client(args: &[&str], stdin: &[u8]) -> Output {
    openssl(&[&["s_client"], args].concat(), stdin).await
}

/// The same, with an input that stays open until the program leaves by itself.
pub async fn patient_openssl_s_client(args: &[&str], stdin: &[u8]) -> Output {
    run_with("openssl", &[&["s_client"], args].concat(), stdin, Input::StaysOpen).await
}

/// Runs openssl, for 30 s at most.
pub async fn openssl(args: &[&str], stdin: &[u8]) -> Output {
    run("openssl", args, stdin).await
}

const CONNECT: Duration = Duration::from_secs(3);
const RAW: Duration = Duration::from_secs(5);
const CLOSED: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(20);
/// How long an answer may take to arrive when its connection has ended.
const LAST_WORD: Duration = Duration::from_secs(1);
const PROGRAM: Duration = Duration::from_secs(30);

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn reading(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream),
        }
    }

    fn writing(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream),
        }
    }
}

/// What the two HTTP clients share beside their connection.
#[derive(Clone)]
struct Line {
    handshake: Option<Handshake>,
    alert: Arc<OnceLock<AlertDescription>>,
    ended: watch::Receiver<()>,
}

impl Line {
    /// The line over `wire`, and what its connection drops when it ends.
    fn new(wire: &Wire) -> (Self, watch::Sender<()>) {
        let (sender, ended) = watch::channel(());
        (Self { handshake: wire.handshake(), alert: Arc::clone(&wire.alert), ended }, sender)
    }

    fn refused(&self, error: hyper::Error) -> Refused {
        match self.without_connection() {
            Refused::Ended => Refused::Http(error),
            alert => alert,
        }
    }

    async fn wait<T>(&self, answer: impl Future<Output = hyper::Result<T>>) -> Result<T, Refused> {
        timeout(ANSWER, answer).await.map_err(|_| Refused::Deadline)?.map_err(|error| self.refused(error))
    }

    /// The same, for as long as there is a connection. A request that is handed to hyper in the very moment in which its connection ends
    /// can get into the queue after that was emptied for the last time, where nobody ever answers it.
    async fn wait_for_head<T>(&self, answer: impl Future<Output = hyper::Result<T>>) -> Result<T, Refused> {
        let mut answer = std::pin::pin!(self.wait(answer));
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            answered = &mut answer => return answered,
            // The sending end is dropped: there is never a value.
            _ = ended.changed() => {}
        }
        // HTTP/2 hands the answers over on tasks of their own.
        timeout(LAST_WORD, answer).await.unwrap_or_else(|_| Err(self.without_connection()))
    }

    fn without_connection(&self) -> Refused {
        match self.alert.get() {
            Some(&alert) => Refused::Handshake { alert: Some(alert), text: format!("{alert:?}") },
            None => Refused::Ended,
        }
    }

    async fn collect(&self, response: http::Response<Incoming>) -> Result<Response, Refused> {
        let (head, body) = response.into_parts();
        let body = self.wait(body.collect()).await?.to_bytes();
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    async fn closed(&self) {
        let mut ended = self.ended.clone();
        assert!(timeout(CLOSED, ended.changed()).await.is_ok(), "the connection is still open");
    }
}

/// A client certificate for whoever asks. It makes no check that the key fits: a thief's does not.
#[derive(Debug)]
struct Presented(Arc<CertifiedKey>);

impl Presented {
    fn new(identity: &Credentials) -> Self {
        let key = aws_lc_rs::sign::any_supported_type(&identity.key).unwrap();
        Self(Arc::new(CertifiedKey::new(identity.chain.clone(), key)))
    }
}

impl ResolvesClientCert for Presented {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn resumption(sessions: Sessions) -> Resumption {
    match sessions {
        Sessions::None => Resumption::disabled(),
        Sessions::PerName => Resumption::in_memory_sessions(SESSIONS),
        Sessions::AcrossNames => Resumption::store(Arc::new(OneDrawer::default())),
    }
}

const SESSIONS: usize = 64;

/// A session store that files every server under one name, and counts what it hands out.
#[derive(Debug)]
pub struct OneDrawer {
    sessions: ClientSessionMemoryCache,
    offered: AtomicUsize,
}

impl OneDrawer {
    /// How many handshakes were given a session to offer.
    pub fn offered(&self) -> usize {
        self.offered.load(Ordering::Relaxed)
    }

    fn label() -> ServerName<'static> {
        ServerName::try_from("any.test").unwrap()
    }

    fn count<T>(&self, session: Option<T>) -> Option<T> {
        self.offered.fetch_add(usize::from(session.is_some()), Ordering::Relaxed);
        session
    }
}

impl Default for OneDrawer {
    fn default() -> Self {
        Self { sessions: ClientSessionMemoryCache::new(SESSIONS), offered: AtomicUsize::new(0) }
    }
}

impl ClientSessionStore for OneDrawer {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(Self::label(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(&Self::label())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.set_tls12_session(Self::label(), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.count(self.sessions.tls12_session(&Self::label()))
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.sessions.remove_tls12_session(&Self::label());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, session: Tls13ClientSessionValue) {
        self.sessions.insert_tls13_ticket(Self::label(), session);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.count(self.sessions.take_tls13_ticket(&Self::label()))
    }
}

/// Believes every server.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn alert_in(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

fn request(method: Method, authority: &str, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(path).build().unwrap();
    Request::builder().method(method).uri(uri).body(Full::new(body)).unwrap()
}

fn whole(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed()
}

fn origin_form(mut request: Request<Body>) -> Request<Body> {
    let uri = request.uri().clone();
    let (Some(authority), Some(path)) = (uri.authority(), uri.path_and_query()) else {
        return request;
    };
    let host = HeaderValue::from_str(authority.as_str()).unwrap();
    request.headers_mut().entry(header::HOST).or_insert(host);
    *request.uri_mut() = path.clone().into();
    request
}

fn absolute_form(mut request: Request<Body>) -> Request<Body> {
    *request.version_mut() = Version::HTTP_2;
    if request.uri().authority().is_none()
        && let Some(host) = request.headers_mut().remove(header::HOST)
    {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(host.as_bytes().try_into().unwrap());
        *request.uri_mut() = parts.try_into().unwrap();
    }
    request
}

async fn exchange(wire: &mut Wire, bytes: &[u8], came: &mut Vec<u8>) -> io::Result<()> {
    // A server may refuse before it has read everything: what it said is worth reading even if the write fails.
    let written = wire.write_all(bytes).await;
    let flushed = wire.flush().await;
    wire.read_to_end(came).await?;
    written.and(flushed)
}

/// What becomes of a program's input when everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Ends,
    StaysOpen,
}

async fn run(program: &str, args: &[&str], stdin: &[u8]) -> Output {
    run_with(program, args, stdin, Input::Ends).await
}

async fn run_with(program: &str, args: &[&str], stdin: &[u8], input: Input) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let feeding = async move {
        // A program that ends early does not read to the end.
        let _ = pipe.write_all(stdin).await;
        (input == Input::StaysOpen).then_some(pipe)
    };
    let running = async { tokio::join!(child.wait_with_output(), feeding).0.unwrap() };
    let output = timeout(PROGRAM, running).await.unwrap_or_else(|_| panic!("{program} {args:?} does not end"));
    Output {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper::service::service_fn;
    use rustls::{ServerConfig, server::WebPkiClientVerifier};
    use tokio::{net::TcpListener, task::JoinSet};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::origin::Origin;

    const CLOUDFLARE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 7));

    /// A server for a.test and b.test that wants a client certificate of `visitors`, and says what it saw.
    async fn mirror(root: &Authority, visitors: &Authority) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(mirror_config(root, visitors)));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                connections.spawn(reflect(acceptor.clone(), stream, peer));
            }
        });
        (address, serving)
    }

    fn mirror_config(root: &Authority, visitors: &Authority) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(visitors.der()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let own = root.leaf().dns(&["a.test", "b.test"]).issue();
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
        let mut config = builder.with_single_cert(own.chain(), own.key()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    async fn reflect(acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr) {
        let stream = match acceptor.accept(stream).into_fallible().await {
            Ok(stream) => stream,
            Err((_, refused)) => return part(refused).await,
        };
        let session = stream.get_ref().1;
        let seen = format!("{} {:?}", peer.ip(), session.server_name());
        let h2 = session.alpn_protocol() == Some(b"h2");
        let respond = service_fn(move |request: Request<Incoming>| {
            let line = format!("{seen} {} {:?}", request.uri(), request.headers().get(header::HOST));
            std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(line))))
        });
        let io = TokioIo::new(stream);
        let _ = match h2 {
            true => hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, respond).await,
            false => hyper::server::conn::http1::Builder::new().serve_connection(io, respond).await,
        };
    }

    /// Closes as the gateway does: a socket closed with unread bytes sends a reset, which may overtake the alert.
    async fn part(mut refused: TcpStream) {
        let _ = refused.shutdown().await;
        let _ = tokio::io::copy(&mut refused, &mut tokio::io::sink()).await;
    }

    #[tokio::test]
    async fn sni_host_and_address_are_the_callers() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        let tls = Tls::trusting(&root).presenting(&visitors.leaf().issue());
        let config = tls.client_config();
        let mut one = H1::tls(Some(CLOUDFLARE), address, "a.test", Arc::clone(&config)).await.unwrap();
        let expected = r#"127.0.1.7 Some("a.test") /x Some("other.test")"#;
        assert_eq!(one.send(get("other.test", "/x")).await.unwrap().text(), expected);
        let mut request = get("c.test", "/x");
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("other.test"));
        assert_eq!(one.send(request.clone()).await.unwrap().text(), expected);
        let two = H2::tls(None, address, "a.test", tls.clone().alpn(&["h2"]).client_config()).await.unwrap();
        let expected = r#"127.0.0.1 Some("a.test") https://c.test/x Some("other.test")"#;
        assert_eq!(two.send(request.clone()).await.unwrap().text(), expected);
        *request.uri_mut() = Uri::from_static("/x");
        let expected = r#"127.0.0.1 Some("a.test") https://other.test/x None"#;
        assert_eq!(two.send(request).await.unwrap().text(), expected);
        let mut nameless = H1::tls(None, address, "b.test", tls.nameless().client_config()).await.unwrap();
        assert_eq!(nameless.send(get("b.test", "/")).await.unwrap().text(), r#"127.0.0.1 None / Some("b.test")"#);
    }

    #[tokio::test]
    async fn streams_of_one_connection_run_at_the_same_time() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        let tls = Tls::trusting(&root).presenting(&visitors.leaf().issue()).alpn(&["h2"]);
        let client = H2::tls(None, address, "a.test", tls.client_config()).await.unwrap();
        assert_eq!(client.handshake().unwrap().alpn.as_deref(), Some(&b"h2"[..]));
        let mut streams = JoinSet::new();
        for _ in 0..50 {
            let client = client.clone();
            streams.spawn(async move { client.send(get("a.test", "/")).await.unwrap().status });
        }
        assert_eq!(streams.join_all().await, [StatusCode::OK; 50]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_refused_certificate_is_a_refused_handshake_whenever_it_surfaces() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        let (mine, other) = (visitors.leaf().issue(), visitors.leaf().issue());
        let plain = Tls::trusting(&root);
        let cases = [
            (plain.clone(), Versions::Tls13, AlertDescription::CertificateRequired),
            (plain.clone(), Versions::Tls12, AlertDescription::CertificateRequired),
            (plain.clone().presenting(&visitors.leaf().expired().issue()), Versions::Both, EXPIRED),
            (plain.clone().presenting(&mine.with_key_of(&other)), Versions::Tls13, AlertDescription::DecryptError),
        ];
        for (tls, versions, alert) in cases {
            let tls = tls.versions(versions);
            let (one, two) = (tls.client_config(), tls.alpn(&["h2"]).client_config());
            // The alert comes with the handshake's end or with the first answer, which is a race: it must not show.
            for _ in 0..20 {
                assert_eq!(h1_refused(address, Arc::clone(&one)).await.alert(), Some(alert));
                assert_eq!(h2_refused(address, Arc::clone(&two)).await.alert(), Some(alert));
                let tls = Some(("a.test", Arc::clone(&one)));
                assert_eq!(raw(None, address, tls, REQUEST).await.unwrap_err().alert(), Some(alert));
            }
        }
    }

    const EXPIRED: AlertDescription = AlertDescription::CertificateExpired;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

    async fn h1_refused(address: SocketAddr, config: Arc<ClientConfig>) -> Refused {
        match H1::tls(None, address, "a.test", config).await {
            Ok(mut client) => client.send(get("a.test", "/")).await.unwrap_err(),
            Err(refused) => refused,
        }
    }

    async fn h2_refused(address: SocketAddr, config: Arc<ClientConfig>) -> Refused {
        match H2::tls(None, address, "a.test", config).await {
            Ok(client) => client.send(get("a.test", "/")).await.unwrap_err(),
            Err(refused) => refused,
        }
    }

    #[tokio::test]
    async fn a_server_that_the_client_does_not_trust_is_no_alert() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        for config in [Tls::trusting(&root.twin()), Tls::trusting(&visitors)].map(|tls| tls.client_config()) {
            assert!(matches!(h1_refused(address, config).await, Refused::Handshake { alert: None, .. }));
        }
    }

    #[tokio::test]
    async fn a_session_is_resumed_as_far_as_it_is_shared() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        let cases = [(Sessions::None, [false; 3]), (Sessions::PerName, [false, true, false])];
        for (versions, (sessions, expected)) in
            [Versions::Tls12, Versions::Tls13].into_iter().flat_map(|versions| cases.map(|case| (versions, case)))
        {
            let tls = Tls::trusting(&root).presenting(&visitors.leaf().issue()).versions(versions).sessions(sessions);
            assert_eq!(resumed(address, tls).await, expected, "{versions:?} {sessions:?}");
        }
    }

    /// Whether each of three handshakes over one configuration resumes: a.test, a.test again, b.test.
    async fn resumed(address: SocketAddr, tls: Tls) -> [bool; 3] {
        let config = tls.client_config();
        let mut resumed = [false; 3];
        for (name, resumed) in ["a.test", "a.test", "b.test"].into_iter().zip(&mut resumed) {
            let mut client = H1::tls(None, address, name, Arc::clone(&config)).await.unwrap();
            client.send(get(name, "/")).await.unwrap();
            *resumed = client.handshake().unwrap().resumed;
        }
        resumed
    }

    #[tokio::test]
    async fn a_session_of_one_name_is_offered_to_another_on_demand() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        let tls = Tls::trusting(&root).presenting(&visitors.leaf().issue()).versions(Versions::Tls13);
        for (sessions, expected) in [(Sessions::PerName, false), (Sessions::AcrossNames, true)] {
            let config = tls.clone().sessions(sessions).client_config();
            let mut client = H1::tls(None, address, "a.test", Arc::clone(&config)).await.unwrap();
            client.send(get("a.test", "/")).await.unwrap();
            assert_eq!(offers_session(config, "b.test"), expected, "{sessions:?}");
        }
    }

    /// Whether the ClientHello ends with one PSK binder of SHA-384: the pre_shared_key extension comes last
    /// (RFC 8446, section 4.2.11), and a list of 49 bytes in it holds one binder of 48.
    fn offers_session(config: Arc<ClientConfig>, name: &'static str) -> bool {
        let mut hello = Vec::new();
        let mut connection = rustls::ClientConnection::new(config, name.try_into().unwrap()).unwrap();
        connection.write_tls(&mut hello).unwrap();
        hello[hello.len() - 51..].starts_with(&[0, 49, 48])
    }

    #[tokio::test]
    async fn raw_bytes_arrive_unchanged_and_the_answer_comes_back() {
        let origin = Origin::start().await;
        let answer = raw(Some(CLOUDFLARE), origin.address(), None, b"GET  / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400 "));
        let answer = raw(Some(CLOUDFLARE), origin.address(), None, REQUEST).await.unwrap();
        assert!(answer.ends_with(b"hello from the origin\n"));
        assert_eq!(origin.ledger()[0].peer.ip(), CLOUDFLARE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_survives_the_reset_that_follows_it() {
        let origin = Origin::start().await;
        let head = [b"GET /", &[b'a'; 8_000_000][..]].concat();
        for _ in 0..10 {
            let answer = raw(None, origin.address(), None, &head).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
        }
    }

    #[tokio::test]
    async fn the_programs_run_and_report() {
        let (root, visitors) = (Authority::new("root"), Authority::new("visitors"));
        let (address, _serving) = mirror(&root, &visitors).await;
        let dir = tempfile::tempdir().unwrap();
        let files = visitors.leaf().issue().write(dir.path(), "client");
        let trusted = root.write(dir.path(), "root");
        let [chain, key, trusted] = [&files.chain, &files.key, &trusted].map(|path| path.to_str().unwrap());
        let resolve = format!("a.test:{}:{}", address.port(), address.ip());
        let url = format!("https://a.test:{}/curl", address.port());
        let args = ["--resolve", &resolve, "--cacert", trusted, &url];
        assert!(!curl(&args).await.success);
        let output = curl(&[&args, &["--cert", chain, "--key", key][..]].concat()).await;
        assert!(output.success && output.stdout.contains("/curl"), "{output:?}");
        let (to, quiet) = (address.to_string(), "-quiet");
        let args = ["-connect", &to, "-servername", "a.test", "-cert", chain, "-key", key, quiet];
        let output = openssl_s_client(&args, REQUEST).await;
        assert!(output.success && output.stdout.contains("200 OK"), "{output:?}");
    }
}
