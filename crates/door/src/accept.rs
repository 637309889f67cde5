//! The accept loop: a socket is admitted by its source before a byte of it is read.

use crate::announcement;
use crate::entrance::Entrance;
use crate::gate::{Gate, Gates};
use crate::handshake::{Failure, secure};
use crate::kernel_filter;
use crate::listen::Bound;
use crate::places::{Place, Places};
use crate::reserve;
use crate::stream::Stream;
use crate::throttle::{Throttle, Throttles};
use crate::trouble::Trouble;
use log::{debug, warn};
use pullgate_metrics::{ConnectionOutcome, Date, HandshakeOutcome, Metrics, OpenGauge, PanicAt};
use pullgate_policy::hosts::HostName;
use pullgate_policy::origin_pull::{Leaf, Verdict};
use pullgate_policy::proxy_header::Announced;
use pullgate_policy::{Admissions, Connection, Peer, Security, Source, TrustLevel};
use rustls::pki_types::UnixTime;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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

/// One open connection, in the gauge and in its place; dropping it counts it out.
#[derive(Debug)]
pub struct OpenConnection {
    gauge: OpenGauge,
    _place: Place,
}

impl OpenConnection {
    fn new(gauge: OpenGauge, place: Place) -> Self {
        gauge.inc();
        Self { gauge, _place: place }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.gauge.dec();
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
    let listener = Arc::new(Listener::new(bound.name, bound.places, metrics.clone()));
    let mut trouble = Trouble::new(Instant::now());
    while let Some(accepted) = next(&bound.listener, &mut orders).await {
        let name = &listener.name;
        match accepted {
            Ok((io, peer)) => {
                if reserve::is_reached(&io) {
                    trouble.pause(name, &rustix::io::Errno::MFILE.into(), Instant::now());
                    reserve::given_back(&mut orders).await;
                }
                trouble.over(name);
                // A panic costs this socket, not the listener.
                let admitted =
                    metrics.survive(PanicAt::Accept, || listener.admit(io, Peer::new(peer), &gates.current()));
                let Some(guest) = admitted.flatten() else { continue };
                // In a box of its own: each step that a future is handed through would keep room for the whole of it, 19 KB a connection.
                let welcome = Box::pin(Arc::clone(&listener).welcome(guest, Arc::clone(&gates), reception.clone()));
                let metrics = metrics.clone();
                tokio::spawn(async move { metrics.survive_all(PanicAt::Connection, welcome).await });
            }
            Err(error) => {
                if let Some(pause) = trouble.pause(name, &error, Instant::now()) {
                    tokio::time::sleep(pause).await;
                }
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
    metrics: Metrics,
    open: OpenGauge,
    places: Arc<Places>,
    /// A scanner is not to own the log.
    refusals: Throttles,
    /// Nor is a crowd.
    crowd: Throttle,
}

/// One that may come in, or whose balancer may.
struct Guest {
    io: TcpStream,
    peer: Peer,
    place: Place,
    admissions: Arc<Admissions>,
    entrance: Arc<Entrance>,
    arrives: Arrives,
}

/// How a guest comes.
enum Arrives {
    /// By itself, admitted as this.
    Alone(Source),
    /// Behind a balancer, which has yet to say whom it speaks for.
    Announced,
}

/// One that has come in.
struct Admitted {
    io: TcpStream,
    peer: Peer,
    balancer: Option<Peer>,
    source: Source,
    admissions: Arc<Admissions>,
    entrance: Arc<Entrance>,
    open: OpenConnection,
}

impl Listener {
    fn new(name: Arc<str>, places: Arc<Places>, metrics: Metrics) -> Self {
        let (open, now) = (metrics.open_connections(&name), Instant::now());
        let crowd = Throttle::new(now, 1, CROWD);
        Self { name, metrics, open, places, refusals: Throttles::new(now), crowd }
    }

    /// Lets a socket in by its address and gives it a place. Strangers get none.
    fn admit(&self, io: TcpStream, peer: Peer, gate: &Gate) -> Option<Guest> {
        let (name, address) = (&self.name, peer.address().ip());
        let admissions = &gate.rules.admissions;
        let arrives = match admissions.balancers.get(name) {
            None => admissions.admit(name, address).map(Arrives::Alone),
            Some(balancers) => balancers.contains(address).then_some(Arrives::Announced),
        };
        let Some((arrives, entrance)) = arrives.zip(gate.entrances.get(name)) else {
            self.turn_away(peer);
            return None;
        };
        let place = self.places.take(entrance.connections);
        let place = place.and_then(|place| match arrives {
            Arrives::Alone(_) => held_by(place, peer, entrance),
            Arrives::Announced => Some(place),
        });
        let Some(place) = place else {
            self.crowded(peer);
            return None;
        };
        let (admissions, entrance) = (Arc::clone(admissions), Arc::clone(entrance));
        Some(Guest { io, peer, place, admissions, entrance, arrives })
    }

    fn turn_away(&self, peer: Peer) {
        self.metrics.connection(&self.name, ConnectionOutcome::Stranger);
        debug!(listener:% = self.name, peer:% = peer.address(); "stranger turned away");
    }

    fn crowded(&self, peer: Peer) {
        self.metrics.connection(&self.name, ConnectionOutcome::OverLimit);
        if let Some(held_back) = self.crowd.pass(Instant::now()) {
            warn!(listener:% = self.name, peer:% = peer.address(), held_back; "closed: as many connections are open as may be");
        }
    }

    async fn welcome(self: Arc<Self>, guest: Guest, gates: Arc<dyn Gates>, reception: impl Reception) {
        kernel_filter::release(&guest.io);
        let Some(admitted) = self.announced(guest).await else { return };
        let Admitted { io, peer, balancer, source, admissions, entrance, open } = admitted;
        // Small answers must not wait for an acknowledgement; a socket that refuses the option is only slower.
        let _ = io.set_nodelay(true);
        let (stream, security) = if entrance.tls {
            match shake_hands(io, &*gates, (&self, &entrance), (peer, source), &self.metrics).await {
                Some(secured) => secured,
                None => return,
            }
        } else {
            (Stream::Plain(io), Security::Plain)
        };
        let name = Arc::clone(&self.name);
        let connection = Connection { listener: name, peer, balancer, source, admitted_by: admissions, security };
        reception.receive(Arrival { stream, connection: Arc::new(connection), open }).await;
    }

    /// Who a guest is: itself, or whom its balancer speaks for, who has to be admitted like anybody.
    async fn announced(&self, guest: Guest) -> Option<Admitted> {
        let Guest { mut io, peer, place, admissions, entrance, arrives } = guest;
        let name = &self.name;
        let (peer, balancer, source, place) = match arrives {
            Arrives::Alone(source) => (peer, None, source, place),
            Arrives::Announced => {
                let client = self.client_of(&mut io, peer).await?;
                let Some(source) = admissions.admit(name, client.address().ip()) else {
                    self.turn_away(client);
                    return None;
                };
                let Some(place) = held_by(place, client, &entrance) else {
                    self.crowded(client);
                    return None;
                };
                (client, Some(peer), source, place)
            }
        };
        self.metrics.connection(name, ConnectionOutcome::Admitted);
        let open = OpenConnection::new(self.open.clone(), place);
        Some(Admitted { io, peer, balancer, source, admissions, entrance, open })
    }

    /// Whom a balancer speaks for.
    async fn client_of(&self, io: &mut TcpStream, balancer: Peer) -> Option<Peer> {
        let name = &self.name;
        match announcement::read(io).await {
            Ok(Announced::Client(client)) => Some(Peer::new(client)),
            Ok(Announced::Nobody) => {
                self.metrics.connection(name, ConnectionOutcome::Probe);
                None
            }
            Err(error) => {
                self.metrics.connection(name, ConnectionOutcome::Unannounced);
                debug!(listener:% = name, peer:% = balancer.address(); "no PROXY header: {error}");
                None
            }
        }
    }
}

/// The place, held by a peer; none where it holds as many as it may.
fn held_by(mut place: Place, peer: Peer, entrance: &Entrance) -> Option<Place> {
    place.held_by(peer.address().ip(), entrance.connections_per_source).then_some(place)
}

/// Time for which one line says that a listener is full.
const CROWD: Duration = Duration::from_secs(10);

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
        not_after:% = leaf(|leaf| Date(leaf.not_after).to_string()),
        held_back:% = if held_back == 0 { String::new() } else { held_back.to_string() };
        "handshake refused: {}", failure.error
    );
}
