//! Fetching: one connection, one request, one answer, within limits, and nothing believed that TLS does not vouch for.

use crate::keys::{self, KeysError};
use crate::ranges::{LONGEST_ETAG, Published, RangesError, parse};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, ETAG, HOST, IF_NONE_MATCH, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pullgate_policy::access::KeySet;
use pullgate_policy::ranges::Partner;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Bytes of an answer. Cloudflare's list has 600, and 4 kB with the China network; the keys of a team have 8 kB.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// How long a fetch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To connect to one of the addresses that the name has.
    pub connect: Duration,
    /// From the resolving of the name to the last byte.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// A client with what it trusts. It keeps no connection and no address: a name is resolved anew for each fetch.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
    limits: Limits,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A connection to a server that a URL names.
pub struct Wire {
    /// What is read and written, above TLS where there is TLS.
    pub io: Box<dyn Duplex>,
    /// Whether nobody on the way can listen or change anything: there is TLS, or no way.
    pub is_protected: bool,
}

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Wire {
    /// Asks once; the connection ends with the answer, or when that is dropped at a limit.
    ///
    /// # Errors
    /// When the answer is no HTTP, or broke off.
    pub async fn exchange<B>(self, request: Request<B>) -> Result<Response<Incoming>, FetchError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.io)).await.map_err(FetchError::Broken)?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(FetchError::Broken)
    }
}

/// What the gateway calls itself where it asks.
pub const AGENT: HeaderValue = HeaderValue::from_static(concat!("pullgate/", env!("CARGO_PKG_VERSION")));

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub struct ClientError(#[from] rustls::Error);

/// A list, or keys, that were not had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL names no host, or none that a certificate could be for.
    #[error("the URL names no host that could be asked")]
    NoHost,
    /// Without TLS, from another machine: anybody on the way could have changed it.
    #[error("without TLS an answer may only come from this machine")]
    Unprotected,
    /// The name has no address.
    #[error("`{0}` cannot be resolved")]
    Unresolved(String, #[source] io::Error),
    /// Nobody answers, or not in time.
    #[error("`{0}` cannot be reached")]
    Unreachable(String, #[source] io::Error),
    /// The other end is not who it should be, or speaks no TLS.
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    /// The answer is no HTTP, or broke off.
    #[error("the answer is not whole")]
    Broken(#[source] hyper::Error),
    /// The answer went on and on.
    #[error("the answer has more than {LARGEST_ANSWER} bytes")]
    TooLarge,
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    TimedOut(Duration),
    /// The server sends elsewhere; who that is, nobody has configured.
    #[error("the answer is {0}, and a redirect is not followed")]
    Redirected(StatusCode),
    /// The server has nothing to give.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// Nothing was asked for by its tag, and yet it has not changed.
    #[error("the answer is 304 to a request that has nothing to compare with")]
    UnaskedNotModified,
    /// There is an answer, and it is no list of ranges.
    #[error(transparent)]
    Unfit(#[from] RangesError),
    /// There is an answer, and it is no set of keys.
    #[error(transparent)]
    UnfitKeys(#[from] KeysError),
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The list is the one that the tag stands for.
    Unchanged,
    /// A list.
    List {
        /// What it says.
        published: Published,
        /// What to ask with the next time (the `ETag` header, RFC 9110 section 8.8.3).
        tag: Option<String>,
    },
}

impl Client {
    /// Trusts the CAs that browsers trust, as Mozilla lists them.
    ///
    /// They are compiled in: an image without a shell may have no certificates, and which ones it has should not decide who may tell this
    /// gateway whom to let in.
    ///
    /// # Errors
    /// When the TLS library has no use for its own settings.
    pub fn new() -> Result<Self, ClientError> {
        Self::with(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(), Limits::default())
    }

    /// Trusts these CAs and no others: a mirror's own.
    ///
    /// # Errors
    /// When a CA is none.
    pub fn trusting(roots: Vec<CertificateDer<'static>>, limits: Limits) -> Result<Self, ClientError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        Self::with(store, limits)
    }

    fn with(roots: RootCertStore, limits: Limits) -> Result<Self, ClientError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), limits })
    }

    /// Fetches a list; `tag` stands for the one that is known.
    ///
    /// # Errors
    /// When there is no answer, or it is not a list that could be Cloudflare's.
    pub async fn ranges(&self, url: &Uri, partners: &[Partner], tag: Option<&str>) -> Result<Fetched, FetchError> {
        let fetch = async {
            let response = self.ask(request(url, partners, tag)?, url).await?;
            if response.status() == StatusCode::NOT_MODIFIED && tag.is_some() {
                return Ok(Fetched::Unchanged);
            }
            is_there(response.status())?;
            let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.filter(|tag| tag.len() <= LONGEST_ETAG).map(str::to_owned);
            Ok(Fetched::List { published: parse(&whole(response).await?, partners)?, tag })
        };
        timeout(self.limits.total, fetch).await.map_err(|_| FetchError::TimedOut(self.limits.total))?
    }

    /// Fetches the keys of a team.
    ///
    /// # Errors
    /// When there is no answer, or it is not a set of keys that tokens could be verified with.
    pub async fn keys(&self, url: &Uri) -> Result<KeySet, FetchError> {
        let fetch = async {
            let response = self.ask(request(url, &[], None)?, url).await?;
            is_there(response.status())?;
            Ok(keys::parse(&whole(response).await?)?)
        };
        timeout(self.limits.total, fetch).await.map_err(|_| FetchError::TimedOut(self.limits.total))?
    }

    async fn ask(&self, request: Request<Empty<Bytes>>, url: &Uri) -> Result<Response<Incoming>, FetchError> {
        match self.open(url).await? {
            // The configuration has refused it already; what is asked here is where the connection really goes.
            Wire { is_protected: false, .. } => Err(FetchError::Unprotected),
            wire => wire.exchange(request).await,
        }
    }

    /// Connects to the server that a URL names; with `https`, TLS has vouched for it. It may take longer than any limit: whoever asks
    /// keeps the time.
    ///
    /// # Errors
    /// When nobody answers, or TLS does not vouch for who does.
    pub async fn open(&self, url: &Uri) -> Result<Wire, FetchError> {
        let host = url.host().ok_or(FetchError::NoHost)?.trim_start_matches('[').trim_end_matches(']');
        if url.scheme_str() == Some("https") {
            let io = self.connect(host, url.port_u16().unwrap_or(443)).await?;
            let name = ServerName::try_from(host.to_owned()).map_err(|_: InvalidDnsNameError| FetchError::NoHost)?;
            let io = TlsConnector::from(Arc::clone(&self.tls)).connect(name, io).await.map_err(FetchError::Tls)?;
            return Ok(Wire { io: Box::new(io), is_protected: true });
        }
        let io = self.connect(host, url.port_u16().unwrap_or(80)).await?;
        let is_protected = io.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        Ok(Wire { io: Box::new(io), is_protected })
    }

    /// Connects to the first of the name's addresses that answers.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, FetchError> {
        let unresolved = |error| FetchError::Unresolved(host.to_owned(), error);
        let mut last = io::ErrorKind::NotFound.into();
        for address in lookup_host((host, port)).await.map_err(unresolved)? {
            match timeout(self.limits.connect, TcpStream::connect(address)).await {
                Ok(Ok(io)) => return Ok(io),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(FetchError::Unreachable(host.to_owned(), last))
    }
}

fn is_there(status: StatusCode) -> Result<(), FetchError> {
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_MODIFIED => Err(FetchError::UnaskedNotModified),
        status if status.is_redirection() => Err(FetchError::Redirected(status)),
        status => Err(FetchError::Status(status)),
    }
}

fn request(url: &Uri, partners: &[Partner], tag: Option<&str>) -> Result<Request<Empty<Bytes>>, FetchError> {
    let authority = url.authority().ok_or(FetchError::NoHost)?.as_str();
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target(url, partners).ok_or(FetchError::NoHost)?.into();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| FetchError::NoHost)?);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(IF_NONE_MATCH, tag);
    }
    Ok(request)
}

