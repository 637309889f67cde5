//! Places for connections: how many a listener has open, and how many of them one source holds.
//!
//! At a cap the newest connection is closed at once. The other way, to leave it in the kernel's queue as HAProxy does at `maxconn`, would let
//! the edge wait until its own time-out, and strangers with it, who can be turned away only once they are accepted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who holds the places of one listener. It has an entry for each source that holds one, and none for any other.
#[derive(Debug, Default)]
pub struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// A place; dropping it leaves it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    source: Option<IpAddr>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, unless all of them are taken.
    pub(crate) fn take(self: &Arc<Self>, most: usize) -> Option<Place> {
        let mut taken = self.taken();
        if taken.all >= most {
            return None;
        }
        taken.all += 1;
        Some(Place { places: Arc::clone(self), source: None })
    }
}

impl Place {
    /// Says who holds the place; false where that source holds as many as it may.
    pub(crate) fn held_by(&mut self, source: IpAddr, most: Option<usize>) -> bool {
        let source = counted_as(source);
        let mut taken = self.places.taken();
        let held = taken.by_source.entry(source).or_insert(0);
        if most.is_some_and(|most| *held >= most) {
            return false;
        }
        *held += 1;
        drop(taken);
        self.source = Some(source);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let Some(source) = self.source else { return };
        if let Entry::Occupied(mut held) = taken.by_source.entry(source) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

/// An IPv4 address counts by itself; of an IPv6 address, the /64 that one subscriber has.
fn counted_as(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_and_left() {
        let places = Arc::new(Places::default());
        let (one, two) = (places.take(2).unwrap(), places.take(2).unwrap());
        assert!(places.take(2).is_none());
        drop(one);
        let three = places.take(2).unwrap();
        assert!(places.take(2).is_none());
        drop((two, three));
        assert_eq!(places.taken().all, 0);
    }

    #[test]
    fn one_source_holds_no_more_than_its_share_and_leaves_nothing_behind() {
        let places = Arc::new(Places::default());
        let take = |address: &str, most| {
            let mut place = places.take(100).unwrap();
            place.held_by(address.parse().unwrap(), most).then_some(place)
        };
        let held = [take("192.0.2.1", Some(2)).unwrap(), take("192.0.2.1", Some(2)).unwrap()];
        assert!(take("192.0.2.1", Some(2)).is_none());
        assert!(take("192.0.2.2", Some(2)).is_some());
        let subscriber = take("2001:db8:0:1::1", Some(1)).unwrap();
        assert!(take("2001:db8:0:1:ffff::2", Some(1)).is_none());
        let neighbour = take("2001:db8:0:2::1", Some(1)).unwrap();
        // Who came while there was no cap counts when there is one.
        let before = take("192.0.2.3", None).unwrap();
        assert!(take("192.0.2.3", Some(1)).is_none());
        assert_eq!(places.taken().all, 5);
        drop((held, subscriber, neighbour, before));
        assert!(places.taken().by_source.is_empty() && places.taken().all == 0);
    }
}
