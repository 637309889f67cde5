//! The keys of teams: which may be used at all, and how long without news of them.

use super::Team;
use crate::denial::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use rustls_pki_types::UnixTime;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Keys that a team may have; Cloudflare publishes the present one and the one before.
const MOST_KEYS: usize = 32;

/// Bytes of a key's identity; Cloudflare's have 64.
pub(super) const LONGEST_ID: usize = 256;

/// Bytes of a modulus: 2048 to 8192 bits, as far as the library verifies.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// An RSA key that tokens are verified with.
#[derive(Clone)]
pub struct Key {
    id: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    verifying: DecodingKey,
}

/// Keys that are not taken: those before them stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitKeys {
    /// Nobody could pass.
    #[error("there is no key that a token could be verified with")]
    Empty,
    /// More than any team has.
    #[error("there are {0} keys; {MOST_KEYS} are the most that are taken")]
    TooMany(usize),
    /// Which of the two a token means, nobody could say.
    #[error("two keys have one `kid`")]
    TwoOfOneId,
    /// No identity, or one without end.
    #[error("a `kid` is empty, or longer than {LONGEST_ID} bytes")]
    Id,
    /// Too short to be safe, too long to be verified, or not base64.
    #[error("the modulus `n` of a key is not one of 2048 to 8192 bits in base64url")]
    Modulus,
    /// An exponent that makes forging easy, or none.
    #[error("the exponent `e` of a key is not an odd number from 65537 to 2^33 in base64url")]
    Exponent,
}

impl Key {
    /// A key as RFC 7518 section 6.3.1 writes it: both numbers big-endian, in base64url.
    ///
    /// # Errors
    /// When no token should be believed by it.
    pub fn new(id: &str, modulus: &str, exponent: &str) -> Result<Self, UnfitKeys> {
        if !(1..=LONGEST_ID).contains(&id.len()) {
            return Err(UnfitKeys::Id);
        }
        let modulus = number(modulus).filter(|modulus| MODULUS.contains(&modulus.len())).ok_or(UnfitKeys::Modulus)?;
        let exponent = number(exponent).filter(|exponent| is_exponent(exponent)).ok_or(UnfitKeys::Exponent)?;
        let verifying = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
        Ok(Self { id: id.to_owned(), modulus, exponent, verifying })
    }

    /// Its identity: `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `n`, in base64url.
    #[must_use]
    pub fn modulus(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.modulus)
    }

    /// `e`, in base64url.
    #[must_use]
    pub fn exponent(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.exponent)
    }

    pub(super) fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.modulus, &self.exponent) == (&other.id, &other.modulus, &other.exponent)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A number without its leading zeros, of which some publishers have one.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// The bounds of NIST SP 800-56B below, and of the library above.
fn is_exponent(bytes: &[u8]) -> bool {
    let value = bytes.iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add((*byte).into()));
    value.is_some_and(|value| value % 2 == 1 && (65_537..1 << 33).contains(&value))
}

/// The keys of a team at one time, each with an identity of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// These keys and no others.
    ///
    /// # Errors
    /// When there is none, two have one identity, or there are more than any team has.
    pub fn new(keys: Vec<Key>) -> Result<Self, UnfitKeys> {
        let ids: HashSet<&str> = keys.iter().map(Key::id).collect();
        match keys.len() {
            0 => Err(UnfitKeys::Empty),
            count if count > MOST_KEYS => Err(UnfitKeys::TooMany(count)),
            count if count > ids.len() => Err(UnfitKeys::TwoOfOneId),
            _ => Ok(Self(keys)),
        }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

/// What is known of a team's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamKeys {
    /// The keys.
    pub set: KeySet,
    /// When the team last said so.
    pub fetched: UnixTime,
}

/// The keys of all teams that policies ask for, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessKeys {
    teams: HashMap<Team, Arc<TeamKeys>>,
    stale_after: Duration,
}

impl AccessKeys {
    /// These keys, which count for `stale_after` from when they were fetched.
    #[must_use]
    pub fn new(teams: HashMap<Team, Arc<TeamKeys>>, stale_after: Duration) -> Self {
        Self { teams, stale_after }
    }

