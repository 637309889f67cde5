//! The files of a configuration under observation: when one has changed, the configuration is loaded again.
//!
//! The files are looked at once a second, by what stands at the end of their paths now. So a rename over one, Kubernetes' swap of a
//! symlink two folders above, and a network file system without notifications all count, and nothing has to be watched that comes later.

use crate::reload::Reloader;
use log::info;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one state of a file from another; none where there is no file.
type Stamp = Option<[i64; 7]>;

/// Files as they were when they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Stamp>);

impl Files {
    /// Notes a file as it is. Call it before the file is read: what changes in between then counts as changed.
    pub(crate) fn note(&mut self, path: &Path) {
        self.0.entry(path.to_owned()).or_insert_with(|| stamp(path));
    }

    /// The same files as they are now.
    fn now(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), stamp(path))).collect())
    }

    /// The first file that differs.
    fn difference<'a>(&'a self, other: &Self) -> Option<&'a Path> {
        self.0.iter().find(|(path, stamp)| other.0.get(*path) != Some(stamp)).map(|(path, _)| path.as_path())
    }
}

fn stamp(path: &Path) -> Stamp {
    let parts = |found: Metadata| {
        let unsigned = [found.dev(), found.ino(), found.size()].map(u64::cast_signed);
        let [device, inode, size] = unsigned;
        [device, inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]
    };
    std::fs::metadata(path).ok().map(parts)
}

/// Starts to observe, for as long as the reloader lives.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start(reloader: &Arc<Reloader>) -> std::io::Result<()> {
    let reloader = Arc::downgrade(reloader);
    std::thread::Builder::new().name("watch".into()).spawn(move || observe(&reloader))?;
    Ok(())
}

fn observe(reloader: &Weak<Reloader>) {
    let mut before = None;
    loop {
        std::thread::sleep(LOOK);
        let Some(reloader) = reloader.upgrade() else { return };
        before = look(&reloader, before);
    }
}

/// One look; what it saw, where that is not settled yet. A file that is being written changes from look to look: it is loaded when two
/// looks have seen the same.
fn look(reloader: &Reloader, before: Option<Files>) -> Option<Files> {
    let read = reloader.files()?;
    let now = read.now();
    let file = now.difference(&read)?;
    if before.as_ref() != Some(&now) {
        return Some(now);
    }
    info!(file:% = file.display(); "a file of the configuration has changed");
    reloader.reload_and_tell();
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_counts_as_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [old, new, data, next] = ["old", "new", "data", "next"].map(at);
        std::fs::create_dir_all(&old).unwrap();
        std::fs::create_dir_all(&new).unwrap();
        // As Kubernetes lays out what it mounts: a link to a folder, which is exchanged as a whole.
        symlink(&old, &data).unwrap();
        for folder in [&old, &new] {
            std::fs::write(folder.join("file"), "the same").unwrap();
        }
        let file = data.join("file");
        let mut files = Files::default();
        files.note(&file);
        files.note(&at("missing"));
        assert_eq!(files.now().difference(&files), None);

        symlink(&new, &next).unwrap();
        std::fs::rename(&next, &data).unwrap();
        assert_eq!(files.now().difference(&files), Some(&*file), "a swapped link");
        let files = files.now();
        std::fs::write(at("other"), "the same").unwrap();
        std::fs::rename(at("other"), &file).unwrap();
        assert_eq!(files.now().difference(&files), Some(&*file), "a rename over it");
        let files = files.now();
        std::fs::write(at("missing"), "").unwrap();
        assert_eq!(files.now().difference(&files), Some(&*at("missing")), "what was missing is there");
        let files = files.now();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(files.now().difference(&files), Some(&*file), "it is gone");
    }
}
