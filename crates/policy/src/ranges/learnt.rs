//! One list after another: what is added counts at once, what is removed leaves after a grace.

use super::{MOST_PREFIXES, UnfitList, admissible, fit, loss};
use crate::networks::Networks;
use ipnet::IpNet;
use rustls_pki_types::UnixTime;
use std::collections::HashSet;
use std::time::Duration;

/// A list that came into force and what is left of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    list: Vec<IpNet>,
    leaving: Vec<Leaving>,
}

/// A prefix that the list does not have any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// The prefix.
    pub network: IpNet,
    /// When it stops to count.
    pub until: UnixTime,
}

/// What a new list changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Prefixes that count from now on.
    pub added: Vec<IpNet>,
    /// Prefixes that the list has lost and that count until their grace ends.
    pub removed: Vec<IpNet>,
    /// Prefixes that had been removed and are back before their grace ended.
    pub back: Vec<IpNet>,
}

impl Change {
    /// Whether the list is the same as before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.back.is_empty()
    }
}

impl Learnt {
    /// Begins with a list that nobody has to be compared with: the compiled-in one, or an operator's.
    #[must_use]
    pub fn new(list: Vec<IpNet>) -> Self {
        Self { list, leaving: Vec::new() }
    }

    /// What somebody says is in force, with what is leaving it; for a comparison, since nothing has been checked.
    #[must_use]
    pub fn with_leaving(list: Vec<IpNet>, leaving: Vec<Leaving>) -> Self {
        Self { list, leaving }
    }

    /// Goes on where an earlier process stopped. No grace is longer than one that begins now: a clock may have been wrong.
    ///
    /// # Errors
    /// When a prefix could not have passed the gate: the record is not ours.
    pub fn resume(list: Vec<IpNet>, leaving: Vec<Leaving>, now: UnixTime, grace: Duration) -> Result<Self, UnfitList> {
        let list = admissible(list)?;
        leaving.iter().try_for_each(|leaving| fit(leaving.network))?;
        // No more can be leaving than could be in the list, since a quarter at most goes at a time.
        if leaving.len() > MOST_PREFIXES {
            return Err(UnfitList::TooMany(leaving.len()));
        }
        let mut learnt = Self { list, leaving };
        learnt.shorten(now, grace);
        learnt.expire(now);
        Ok(learnt)
    }

    /// The list as it was learnt.
    #[must_use]
    pub fn list(&self) -> &[IpNet] {
        &self.list
    }

    /// What has been removed from it and counts still.
    #[must_use]
    pub fn leaving(&self) -> &[Leaving] {
        &self.leaving
    }

    /// Everything that counts: the list, and what is leaving it.
    #[must_use]
    pub fn in_force(&self) -> Vec<IpNet> {
        self.list.iter().copied().chain(self.leaving.iter().map(|leaving| leaving.network)).collect()
    }

    /// The gate for the list that follows; it comes back without what was in it twice.
    ///
    /// It is held against everything that counts, not against the list before it: a feed that takes a quarter away each hour would
    /// otherwise have nothing left in the evening.
    ///
    /// # Errors
    /// When the list is unfit by itself, or has lost too much.
    pub fn admit(&self, list: Vec<IpNet>) -> Result<Vec<IpNet>, UnfitList> {
        let list = admissible(list)?;
        loss::bearable(&self.in_force(), &list)?;
        Ok(list)
    }

    /// What a list would change, whether it may or not.
    #[must_use]
    pub fn compare(&self, list: &[IpNet]) -> Change {
        // What others cover needs no grace: a prefix that was joined with its neighbour is still there.
        let covered = Networks::new(list.iter().copied());
        let in_force: HashSet<IpNet> = self.in_force().into_iter().collect();
        let is_leaving = |network: &IpNet| self.leaving.iter().any(|leaving| leaving.network == *network);
        Change {
            added: list.iter().copied().filter(|network| !in_force.contains(network)).collect(),
            removed: self.list.iter().copied().filter(|network| !covered.covers(*network)).collect(),
            back: list.iter().copied().filter(is_leaving).collect(),
        }
    }

    /// Takes a list: additions count at once, removals after `grace`. Nothing has happened if it is refused.
    ///
    /// # Errors
    /// When the list is unfit by itself, or has lost too much.
    pub fn learn(&mut self, list: Vec<IpNet>, now: UnixTime, grace: Duration) -> Result<Change, UnfitList> {
        self.expire(now);
        let list = self.admit(list)?;
        let change = self.compare(&list);
        let until = after(now, grace);
        self.leaving.extend(change.removed.iter().map(|network| Leaving { network: *network, until }));
        let covered = Networks::new(list.iter().copied());
        self.leaving.retain(|leaving| !covered.covers(leaving.network));
        self.list = list;
        self.expire(now);
        Ok(change)
    }

    /// Lets go of what has had its grace, and says what that was.
    pub fn expire(&mut self, now: UnixTime) -> Vec<IpNet> {
        let (gone, leaving) = self.leaving.drain(..).partition(|leaving: &Leaving| leaving.until <= now);
        self.leaving = leaving;
        gone.into_iter().map(|leaving: Leaving| leaving.network).collect()
    }

    /// Lets no grace last longer than one that begins now.
    pub fn shorten(&mut self, now: UnixTime, grace: Duration) {
        let latest = after(now, grace);
        for leaving in &mut self.leaving {
            leaving.until = leaving.until.min(latest);
        }
    }

