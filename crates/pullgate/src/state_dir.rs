//! `runtime.state_dir`: the folder of what outlives a process. What stands in it decides who is let in, so nobody else may write there.

use rustix::fs::OFlags;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt as _};
use std::path::Path;

/// A folder that is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// It cannot be made, or looked at.
    #[error("{0} cannot be used")]
    Unusable(String, #[source] io::Error),
    /// There is something else in its place.
    #[error("{0} is no folder")]
    NoFolder(String),
    /// Whoever else may write there could say who is let in.
    #[error(
        "{0} can be written by others than the gateway's user: it has to belong to that user or root, with mode 0700"
    )]
    Open(String),
}

/// A file of the folder that is not used, or cannot be made. Who reports it names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateFileError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] StateDirError),
    /// The file cannot be read or written.
    #[error("it cannot be read or written")]
    File(#[source] io::Error),
    /// Somebody else can have written it.
    #[error("it is no plain file that only the gateway's user, or root, can write")]
    NotOurs,
}

/// Makes the folder, for this user alone, if it is not there; one that is there has to be out of others' reach.
///
/// # Errors
/// When it cannot be made, or others can write in it.
pub(crate) fn open(path: &Path) -> Result<(), StateDirError> {
    let name = || path.display().to_string();
    let unusable = |error| StateDirError::Unusable(name(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
    let found = std::fs::metadata(path).map_err(unusable)?;
    if !found.is_dir() {
        return Err(StateDirError::NoFolder(name()));
    }
    if is_private(&found) { Ok(()) } else { Err(StateDirError::Open(name())) }
}

/// A file there that nobody else can have written; none where there is none.
///
/// # Errors
/// When it cannot be read, or somebody else can have written it.
pub(crate) fn read(folder: &Path, name: &str, largest: u64) -> Result<Option<Vec<u8>>, StateFileError> {
    // Neither through a link that somebody left, nor waiting for the other end of a pipe.
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits();
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(flags.cast_signed()).open(folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(StateFileError::File)?,
    };
    let found = file.metadata().map_err(StateFileError::File)?;
    let around = std::fs::metadata(folder).map_err(StateFileError::File)?;
    if !found.is_file() || !is_private(&found) || !is_private(&around) {
        return Err(StateFileError::NotOurs);
    }
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes).map_err(StateFileError::File)?;
    Ok(Some(bytes))
}

/// Writes a file there, whole or not at all: beside the old one, then in its place.
///
/// # Errors
/// When the folder is not used, or the file cannot be written.
pub(crate) fn write(folder: &Path, name: &str, text: &[u8]) -> Result<(), StateFileError> {
    open(folder)?;
    // A temporary file is for its owner alone (mode 0600), and gone again if this fails.
    let replace = || {
        let mut file = tempfile::Builder::new().prefix(&format!(".{name}-")).tempfile_in(folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(name)).map_err(|error| error.error)?;
        // The name is the folder's, and lasts when the folder does.
        File::open(folder)?.sync_all()
    };
    replace().map_err(StateFileError::File)
}

/// Whether only this process's user, or root, can have written something.
pub(crate) fn is_private(found: &Metadata) -> bool {
    let owner = found.uid();
    (owner == 0 || owner == rustix::process::geteuid().as_raw()) && found.mode() & 0o022 == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_for_one_user_and_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        open(&path).unwrap();
        for (mode, used) in [(0o755, true), (0o770, false), (0o702, false), (0o700, true)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(open(&path).is_ok(), used, "{mode:o}");
        }
        std::fs::write(path.join("file"), "").unwrap();
        assert!(open(&path.join("file")).is_err());
        assert!(open(&path.join("file/below")).is_err());
    }
}
