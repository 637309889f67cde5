//! The process: a configuration, a gateway, and everything that tells it what to do until it ends.

use crate::causes::causes;
use crate::control::{Before, Commands, Control};
use crate::gateway::{Gateway, StartError};
use crate::harden::harden;
use crate::reload::Reloader;
use crate::signals::{Early, Signals, Told};
use crate::sockets::Sockets;
use crate::upgrade::{TakeOver, TakeOverError, prepare};
use crate::world::{LoadError, Loaded, System, load, state_dir};
use crate::{systemd, watch};
use log::{info, warn};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// How a process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// By opening what it needs.
    Fresh,
    /// With the sockets of a running process, which ends once this one serves.
    TakeOver,
}

/// A process that did not get to serve.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its configuration does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The gateway does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is nothing to take over.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// What systemd passed cannot be used.
    #[error("the sockets that systemd passed cannot be used")]
    Passed(#[source] io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}

/// Runs a gateway until it is told to end.
///
/// # Errors
/// Why it did not get to serve.
pub fn run(file: &Path, beginning: Beginning) -> Result<(), RunError> {
    harden();
    let (take_over, passed) = match beginning {
        Beginning::Fresh => (None, systemd::sockets().map_err(RunError::Passed)?),
        Beginning::TakeOver => {
            let (take_over, sockets) = TakeOver::begin(&state_dir(file)?)?;
            (Some(take_over), sockets)
        }
    };
    match Serving::start(file, passed) {
        Ok(serving) => {
            serving.serve(take_over);
            Ok(())
        }
        Err(error) => {
            if let Some(take_over) = take_over {
                take_over.failed(&causes(&error));
            }
            Err(error)
        }
    }
}

/// A gateway with its signals.
struct Serving {
    gateway: Gateway,
    signals: Signals,
    reloader: Arc<Reloader>,
    system: System,
}

impl Serving {
    fn start(file: &Path, passed: Sockets) -> Result<Self, RunError> {
        let early = Early::listen().map_err(RunError::Signals)?;
        let Loaded { config, warnings, advice: _, files } = load(file)?;
        // Nobody may be there to read them.
        let _ = write!(io::stderr(), "{warnings}");
        let system = System::beside(file);
        let gateway = Gateway::start_with(config, &system, passed)?;
        let signals = {
            let _inside = gateway.handle().enter();
            Signals::listen(early).map_err(RunError::Signals)?
        };
        let reloader = Arc::new(Reloader::new(gateway.succession(), file, files));
        Ok(Self { gateway, signals, reloader, system })
    }

    /// Serves to the end.
    fn serve(self, take_over: Option<TakeOver>) {
        let before = if take_over.is_some() { Before::Predecessor } else { Before::Nobody };
        if let Some(take_over) = take_over {
            match take_over.serving() {
                Ok(()) => info!("took over from the process before"),
                // It is this one that listens by now, whatever became of the other.
                Err(error) => warn!("the process before did not confirm that it drains: {error}"),
            }
        }
        let control = self.open_control(before);
        if let Err(error) = watch::start(&self.reloader) {
            warn!("changes of the configuration's files go unnoticed: {error}");
        }
        if let Err(error) = systemd::feed_watchdog(self.gateway.heartbeat()) {
            warn!("systemd's watchdog is not fed: {error}");
        }
        systemd::serving();
        self.follow();
        if let Some(control) = control {
            control.end();
        }
    }

    /// Without its control socket a gateway serves as well: signals reach it still.
    fn open_control(&self, before: Before) -> Option<Control> {
        let folder = self.system.path(&self.reloader.state_dir());
        let heritage = self.gateway.heritage();
        let (upgrades, hand_over) = prepare(self.reloader.file(), heritage, self.signals.teller());
        let commands = Commands { reloader: Arc::clone(&self.reloader), upgrades, hand_over };
        match Control::open(&folder, before, commands) {
            Ok(control) => Some(control),
            Err(error) => {
                let why = causes(&error);
                warn!("no control socket, `pullgate reload` and `pullgate upgrade` do not reach this process: {why}");
                None
            }
        }
    }

    /// Does what it is told, until that is to end.
    fn follow(self) {
        let Self { gateway, mut signals, reloader, .. } = self;
        let handle = gateway.handle().clone();
        loop {
            match handle.block_on(signals.next()) {
                // On threads of their own: a file system or resolver that hangs must not keep a signal from being heard.
                Told::Reload => {
                    let reloader = Arc::clone(&reloader);
                    handle.spawn_blocking(move || reloader.reload_and_tell());
                }
                Told::Reopen => {
                    let log_file = gateway.log_file();
                    handle.spawn_blocking(move || log_file.map(|file| file.reopen_and_tell()));
                }
                Told::Drain => {
                    systemd::stopping();
                    reloader.end();
                    return gateway.shut_down(async move { signals.end().await });
                }
                Told::HandedOver => {
                    reloader.end();
                    return gateway.give_way(async move { signals.end().await });
                }
                Told::Stop => {
                    systemd::stopping();
                    return gateway.stop();
                }
            }
        }
    }
}
