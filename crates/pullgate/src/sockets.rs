//! Listening sockets by what they are for, as one process passes them to another.

use pullgate_config::ListenAddress;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Sockets that listen, each with its label.
#[derive(Debug, Default)]
pub struct Sockets(BTreeMap<String, TcpListener>);

/// What tells the socket of a listener from others: `tcp:[::]:8443`, `inherited:web`. The label has the listener's name as well where
/// the system chooses the port.
pub(crate) fn label(address: &ListenAddress, listener: &str) -> String {
    match address {
        ListenAddress::Open(address) if address.port() == 0 => format!("tcp:{address} {listener}"),
        ListenAddress::Open(address) => format!("tcp:{address}"),
        ListenAddress::Inherited(name) => inherited(name),
    }
}

/// The label of a socket that systemd passes.
pub(crate) fn inherited(name: &str) -> String {
    format!("inherited:{name}")
}

/// The label of the admin listener's socket.
pub(crate) fn admin(address: SocketAddr) -> String {
    format!("admin:{address}")
}

impl Sockets {
    /// Adds a socket under its label.
    pub(crate) fn insert(&mut self, label: String, socket: TcpListener) {
        self.0.insert(label, socket);
    }

    /// The socket with a label.
    pub(crate) fn find(&self, label: &str) -> Option<&TcpListener> {
        self.0.get(label)
    }

    /// Each socket with its label, in the order of the labels.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &TcpListener)> {
        self.0.iter().map(|(label, socket)| (label.as_str(), socket))
    }

    /// The same sockets once more.
    pub(crate) fn share(&self) -> io::Result<Self> {
        self.0
            .iter()
            .map(|(label, socket)| Ok((label.clone(), socket.try_clone()?)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Keeps those that systemd passed: it holds them open in any case. One that nobody accepts on would let connections wait for ever.
    pub(crate) fn retain_inherited(&mut self) {
        self.0.retain(|label, _| label.starts_with("inherited:"));
    }
}
