//! The program says what the set says: an interpreter of the same few instructions, and every address that could be told apart.

use super::*;
use crate::ranges;
use crate::testing::cases;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A packet as the program sees it: its EtherType and its IP header.
#[derive(Debug, Clone)]
struct Packet {
    protocol: u32,
    header: Vec<u8>,
}

impl Packet {
    /// From this address; whatever else stands in the header is noise.
    fn from(source: IpAddr) -> Self {
        let (protocol, length, at, source) = match source {
            IpAddr::V4(source) => (IPV4, 20, 12, source.octets().to_vec()),
            IpAddr::V6(source) => (IPV6, 40, 8, source.octets().to_vec()),
        };
        let mut header = vec![0xa5; length];
        header[at..at + source.len()].copy_from_slice(&source);
        Self { protocol, header }
    }

    /// What `BPF_LD | BPF_W | BPF_ABS` gives.
    fn word(&self, offset: u32) -> Option<u32> {
        if offset == PROTOCOL {
            return Some(self.protocol);
        }
        let at = usize::try_from(offset.checked_sub(IP_HEADER)?).unwrap();
        Some(u32::from_be_bytes(self.header.get(at..at + 4)?.try_into().unwrap()))
    }
}

/// How many bytes of the packet pass, and after how many instructions.
fn run(program: &Program, packet: &Packet) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, if_true, if_false, operand } = program.0[at];
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { if_true } else { if_false });
        match code {
            0x20 => match packet.word(operand) {
                Some(word) => accumulator = word,
                None => return (0, steps),
            },
            0x15 => branch(accumulator == operand),
            0x35 => branch(accumulator >= operand),
            0x05 => at += usize::try_from(operand).unwrap(),
            0x06 => return (operand, steps),
            other => panic!("{other:#x} is none of ours"),
        }
    }
}

fn passes(program: &Program, source: IpAddr) -> bool {
    match run(program, &Packet::from(source)).0 {
        0 => false,
        u32::MAX => true,
        cut => panic!("{cut} bytes of the packet would pass"),
    }
}

/// What the kernel checks before it takes a program: every jump lands in it, and it ends with a result.
fn assert_sound(program: &Program) {
    let length = program.0.len();
    assert!((1..=LONGEST).contains(&length));
    for (at, Instruction { code, if_true, if_false, operand }) in program.0.iter().enumerate() {
        let furthest = match code {
            0x15 | 0x35 => usize::from(*if_true.max(if_false)),
            0x05 => usize::try_from(*operand).unwrap(),
            _ => 0,
        };
        assert!(at + 1 + furthest < length || *code == 0x06, "instruction {at} leads out of the program");
    }
    assert_eq!(program.0.last().unwrap().code, 0x06);
}

fn set(networks: &[IpNet]) -> Networks {
    Networks::new(networks.iter().copied())
}

/// Addresses at which an answer may change: the ends of every network and their neighbours, as IPv4, as IPv6 and as IPv4 within IPv6.
fn edges(networks: &[IpNet]) -> Vec<IpAddr> {
    let mut edges = vec![0, 1, u128::MAX, 1 << 32, 1 << 64, 1 << 96, 0xffff << 32, 0x1_0000_0000_0000];
    for network in networks {
        match network {
            IpNet::V4(net) => edges.extend([net.network(), net.broadcast()].map(|end| u128::from(end.to_bits()))),
            IpNet::V6(net) => edges.extend([net.network(), net.broadcast()].map(u128::from)),
        }
    }
    let near = edges.iter().flat_map(|edge| [edge.wrapping_sub(1), *edge, edge.wrapping_add(1)]);
    near.flat_map(every_reading).collect()
}

/// The addresses that hold these bits.
fn every_reading(bits: u128) -> [IpAddr; 3] {
    let low = Ipv4Addr::from(u32::try_from(bits & u128::from(u32::MAX)).unwrap());
    [low.into(), low.to_ipv6_mapped().into(), Ipv6Addr::from(bits).into()]
}

/// The program and the set agree about these addresses, wherever the socket can receive them.
fn assert_agreement(networks: &Networks, addresses: impl IntoIterator<Item = IpAddr>) {
    let [narrow, wide] = [Family::Ipv4, Family::Ipv6].map(|family| Program::admitting(networks, family).unwrap());
    assert_sound(&narrow);
    assert_sound(&wide);
    for address in addresses {
        let expected = networks.contains(address);
        assert_eq!(passes(&wide, address), expected, "{address} on an IPv6 socket");
        assert_eq!(passes(&narrow, address), expected && address.is_ipv4(), "{address} on an IPv4 socket");
    }
}

#[test]
fn the_ranges_of_cloudflare_pass_and_their_neighbours_do_not() {
    let list = ranges::builtin();
    assert_eq!(list.len(), 22);
    assert_agreement(&set(&list), edges(&list));
    let program = Program::admitting(&set(&list), Family::Ipv6).unwrap();
    assert!(program.0.len() < 200, "{}", program.0.len());
    let longest = edges(&list).into_iter().map(|address| run(&program, &Packet::from(address)).1).max();
    assert!(longest < Some(24), "{longest:?} steps");
}

