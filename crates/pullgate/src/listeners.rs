//! The listening sockets of a running gateway and the accept loops on them, while configurations come and go.

use crate::causes::causes;
use crate::kernel_filters::{Filters, RequiredFilter};
use crate::snapshot::{InForce, Snapshot};
use crate::sockets::{Sockets, label};
use log::{info, warn};
use pullgate_config::{ListenAddress, Listener};
use pullgate_door::{
    Accepting, Bound, FilterFigures, Filtering, Gates, KernelFilter, ListenError, ListenerSettings, Places, bind, serve,
};
use pullgate_metrics::Metrics;
use pullgate_proxy::Http;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The operating system refuses.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The kernel refuses a filter.
    #[error(transparent)]
    Filter(#[from] RequiredFilter),
    /// No socket of this name was passed to the process.
    #[error(
        "listener `{listener}`: no socket named `{name}` was passed to this process; systemd's FileDescriptorName= gives a name"
    )]
    NotPassed {
        /// The listener.
        listener: Arc<str>,
        /// The socket's name.
        name: Arc<str>,
    },
    /// A socket that was passed cannot be used.
    #[error("listener `{0}`: the socket that was passed to this process cannot be used")]
    Unfit(Arc<str>, #[source] io::Error),
    /// The gateway comes to its end.
    #[error("the gateway is ending")]
    Ending,
}

/// The listeners of a gateway; none any more once it ends.
#[derive(Debug)]
pub(crate) struct Listeners {
    gates: Arc<InForce>,
    metrics: Metrics,
    handle: Handle,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    http: Http,
    running: Vec<Running>,
    /// What was passed to this process and no listener has taken.
    passed: Sockets,
}

/// A listener with its accept loop.
#[derive(Debug)]
struct Running {
    wanted: Wanted,
    address: SocketAddr,
    /// Keeps the socket open while its loop is exchanged for another.
    socket: TcpListener,
    filter: Arc<KernelFilter>,
    places: Arc<Places>,
    orders: watch::Sender<Accepting>,
    ended: Receiver<()>,
}

/// A listener whose socket is open and has no accept loop yet.
struct Ready {
    wanted: Wanted,
    bound: Bound,
    socket: TcpListener,
    filter: Arc<KernelFilter>,
}

/// What the configuration says of a listener's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: Arc<str>,
    address: ListenAddress,
    ipv6_only: bool,
}

/// How long a loop may take to come to its end; it waits for nothing.
const LOOP_END: Duration = Duration::from_secs(1);

impl Wanted {
    fn of(listener: &Listener) -> Self {
        let Listener { name, address, ipv6_only, .. } = listener;
        Self { name: Arc::clone(name), address: address.clone(), ipv6_only: *ipv6_only }
    }

    /// Whether this listener is served by the same socket as another one; port 0 is a different port for every listener.
    fn shares_socket(&self, other: &Self) -> bool {
        let is_any_port = matches!(self.address, ListenAddress::Open(address) if address.port() == 0);
        self.address == other.address && self.ipv6_only == other.ipv6_only && (!is_any_port || self.name == other.name)
    }

    fn label(&self) -> String {
        label(&self.address, &self.name)
    }
}

impl Listeners {
    /// Opens what a configuration asks for, with the sockets that were passed where there are any. Call it on a runtime.
    pub(crate) fn start(
        listeners: &[Listener],
        passed: Sockets,
        (gates, metrics, http): (Arc<InForce>, Metrics, Http),
    ) -> Result<Self, SocketError> {
        let open = Mutex::new(Some(Open { http, running: Vec::new(), passed }));
        let this = Self { gates, metrics, handle: Handle::current(), open };
        this.follow(listeners, &this.gates.snapshot(), || {})?;
        if let Some(open) = this.lock().as_mut() {
            open.passed.retain_inherited();
        }
        Ok(this)
    }

