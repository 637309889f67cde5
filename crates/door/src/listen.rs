//! The accept loop: a socket is admitted by its source before a byte of it is read.

use crate::entrance::Entrance;
use crate::gate::Gates;
use crate::handshake::{Failure, secure};
use crate::kernel_filter::{self, FilterFault, Filtering, KernelFilter};
use crate::stream::Stream;
use crate::throttle::Throttles;
use log::{debug, warn};
use pullgate_metrics::{ConnectionOutcome, HandshakeOutcome, Metrics, OpenGauge, PanicAt, rfc3339};
use pullgate_policy::hosts::HostName;
use pullgate_policy::origin_pull::{Leaf, Verdict};
use pullgate_policy::{Admissions, Connection, Peer, Security, Source, TrustLevel};
use rustls::pki_types::UnixTime;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The socket of a listener: what it keeps for as long as it is open.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Its label.
    pub name: Arc<str>,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether an IPv6 address takes IPv6 connections alone.
    pub ipv6_only: bool,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    name: Arc<str>,
    listener: TcpListener,
    address: SocketAddr,
}

/// What an accept loop is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepting {
    /// Accept.
    On,
    /// Return, and leave what waits to whoever accepts next on the socket.
    Paused,
    /// Accept what waits and return: nobody accepts on the socket after this.
    LastCall,
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Its socket.
    #[error("listener `{name}` cannot listen on {address}")]
    Socket {
        /// Its label.
        name: Arc<str>,
        /// Where it should listen.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The kernel filter that it requires.
    #[error("listener `{name}` would have no kernel filter, and requires one; `auto` would go on without")]
    Filter {
        /// Its label.
        name: Arc<str>,
        /// Why not.
        source: FilterFault,
    },
}

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens a listener, with the kernel filter that it begins with and that has to follow its sources. Call it on a runtime.
///
/// # Errors
/// As the operating system says.
pub fn bind(settings: ListenerSettings, filtering: &Filtering) -> Result<(Bound, KernelFilter), ListenError> {
    let ListenerSettings { name, address, .. } = &settings;
    let fault = |source| ListenError::Socket { name: Arc::clone(name), address: *address, source };
    let socket = open(&settings).map_err(fault)?;
    let standing = filtering
        .begin(name, &socket, *address)
        .map_err(|source| ListenError::Filter { name: Arc::clone(name), source })?;
    socket.listen(BACKLOG).map_err(fault)?;
    let bound = Bound::adopt(Arc::clone(name), socket.into()).map_err(fault)?;
    let filter = KernelFilter::of(&bound, standing).map_err(fault)?;
    Ok((bound, filter))
}

/// A socket that is bound and does not listen yet.
fn open(settings: &ListenerSettings) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(settings.address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if settings.address.is_ipv6() {
        socket.set_only_v6(settings.ipv6_only)?;
    }
    socket.bind(&settings.address.into())?;
    Ok(socket)
}

impl Bound {
    /// Takes a socket that listens already: another process's, or one whose listener has a new name. Call it on a runtime.
    ///
    /// # Errors
    /// When it is no socket that listens, or as the operating system says.
    pub fn adopt(name: Arc<str>, listener: std::net::TcpListener) -> io::Result<Self> {
        if !SockRef::from(&listener).is_listener()? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
        }
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self { name, listener, address })
    }

    /// The socket once more: it listens for as long as one of its owners lives.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn share(&self) -> io::Result<std::net::TcpListener> {
        Ok(SockRef::from(&self.listener).try_clone()?.into())
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its label.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// An admitted connection on its way to HTTP.
#[derive(Debug)]
pub struct Arrival {
    /// The bytes.
    pub stream: Stream,
    /// The facts, true for every request of the connection.
    pub connection: Arc<Connection>,
    /// Counts the connection as open for as long as it lives.
    pub open: OpenConnection,
}

/// One open connection in the gauge; dropping it counts it out.
#[derive(Debug)]
pub struct OpenConnection(OpenGauge);

