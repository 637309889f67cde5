//! Figures that are read when somebody looks, because nothing tells when they change.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What to read before each look.
#[derive(Clone, Default)]
pub(crate) struct Probes(Arc<Mutex<Vec<Box<dyn Fn() + Send + Sync>>>>);

impl Probes {
    pub(crate) fn add(&self, probe: impl Fn() + Send + Sync + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(probe));
    }

    pub(crate) fn read(&self) {
        for probe in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            probe();
        }
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probes")
    }
}
