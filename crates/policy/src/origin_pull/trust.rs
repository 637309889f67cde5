//! What a host accepts origin-pull certificates by: CAs, pins, revocation lists.

use super::{Anchor, Pin, RevocationList};
use rustls_pki_types::UnixTime;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Identifies the content of a [`Trust`]: two hosts with the same CAs, pins and lists have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrustId([u8; 32]);

impl TrustId {
    /// A SHA-256 over everything that decides.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a host accepts origin-pull certificates by.
#[derive(Debug, Clone)]
pub struct Trust {
    anchors: Vec<Anchor>,
    pins: Vec<Pin>,
    revocations: Vec<RevocationList>,
    id: TrustId,
}

/// A list of CAs of which none is in force: no chain could ever be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no CA of the list is in force: {0}")]
pub struct NoAnchorInForce(String);

impl Trust {
    /// Builds the trust from its CAs. CAs outside their validity period are kept for the day they come into force
    /// and never match before or after.
    ///
    /// # Errors
    /// When none of them is in force at `now`, or the list is empty.
    pub fn new(mut anchors: Vec<Anchor>, now: UnixTime) -> Result<Self, NoAnchorInForce> {
        if !anchors.iter().any(|anchor| anchor.in_force(now)) {
            let named: Vec<_> = anchors.iter().map(ToString::to_string).collect();
            return Err(NoAnchorInForce(if named.is_empty() { "it is empty".into() } else { named.join("; ") }));
        }
        anchors.sort_by_key(Anchor::fingerprint);
        anchors.dedup_by_key(|anchor| anchor.fingerprint());
        Ok(Self { anchors, pins: Vec::new(), revocations: Vec::new(), id: TrustId([0; 32]) }.identified())
    }

    /// Narrows the trust to leaves with one of these keys; none leaves it as wide as it is. A pin never raises what a path proves.
    #[must_use]
    pub fn with_pins(self, mut pins: Vec<Pin>) -> Self {
        pins.sort();
        pins.dedup();
        Self { pins, ..self }.identified()
    }

    /// Demands that every certificate on a path is covered by a list in force and does not stand on it; no list demands nothing.
    #[must_use]
    pub fn with_revocations(self, mut revocations: Vec<RevocationList>) -> Self {
        // webpki takes the first that fits: the newest has to come first.
        revocations.sort_by(RevocationList::newest_first);
        Self { revocations, ..self }.identified()
    }

    /// The identity of this trust's content.
    #[must_use]
    pub fn id(&self) -> TrustId {
        self.id
    }

    /// The CAs, in force or not.
    #[must_use]
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// Whether leaves with certain keys alone are accepted.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
    }

    /// The CAs in force that no revocation list is issued by: every certificate right below them is refused. None where there is no
    /// list at all.
    pub fn uncovered(&self, now: UnixTime) -> impl Iterator<Item = &Anchor> {
        let covered = |anchor: &Anchor| self.revocations.iter().any(|list| list.is_of(anchor.name()));
        let asked = !self.revocations.is_empty();
        self.anchors.iter().filter(move |anchor| asked && anchor.in_force(now) && !covered(anchor))
    }

    /// The revocation lists, newest first.
    #[must_use]
    pub fn revocations(&self) -> &[RevocationList] {
        &self.revocations
    }

    /// Until when the lists of an issuer say the same as now: the newest that has begun runs out, or one from the future begins.
    pub(super) fn lists_until(&self, issuer: &[u8], now: UnixTime) -> Option<UnixTime> {
        let of_issuer = || self.revocations.iter().filter(|list| list.is_of(issuer));
        let newest = of_issuer().find(|list| list.has_begun(now)).map(RevocationList::next_update);
        let next = of_issuer().filter(|list| !list.has_begun(now)).map(RevocationList::this_update).min();
        // A list has run out at its nextUpdate, a certificate only after its notAfter.
        let before = |end: UnixTime| UnixTime::since_unix_epoch(Duration::from_secs(end.as_secs().saturating_sub(1)));
        newest.into_iter().chain(next).min().map(before)
    }

    /// Names that two CAs in force share under different keys. Lists are found by the name of their issuer: of two such CAs, the list of
    /// one would refuse everything under the other.
    pub fn namesakes(&self, now: UnixTime) -> impl Iterator<Item = &Arc<str>> {
        let in_force = move || self.anchors.iter().filter(move |anchor| anchor.in_force(now));
        let is_namesake = move |anchor: &&Anchor| {
            in_force().any(|other| other.name() == anchor.name() && other.key() != anchor.key())
        };
        in_force().filter(is_namesake).map(Anchor::subject)
    }

    pub(super) fn pins(&self) -> &[Pin] {
        &self.pins
    }

    fn identified(mut self) -> Self {
        let mut hash = Sha256::new();
        let fingerprints = [
            self.anchors.iter().map(Anchor::fingerprint).collect::<Vec<_>>(),
            self.pins.iter().map(Pin::digest).collect(),
            self.revocations.iter().map(RevocationList::fingerprint).collect(),
        ];
        for kind in fingerprints {
            hash.update(kind.len().to_be_bytes());
            kind.iter().for_each(|fingerprint| hash.update(fingerprint));
        }
        self.id = TrustId(hash.finalize().into());
        self
    }
}
