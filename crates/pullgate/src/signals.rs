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

/// SIGHUP and SIGUSR1 from the first moment on: by default they end a process, and one that starts would die of a reload that comes early.
/// What comes before the gateway serves waits until it does.
#[derive(Debug)]
pub(crate) struct Early {
    inside: UnboundedReceiver<Told>,
    teller: UnboundedSender<Told>,
}

/// The signals, from the moment they are listened for.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The other signals, and what is told from within the process.
    early: Early,
}

impl Early {
    /// Starts to listen, on a thread of its own.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn listen() -> io::Result<Self> {
        let (teller, inside) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut hang_up, mut user) = {
            let _inside = runtime.enter();
            (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?)
        };
        let heard = teller.clone();
        let listening = async move {
            loop {
                let told = tokio::select! {
                    _ = hang_up.recv() => Told::Reload,
                    _ = user.recv() => Told::Reopen,
                };
                if heard.send(told).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listening))?;
        Ok(Self { inside, teller })
    }
}

impl Signals {
    /// Listens for those too that end the process. Call it on a runtime.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn listen(early: Early) -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, early })
    }

    /// What tells the gateway something from within the process.
    pub(crate) fn teller(&self) -> UnboundedSender<Told> {
        self.early.teller.clone()
    }

    /// The next signal; of several at once, the one that ends the process.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Drain,
            Some(told) = self.early.inside.recv() => told,
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
