//! The commands that ask a running gateway over its control socket: `pullgate reload`, `pullgate upgrade`, `pullgate ranges refresh`.

use crate::control::message::{Answer, Ask};
use crate::control::{ask, path};
use crate::world::{LoadError, state_dir};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A running gateway that did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The configuration does not say where the gateway is to be found.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nobody answers.
    #[error("no running gateway answers on {} (runtime.state_dir in the configuration says where it is)", .0.display())]
    Unreachable(PathBuf, #[source] io::Error),
    /// It refuses; nothing has changed.
    #[error("{why}")]
    Refused {
        /// Why.
        why: String,
        /// Whether the configuration is to blame.
        configuration: bool,
    },
    /// Its answer makes no sense: it is of another version.
    #[error("the running gateway's answer is not understood; is it of another version?")]
    Unexpected,
}

/// A configuration that a running gateway has put in force.
#[derive(Debug)]
pub struct Applied {
    /// Its file.
    pub file: PathBuf,
    /// Its generation.
    pub generation: u64,
    /// What deserves a look, as `check` shows it.
    pub warnings: String,
}

/// A process that serves in another one's place.
#[derive(Debug)]
pub struct Upgraded {
    /// The number of the process that serves.
    pub process: u32,
    /// The number of the one that drains.
    pub before: u32,
}

/// How long a reload may take: it reads files and resolves names.
const RELOAD: Duration = Duration::from_secs(60);

/// How long a fetch of the ranges may take, with a reload before it that it waits for.
const REFRESH: Duration = Duration::from_secs(100);

/// How long an upgrade may take; the running gateway gives up earlier.
const UPGRADE: Duration = Duration::from_secs(150);

/// Has the gateway that runs with this configuration load it again.
///
/// # Errors
/// When none answers, or it refuses.
pub fn reload(file: &Path) -> Result<Applied, AskError> {
    match put(file, &Ask::Reload, RELOAD)? {
        Answer::Applied { file, generation, warnings } => Ok(Applied { file, generation, warnings }),
        _ => Err(AskError::Unexpected),
    }
}

/// Has the gateway that runs with this configuration fetch the ranges now; `updated` or `unchanged`.
///
/// # Errors
/// When none answers, there is no feed, or its list was not had or not taken: the ranges before stay.
pub fn refresh_ranges(file: &Path) -> Result<String, AskError> {
    match put(file, &Ask::RefreshRanges, REFRESH)? {
        Answer::Refreshed { outcome } => Ok(outcome),
        _ => Err(AskError::Unexpected),
    }
}

/// Has a program take over from the gateway that runs with this configuration.
///
/// # Errors
/// When none answers, or the program did not get to serve: the gateway serves on then.
pub fn upgrade(file: &Path, program: &Path) -> Result<Upgraded, AskError> {
    match put(file, &Ask::Upgrade { program: program.to_owned() }, UPGRADE)? {
        Answer::Upgraded { process, before } => Ok(Upgraded { process, before }),
        _ => Err(AskError::Unexpected),
    }
}

fn put(file: &Path, question: &Ask, patience: Duration) -> Result<Answer, AskError> {
    let socket = path(&state_dir(file)?);
    match ask(&socket, question, patience) {
        Ok(Answer::Refused { why, configuration }) => Err(AskError::Refused { why, configuration }),
        Ok(answer) => Ok(answer),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(AskError::Unexpected),
        Err(error) => Err(AskError::Unreachable(socket, error)),
    }
}
