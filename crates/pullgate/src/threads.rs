//! The threads that serve: one that runs everything by itself, or several that share the work.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// The name of every thread that serves.
const NAME: &str = "pullgate";

/// A runtime with the threads that drive it.
#[derive(Debug)]
pub(crate) struct Threads {
    handle: Handle,
    /// Taken at the end.
    driver: Option<Driver>,
}

#[derive(Debug)]
enum Driver {
    /// One thread; it saves the hand-overs between threads that a shared runtime pays for at every wake-up.
    Alone { stop: oneshot::Sender<()>, ended: Receiver<()> },
    /// Several threads that take work from one another.
    Shared(Runtime),
}

impl Threads {
    /// Starts this many threads.
    pub(crate) fn start(count: NonZeroUsize) -> io::Result<Self> {
        if count.get() > 1 {
            let runtime =
                Builder::new_multi_thread().worker_threads(count.get()).thread_name(NAME).enable_all().build()?;
            return Ok(Self { handle: runtime.handle().clone(), driver: Some(Driver::Shared(runtime)) });
        }
        Self::alone(NAME)
    }

    /// Starts one thread with a name of its own.
    pub(crate) fn alone(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().thread_name(name).enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Resolves when the sender speaks or is gone; either is the end.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
            drop::<Sender<()>>(ending);
        })?;
        Ok(Self { handle, driver: Some(Driver::Alone { stop, ended }) })
    }

    /// The runtime's handle.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends every task, and waits for that, `limit` at most.
    pub(crate) fn end(&mut self, limit: Duration) {
        match self.driver.take() {
            None => {}
            Some(Driver::Shared(runtime)) => runtime.shutdown_timeout(limit),
            Some(Driver::Alone { stop, ended }) => {
                drop(stop);
                // Nothing is ever sent: the other end goes with the last task.
                let _ = ended.recv_timeout(limit);
            }
        }
    }
}

impl Drop for Threads {
    /// Ends without a wait: a runtime may not wait for another, and a value may be dropped anywhere.
    fn drop(&mut self) {
        if let Some(Driver::Shared(runtime)) = self.driver.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_and_end_on_one_thread_and_on_several() {
        for count in [1, 3] {
            let mut threads = Threads::start(NonZeroUsize::new(count).unwrap()).unwrap();
            let (alive, ended) = std::sync::mpsc::channel::<()>();
            let answer = threads.handle().spawn(async { 7 });
            threads.handle().spawn(async move {
                std::future::pending::<()>().await;
                drop(alive);
            });
            assert_eq!(threads.handle().block_on(answer).unwrap(), 7);
            threads.end(Duration::from_secs(5));
            assert!(
                ended
                    .recv_timeout(Duration::from_secs(5))
                    .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Disconnected)
            );
        }
    }
}