impl OpenConnection {
    fn new(gauge: OpenGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Who receives admitted connections.
pub trait Reception: Clone + Send + Sync + 'static {
    /// Serves one connection to its end.
    fn receive(self, arrival: Arrival) -> impl Future<Output = ()> + Send;
}

/// Accepts until it is told otherwise; what was accepted before is served to its end by its own task.
pub async fn serve(
    bound: Bound,
    gates: Arc<dyn Gates>,
    metrics: Metrics,
    reception: impl Reception,
    mut orders: watch::Receiver<Accepting>,
) {
    let listener = Arc::new(Listener { name: bound.name, refusals: Throttles::new(Instant::now()) });
    let open = metrics.open_connections(&listener.name);
    while let Some(accepted) = next(&bound.listener, &mut orders).await {
        match accepted {
            Ok((io, peer)) => {
                let peer = Peer::new(peer);
                let name = &listener.name;
                // A panic costs this socket, not the listener.
                let admitted = metrics.survive(PanicAt::Accept, || {
                    let gate = gates.current();
                    let admissions = Arc::clone(&gate.rules.admissions);
                    let source = admissions.admit(name, peer.address().ip())?;
                    Some((source, admissions, Arc::clone(gate.entrances.get(name)?)))
                });
                let Some(admitted) = admitted else { continue };
                let Some((source, admissions, entrance)) = admitted else {
                    metrics.connection(name, ConnectionOutcome::Stranger);
                    debug!(listener:% = name, peer:% = peer.address(); "stranger turned away");
                    continue;
                };
                metrics.connection(name, ConnectionOutcome::Admitted);
                let open = OpenConnection::new(open.clone());
                let listener = Arc::clone(&listener);
                let admitted = Admitted { io, peer, source, admissions, entrance, open, listener };
                let (metrics, gates) = (metrics.clone(), Arc::clone(&gates));
                let welcome = welcome(admitted, gates, metrics.clone(), reception.clone());
                tokio::spawn(async move { metrics.survive_all(PanicAt::Connection, welcome).await });
            }
            Err(error) => {
                warn!(listener:% = listener.name; "accept failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The next socket; none when the loop is to end.
async fn next(
    listener: &TcpListener,
    orders: &mut watch::Receiver<Accepting>,
) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    let order = tokio::select! {
        biased;
        order = orders.wait_for(|order| *order != Accepting::On) => order.map_or(Accepting::Paused, |order| *order),
        accepted = listener.accept() => return Some(accepted),
    };
    if order != Accepting::LastCall {
        return None;
    }
    waiting(listener).ok().map(Ok)
}

/// What waits to be accepted, by the kernel's account: the runtime may not have heard of it yet.
fn waiting(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    let peer = peer.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    Ok((TcpStream::from_std(socket.into())?, peer))
}

struct Listener {
    name: Arc<str>,
    /// A scanner is not to own the log.
    refusals: Throttles,
}

struct Admitted {
    io: TcpStream,
    peer: Peer,
    source: Source,
    admissions: Arc<Admissions>,
    entrance: Arc<Entrance>,
    open: OpenConnection,
    listener: Arc<Listener>,
}

async fn welcome(admitted: Admitted, gates: Arc<dyn Gates>, metrics: Metrics, reception: impl Reception) {
    let Admitted { io, peer, source, admissions, entrance, open, listener } = admitted;
    kernel_filter::release(&io);
    // Small answers must not wait for an acknowledgement; a socket that refuses the option is only slower.
    let _ = io.set_nodelay(true);
    let (stream, security) = if entrance.tls {
        match shake_hands(io, &*gates, (&listener, &entrance), (peer, source), &metrics).await {
            Some(secured) => secured,
            None => return,
        }
    } else {
        (Stream::Plain(io), Security::Plain)
    };
    let name = Arc::clone(&listener.name);
    let connection = Connection { listener: name, peer, source, admitted_by: admissions, security };
    reception.receive(Arrival { stream, connection: Arc::new(connection), open }).await;
}

async fn shake_hands(
    io: TcpStream,
    gates: &dyn Gates,
    (listener, entrance): (&Listener, &Entrance),
    (peer, source): (Peer, Source),
    metrics: &Metrics,
) -> Option<(Stream, Security)> {
    let begun = Instant::now();
    match secure(io, gates, &listener.name, entrance.handshake_timeout).await {
        Ok((stream, facts)) => {
            let (host, now) = (facts.host.as_str(), UnixTime::now());
            metrics.handshake(Some(host), HandshakeOutcome::Completed, facts.resumed);
            metrics.handshake_took(begun.elapsed());
            metrics.origin_pull(host, &facts.verdict, TrustLevel::of(source, Some(&facts.verdict), now));
            if let (Verdict::Verified(_), Some(leaf)) = (&facts.verdict, &facts.leaf) {
                metrics.observed_leaf(host, leaf.not_after.as_secs());
            }
            Some((Stream::Tls(Box::new(stream)), Security::Tls(Box::new(facts))))
        }
        Err(mut refused) => {
            report(&refused.failure, listener, (peer, source), metrics);
            refused.part().await;
            None
        }
    }
}

fn report(failure: &Failure, listener: &Listener, (peer, source): (Peer, Source), metrics: &Metrics) {
    let host = failure.host.as_ref().map(HostName::as_str);
    metrics.handshake(host, failure.outcome, failure.resumed);
    if let (Some(host), Some(verdict)) = (host, &failure.verdict) {
        metrics.origin_pull(host, verdict, TrustLevel::of(source, Some(verdict), UnixTime::now()));
    }
    let Some(held_back) = listener.refusals.pass(failure.outcome, Instant::now()) else { return };
    let leaf = |part: fn(&Leaf) -> String| failure.leaf.as_deref().map(part).unwrap_or_default();
    warn!(
        listener:% = listener.name,
        peer:% = peer.address(),
        sni = failure.sni.as_deref().unwrap_or(""),
        host = host.unwrap_or(""),
        outcome = failure.outcome.label(),
        verdict = failure.verdict.as_ref().map_or("", Verdict::label),
        subject:% = leaf(|leaf| leaf.subject.clone()),
        issuer:% = leaf(|leaf| leaf.issuer.clone()),
        serial:% = leaf(|leaf| leaf.serial.clone()),
        sha256:% = leaf(|leaf| leaf.sha256.clone()),
        not_after:% = leaf(|leaf| rfc3339(leaf.not_after)),
        held_back:% = if held_back == 0 { String::new() } else { held_back.to_string() };
        "handshake refused: {}", failure.error
    );
}
