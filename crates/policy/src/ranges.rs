//! Cloudflare's address ranges: the compiled-in list and the gate that any other list has to pass.

mod learnt;
mod loss;
mod pace;

use crate::networks::{Networks, canonical_network};
use ipnet::IpNet;
use rustls_pki_types::UnixTime;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub use learnt::{Change, Learnt, Leaving};
pub use pace::pause;

/// The ranges that Cloudflare publishes (<https://www.cloudflare.com/ips/>), as of 2026-10-02: 15 IPv4 and 7 IPv6 prefixes.
pub const BUILTIN: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// The day of the compiled-in list.
pub const BUILTIN_AS_OF: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_790_899_200));

/// Prefixes in a list. Cloudflare's has 22, and 118 with the China network.
const MOST_PREFIXES: usize = 4096;

/// A network of somebody else's that Cloudflare serves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partner {
    /// The China network, which JD Cloud runs.
    Jdcloud,
}

impl Partner {
    /// Its name in the configuration and in Cloudflare's API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Jdcloud => "jdcloud",
        }
    }
}

/// Why a list of ranges is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitList {
    /// It holds no prefix at all, or none of one family.
    #[error("the list has no {0} prefix; a list without one would lock visitors out")]
    FamilyMissing(&'static str),
    /// A prefix that is too short to be an operator's: it would let half of the Internet in.
    #[error("{0} is too wide; a range of Cloudflare's is at least /8 (IPv4) or /16 (IPv6)")]
    TooWide(IpNet),
    /// A prefix outside the public unicast space.
    #[error("{0} is not public unicast space (private, loopback, link-local, multicast or reserved)")]
    NotPublic(IpNet),
    /// A prefix with bits set behind its length: whoever wrote it meant something else.
    #[error("{0} is not a network's own address; that would be {1}")]
    NotCanonical(IpNet, IpNet),
    /// Many more prefixes than a list of ranges has.
    #[error("the list has {0} prefixes, and {MOST_PREFIXES} at most are taken")]
    TooMany(usize),
    /// Each prefix may be right, and together they let a good part of the Internet in.
    #[error("the {0} prefixes cover more together than a /6 (IPv4) or a /14 (IPv6)")]
    TooMuch(&'static str),
    /// Many prefixes of the list in force are not in it any more.
    #[error("the list has lost {lost} of {of} {family} prefixes, and a quarter at most may go at a time")]
    Shrunk {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// Prefixes that it does not cover.
        lost: usize,
        /// Prefixes in force.
        of: usize,
    },
    /// Much of the address space in force is not in it any more.
    #[error("the list has lost {percent} % of the {family} addresses, and a quarter at most may go at a time")]
    Hollowed {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// Hundredths of the address space, rounded up.
        percent: u128,
    },
}

/// The compiled-in list, parsed.
#[must_use]
pub fn builtin() -> Vec<IpNet> {
    BUILTIN.iter().filter_map(|prefix| prefix.parse().ok()).collect()
}

/// The gate for lists from files and feeds: both families present, public space only, nothing too wide, alone or together. Prefixes that
/// are there twice are taken once.
///
/// # Errors
/// Names the first prefix, or the family, that makes the list unfit.
pub fn admissible(list: Vec<IpNet>) -> Result<Vec<IpNet>, UnfitList> {
    if list.len() > MOST_PREFIXES {
        return Err(UnfitList::TooMany(list.len()));
    }
    list.iter().try_for_each(|network| fit(*network))?;
    let (v4, v6) = Networks::new(list.iter().copied()).sizes();
    for (family, size, most) in [("IPv4", v4, 1 << (32 - 6)), ("IPv6", v6, 1 << (128 - 14))] {
        match size {
            0 => return Err(UnfitList::FamilyMissing(family)),
            size if size > most => return Err(UnfitList::TooMuch(family)),
            _ => {}
        }
    }
    let mut seen = HashSet::new();
    Ok(list.into_iter().filter(|network| seen.insert(*network)).collect())
}

/// Whether one prefix could be Cloudflare's.
fn fit(network: IpNet) -> Result<(), UnfitList> {
    let canonical = canonical_network(network);
    let widest = if matches!(canonical, IpNet::V4(_)) { 8 } else { 16 };
    if canonical.prefix_len() < widest {
        return Err(UnfitList::TooWide(network));
    }
    if !is_public(canonical) {
        return Err(UnfitList::NotPublic(network));
    }
    if network != canonical {
        return Err(UnfitList::NotCanonical(network, canonical));
    }
    Ok(())
}

fn is_public(network: IpNet) -> bool {
    let reserved = match network {
        IpNet::V4(_) => &RESERVED_V4[..],
        IpNet::V6(_) => &RESERVED_V6[..],
    };
    !reserved.iter().any(|(address, length)| {
        IpNet::new(*address, *length).is_ok_and(|other| other.contains(&network) || network.contains(&other))
    })
}

/// IANA IPv4 special-purpose registry (RFC 6890) and multicast.
const RESERVED_V4: [(IpAddr, u8); 12] = [
    (v4(0, 0, 0, 0), 8),
    (v4(10, 0, 0, 0), 8),
    (v4(100, 64, 0, 0), 10),
    (v4(127, 0, 0, 0), 8),
    (v4(169, 254, 0, 0), 16),
    (v4(172, 16, 0, 0), 12),
    (v4(192, 0, 0, 0), 24),
    (v4(192, 168, 0, 0), 16),
    (v4(198, 18, 0, 0), 15),
    (v4(198, 51, 100, 0), 24),
    (v4(224, 0, 0, 0), 4),
    (v4(240, 0, 0, 0), 4),
];

/// Outside 2000::/3 nothing is global unicast (RFC 4291 section 2.4); documentation space lies inside it.
const RESERVED_V6: [(IpAddr, u8); 7] = [
    (v6(0), 3),
    (v6(0x4000), 2),
    (v6(0x8000), 1),
    (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)), 32),
    (v6(0xfc00), 7),
    (v6(0xfe80), 10),
    (v6(0xff00), 8),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(first: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_range_parses_and_passes_the_gate() {
        assert_eq!(builtin().len(), BUILTIN.len());
        assert_eq!(admissible(builtin()).unwrap().len(), 22);
    }

    /// First and last address of each range inside, their neighbours outside.
    #[test]
    fn edges_of_every_builtin_range() {
        let set = Networks::new(builtin());
        for network in builtin() {
            let (first, last) = (network.network(), network.broadcast());
            assert!(set.contains(first) && set.contains(last), "{network}");
            // Two ranges may touch: a neighbour counts only where no other range claims it.
            for neighbour in [step(first, -1), step(last, 1)] {
                let claimed = builtin().iter().any(|other| other.contains(&neighbour));
                assert_eq!(set.contains(neighbour), claimed, "{neighbour} beside {network}");
            }
        }
        assert!(!set.contains("173.245.47.255".parse().unwrap()));
        assert!(!set.contains("173.245.64.0".parse().unwrap()));
    }

    fn step(address: IpAddr, by: i8) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add_signed(by.into())).into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add_signed(by.into())).into(),
        }
    }

    #[test]
    fn unfit_lists() {
        let with = |extra: &[&str]| -> Vec<IpNet> {
            builtin().into_iter().chain(extra.iter().map(|net| net.parse().unwrap())).collect()
        };
        assert_eq!(admissible(vec![]), Err(UnfitList::FamilyMissing("IPv4")));
        assert_eq!(admissible(vec!["173.245.48.0/20".parse().unwrap()]), Err(UnfitList::FamilyMissing("IPv6")));
        for (extra, wide) in [("0.0.0.0/0", true), ("::/0", true), ("96.0.0.0/7", true), ("2600::/15", true)] {
            assert_eq!(matches!(admissible(with(&[extra])), Err(UnfitList::TooWide(_))), wide, "{extra}");
        }
        for extra in [
            "10.0.0.0/8",
            "127.0.0.0/24",
            "224.0.0.0/8",
            "fc00::/16",
            "ff02::/16",
            "::1/128",
            "2001:db8::/40",
            "::ffff:10.0.0.0/104",
        ] {
            assert!(matches!(admissible(with(&[extra])), Err(UnfitList::NotPublic(_))), "{extra}");
        }
        for extra in ["173.245.48.1/20", "2400:cb00::1/32", "::ffff:104.16.0.0/109"] {
            assert!(matches!(admissible(with(&[extra])), Err(UnfitList::NotCanonical(..))), "{extra}");
        }
        assert_eq!(admissible(with(&["173.245.48.0/20", "2400:cb00::/32"])), Ok(builtin()), "twice is once");
        let lonely =
            |count: u32| (0..count).map(|index| IpNet::from(IpAddr::from(Ipv4Addr::from(0x0100_0000 + index))));
        assert_eq!(admissible(builtin().into_iter().chain(lonely(4075)).collect()), Err(UnfitList::TooMany(4097)));
        assert_eq!(admissible(builtin().into_iter().chain(lonely(4074)).collect()).unwrap().len(), 4096);
    }

    /// Half of the Internet, in prefixes none of which is too wide by itself.
    #[test]
    fn what_is_too_much_together() {
        let eights = |count: u8| (11..11 + count).map(|first| IpNet::new(v4(first, 0, 0, 0), 8).unwrap());
        let with = |count: u8| builtin().into_iter().chain(eights(count)).collect::<Vec<_>>();
        assert!(admissible(with(3)).is_ok());
        assert_eq!(admissible(with(4)), Err(UnfitList::TooMuch("IPv4")));
        let sixteens = (0x2a10..0x2a14).map(|first| IpNet::new(v6(first), 16).unwrap());
        assert_eq!(admissible(builtin().into_iter().chain(sixteens).collect()), Err(UnfitList::TooMuch("IPv6")));
    }
}
