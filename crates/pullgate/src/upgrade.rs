//! One process in the place of another, without a moment in which nobody listens.
//!
//! The new process asks the old one for its listening sockets, starts with them, and says that it serves; only then the old one drains.
//! Whatever goes wrong before that, the old one serves on: it has given nothing away but copies.

use crate::control::message::{Answer, Ask, Tell, receive, receive_socket, send, send_socket};
use crate::control::path;
use crate::gateway::Heritage;
use crate::signals::Told;
use crate::sockets::Sockets;
use log::{error, info};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How long a new process may take to serve: it reads certificates and resolves names.
const TAKE_OVER: Duration = Duration::from_secs(120);

/// How long the old process may take to say what it hands over, and that it drains.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a process that is starting.
const LOOK: Duration = Duration::from_millis(50);

/// How a take-over ended: the number of the process that serves, or why none does.
type End = Result<u32, String>;

/// The old process's side of a take-over.
#[derive(Debug)]
pub(crate) struct HandOver {
    heritage: Heritage,
    told: UnboundedSender<Told>,
    /// Held while one process takes over.
    turn: Mutex<()>,
    /// Where the one who started the new process waits.
    ends: Arc<Mutex<Option<Sender<End>>>>,
}

/// What starts new processes.
#[derive(Debug)]
pub(crate) struct Upgrades {
    file: PathBuf,
    /// Held while one upgrade is under way.
    turn: Mutex<()>,
    ends: Arc<Mutex<Option<Sender<End>>>>,
}

/// Both sides of upgrades of this process, which runs with this configuration file.
pub(crate) fn prepare(file: &Path, heritage: Heritage, told: UnboundedSender<Told>) -> (Upgrades, HandOver) {
    let ends = Arc::new(Mutex::new(None));
    let upgrades = Upgrades { file: file.to_owned(), turn: Mutex::new(()), ends: Arc::clone(&ends) };
    (upgrades, HandOver { heritage, told, turn: Mutex::new(()), ends })
}

impl HandOver {
    /// Gives the sockets to the process at the other end, and waits until it serves or fails.
    pub(crate) fn give(&self, stream: &UnixStream) -> io::Result<()> {
        let Ok(_turn) = self.turn.try_lock() else {
            return send(stream, &refused("another process is taking over already"));
        };
        let sockets = self.heritage.sockets()?;
        send(stream, &Answer::Sockets { labels: sockets.iter().map(|(label, _)| label.to_owned()).collect() })?;
        sockets.iter().try_for_each(|(_, socket)| send_socket(stream, socket))?;
        drop(sockets);
        stream.set_read_timeout(Some(TAKE_OVER))?;
        let end = match receive(stream) {
            Ok(Tell::Serving { process }) => Ok(process),
            Ok(Tell::Failed { why }) => Err(why),
            Err(error) => Err(format!("it went away before it served: {error}")),
        };
        match &end {
            Ok(process) => {
                info!(process; "another process serves in this one's place");
                send(stream, &Answer::Draining)?;
                // The receiver lives as long as the process.
                let _ = self.told.send(Told::HandedOver);
            }
            Err(why) => {
                self.heritage.take_back();
                error!("the process that was to take over failed, this one serves on: {why}");
            }
        }
        if let Some(waiting) = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody waits where the process was not started from here.
            let _ = waiting.send(end);
        }
        Ok(())
    }
}

impl Upgrades {
    /// Starts a program with this process's configuration file, its outputs and its environment, and waits for how it goes.
    pub(crate) fn start(&self, program: &Path) -> Answer {
        let Ok(_turn) = self.turn.try_lock() else { return refused("an upgrade is under way already") };
        let (end, ended) = channel();
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        let mut command = Command::new(program);
        command.arg("run").arg("--take-over").arg("--config").arg(&self.file);
        // They are meant for this process alone (sd_watchdog_enabled(3), sd_listen_fds(3)).
        for meant_for_one in ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(meant_for_one);
        }
        info!(program:% = program.display(); "upgrade: starting the new process");
        match command.spawn() {
            Ok(child) => match outcome(child, &ended) {
                Ok(process) => Answer::Upgraded { process, before: std::process::id() },
                Err(why) => refused(&why),
            },
            Err(error) => refused(&format!("{} cannot be started: {error}", program.display())),
        }
    }
}

/// Waits for the end of a take-over, or of the process that was to take over.
fn outcome(mut child: Child, ended: &Receiver<End>) -> End {
    let deadline = Instant::now() + TAKE_OVER;
    loop {
        match ended.recv_timeout(LOOK) {
            Ok(end) => return end,
            Err(RecvTimeoutError::Disconnected) => return Err("the take-over was given up".into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Ok(Some(status)) = child.try_wait() {
            // What it said before it ended is worth more than how it ended.
            return ended
                .recv_timeout(LOOK)
                .unwrap_or_else(|_| Err(format!("the new process ended before it served: {status}")));
        }
        if Instant::now() > deadline {
            // It may have ended in this moment.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the new process did not serve within {} s", TAKE_OVER.as_secs()));
        }
    }
}

fn refused(why: &str) -> Answer {
    Answer::Refused { why: why.to_owned(), configuration: false }
}

/// The new process's side of a take-over.
#[derive(Debug)]
pub(crate) struct TakeOver {
    stream: UnixStream,
}

/// A take-over that did not begin, or was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// Nobody answers on the control socket.
    #[error("there is nothing to take over: nobody answers on {}; start with `pullgate run`", .0.display())]
    Nobody(PathBuf, #[source] io::Error),
    /// The process that answers does not hand over.
    #[error("the running process hands nothing over: {0}")]
    Refused(String),
    /// It broke off.
    #[error("the running process went away")]
    Broken(#[from] io::Error),
}

impl TakeOver {
    /// Asks the process with this `state_dir` for its sockets.
    pub(crate) fn begin(state_dir: &Path) -> Result<(Self, Sockets), TakeOverError> {
        let socket = path(state_dir);
        let stream = UnixStream::connect(&socket).map_err(|error| TakeOverError::Nobody(socket, error))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        send(&stream, &Ask::Sockets)?;
        let labels = match receive(&stream)? {
            Answer::Sockets { labels } => labels,
            Answer::Refused { why, .. } => return Err(TakeOverError::Refused(why)),
            _ => return Err(TakeOverError::Broken(io::ErrorKind::InvalidData.into())),
        };
        let mut sockets = Sockets::default();
        for label in labels {
            sockets.insert(label, receive_socket(&stream)?);
        }
        Ok((Self { stream }, sockets))
    }

    /// Says that this process serves, and waits until the other one drains.
    pub(crate) fn serving(self) -> Result<(), TakeOverError> {
        send(&self.stream, &Tell::Serving { process: std::process::id() })?;
        match receive(&self.stream)? {
            Answer::Draining => Ok(()),
            _ => Err(TakeOverError::Broken(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Says why this process ends.
    pub(crate) fn failed(self, why: &str) {
        // The other process learns of it in any case, by the end of the connection.
        let _ = send(&self.stream, &Tell::Failed { why: why.to_owned() });
    }
}
