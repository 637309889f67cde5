//! Descriptors that accept loops leave to others: what freed them would otherwise be taken by the next stranger in the queue.

use crate::accept::Accepting;
use crate::trouble::PAUSE;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::os::fd::AsRawFd;
use tokio::sync::watch;
use tokio::time::sleep;

/// Descriptors that are left: for the admin listener, logs, files of a reload, and a listener or two.
const RESERVE: u64 = 16;

/// Whether a descriptor reaches into the reserve. The kernel gives the lowest number that is free (open(2)), so that a high one says that
/// the others are in use.
pub(crate) fn is_reached(descriptor: &impl AsRawFd) -> bool {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u64::try_from(descriptor.as_raw_fd()).is_ok_and(|number| number >= limit.saturating_sub(RESERVE))
}

/// Waits until the next descriptor would not reach into the reserve, or the loop is told something.
pub(crate) async fn given_back(orders: &mut watch::Receiver<Accepting>) {
    while File::open("/dev/null").map_or(true, |probe| is_reached(&probe)) {
        tokio::select! {
            _ = orders.changed() => return,
            () = sleep(PAUSE) => {}
        }
    }
}
