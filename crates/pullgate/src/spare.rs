//! A descriptor kept back, so that the admin listener can be asked when there are no others.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The descriptor, while nobody uses it.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Option<File>>);

impl Spare {
    fn held(&self) -> MutexGuard<'_, Option<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a descriptor, where none is held and one is to be had.
    pub(crate) fn refill(&self) {
        let mut held = self.held();
        if held.is_none() {
            *held = File::open("/dev/null").ok();
        }
    }

    /// Gives the descriptor away, for the next call that needs one; false where there is none.
    pub(crate) fn give(&self) -> bool {
        self.held().take().is_some()
    }
}
