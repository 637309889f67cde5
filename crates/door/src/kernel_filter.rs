//! The kernel drops strangers before they see a SYN-ACK: a filter on a listening socket, from its opening to its end.
//!
//! The accept loop asks every source again. A filter that is missing, or that lets too many pass, costs work and no safety; one that lets
//! too few pass locks people out. So whatever is in doubt here ends with the filter taken off.

use crate::listen::Bound;
use log::{error, warn};
use nix::{getsockopt_impl, sockopt_impl};
use pullgate_policy::Networks;
use pullgate_policy::packet_filter::{Family, Instruction, Program, TooLong};
use socket2::{SockFilter, SockRef, Socket};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;

/// What a listener asks of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtering {
    /// Nothing: the filter is off, or anybody may connect.
    Off,
    /// To drop what comes from elsewhere, where it can.
    Auto(Networks),
    /// To drop what comes from elsewhere; it is a fault when it cannot.
    Require(Networks),
}

/// The kernel takes no such filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterFault {
    /// There are too many networks.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It says no.
    #[error("the kernel takes no filter on a listening socket ({0}); some kernels ask for CAP_NET_ADMIN")]
    Kernel(io::Error),
}

/// The filter of one listening socket. It keeps the socket open; a socket that is handed on hands it on too.
#[derive(Debug)]
pub struct KernelFilter {
    family: Family,
    socket: TcpListener,
    kept: Mutex<Kept>,
}

/// What is known of a filter.
#[derive(Debug)]
struct Kept {
    standing: Standing,
    /// What was read last of the kernel's own count, which begins anew after 2^32.
    dropped: u32,
}

/// What stands on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No filter that we put there.
    Off,
    /// One that lets these networks pass.
    Active(Networks),
    /// None, though one was asked for; that has been said.
    Missing,
}

/// What a listener's filter does: the figures that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterFigures {
    /// Whether it stands; none where no filter is asked for.
    pub active: Option<bool>,
    /// Packets that the kernel dropped on the socket since the last look.
    pub dropped: u64,
}

impl Filtering {
    /// Whose packets pass; none where everybody's do.
    fn networks(&self) -> Option<&Networks> {
        match self {
            Self::Off => None,
            Self::Auto(networks) | Self::Require(networks) => Some(networks),
        }
    }

    fn is_required(&self) -> bool {
        matches!(self, Self::Require(_))
    }

    /// Puts a filter on a socket that does not listen yet, so that nobody slips in before it.
    ///
    /// # Errors
    /// Where it is required and not to be had.
    pub(crate) fn begin(&self, listener: &str, socket: &Socket, address: SocketAddr) -> Result<Standing, FilterFault> {
        let Some(networks) = self.networks() else { return Ok(Standing::Off) };
        match attach(socket, networks, Family::of(address.ip())) {
            Ok(state) => Ok(state),
            Err(fault) if self.is_required() => Err(fault),
            Err(fault) => {
                go_without(listener, &fault);
                Ok(Standing::Missing)
            }
        }
    }
}

