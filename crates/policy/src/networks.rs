//! Sets of IP networks with fast membership: the admission check of every connection.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

/// A set of IPv4 and IPv6 networks.
///
/// Membership costs a binary search over disjoint, merged intervals. IPv4-mapped IPv6 addresses and networks
/// (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2) count as IPv4 on both sides of the question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    prefixes: (usize, usize),
}

impl Networks {
    /// No network at all.
    #[must_use]
    pub const fn none() -> Self {
        Self { v4: Vec::new(), v6: Vec::new(), prefixes: (0, 0) }
    }

    /// Builds the set; overlapping networks are merged.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match canonical_network(network) {
                IpNet::V4(net) => v4.push((u32::from(net.network()), u32::from(net.broadcast()))),
                IpNet::V6(net) => v6.push((u128::from(net.network()), u128::from(net.broadcast()))),
            }
        }
        let prefixes = (v4.len(), v6.len());
        Self { v4: merged(v4), v6: merged(v6), prefixes }
    }

    /// Whether the address lies in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, u32::from(address)),
            IpAddr::V6(address) => within(&self.v6, u128::from(address)),
        }
    }

    /// How many IPv4 and IPv6 addresses are in the set; all of IPv6 counts as one less.
    #[must_use]
    pub fn sizes(&self) -> (u128, u128) {
        let v4 = self.v4.iter().map(|(first, last)| u128::from(last - first) + 1).sum();
        let v6 = self.v6.iter().map(|(first, last)| (last - first).saturating_add(1));
        (v4, v6.fold(0, u128::saturating_add))
    }

    /// How many IPv4 and IPv6 addresses are in both sets.
    #[must_use]
    pub fn shared(&self, other: &Self) -> (u128, u128) {
        let wide = |(first, last): &(u32, u32)| (u128::from(*first), u128::from(*last));
        let v4 = self.v4.iter().map(|interval| overlap(other.v4.iter().map(wide), wide(interval)));
        let v6 = self.v6.iter().map(|interval| overlap(other.v6.iter().copied(), *interval));
        (v4.sum(), v6.fold(0, u128::saturating_add))
    }

    /// Whether every address of a network is in the set, in one piece or in several.
    #[must_use]
    pub fn covers(&self, network: IpNet) -> bool {
        let network = Self::new([network]);
        network.shared(self) == network.sizes()
    }

    /// Whether no network is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// This set and another one together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            v4: merged([self.v4.as_slice(), &other.v4].concat()),
            v6: merged([self.v6.as_slice(), &other.v6].concat()),
            prefixes: (self.prefixes.0 + other.prefixes.0, self.prefixes.1 + other.prefixes.1),
        }
    }

    /// The first and the last address of each interval of IPv4, sorted and apart.
    pub(crate) fn ipv4(&self) -> &[(u32, u32)] {
        &self.v4
    }

    /// The same of IPv6.
    pub(crate) fn ipv6(&self) -> &[(u128, u128)] {
        &self.v6
    }

    /// How many IPv4 and IPv6 prefixes the set was built from, before merging.
    #[must_use]
    pub fn prefixes(&self) -> (usize, usize) {
        self.prefixes
    }
}

/// The network as it is judged: an IPv4-mapped IPv6 prefix of at least 96 bits becomes its IPv4 network.
#[must_use]
pub fn canonical_network(network: IpNet) -> IpNet {
    match network {
        IpNet::V4(net) => IpNet::V4(net.trunc()),
        IpNet::V6(net) => mapped(net).map_or(IpNet::V6(net.trunc()), IpNet::V4),
    }
}

fn mapped(net: Ipv6Net) -> Option<Ipv4Net> {
    let length = net.prefix_len().checked_sub(96)?;
    let address = net.network().to_ipv4_mapped()?;
    Ipv4Net::new(address, length).ok()
}

fn overlap(intervals: impl Iterator<Item = (u128, u128)>, (from, to): (u128, u128)) -> u128 {
    let parts = intervals.filter_map(|(first, last)| (last.min(to)).checked_sub(first.max(from)));
    parts.fold(0, |sum, part| sum.saturating_add(part).saturating_add(1))
}

fn within<T: Ord + Copy>(intervals: &[(T, T)], address: T) -> bool {
    let after = intervals.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|at| intervals[at].1 >= address)
}

fn merged<T: Ord + Copy>(mut intervals: Vec<(T, T)>) -> Vec<(T, T)> {
    intervals.sort_unstable();
    let mut result: Vec<(T, T)> = Vec::with_capacity(intervals.len());
    for (first, last) in intervals {
        match result.last_mut() {
            Some(open) if first <= open.1 => open.1 = open.1.max(last),
            _ => result.push((first, last)),
        }
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    fn set(networks: &[&str]) -> Networks {
        Networks::new(networks.iter().map(|net| net.parse().unwrap()))
    }

    #[test]
    fn measures() {
        assert_eq!(set(&["10.0.0.0/24", "10.0.0.128/25", "10.0.1.0/32", "2400::/126"]).sizes(), (257, 4));
        assert_eq!(set(&["0.0.0.0/0", "::/0"]).sizes(), (1 << 32, u128::MAX));
        let table = [
            (&["10.0.0.0/25", "10.0.0.128/26"][..], "10.0.0.0/24", (192, 0), false),
            (&["10.0.0.0/25", "10.0.0.128/25"], "10.0.0.0/24", (256, 0), true),
            (&["10.0.0.0/8"], "10.0.0.0/24", (256, 0), true),
            (&["10.0.0.0/8"], "11.0.0.0/24", (0, 0), false),
            (&["::ffff:10.0.0.0/120"], "10.0.0.0/31", (2, 0), true),
            (&["2400::/32"], "2400::/127", (0, 2), true),
            (&["2400::1/128"], "2400::/127", (0, 1), false),
            (&["10.0.0.0/8"], "2400::/16", (0, 0), false),
            (&["::/0", "0.0.0.0/0"], "::/0", (0, u128::MAX), true),
        ];
        for (networks, network, shared, covered) in table {
            let other = set(&[network]);
            assert_eq!((set(networks).shared(&other), other.shared(&set(networks))), (shared, shared), "{network}");
            assert_eq!(set(networks).covers(network.parse().unwrap()), covered, "{networks:?} {network}");
        }
    }

    #[test]
    fn membership() {
        let table = [
            (&["10.0.0.0/8"][..], "10.255.255.255", true),
            (&["10.0.0.0/8"], "11.0.0.0", false),
            (&["10.0.0.0/8"], "::ffff:10.1.2.3", true),
            (&["10.0.0.0/8"], "::ffff:11.1.2.3", false),
            (&["::ffff:10.0.0.0/104"], "10.1.2.3", true),
            (&["2400:cb00::/32"], "2400:cb00:ffff::1", true),
            (&["2400:cb00::/32"], "2400:cb01::", false),
            (&["10.0.0.7/8"], "10.0.0.1", true),
            (&["10.0.0.0/24", "10.0.0.0/8", "10.0.0.128/25"], "10.9.9.9", true),
            (&["0.0.0.0/0"], "::1", false),
            (&["::/0"], "127.0.0.1", false),
            (&[], "127.0.0.1", false),
        ];
        for (networks, address, expected) in table {
            assert_eq!(set(networks).contains(address.parse().unwrap()), expected, "{networks:?} {address}");
        }
    }
}
