//! One attempt: an approach in one column.

use super::attack::{Approach, Ask, Certificate, Column, Http, Kept, Name, Transport};
use super::outcome::{Answer, How, Outcome, Resumption};
use super::target::{Missing, Target};
use crate::client::{H1, H2, OneDrawer, Refused, Response, Servers, Tls, Versions, Wire, get, raw};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls::client::{Resumption as Store, Tls12Resumption};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

/// An approach in every column where it makes sense. `label` is sent with its requests.
pub(super) async fn each(target: &Target, approach: &Approach, label: &str) -> Vec<(Column, Outcome)> {
    let mut cells = Vec::new();
    for column in target.columns(approach) {
        let outcome = match Attempt::prepare(target, approach, column, label) {
            Ok(attempt) => attempt.make().await,
            Err(missing) => Outcome::NotTried(missing),
        };
        cells.push((column, outcome));
    }
    cells
}

/// Everything that an attempt needs, looked up before the first packet.
struct Attempt<'a> {
    target: &'a Target,
    approach: &'a Approach,
    column: Column,
    label: &'a str,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    sessions: Arc<OneDrawer>,
}

impl<'a> Attempt<'a> {
    fn prepare(target: &'a Target, approach: &'a Approach, column: Column, label: &'a str) -> Result<Self, Missing> {
        let address = target.address(column.transport)?;
        let names =
            [approach.ask.names(), [approach.sni, approach.session.map_or(Name::Absent, |session| session.from)]];
        for name in names.iter().flatten().chain(approach.before) {
            target.name(*name)?;
        }
        let sessions = Arc::new(OneDrawer::default());
        let tls = client_config(target, approach, column, &sessions)?;
        Ok(Self { target, approach, column, label, address, tls, sessions })
    }

    async fn make(&self) -> Outcome {
        if let Some(session) = self.approach.session {
            // A host that refuses this visit gives no session, which shows below.
            if let Ok(mut line) = self.connect(session.from).await {
                let _ = line.send(self.request(session.from, "first")).await;
            }
        }
        let offered = self.sessions.offered();
        let (answer, resumed) = self.attack().await;
        let session = self.approach.session.map(|_| match (self.sessions.offered() > offered, resumed) {
            (_, true) => Resumption::Resumed,
            (true, false) => Resumption::Declined,
            (false, false) => Resumption::NothingToOffer,
        });
        let plain = self.column.transport == Transport::Plain;
        match answer.map_err(|refused| How::from(&refused)).and_then(|answer| answer.judge(self.target, plain)) {
            Ok(status) => Outcome::Through { status, session },
            Err(how) => Outcome::Refused { how, session },
        }
    }

    /// The answer, and whether the connection resumed a session.
    async fn attack(&self) -> (Result<Answer, Refused>, bool) {
        if self.column.http == Http::One
            && let Some(head) = self.head()
        {
            return (self.raw(&head).await, false);
        }
        let mut line = match self.connect(self.approach.sni).await {
            Ok(line) => line,
            Err(refused) => return (Err(refused), false),
        };
        for &name in self.approach.before {
            // A connection that does not survive this one fails the next.
            let _ = line.send(self.request(name, "before")).await;
        }
        let answer = line.send(self.asking()).await;
        (answer.map(Answer::from), line.is_resumed())
    }

    async fn connect(&self, sni: Name) -> Result<Line, Refused> {
        let wire = match self.column.transport {
            Transport::Plain => Wire::plain(self.target.from, self.address).await?,
            Transport::Tls12 | Transport::Tls13 => {
                Wire::tls(self.target.from, self.address, self.verified_name(sni), self.config(sni)).await?
            }
        };
        Ok(match self.column.http {
            Http::One => Line::One(H1::over(wire).await?),
            Http::Two => Line::Two(H2::over(wire).await?),
        })
    }

    /// Without a name to send, rustls still wants one to verify.
    fn verified_name(&self, sni: Name) -> &str {
        self.name(sni).unwrap_or(&self.target.guarded.name)
    }

