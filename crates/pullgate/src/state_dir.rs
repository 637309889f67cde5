//! `runtime.state_dir`: the folder of what outlives a process. What stands in it decides who is let in, so nobody else may write there.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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
