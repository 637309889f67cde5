//! The kernel filters of several listeners, as one generation of the configuration follows another.

use crate::snapshot::Snapshot;
use pullgate_door::{FilterFault, KernelFilter};
use std::sync::Arc;

/// Filters by their listeners' names.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<(Arc<str>, Arc<KernelFilter>)>);

/// A listener cannot have the filter that it requires.
#[derive(Debug, thiserror::Error)]
#[error("listener `{listener}` would have no kernel filter, and requires one; `auto` would go on without")]
pub struct RequiredFilter {
    listener: Arc<str>,
    source: FilterFault,
}

impl FromIterator<(Arc<str>, Arc<KernelFilter>)> for Filters {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<KernelFilter>)>>(filters: I) -> Self {
        Self(filters.into_iter().collect())
    }
}

impl Filters {
    /// Lets those pass too whom the next generation admits, before it is in force: at no time does the kernel drop whom the gateway admits.
    ///
    /// # Errors
    /// Where a listener cannot have the filter that it requires; `settle` on the generation before then takes the rest back.
    pub(crate) fn widen(&self, next: &Snapshot) -> Result<(), RequiredFilter> {
        self.0.iter().try_for_each(|(listener, filter)| {
            let fault = |source| RequiredFilter { listener: Arc::clone(listener), source };
            filter.widen(&next.filtering(listener)).map_err(fault)
        })
    }

    /// Lets nobody pass but those whom the generation admits that is in force now.
    pub(crate) fn settle(&self, now: &Snapshot) {
        for (listener, filter) in &self.0 {
            filter.settle(listener, &now.filtering(listener));
        }
    }
}
