//! The signals that a running gateway takes.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a signal tells the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// SIGHUP: load the configuration again.
    Reload,
    /// SIGUSR1: open the file of the access log anew.
    Reopen,
    /// SIGTERM: finish what is open, then end.
    Drain,
    /// SIGINT: end at once.
    Stop,
    /// Another process serves on the same sockets: finish what is open, then end.
    HandedOver,
}

/// The signals, from the moment they are listened for.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
    /// What is told from within the process.
    inside: UnboundedReceiver<Told>,
    teller: UnboundedSender<Told>,
}

impl Signals {
    /// Starts to listen. Call it on a runtime.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn listen() -> io::Result<Self> {
        let (teller, inside) = unbounded_channel();
        Ok(Self {
            inside,
            teller,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// What tells the gateway something from within the process.
    pub(crate) fn teller(&self) -> UnboundedSender<Told> {
        self.teller.clone()
    }

    /// The next signal; of several at once, the one that ends the process.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Drain,
            Some(told) = self.inside.recv() => told,
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.user.recv() => Told::Reopen,
        }
    }

    /// Waits for a signal that ends the process: a gateway that drains loads no configuration.
    pub(crate) async fn end(&mut self) {
        loop {
            match self.next().await {
                Told::Drain | Told::Stop | Told::HandedOver => return,
                Told::Reload => log::warn!("SIGHUP while draining: the configuration is not loaded again"),
                Told::Reopen => log::warn!("SIGUSR1 while draining: the access log is not opened anew"),
            }
        }
    }
}
