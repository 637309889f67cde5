//! How much a new list leaves out of what is in force: the gate against lists that were cut short.

use super::UnfitList;
use crate::networks::Networks;
use ipnet::IpNet;

/// Lets a list pass that leaves out a quarter at most, of the prefixes and of the address space, in each family.
///
/// Both are measured, since each alone is blind: three of Cloudflare's prefixes hold most of its addresses, so that a list cut to these
/// has lost little space, and one prefix among many can hold nearly all of it. What counts is what is not covered any more: prefixes that
/// were joined or split are not lost.
pub(super) fn bearable(before: &[IpNet], after: &[IpNet]) -> Result<(), UnfitList> {
    let after = Networks::new(after.iter().copied());
    let is_v4 = |network: &&IpNet| matches!(network, IpNet::V4(_));
    let (v4, v6): (Vec<&IpNet>, Vec<&IpNet>) = before.iter().partition(is_v4);
    for (family, before) in [("IPv4", v4), ("IPv6", v6)] {
        let lost = before.iter().filter(|network| !after.covers(***network)).count();
        if lost * 4 > before.len() {
            return Err(UnfitList::Shrunk { family, lost, of: before.len() });
        }
    }
    let before = Networks::new(before.iter().copied());
    let ((v4, v6), (v4_kept, v6_kept)) = (before.sizes(), before.shared(&after));
    for (family, size, kept) in [("IPv4", v4, v4_kept), ("IPv6", v6, v6_kept)] {
        let lost = size.saturating_sub(kept);
        if lost > size / 4 {
            return Err(UnfitList::Hollowed { family, percent: percent(lost, size) });
        }
    }
    Ok(())
}

/// Rounded up; the list in force has passed the gate, so that nothing here is near the end of the numbers.
fn percent(part: u128, whole: u128) -> u128 {
    part.saturating_mul(100).checked_div(whole).map_or(0, |percent| percent + 1).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::builtin;

    /// The compiled-in list without some prefixes and with others.
    fn changed(without: &[&str], with: &[&str]) -> Result<(), UnfitList> {
        let kept = builtin().into_iter().filter(|network| !without.contains(&network.to_string().as_str()));
        let after: Vec<IpNet> = kept.chain(with.iter().filter_map(|network| network.parse().ok())).collect();
        bearable(&builtin(), &after)
    }

    #[test]
    fn a_quarter_of_the_prefixes_may_go() {
        let small = ["103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "131.0.72.0/22"];
        assert_eq!(changed(&[], &[]), Ok(()));
        assert_eq!(changed(&small[..3], &[]), Ok(()));
        assert_eq!(changed(&small, &[]), Err(UnfitList::Shrunk { family: "IPv4", lost: 4, of: 15 }));
        // New ones do not make up for old ones.
        let new = ["11.0.0.0/22", "12.0.0.0/22", "13.0.0.0/22", "14.0.0.0/22"];
        assert_eq!(changed(&small, &new), Err(UnfitList::Shrunk { family: "IPv4", lost: 4, of: 15 }));
        assert_eq!(changed(&["2803:f800::/32"], &[]), Ok(()));
        let two = ["2803:f800::/32", "2c0f:f248::/32"];
        assert_eq!(changed(&two, &[]), Err(UnfitList::Shrunk { family: "IPv6", lost: 2, of: 7 }));
    }

    #[test]
    fn a_quarter_of_the_address_space_may_go() {
        assert_eq!(changed(&["104.16.0.0/13"], &[]), Err(UnfitList::Hollowed { family: "IPv4", percent: 35 }));
        assert_eq!(changed(&["104.24.0.0/14"], &[]), Ok(()));
        assert_eq!(changed(&["2a06:98c0::/29"], &[]), Err(UnfitList::Hollowed { family: "IPv6", percent: 58 }));
        // Half of a prefix is missing: the prefix is lost, and that much space.
        assert_eq!(changed(&["104.16.0.0/13"], &["104.16.0.0/14"]), Ok(()));
    }

    #[test]
    fn what_is_joined_or_split_is_not_lost() {
        let split = ["104.16.0.0/14", "104.20.0.0/14"];
        assert_eq!(changed(&["104.16.0.0/13"], &split), Ok(()));
        let many = ["103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "131.0.72.0/22"];
        assert_eq!(changed(&many, &["103.0.0.0/11", "131.0.0.0/16"]), Ok(()));
    }
}