    /// When the next prefix leaves.
    #[must_use]
    pub fn next_end(&self) -> Option<UnixTime> {
        self.leaving.iter().map(|leaving| leaving.until).min()
    }
}

/// Whole seconds; a grace of less than one is over at once.
fn after(now: UnixTime, grace: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(grace))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::ranges::builtin;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn builtin_but(without: &[&str], with: &[&str]) -> Vec<IpNet> {
        let without = nets(without);
        builtin().into_iter().filter(|net| !without.contains(net)).chain(nets(with)).collect()
    }

    #[test]
    fn additions_at_once_removals_after_the_grace() {
        let mut learnt = Learnt::new(builtin());
        let list = builtin_but(&["131.0.72.0/22"], &["11.0.0.0/22"]);
        let change = learnt.learn(list.clone(), at(1000), DAY).unwrap();
        assert_eq!((change.added, change.removed), (nets(&["11.0.0.0/22"]), nets(&["131.0.72.0/22"])));
        assert_eq!(learnt.list(), list);
        assert_eq!(learnt.in_force().len(), 23);
        assert_eq!(learnt.next_end(), Some(at(1000 + 86_400)));
        // The same list again starts no new grace.
        assert!(learnt.learn(list.clone(), at(2000), DAY).unwrap().is_empty());
        assert_eq!(learnt.expire(at(1000 + 86_399)), []);
        assert_eq!(learnt.expire(at(1000 + 86_400)), nets(&["131.0.72.0/22"]));
        assert_eq!((learnt.in_force(), learnt.next_end()), (list, None));
    }

    #[test]
    fn what_comes_back_during_its_grace_stays() {
        let mut learnt = Learnt::new(builtin());
        learnt.learn(builtin_but(&["131.0.72.0/22"], &[]), at(0), DAY).unwrap();
        let change = learnt.learn(builtin(), at(10), DAY).unwrap();
        assert_eq!((change.added, change.removed, change.back), (vec![], vec![], nets(&["131.0.72.0/22"])));
        assert_eq!(learnt.expire(at(u64::MAX)), []);
        assert_eq!(learnt.in_force(), builtin());
    }

    #[test]
    fn without_a_grace_removals_are_at_once() {
        let mut learnt = Learnt::new(builtin());
        let change = learnt.learn(builtin_but(&["131.0.72.0/22"], &[]), at(5), Duration::ZERO).unwrap();
        assert_eq!((change.removed.len(), learnt.in_force().len(), learnt.leaving()), (1, 21, &[][..]));
    }

    #[test]
    fn a_refused_list_changes_nothing() {
        let mut learnt = Learnt::new(builtin());
        learnt.learn(builtin_but(&["131.0.72.0/22"], &[]), at(0), DAY).unwrap();
        let before = learnt.clone();
        for list in [vec![], nets(&["173.245.48.0/20"]), builtin_but(&[], &["0.0.0.0/0"]), builtin()[..8].to_vec()] {
            assert!(learnt.learn(list, at(1), DAY).is_err());
            assert_eq!(learnt, before);
        }
    }

    /// A feed that takes away a little each time gets no further than one that takes all at once, until the grace of the first has ended.
    #[test]
    fn a_list_is_not_eaten_up_in_small_bites() {
        let mut learnt = Learnt::new(builtin());
        let first = ["103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22"];
        let second = [&first[..], &["131.0.72.0/22"]].concat();
        learnt.learn(builtin_but(&first, &[]), at(0), DAY).unwrap();
        let refused = learnt.learn(builtin_but(&second, &[]), at(3600), DAY);
        assert_eq!(refused, Err(UnfitList::Shrunk { family: "IPv4", lost: 4, of: 15 }));
        learnt.learn(builtin_but(&second, &[]), at(86_400), DAY).unwrap();
        assert_eq!((learnt.list().len(), learnt.leaving().len()), (18, 1));
    }

    #[test]
    fn what_is_joined_needs_no_grace() {
        let mut learnt = Learnt::new(builtin());
        let change = learnt.learn(builtin_but(&["104.24.0.0/14"], &["104.24.0.0/13"]), at(0), DAY).unwrap();
        assert_eq!((change.added, change.removed), (nets(&["104.24.0.0/13"]), vec![]));
        assert_eq!(learnt.leaving(), []);
    }

    #[test]
    fn an_earlier_process_left_off_here() {
        let leaving = |until| vec![Leaving { network: nets(&["11.0.0.0/22"])[0], until }];
        let resume = |leaving| Learnt::resume(builtin(), leaving, at(1000), DAY).unwrap();
        assert_eq!(resume(leaving(at(1001))).leaving(), leaving(at(1001)));
        assert_eq!(resume(leaving(at(1000))).leaving(), []);
        assert_eq!(resume(leaving(at(u64::MAX))).leaving(), leaving(at(1000 + 86_400)), "no longer than from now");
        let private = vec![Leaving { network: nets(&["10.0.0.0/8"])[0], until: at(2000) }];
        assert!(matches!(Learnt::resume(builtin(), private, at(0), DAY), Err(UnfitList::NotPublic(_))));
        assert!(Learnt::resume(nets(&["173.245.48.0/20"]), vec![], at(0), DAY).is_err());
        let mut learnt = resume(leaving(at(5000)));
        learnt.shorten(at(1000), Duration::from_secs(10));
        assert_eq!(learnt.next_end(), Some(at(1010)));
    }
}