#[test]
fn no_network_admits_nobody_and_every_network_everybody() {
    assert_agreement(&Networks::default(), edges(&[]));
    for list in [["0.0.0.0/0"].as_slice(), &["::/0"], &["0.0.0.0/0", "::/0"], &["::1/128"], &["127.0.0.1/32"]] {
        let list: Vec<IpNet> = list.iter().map(|net| net.parse().unwrap()).collect();
        assert_agreement(&set(&list), edges(&list));
    }
}

/// Packets that are neither IPv4 nor IPv6, and those that end within their header, are dropped.
#[test]
fn what_cannot_be_read_is_dropped() {
    let everything = set(&["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
    for family in [Family::Ipv4, Family::Ipv6] {
        let program = Program::admitting(&everything, family).unwrap();
        for protocol in [0, 0x0806, 0x8100, IPV4 << 16, u32::MAX] {
            assert_eq!(run(&program, &Packet { protocol, header: vec![0; 40] }).0, 0, "{protocol:#x}");
        }
    }
    let some = set(&["10.0.0.0/8".parse().unwrap(), "2001:db8::/128".parse().unwrap()]);
    let program = Program::admitting(&some, Family::Ipv6).unwrap();
    for (protocol, header) in [(IPV4, vec![10; 15]), (IPV6, vec![0; 10])] {
        assert_eq!(run(&program, &Packet { protocol, header }).0, 0);
    }
}

/// Networks that lie apart, as many as asked for.
fn scattered(ipv4: u32, ipv6: u32) -> Vec<IpNet> {
    let four = (0..ipv4).map(|index| IpNet::V4(Ipv4Net::new_assert((index * 0x0003_0100).into(), 24)));
    let six = |index: u32| Ipv6Addr::from((u128::from(0x2a00_0000 + index * 3) << 96) | (u128::from(index) << 80));
    let six = (0..ipv6).map(|index| IpNet::V6(Ipv6Net::new_assert(six(index), 48)));
    four.chain(six).collect()
}

#[test]
fn long_lists_need_the_wide_jump_and_lists_too_long_are_refused() {
    for (ipv4, ipv6) in [(300, 0), (0, 300), (150, 150), (1000, 0), (0, 400)] {
        let list = scattered(ipv4, ipv6);
        let networks = set(&list);
        assert_agreement(&networks, edges(&list));
        let program = Program::admitting(&networks, Family::Ipv6).unwrap();
        let wide = program.0.iter().filter(|instruction| instruction.code == 0x05).count();
        assert!(wide > 2, "{ipv4} and {ipv6} networks get along with {wide} wide jumps");
    }
    for (ipv4, ipv6) in [(1100, 0), (0, 500), (20_000, 0)] {
        let too_long = Program::admitting(&set(&scattered(ipv4, ipv6)), Family::Ipv6).unwrap_err();
        assert!(too_long.needed > LONGEST, "{too_long}");
    }
    // A socket of IPv4 needs no program for IPv6.
    assert!(Program::admitting(&set(&scattered(10, 500)), Family::Ipv4).is_ok());
}

#[test]
fn the_greatest_program_fits_and_one_more_instruction_does_not() {
    let mut lengths = (1..2000).map(|count| (count, Program::admitting(&set(&scattered(count, 0)), Family::Ipv4)));
    let (count, refused) = lengths.find(|(_, program)| program.is_err()).unwrap();
    let last = Program::admitting(&set(&scattered(count - 1, 0)), Family::Ipv4).unwrap();
    let needed = refused.unwrap_err().needed;
    assert!(last.0.len() <= LONGEST && needed > LONGEST && needed - last.0.len() < 8, "{} {needed}", last.0.len());
}

fn network() -> impl Strategy<Value = IpNet> {
    // Few leading bits vary, so that networks overlap, touch and share words.
    let four = (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| Ipv4Net::new_assert(bits.into(), length).into());
    let six = (any::<u128>(), 0..=128u8).prop_map(|(bits, length)| Ipv6Net::new_assert(bits.into(), length).into());
    let near = (0..256u128, any::<u8>(), 96..=128u8).prop_map(|(high, low, length)| {
        Ipv6Net::new_assert(((0x2001_0db8 << 96) | (high >> 6 << 64) | (high << 32) | u128::from(low)).into(), length)
            .into()
    });
    let mapped = (any::<u32>(), 96..=128u8)
        .prop_map(|(bits, length)| Ipv6Net::new_assert(Ipv4Addr::from(bits).to_ipv6_mapped(), length).into());
    prop_oneof![four, six, near, mapped]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn program_and_set_agree(list in vec(network(), 0..40), bits in vec(any::<u128>(), 50)) {
        let random = bits.into_iter().flat_map(every_reading);
        assert_agreement(&set(&list), edges(&list).into_iter().chain(random));
    }

    #[test]
    fn a_union_holds_what_either_holds(one in vec(network(), 0..10), other in vec(network(), 0..10)) {
        let (one_set, other_set) = (set(&one), set(&other));
        let union = one_set.union(&other_set);
        for address in edges(&one).into_iter().chain(edges(&other)) {
            prop_assert_eq!(union.contains(address), one_set.contains(address) || other_set.contains(address));
        }
    }
}
