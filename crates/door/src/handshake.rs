//! One handshake: ClientHello, host, TLS, verdict.

use crate::gate::Gate;
use crate::tls::{HostTls, with_verdict};
use pullgate_metrics::HandshakeOutcome;
use pullgate_policy::hosts::{HostIndex, HostName, normal_name};
use pullgate_policy::origin_pull::{self, Cause, Leaf, Verdict};
use pullgate_policy::{OriginPull, TlsFacts};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::Acceptor;
use rustls::{CipherSuite, Error, HandshakeKind, ProtocolVersion, ServerConnection};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

/// A handshake that came to nothing, with what the log should say of it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) outcome: HandshakeOutcome,
    pub(crate) host: Option<HostName>,
    pub(crate) sni: Option<String>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) error: String,
}

/// Reads the ClientHello, chooses the host and finishes TLS. No certificate is shown before a host is chosen.
pub(crate) async fn secure(
    io: TcpStream,
    gate: &Gate,
    listener: &str,
) -> Result<(TlsStream<TcpStream>, TlsFacts), Failure> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(|error| Failure {
        outcome: HandshakeOutcome::Failed,
        host: None,
        sni: None,
        verdict: None,
        error: error.to_string(),
    })?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    let name = sni.as_deref().map(|name| normal_name(name).unwrap_or_default());
    let chosen = match &name {
        Some(name) => gate.host(listener, name),
        None => gate.default_host(listener),
    };
    match chosen {
        Some((index, tls)) => finish(start, gate, index, tls, name).await,
        None => Err(turn_away(start, sni).await),
    }
}

/// Ends the connection with `unrecognized_name` (RFC 6066 section 3).
async fn turn_away(mut start: StartHandshake<TcpStream>, sni: Option<String>) -> Failure {
    /// Record type alert, legacy version 1.2, length 2; fatal, unrecognized_name (112).
    const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
    let sent = start.io.write_all(&ALERT).await;
    part(&mut start.io).await;
    let outcome = if sni.is_some() { HandshakeOutcome::UnknownName } else { HandshakeOutcome::MissingName };
    let error = sent.err().map_or_else(|| "no host answers this name here".into(), |error| error.to_string());
    Failure { outcome, host: None, sni, verdict: None, error }
}

async fn finish(
    start: StartHandshake<TcpStream>,
    gate: &Gate,
    index: HostIndex,
    tls: &HostTls,
    sni: Option<String>,
) -> Result<(TlsStream<TcpStream>, TlsFacts), Failure> {
    let host = gate.rules.hosts.host(index).name.clone();
    let (result, verdict) = with_verdict(start.into_stream(tls.config.clone()).into_fallible()).await;
    match result {
        Ok(stream) => facts(stream, host, tls, sni, verdict),
        Err((error, mut io)) => {
            part(&mut io).await;
            Err(refusal(&error, host, sni, verdict))
        }
    }
}

/// Closes so that the alert arrives: a socket closed with unread bytes sends a reset, which overtakes it.
async fn part(io: &mut TcpStream) {
    let farewell = async {
        io.shutdown().await?;
        let mut rest = [0; 1024];
        while io.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // However it ends, the connection is over.
    let _ = timeout(PARTING, farewell).await;
}

/// How long a refused client may take to close its end.
const PARTING: Duration = Duration::from_secs(1);

fn refusal(error: &io::Error, host: HostName, sni: Option<String>, verdict: Option<Verdict>) -> Failure {
    let rustls = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
    let verdict = match rustls {
        Some(Error::NoCertificatesPresented) => Some(Verdict::Refused(Cause::NotPresented)),
        // A chain may be good and its key not at hand: what fails later proves nothing.
        _ => verdict.filter(|verdict| matches!(verdict, Verdict::Refused(_))),
    };
    let outcome = match verdict {
        Some(Verdict::Refused(_)) => HandshakeOutcome::CertificateRefused,
        _ => HandshakeOutcome::Failed,
    };
    Failure { outcome, host: Some(host), sni, verdict, error: error.to_string() }
}

/// The facts of a finished handshake; for a resumed session the verdict is made again, against the trust in force now.
fn facts(
    stream: TlsStream<TcpStream>,
    host: HostName,
    tls: &HostTls,
    sni: Option<String>,
    verdict: Option<Verdict>,
) -> Result<(TlsStream<TcpStream>, TlsFacts), Failure> {
    let session = stream.get_ref().1;
    let chain: Vec<CertificateDer<'static>> =
        session.peer_certificates().unwrap_or_default().iter().map(|cert| cert.clone().into_owned()).collect();
    let verdict = match (tls.origin_pull.trust(), verdict) {
        (None, _) => Verdict::NotRequested,
        (Some(_), Some(verdict)) => verdict,
        (Some(trust), None) => origin_pull::verify(&chain, trust, UnixTime::now()),
    };
    if matches!((&tls.origin_pull, &verdict), (OriginPull::Require(_), Verdict::Refused(_))) {
        let error = "the resumed session's certificate is not accepted any more".into();
        return Err(Failure {
            outcome: HandshakeOutcome::CertificateRefused,
            host: Some(host),
            sni,
            verdict: Some(verdict),
            error,
        });
    }
    let facts = TlsFacts {
        sni,
        host,
        version: version(session),
        cipher: cipher(session),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        leaf: chain.first().and_then(Leaf::describe),
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
