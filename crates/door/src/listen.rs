//! The socket of a listener.

use crate::kernel_filter::{FilterFault, Filtering, KernelFilter};
use crate::places::Places;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

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
    pub(crate) name: Arc<str>,
    pub(crate) listener: TcpListener,
    address: SocketAddr,
    pub(crate) places: Arc<Places>,
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
        Ok(Self { name, listener, address, places: Arc::default() })
    }

    /// The socket once more: it listens for as long as one of its owners lives.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn share(&self) -> io::Result<std::net::TcpListener> {
        Ok(SockRef::from(&self.listener).try_clone()?.into())
    }

    /// Who holds the places of the listener. A cap counts on where another socket or name takes over from this one.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    /// The same with the places of a listener before.
    #[must_use]
    pub fn with_places(self, places: Arc<Places>) -> Self {
        Self { places, ..self }
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
