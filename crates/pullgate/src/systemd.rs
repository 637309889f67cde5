//! systemd: sockets that it passes, and what it is told (sd_listen_fds(3), sd_notify(3)). Elsewhere there is nothing to take and nobody to
//! tell.

use crate::heartbeat::Heartbeat;
use crate::sockets::{Sockets, inherited};
use listenfd::ListenFd;
use log::{debug, warn};
use sd_notify::NotifyState;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The sockets that were passed to this process, by their names. A socket without a name has its number, from 0; of several with one name
/// the first counts.
///
/// # Errors
/// When one of them is no TCP socket.
pub(crate) fn sockets() -> io::Result<Sockets> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty()).map(str::to_owned);
    let mut passed = ListenFd::from_env();
    let mut sockets = Sockets::default();
    for index in 0..passed.len() {
        let name = names.next().unwrap_or_else(|| index.to_string());
        let label = inherited(&name);
        if let Some(socket) = passed.take_tcp_listener(index)?
            && sockets.find(&label).is_none()
        {
            sockets.insert(label, socket);
        }
    }
    Ok(sockets)
}

/// Tells that this process serves from now on, and that it is the one to look at.
pub(crate) fn serving() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready, SERVING]);
}

/// What `systemctl status` shows of a process that serves.
const SERVING: NotifyState<'_> = NotifyState::Status("serving");

/// Tells that the configuration is being loaded again; [`reloaded`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!("the clock cannot be read: {error}"),
    }
}

/// Tells that the configuration has been loaded, or refused. Who is to be looked at is not said again: another process may be by now.
pub(crate) fn reloaded() {
    tell(&[NotifyState::Ready, SERVING]);
}

/// Tells that this process comes to its end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Feeds the watchdog, where there is one, for as long as the threads that serve make progress.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn feed_watchdog(heartbeat: Arc<Heartbeat>) -> io::Result<()> {
    let Some(limit) = watchdog() else { return Ok(()) };
    let feed = move || {
        loop {
            if heartbeat.is_beating() {
                tell(&[NotifyState::Watchdog]);
            }
            std::thread::sleep(limit / 3);
        }
    };
    std::thread::Builder::new().name("watchdog".into()).spawn(feed)?;
    Ok(())
}

/// The watchdog's limit. After an upgrade it is meant for this process too, though `WATCHDOG_PID` is not there to say so.
fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("systemd was not told: {error}");
    }
}