    /// The keys of a team that count now.
    ///
    /// # Errors
    /// [`Reason::AccessKeysMissing`] or [`Reason::AccessKeysStale`]: nobody passes on a key that may have been withdrawn long ago.
    pub fn of(&self, team: &Team, now: UnixTime) -> Result<&KeySet, Reason> {
        let known = self.teams.get(team).ok_or(Reason::AccessKeysMissing)?;
        let age = now.as_secs().saturating_sub(known.fetched.as_secs());
        if age > self.stale_after.as_secs() { Err(Reason::AccessKeysStale) } else { Ok(&known.set) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::{ONE, TWO, base64url};

    #[test]
    fn a_key_is_neither_weak_nor_unnamed() {
        let (modulus, exponent) = ONE.published();
        let of = |bytes: usize| base64url(&vec![0xa5; bytes]);
        let long = "a".repeat(257);
        let table = [
            ("a", modulus.clone(), "AQAB", None),
            ("a", base64url(&[&[0], URL_SAFE_NO_PAD.decode(&modulus).unwrap().as_slice()].concat()), "AAEAAQ", None),
            ("a", of(256), "AQAB", None),
            ("a", of(1024), "AQAB", None),
            ("", modulus.clone(), "AQAB", Some(UnfitKeys::Id)),
            (&long, modulus.clone(), "AQAB", Some(UnfitKeys::Id)),
            ("a", of(128), "AQAB", Some(UnfitKeys::Modulus)),
            ("a", of(255), "AQAB", Some(UnfitKeys::Modulus)),
            ("a", of(1025), "AQAB", Some(UnfitKeys::Modulus)),
            ("a", base64url(&[0; 256]), "AQAB", Some(UnfitKeys::Modulus)),
            ("a", String::new(), "AQAB", Some(UnfitKeys::Modulus)),
            ("a", format!("{modulus}="), "AQAB", Some(UnfitKeys::Modulus)),
            ("a", format!(" {modulus}"), "AQAB", Some(UnfitKeys::Modulus)),
            // 1 would make every message its own signature.
            ("a", modulus.clone(), "AQ", Some(UnfitKeys::Exponent)),
            ("a", modulus.clone(), "Aw", Some(UnfitKeys::Exponent)),
            ("a", modulus.clone(), "AQAA", Some(UnfitKeys::Exponent)),
            ("a", modulus.clone(), "", Some(UnfitKeys::Exponent)),
            ("a", modulus.clone(), "AgAAAAE", Some(UnfitKeys::Exponent)),
            ("a", modulus.clone(), "____________", Some(UnfitKeys::Exponent)),
        ];
        for (id, n, e, expected) in table {
            assert_eq!(Key::new(id, &n, e).err(), expected, "{id} {n} {e}");
        }
        let key = ONE.key();
        assert_eq!((key.modulus(), key.exponent()), (modulus, exponent));
    }

    #[test]
    fn a_set_has_keys_that_can_be_told_apart() {
        let named = |id: &str| Key::new(id, &ONE.key().modulus(), "AQAB").unwrap();
        assert_eq!(KeySet::new(vec![]), Err(UnfitKeys::Empty));
        assert_eq!(KeySet::new(vec![ONE.key(), TWO.key(), ONE.key()]), Err(UnfitKeys::TwoOfOneId));
        assert_eq!(KeySet::new(vec![ONE.key(), named("one")]), Err(UnfitKeys::TwoOfOneId));
        let many = |count: usize| KeySet::new((0..count).map(|at| named(&at.to_string())).collect());
        assert!(many(32).is_ok());
        assert_eq!(many(33), Err(UnfitKeys::TooMany(33)));
        let set = KeySet::new(vec![ONE.key(), TWO.key()]).unwrap();
        assert_eq!(set.find("two"), Some(&TWO.key()));
        assert_eq!(set.find("Two"), None);
    }

    #[test]
    fn keys_count_for_a_while_and_for_their_own_team() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (ours, theirs): (Team, Team) = ("ours".parse().unwrap(), "theirs".parse().unwrap());
        let known = TeamKeys { set: KeySet::new(vec![ONE.key()]).unwrap(), fetched: at(1000) };
        let keys = AccessKeys::new(HashMap::from([(ours.clone(), Arc::new(known))]), Duration::from_secs(60));
        for (now, expected) in [(0, None), (1000, None), (1060, None), (1061, Some(Reason::AccessKeysStale))] {
            assert_eq!(keys.of(&ours, at(now)).err(), expected, "{now}");
        }
        assert_eq!(keys.of(&theirs, at(1000)).err(), Some(Reason::AccessKeysMissing));
    }
}
