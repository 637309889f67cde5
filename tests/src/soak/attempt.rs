//! What a request that got no answer tells about the gateway.

use crate::client::Refused;
use std::error::Error;
use std::io::ErrorKind;

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection: refused, or no SYN-ACK in time.
    Refused,
    /// A handshake that a good client should have finished.
    Handshake,
    /// The connection broke with the request on it.
    Reset,
    /// Nothing came.
    Silence,
    /// HTTP/2 only: the connection said it was going before the request was sent. Asking again is the client's part.
    NotSent,
    /// HTTP/2 only: the gateway said that it has not looked at the request (`REFUSED_STREAM`, or a number above the GOAWAY's).
    NotTaken,
}

/// The fault of a request on a connection of HTTP/1.1, where a close has to be announced by the answer before.
pub(super) fn over_one(refused: &Refused) -> Fault {
    match refused {
        Refused::Tcp(error) if error.kind() == ErrorKind::ConnectionReset => Fault::Reset,
        Refused::Tcp(_) => Fault::Refused,
        Refused::Handshake { .. } => Fault::Handshake,
        Refused::Http(_) | Refused::Ended => Fault::Reset,
        Refused::Deadline => Fault::Silence,
    }
}

/// The fault of a request on a connection of HTTP/2.
pub(super) fn over_two(refused: &Refused) -> Fault {
    match refused {
        Refused::Ended => Fault::NotSent,
        Refused::Http(error) if error.is_canceled() || error.is_closed() => Fault::NotSent,
        Refused::Http(error) if not_taken(error) => Fault::NotTaken,
        _ => over_one(refused),
    }
}

fn not_taken(error: &hyper::Error) -> bool {
    let Some(cause) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return false;
    };
    let graceful = cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR);
    graceful || cause.reason() == Some(h2::Reason::REFUSED_STREAM)
}
