//! Section `runtime`.

use crate::duration;
use crate::entry::Entry;
use crate::loading::Read;
use crate::model::Runtime;
use crate::section::{Inert, Section};
use std::num::NonZeroUsize;
use std::time::Duration;

pub(super) fn read(section: &mut Section<'_>) -> Read<Runtime> {
    let workers = section.or("workers", None, workers);
    let drain = section.or("drain", Duration::from_secs(30), |drain| drain.written(duration::length));
    let upstream_idle = section.or("upstream_idle", 1024, Entry::typed);
    section.later(&[("state_dir", Inert::Nothing)]);
    Ok(Runtime { workers: workers?, drain: drain?, upstream_idle: upstream_idle? })
}

fn workers(entry: &Entry<'_>) -> Read<Option<NonZeroUsize>> {
    if entry.scalar()?.text == "auto" { Ok(None) } else { entry.typed().map(Some) }
}