    /// Puts another set of listeners in the place of the one there is. `swap` is called when every socket is open that is needed: it puts
    /// the configuration in force by which they accept, and that is `next`. A socket that both sets have stays, under another name too.
    pub(crate) fn follow(
        &self,
        listeners: &[Listener],
        next: &Snapshot,
        swap: impl FnOnce(),
    ) -> Result<(), SocketError> {
        let _inside = self.handle.enter();
        let mut open = self.lock();
        let open = open.as_mut().ok_or(SocketError::Ending)?;
        let wanted: Vec<Wanted> = listeners.iter().map(Wanted::of).collect();
        // On the first socket that cannot be opened, and the first filter that cannot be had, nothing has changed.
        let ready = open.ready(&wanted, next)?;
        let filters = open.filters_of(&wanted, &ready);
        if let Err(error) = filters.widen(next) {
            open.filters().settle(&self.gates.snapshot());
            return Err(error.into());
        }
        // From here on nothing fails.
        let (stay, leave): (Vec<_>, Vec<_>) =
            std::mem::take(&mut open.running).into_iter().partition(|running| wanted.contains(&running.wanted));
        open.running = stay;
        for running in leave {
            let has_heir = ready.iter().any(|ready| ready.wanted.shares_socket(&running.wanted));
            running.end(if has_heir { Accepting::Paused } else { Accepting::LastCall });
            running.show_filter(&self.metrics);
            self.metrics.kernel_filter(&running.wanted.name, None, 0);
            info!(listener:% = running.wanted.name, address:% = running.address; "no longer listening");
        }
        swap();
        filters.settle(next);
        open.running.extend(ready.into_iter().map(|ready| self.run(ready, &open.http)).collect::<Vec<_>>());
        Ok(())
    }

    /// Calls `swap`, which puts `next` in force, and has the kernel admit whom `next` admits. Where it takes no filter for them it has none
    /// after this, even where one is required: a new range of Cloudflare's must not be kept out by the filter for the old ones.
    pub(crate) fn renew_filters(&self, next: &Snapshot, swap: impl FnOnce()) {
        let open = self.lock();
        let filters = open.as_ref().map(Open::filters).unwrap_or_default();
        if let Err(error) = filters.widen(next) {
            warn!("{}", causes(&error));
        }
        swap();
        filters.settle(next);
    }

    /// Puts the filters back that the configuration in force asks for: another process had the sockets too.
    pub(crate) fn take_filters_back(&self) {
        let open = self.lock();
        open.as_ref().map(Open::filters).unwrap_or_default().settle(&self.gates.snapshot());
    }

    fn run(&self, ready: Ready, http: &Http) -> Running {
        let Ready { wanted, bound, socket, filter } = ready;
        let address = bound.address();
        info!(listener:% = wanted.name, address:% = address; "listening");
        let places = bound.places();
        let (orders, heard) = watch::channel(Accepting::On);
        let (alive, ended) = channel();
        let serving =
            serve(bound, Arc::clone(&self.gates) as Arc<dyn Gates>, self.metrics.clone(), http.clone(), heard);
        self.handle.spawn(async move {
            serving.await;
            drop::<Sender<()>>(alive);
        });
        Running { wanted, address, socket, filter, places, orders, ended }
    }

    /// Shows what the kernel filters do whenever somebody looks at the metrics.
    pub(crate) fn show_filters_at_each_look(self: &Arc<Self>) {
        let this = Arc::downgrade(self);
        let show = move || {
            let Some(this) = this.upgrade() else { return };
            // While listeners change, the figures of the look before are good enough: to wait would make the metrics wait.
            let Ok(open) = this.open.try_lock() else { return };
            for running in open.iter().flat_map(|open| &open.running) {
                running.show_filter(&this.metrics);
            }
        };
        self.metrics.before_each_look(show);
    }