/// Path and query; partners' networks are asked for as `networks=jdcloud`.
fn target(url: &Uri, partners: &[Partner]) -> Option<PathAndQuery> {
    let labels: Vec<&str> = partners.iter().map(|partner| partner.label()).collect();
    let networks = (!labels.is_empty()).then(|| format!("networks={}", labels.join(",")));
    let query: Vec<&str> = url.query().into_iter().chain(networks.as_deref()).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", url.path(), query.join("&")).parse().ok()
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, FetchError> {
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| match error.downcast() {
        Ok(broken) => FetchError::Broken(*broken),
        Err(_) => FetchError::TooLarge,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let table: [(&str, &[Partner], &str); 5] = [
            ("https://api.cloudflare.com/client/v4/ips", &[], "/client/v4/ips"),
            ("https://api.cloudflare.com/client/v4/ips", &[Partner::Jdcloud], "/client/v4/ips?networks=jdcloud"),
            ("https://mirror.example.com", &[], "/"),
            ("https://mirror.example.com?of=ips", &[Partner::Jdcloud], "/?of=ips&networks=jdcloud"),
            ("https://mirror.example.com/a?of=ips", &[], "/a?of=ips"),
        ];
        for (url, partners, expected) in table {
            assert_eq!(target(&url.parse().unwrap(), partners).unwrap().as_str(), expected);
        }
    }

    /// 127.0.0.1 in the clothes of IPv6 stands for another machine: it is no loopback address. The socket behind it never answers.
    #[tokio::test]
    async fn without_tls_nobody_elsewhere_is_believed() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let limits = Limits { total: Duration::from_secs(2), ..Limits::default() };
        let client = Client::trusting(Vec::new(), limits).unwrap();
        let asked = async |host: &str| client.keys(&format!("http://{host}:{port}/").parse().unwrap()).await;
        assert!(matches!(asked("[::ffff:127.0.0.1]").await, Err(FetchError::Unprotected)));
        assert!(matches!(asked("127.0.0.1").await, Err(FetchError::TimedOut(_))));
    }

    /// The crypto provider is named: nothing has to be installed first, and the roots are there.
    #[test]
    fn the_usual_client_trusts_somebody() {
        assert!(Client::new().is_ok());
        assert!(Client::trusting(vec![CertificateDer::from(vec![1, 2, 3])], Limits::default()).is_err());
    }
}
