//! One handshake: ClientHello, host, TLS, verdict.

use crate::gate::Gates;
use crate::verifier::{Judgement, with_judgement};
use pullgate_metrics::HandshakeOutcome;
use pullgate_policy::hosts::{HostName, normal_name};
use pullgate_policy::origin_pull::{self, Cause, Leaf, TrustId, Verdict};
use pullgate_policy::{OriginPull, TlsFacts};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::Acceptor;
use rustls::{CipherSuite, Error, HandshakeKind, ProtocolVersion, ServerConnection};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

/// A handshake that came to nothing, with what the log should say of it.
#[derive(Debug)]
pub struct Failure {
    /// How it counts.
    pub outcome: HandshakeOutcome,
    /// The host, where it got that far.
    pub host: Option<HostName>,
    /// The name that was asked for, as it was sent.
    pub sni: Option<String>,
    /// Why the client's certificate was refused, where that is what ended it.
    pub verdict: Option<Verdict>,
    /// What the refused leaf says of itself.
    pub leaf: Option<Box<Leaf>>,
    /// Whether a session had been resumed.
    pub resumed: bool,
    /// In words.
    pub error: String,
}

impl Failure {
    fn new(outcome: HandshakeOutcome, host: Option<HostName>, sni: Option<String>, error: String) -> Self {
        Self { outcome, host, sni, verdict: None, leaf: None, resumed: false, error }
    }
}

/// A client that gets no connection, and is to be parted from.
#[derive(Debug)]
pub struct Refused<Io> {
    /// Why.
    pub failure: Failure,
    io: Option<Io>,
}