    fn config(&self, sni: Name) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.tls);
        config.enable_sni = sni != Name::Absent;
        Arc::new(config)
    }

    fn name(&self, name: Name) -> Option<&str> {
        // `prepare` has looked every name up.
        self.target.name(name).ok().flatten()
    }

    fn authority(&self, name: Name) -> &str {
        self.name(name).unwrap_or_default()
    }

    /// The target's path; its query tells this request from all others.
    fn path(&self, step: &str) -> String {
        let [transport, http] = self.column.heading().map(|word| word.replace(' ', ""));
        format!("{}?origin-pull-bypass={}.{step}.{transport}.{http}", self.target.path, self.label)
    }

    fn request(&self, name: Name, step: &str) -> Request<Full<Bytes>> {
        self.request_for(self.authority(name), step)
    }

    fn request_for(&self, authority: &str, step: &str) -> Request<Full<Bytes>> {
        let mut request = get(authority, &self.path(step));
        request.headers_mut().extend(self.target.headers.iter().cloned());
        request
    }

    /// The request that counts, unless [`Attempt::head`] makes it.
    fn asking(&self) -> Request<Full<Bytes>> {
        match self.approach.ask {
            Ask::Host(name) => self.request(name, "ask"),
            Ask::Both { target, host } => {
                let mut request = self.request(target, "ask");
                request.headers_mut().insert(header::HOST, HeaderValue::from_str(self.authority(host)).unwrap());
                request
            }
            Ask::TwoHosts | Ask::UpperCase | Ask::TrailingDot | Ask::WithPort => self.request_for(&self.spelt(), "ask"),
        }
    }

    fn spelt(&self) -> String {
        let name = self.target.guarded.name.as_str();
        match self.approach.ask {
            Ask::UpperCase => name.to_uppercase(),
            Ask::TrailingDot => format!("{name}."),
            Ask::WithPort => format!("{name}:{}", self.address.port()),
            Ask::Host(_) | Ask::Both { .. } | Ask::TwoHosts => name.to_owned(),
        }
    }

    /// A head that no HTTP client writes.
    fn head(&self) -> Option<String> {
        let path = self.path("ask");
        let scheme = if self.column.transport == Transport::Plain { "http" } else { "https" };
        let mut head = match self.approach.ask {
            Ask::Both { target, host } => {
                let (target, host) = (self.authority(target), self.authority(host));
                format!("GET {scheme}://{target}{path} HTTP/1.1\r\nHost: {host}\r\n")
            }
            Ask::TwoHosts => {
                let (open, guarded) = (&self.target.open, &self.target.guarded.name);
                format!("GET {path} HTTP/1.1\r\nHost: {open}\r\nHost: {guarded}\r\n")
            }
            Ask::Host(_) | Ask::UpperCase | Ask::TrailingDot | Ask::WithPort => return None,
        };
        for (name, value) in &self.target.headers {
            let _ = write!(head, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
        }
        head.push_str("Connection: close\r\n\r\n");
        Some(head)
    }

    async fn raw(&self, head: &str) -> Result<Answer, Refused> {
        let sni = self.approach.sni;
        let tls = match self.column.transport {
            Transport::Plain => None,
            Transport::Tls12 | Transport::Tls13 => Some((self.verified_name(sni), self.config(sni))),
        };
        let came = raw(self.target.from, self.address, tls, head.as_bytes()).await?;
        Answer::parse(&came).ok_or(Refused::Handshake { alert: None, text: "no answer".into() })
    }
}

impl Ask {
    fn names(self) -> [Name; 2] {
        match self {
            Self::Host(name) => [name, Name::Absent],
            Self::Both { target, host } => [target, host],
            Self::UpperCase | Self::TrailingDot | Self::WithPort | Self::TwoHosts => [Name::Guarded, Name::Open],
        }
    }
}

fn client_config(
    target: &Target,
    approach: &Approach,
    column: Column,
    sessions: &Arc<OneDrawer>,
) -> Result<Arc<ClientConfig>, Missing> {
    // Who shows a good certificate is a control, and wants the server that was meant.
    let controls = matches!(approach.shows, Certificate::Good | Certificate::Fresh);
    let tls = Tls::toward(if controls { target.servers.clone() } else { Servers::Any })
        .versions(if column.transport == Transport::Tls12 { Versions::Tls12 } else { Versions::Tls13 })
        .alpn(if column.http == Http::One { &["http/1.1"] } else { &["h2"] });
    let tls = match target.credentials(approach.shows)? {
        Some(credentials) => tls.presenting(credentials),
        None => tls,
    };
    let kept = match approach.session.map(|session| session.kept) {
        Some(Kept::SessionId) => Tls12Resumption::SessionIdOnly,
        Some(Kept::Ticket) | None => Tls12Resumption::SessionIdOrTickets,
    };
    let mut config = ClientConfig::clone(&tls.client_config());
    config.resumption = match approach.session {
        Some(_) => Store::store(Arc::clone(sessions) as Arc<_>).tls12_resumption(kept),
        None => Store::disabled(),
    };
    Ok(Arc::new(config))
}

/// A connection that speaks either version of HTTP.
enum Line {
    One(H1),
    Two(H2),
}

impl Line {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response, Refused> {
        match self {
            Self::One(line) => line.send(request).await,
            Self::Two(line) => line.send(request).await,
        }
    }

    fn is_resumed(&self) -> bool {
        let handshake = match self {
            Self::One(line) => line.handshake(),
            Self::Two(line) => line.handshake(),
        };
        handshake.is_some_and(|handshake| handshake.resumed)
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let location = response.header("location").map(str::to_owned);
        Self { status: response.status.as_u16(), location, body: response.body.to_vec() }
    }
}

impl Answer {
    /// An HTTP/1.1 answer; its body is everything after the head, however it is framed.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        };
        Some(Self { status, location: head.lines().find_map(field), body: bytes[end + 4..].to_vec() })
    }
}