impl KernelFilter {
    /// The filter of a socket that was open before: another process may have put one there, and it stays until the first `settle`.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn adopt(bound: &Bound) -> io::Result<Self> {
        Self::of(bound, Standing::Off)
    }

    pub(crate) fn of(bound: &Bound, standing: Standing) -> io::Result<Self> {
        let (family, socket) = (Family::of(bound.address().ip()), bound.share()?);
        let dropped = dropped(&socket).unwrap_or(0);
        Ok(Self { family, socket, kept: Mutex::new(Kept { standing, dropped }) })
    }

    /// Lets those pass too who are about to be admitted, before anybody is told so: a filter that came later would drop them for a while.
    /// `settle` has to follow. What cannot be done here and is not required is left to it.
    ///
    /// # Errors
    /// Where a filter for them is required and not to be had; the one before stands.
    pub fn widen(&self, next: &Filtering) -> Result<(), FilterFault> {
        let mut kept = self.lock();
        let Some(networks) = next.networks() else { return Ok(()) };
        let wide = match &kept.standing {
            Standing::Active(passing) => passing.union(networks),
            Standing::Off | Standing::Missing if !next.is_required() => return Ok(()),
            Standing::Off | Standing::Missing => networks.clone(),
        };
        match self.attach(&wide) {
            Ok(standing) => kept.standing = standing,
            Err(fault @ FilterFault::Kernel(_)) if next.is_required() => return Err(fault),
            // Both together are too many; the next ones alone may not be.
            Err(FilterFault::TooLong(_)) if next.is_required() => drop(Program::admitting(networks, self.family)?),
            Err(_) => {}
        }
        Ok(())
    }

    /// Lets nobody pass but those who are admitted by now, whatever stood on the socket before.
    pub fn settle(&self, listener: &str, now: &Filtering) {
        let mut kept = self.lock();
        let Some(networks) = now.networks() else {
            detach(&SockRef::from(&self.socket));
            kept.standing = Standing::Off;
            return;
        };
        let fault = match self.attach(networks) {
            Ok(standing) => {
                kept.standing = standing;
                return;
            }
            Err(fault) => fault,
        };
        // The one that stands may drop who is admitted.
        detach(&SockRef::from(&self.socket));
        if now.is_required() {
            error!(listener; "kernel filter, which is required, lost: {fault}");
        } else if kept.standing != Standing::Missing {
            go_without(listener, &fault);
        }
        kept.standing = Standing::Missing;
    }

    /// Whether it stands.
    pub fn is_active(&self) -> bool {
        matches!(self.lock().standing, Standing::Active(_))
    }

    /// Looks at the socket.
    pub fn figures(&self) -> FilterFigures {
        let mut kept = self.lock();
        let active = match kept.standing {
            Standing::Off => None,
            Standing::Active(_) => Some(true),
            Standing::Missing => Some(false),
        };
        let count = dropped(&self.socket).unwrap_or(kept.dropped);
        let dropped = count.wrapping_sub(std::mem::replace(&mut kept.dropped, count)).into();
        FilterFigures { active, dropped }
    }

    fn attach(&self, networks: &Networks) -> Result<Standing, FilterFault> {
        attach(&SockRef::from(&self.socket), networks, self.family)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn go_without(listener: &str, fault: &FilterFault) {
    warn!(listener; "no kernel filter, strangers are turned away after the TCP handshake: {fault}");
}

/// The kernel replaces a filter as a whole: each packet is judged by the old one or by the new one.
fn attach(socket: &Socket, networks: &Networks, family: Family) -> Result<Standing, FilterFault> {
    let program = Program::admitting(networks, family)?;
    let each = |instruction: &Instruction| {
        let Instruction { code, if_true, if_false, operand } = *instruction;
        SockFilter::new(code, if_true, if_false, operand)
    };
    let filter: Vec<SockFilter> = program.instructions().iter().map(each).collect();
    socket.attach_filter(&filter).map_err(FilterFault::Kernel)?;
    Ok(Standing::Active(networks.clone()))
}

/// Takes a filter off a socket; that there is none is as good.
fn detach(socket: &Socket) {
    let _ = socket.detach_filter();
}

/// Takes the filter off an accepted socket, which inherits it: its source has been judged, and every packet would be judged again.
pub(crate) fn release(accepted: &TcpStream) {
    detach(&SockRef::from(accepted));
}

sockopt_impl!(
    /// The socket's memory and, last, the packets that were dropped on it: `sk_get_meminfo` in the kernel's `net/core/sock.c`.
    MemoryFigures,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; FIGURES]
);

/// `SK_MEMINFO_VARS` of `linux/sock_diag.h`, the last of them `SK_MEMINFO_DROPS`.
const FIGURES: usize = 9;

/// Packets that the kernel dropped on a socket since it was made; none where it does not say.
fn dropped(socket: &TcpListener) -> Option<u32> {
    let [.., dropped] = nix::sys::socket::getsockopt(socket, MemoryFigures).ok()?;
    Some(dropped)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
