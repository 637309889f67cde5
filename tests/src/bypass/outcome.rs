//! What came of one attempt.

use super::target::{Missing, Target};
use crate::client::Refused;
use rustls::AlertDescription;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is one that only an authorised request should get.
    Through {
        /// Its status.
        status: u16,
        /// What became of a session that was to be offered.
        session: Option<Resumption>,
    },
    /// No such answer.
    Refused {
        /// What there was instead.
        how: How,
        /// What became of a session that was to be offered.
        session: Option<Resumption>,
    },
    /// Something that the attempt needs was not given.
    NotTried(Missing),
}

impl Outcome {
    /// Whether the guarded host's answer came.
    #[must_use]
    pub fn is_through(&self) -> bool {
        matches!(self, Self::Through { .. })
    }

    /// Whether there was an attempt.
    #[must_use]
    pub fn is_tried(&self) -> bool {
        !matches!(self, Self::NotTried(_))
    }

    /// What became of a session that was to be offered.
    #[must_use]
    pub fn session(&self) -> Option<Resumption> {
        match self {
            Self::Through { session, .. } | Self::Refused { session, .. } => *session,
            Self::NotTried(_) => None,
        }
    }
}

/// What a refusal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A fatal TLS alert.
    Alert(AlertDescription),
    /// An HTTP status that is no success and no redirect.
    Status(u16),
    /// An answer without the marker: another host's.
    Unmarked(u16),
    /// From the plain port to https.
    ToHttps(u16),
    /// The connection ended without a word.
    Closed,
    /// Nothing came in time.
    Silence,
    /// Nobody listens.
    Unreachable,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// The server gave none.
    NothingToOffer,
    /// It was offered, and a full handshake or a refusal followed.
    Declined,
    /// It was resumed.
    Resumed,
}

/// An answer as far as it counts.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// What it means when the request was made over TLS, or was not.
    pub(super) fn judge(&self, target: &Target, plain: bool) -> Result<u16, How> {
        let to_https = self.location.as_deref().is_some_and(starts_with_https);
        let marked = target.marker.as_deref().is_none_or(|marker| contains(&self.body, marker.as_bytes()));
        match self.status {
            300..400 if plain && to_https => Err(How::ToHttps(self.status)),
            200..400 if marked => Ok(self.status),
            200..400 => Err(How::Unmarked(self.status)),
            status => Err(How::Status(status)),
        }
    }
}

impl From<&Refused> for How {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::Handshake { alert: Some(alert), .. } => Self::Alert(*alert),
            Refused::Handshake { alert: None, .. } | Refused::Http(_) | Refused::Ended => Self::Closed,
            Refused::Deadline => Self::Silence,
            Refused::Tcp(_) => Self::Unreachable,
        }
    }
}

fn starts_with_https(location: &str) -> bool {
    location.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn contains(body: &[u8], marker: &[u8]) -> bool {
    !marker.is_empty() && body.windows(marker.len()).any(|window| window == marker)
}