impl<Io> From<Failure> for Refused<Io> {
    fn from(failure: Failure) -> Self {
        Self { failure, io: None }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Refused<Io> {
    /// Closes so that the alert arrives: a socket closed with unread bytes sends a reset, which overtakes it. Takes as long as the client
    /// takes to close its end, and at most a second.
    pub async fn part(&mut self) {
        let Some(mut io) = self.io.take() else { return };
        let farewell = async {
            io.shutdown().await?;
            let mut rest = [0; 1024];
            while io.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // However it ends, the connection is over.
        let _ = timeout(PARTING, farewell).await;
    }
}

/// Reads the ClientHello, chooses the host and finishes TLS, all within `limit`. No certificate is shown before a host is chosen.
///
/// The certificate that the client shows is judged by the host's trust, and once more by the trust that `gates` have in force when the
/// handshake ends, where that is another one or the session was resumed.
///
/// # Errors
/// Why there is no connection.
pub async fn secure<Io: AsyncRead + AsyncWrite + Unpin>(
    io: Io,
    gates: &dyn Gates,
    listener: &str,
    limit: Duration,
) -> Result<(TlsStream<Io>, TlsFacts), Refused<Io>> {
    let deadline = Instant::now() + limit;
    let late =
        |host, sni| Failure::new(HandshakeOutcome::TimedOut, host, sni, format!("no handshake within {limit:?}"));
    let gate = gates.current();
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), io);
    let start = match timeout_at(deadline, &mut acceptor).await {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => {
            let failure = Failure::new(HandshakeOutcome::Failed, None, None, error.to_string());
            return Err(Refused { failure, io: acceptor.take_io() });
        }
        Err(_) => return Err(late(None, None).into()),
    };
    let sni = start.client_hello().server_name().map(str::to_owned);
    let name = sni.as_deref().map(|name| normal_name(name).unwrap_or_default());
    let chosen = match &name {
        Some(name) => gate.host(listener, name),
        None => gate.default_host(listener),
    };
    let Some((index, tls)) = chosen else { return Err(turn_away(start, sni).await) };
    let host = gate.rules.hosts.host(index).name.clone();
    // From the first step on: rustls looks the session up before the stream is first polled.
    let handshake = async { timeout_at(deadline, start.into_stream(Arc::clone(&tls.config)).into_fallible()).await };
    let (result, judgement) = with_judgement(handshake).await;
    match result {
        Ok(Ok(stream)) => {
            let asked = Asked { host, sni: name, trust: tls.origin_pull.trust().map(|trust| trust.id()) };
            Ok(facts(stream, asked, gates, listener, judgement)?)
        }
        Ok(Err((error, io))) => Err(Refused { failure: refusal(&error, host, sni, judgement), io: Some(io) }),
        Err(_) => Err(late(Some(host), sni).into()),
    }
}

/// Says `unrecognized_name` (RFC 6066 section 3).
async fn turn_away<Io: AsyncRead + AsyncWrite + Unpin>(
    mut start: StartHandshake<Io>,
    sni: Option<String>,
) -> Refused<Io> {
    /// Record type alert, legacy version 1.2, length 2; fatal, unrecognized_name (112).
    const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
    let sent = start.io.write_all(&ALERT).await;
    let outcome = if sni.is_some() { HandshakeOutcome::UnknownName } else { HandshakeOutcome::MissingName };
    let error = sent.err().map_or_else(|| "no host answers this name here".into(), |error| error.to_string());
    Refused { failure: Failure::new(outcome, None, sni, error), io: Some(start.io) }
}

/// How long a refused client may take to close its end.
const PARTING: Duration = Duration::from_secs(1);

fn refusal(error: &io::Error, host: HostName, sni: Option<String>, judgement: Option<Judgement>) -> Failure {
    let rustls = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
    let ended = match (rustls, judgement) {
        (Some(Error::NoCertificatesPresented), _) => Some((Cause::NotPresented, None)),
        (_, Some(Judgement::Ended(cause, leaf))) => Some((cause, leaf)),
        (_, _) => None,
    };
    match ended {
        None => Failure::new(HandshakeOutcome::Failed, Some(host), sni, error.to_string()),
        Some((cause, leaf)) => Failure {
            verdict: Some(Verdict::Refused(cause)),
            leaf,
            ..Failure::new(
                HandshakeOutcome::CertificateRefused,
                Some(host),
                sni,
                format!("the client's certificate is not accepted: {cause}"),
            )
        },
    }
}

/// What a handshake was about.
struct Asked {
    host: HostName,
    sni: Option<String>,
    /// The trust that the verifier judged by.
    trust: Option<TrustId>,
}

/// The facts of a finished handshake, its verdict made by the trust in force now.
fn facts<Io>(
    stream: TlsStream<Io>,
    asked: Asked,
    gates: &dyn Gates,
    listener: &str,
    judgement: Option<Judgement>,
) -> Result<(TlsStream<Io>, TlsFacts), Failure> {
    let session = stream.get_ref().1;
    let chain: Vec<CertificateDer<'static>> =
        session.peer_certificates().unwrap_or_default().iter().map(|cert| cert.clone().into_owned()).collect();
    let gate = gates.current();
    let in_force = match &asked.sni {
        Some(name) => gate.host(listener, name),
        None => gate.default_host(listener),
    };
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let Some((_, tls)) = in_force.filter(|(index, _)| gate.rules.hosts.host(*index).name == asked.host) else {
        let error = "the host has left the configuration since".into();
        return Err(Failure { resumed, ..Failure::new(HandshakeOutcome::Failed, Some(asked.host), asked.sni, error) });
    };
    let verdict = match (tls.origin_pull.trust(), judgement) {
        (None, _) => Verdict::NotRequested,
        (Some(trust), Some(Judgement::Passed(verdict))) if asked.trust == Some(trust.id()) => verdict,
        (Some(trust), _) => origin_pull::verify(&chain, trust, UnixTime::now()),
    };
    let leaf = chain.first().and_then(Leaf::describe);
    if let (OriginPull::Require(_), Verdict::Refused(cause)) = (&tls.origin_pull, &verdict) {
        let error = format!("the client's certificate is not accepted any more: {cause}");
        return Err(Failure {
            verdict: Some(verdict),
            leaf: leaf.map(Box::new),
            resumed,
            ..Failure::new(HandshakeOutcome::CertificateRefused, Some(asked.host), asked.sni, error)
        });
    }
    let facts = TlsFacts {
        sni: asked.sni,
        host: asked.host,
        version: version(session),
        cipher: cipher(session),
        resumed,
        leaf,
        trust: tls.origin_pull.trust().map(|trust| trust.id()),
        chain,
        verdict,
        others: Default::default(),
    };
    Ok((stream, facts))
}

/// The suite's IANA name; rustls has names of its own for those of TLS 1.3.
fn cipher(session: &ServerConnection) -> &'static str {
    match session.negotiated_cipher_suite().map(|suite| suite.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        suite => suite.and_then(|suite| suite.as_str()).unwrap_or("unknown"),
    }
}

fn version(session: &ServerConnection) -> &'static str {
    match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "unknown",
    }
}
