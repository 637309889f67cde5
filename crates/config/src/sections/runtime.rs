//! Section `runtime`.

use crate::duration;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::model::Runtime;
use crate::section::Section;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn read(section: &mut Section<'_>) -> Read<Runtime> {
    let workers = section.or("workers", None, workers);
    let drain = section.or("drain", Duration::from_secs(30), |drain| drain.written(duration::length));
    let upstream_idle = section.or("upstream_idle", 1024, Entry::typed);
    let state_dir = section.or("state_dir", PathBuf::from(STATE_DIR), state_dir);
    let watch = section.or("watch", true, Entry::typed);
    Ok(Runtime {
        workers: workers?,
        drain: drain?,
        upstream_idle: upstream_idle?,
        state_dir: state_dir?,
        watch: watch?,
    })
}

/// Where the state is, unless the configuration says otherwise.
pub(crate) const STATE_DIR: &str = "/var/lib/pullgate";

fn state_dir(entry: &Entry<'_>) -> Read<PathBuf> {
    entry.parsed(|text| match text {
        "" => Err(Fault::new("the path is empty").help("write /var/lib/pullgate, for instance")),
        path => Ok(path.into()),
    })
}

fn workers(entry: &Entry<'_>) -> Read<Option<NonZeroUsize>> {
    if entry.scalar()?.text == "auto" { Ok(None) } else { entry.typed().map(Some) }
}
