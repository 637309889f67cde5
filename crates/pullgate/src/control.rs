//! The control socket of a running process, in its `state_dir`: `pullgate reload`, `pullgate upgrade`, `pullgate ranges refresh`, and the process that takes over.
//!
//! It has threads of its own, so that it answers when the threads that serve are busy. Only the process's own user and root reach it.

pub(crate) mod message;

use crate::reload::Reloader;
use crate::state_dir::{self, StateDirError};
use crate::upgrade::{HandOver, Upgrades};
use log::{debug, warn};
use message::{Answer, Ask, receive, send};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The name of the socket in the `state_dir`.
const NAME: &str = "control.sock";

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last answers may take to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Between two looks at what others do.
const LOOK: Duration = Duration::from_millis(10);

/// A control socket that is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] StateDirError),
    /// Another process answers on it.
    #[error("another gateway answers on {}: give each its own runtime.state_dir", .0.display())]
    Taken(PathBuf),
    /// The operating system refuses.
    #[error("{} cannot be opened", .0.display())]
    Unusable(PathBuf, #[source] io::Error),
}

/// Whether another process may have the socket still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nobody, or what a process that ended has left.
    Nobody,
    /// The process that this one takes over from: it hands the socket on by letting it be replaced.
    Predecessor,
}

/// What the clients of the socket get to do.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) upgrades: Upgrades,
    pub(crate) hand_over: HandOver,
}

/// The control socket, open until the process ends.
#[derive(Debug)]
pub(crate) struct Control {
    /// Connections that are not answered yet.
    pending: Arc<AtomicUsize>,
}

/// The path of the control socket in a `state_dir`.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

impl Control {
    /// Opens the socket and answers on it.
    pub(crate) fn open(folder: &Path, before: Before, commands: Commands) -> Result<Self, ControlError> {
        state_dir::open(folder)?;
        let path = path(folder);
        if before == Before::Nobody && UnixStream::connect(&path).is_ok() {
            return Err(ControlError::Taken(path));
        }
        let unusable = |error| ControlError::Unusable(path.clone(), error);
        let listener = listen(&path).map_err(unusable)?;
        let pending = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pending);
        let serving = move || serve(&listener, &Arc::new(commands), &count);
        std::thread::Builder::new().name("control".into()).spawn(serving).map_err(unusable)?;
        Ok(Self { pending })
    }

    /// Lets the last answers leave. The socket's file stays: the next process replaces it.
    pub(crate) fn end(self) {
        let deadline = Instant::now() + LAST_ANSWERS;
        while self.pending.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }
}

/// The socket under a name of its own first, then in its place: there is never a moment without one.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let passing = path.with_extension(format!("{}", std::process::id()));
    // Left by a process of the same number.
    let _ = std::fs::remove_file(&passing);
    let listener = UnixListener::bind(&passing)?;
    std::fs::set_permissions(&passing, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&passing, path)?;
    Ok(listener)
}

fn serve(listener: &UnixListener, commands: &Arc<Commands>, pending: &Arc<AtomicUsize>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(LOOK);
            continue;
        };
        let (commands, answered) = (Arc::clone(commands), Arc::clone(pending));
        pending.fetch_add(1, Ordering::Release);
        let answering = move || {
            if let Err(error) = answer(&stream, &commands) {
                debug!("control connection: {error}");
            }
            answered.fetch_sub(1, Ordering::Release);
        };
        if let Err(error) = std::thread::Builder::new().name("control".into()).spawn(answering) {
            pending.fetch_sub(1, Ordering::Release);
            warn!("a control connection was not answered: {error}");
        }
    }
}

fn answer(stream: &UnixStream, commands: &Commands) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match receive(stream)? {
        Ask::Reload => send(stream, &commands.reloader.answer()),
        Ask::RefreshRanges => send(stream, &commands.reloader.refresh_ranges()),
        Ask::Upgrade { program } => send(stream, &commands.upgrades.start(&program)),
        Ask::Sockets => commands.hand_over.give(stream),
    }
}

/// Asks the process whose control socket this is, and waits for its answer.
pub(crate) fn ask(socket: &Path, question: &Ask, patience: Duration) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    send(&stream, question)?;
    receive(&stream)
}
