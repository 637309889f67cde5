//! What panics costs what it was at, and nothing else: the panic ends here and is counted.
//!
//! What was in the works is dropped with its unwinding, so that nobody sees it half done.

use crate::events::PanicAt;
use crate::metrics::Metrics;
use futures_util::FutureExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Metrics {
    /// Does the work; none where it panicked.
    pub fn survive<T>(&self, at: PanicAt, work: impl FnOnce() -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(work));
        done.inspect_err(|_| self.panicked(at)).ok()
    }

    /// The same for work that waits.
    pub async fn survive_all<T>(&self, at: PanicAt, work: impl Future<Output = T>) -> Option<T> {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.inspect_err(|_| self.panicked(at)).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here; these panics are the case")]
mod tests {
    use super::*;

    fn counted(metrics: &Metrics, at: &str) -> bool {
        metrics.render().unwrap().contains(&format!("pullgate_panics_total{{at=\"{at}\"}} 1\n"))
    }

    #[test]
    fn a_panic_is_an_answer() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(metrics.survive(PanicAt::Reload, || 7), Some(7));
        assert!(!counted(&metrics, "reload"));
        assert_eq!(metrics.survive(PanicAt::Reload, || -> u8 { panic!("as it happens") }), None);
        assert!(counted(&metrics, "reload"));
        let work = async { panic!("as it happens") };
        assert_eq!(metrics.survive_all(PanicAt::Request, work).now_or_never(), Some(None::<u8>));
        assert!(counted(&metrics, "request"));
    }
}