    /// Where a listener listens, with the port that the system chose.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        let open = self.lock();
        open.as_ref()?.running.iter().find(|running| *running.wanted.name == *name).map(|running| running.address)
    }

    /// Whether a listener's kernel filter stands.
    pub(crate) fn has_filter(&self, name: &str) -> bool {
        let open = self.lock();
        let mut running = open.iter().flat_map(|open| &open.running);
        running.any(|running| *running.wanted.name == *name && running.filter.is_active())
    }

    /// The sockets once more, for a process that is to listen on them too.
    pub(crate) fn share(&self) -> io::Result<Sockets> {
        let open = self.lock();
        let Some(open) = open.as_ref() else { return Ok(Sockets::default()) };
        let mut sockets = open.passed.share()?;
        for running in &open.running {
            sockets.insert(running.wanted.label(), running.socket.try_clone()?);
        }
        Ok(sockets)
    }

    /// Stops accepting for good. What waits to be accepted still is, unless another process goes on with the sockets.
    pub(crate) fn stop(&self, last: Accepting) {
        let Some(open) = self.lock().take() else { return };
        for running in &open.running {
            running.orders.send_replace(last);
        }
        for running in open.running {
            running.end(last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Opens the sockets of listeners that do not run yet as they are wanted.
    fn ready(&mut self, wanted: &[Wanted], next: &Snapshot) -> Result<Vec<Ready>, SocketError> {
        let missing = wanted.iter().filter(|wanted| !self.running.iter().any(|running| running.wanted == **wanted));
        let missing: Vec<&Wanted> = missing.collect();
        missing.into_iter().map(|wanted| self.open(wanted, &next.filtering(&wanted.name))).collect()
    }

    fn open(&mut self, wanted: &Wanted, filtering: &Filtering) -> Result<Ready, SocketError> {
        let Wanted { name, address, ipv6_only } = wanted;
        let unfit = |error| SocketError::Unfit(Arc::clone(name), error);
        let adopt = |socket: &TcpListener| Bound::adopt(Arc::clone(name), socket.try_clone()?);
        let running = self.running.iter().find(|running| running.wanted.shares_socket(wanted));
        let (bound, filter) = if let Some(running) = running {
            (adopt(&running.socket).map_err(unfit)?, Arc::clone(&running.filter))
        } else if let Some(socket) = self.passed.find(&wanted.label()) {
            let bound = adopt(socket).map_err(unfit)?;
            let filter = KernelFilter::adopt(&bound).map_err(unfit)?;
            (bound, Arc::new(filter))
        } else {
            match address {
                ListenAddress::Open(address) => {
                    let settings =
                        ListenerSettings { name: Arc::clone(name), address: *address, ipv6_only: *ipv6_only };
                    let (bound, filter) = bind(settings, filtering)?;
                    (bound, Arc::new(filter))
                }
                ListenAddress::Inherited(socket) => {
                    return Err(SocketError::NotPassed { listener: Arc::clone(name), name: Arc::clone(socket) });
                }
            }
        };
        let socket = bound.share().map_err(unfit)?;
        let bound = match self.before(wanted) {
            Some(before) => bound.with_places(Arc::clone(&before.places)),
            None => bound,
        };
        Ok(Ready { wanted: wanted.clone(), bound, socket, filter })
    }

    /// The listener that a wanted one follows, by its name or else by its socket: the connections that it has still count.
    fn before(&self, wanted: &Wanted) -> Option<&Running> {
        let same_name = self.running.iter().find(|running| running.wanted.name == wanted.name);
        same_name.or_else(|| self.running.iter().find(|running| running.wanted.shares_socket(wanted)))
    }

    /// The filters of the listeners that run.
    fn filters(&self) -> Filters {
        let of = |running: &Running| (Arc::clone(&running.wanted.name), Arc::clone(&running.filter));
        self.running.iter().map(of).collect()
    }

    /// The filters of the listeners that are wanted: some run already, the others are ready to.
    fn filters_of(&self, wanted: &[Wanted], ready: &[Ready]) -> Filters {
        let stay = self.running.iter().filter(|running| wanted.contains(&running.wanted));
        let stay = stay.map(|running| (Arc::clone(&running.wanted.name), Arc::clone(&running.filter)));
        stay.chain(ready.iter().map(|ready| (Arc::clone(&ready.wanted.name), Arc::clone(&ready.filter)))).collect()
    }
}

impl Running {
    fn show_filter(&self, metrics: &Metrics) {
        let FilterFigures { active, dropped } = self.filter.figures();
        metrics.kernel_filter(&self.wanted.name, active, dropped);
    }

    /// Ends the loop, and waits for that.
    fn end(&self, last: Accepting) {
        self.orders.send_replace(last);
        // Nothing is ever sent: the other end goes with the loop.
        if self.ended.recv_timeout(LOOP_END) == Err(RecvTimeoutError::Timeout) {
            warn!(listener:% = self.wanted.name; "the accept loop has not ended yet");
        }
    }
}
