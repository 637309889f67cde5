//! The program by which the kernel itself lets some networks through: classic BPF for a listening socket, as plain data.
//!
//! Jumps are 8 bits wide and a program has 4096 instructions at most, so that the networks become a search tree: about four instructions
//! for each IPv4 network, about ten for each IPv6 one.

mod tree;

use crate::networks::Networks;
use std::net::IpAddr;

/// One instruction: `struct sock_filter` of `linux/filter.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions are passed over where its condition holds.
    pub if_true: u8,
    /// How many where it does not.
    pub if_false: u8,
    /// Its number: an offset, a value to compare with, a distance, a result.
    pub operand: u32,
}

/// What a socket receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    Ipv4,
    /// IPv6, and IPv4 besides unless the socket takes IPv6 alone.
    Ipv6,
}

/// A program that drops every packet but those from some networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

/// Networks for which no program is short enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a filter for these networks would have {needed} instructions, and the kernel takes {LONGEST}")]
pub struct TooLong {
    /// The instructions that they need.
    pub needed: usize,
}

/// Instructions that the kernel takes: `BPF_MAXINSNS` of `linux/bpf_common.h`.
pub const LONGEST: usize = 4096;

impl Family {
    /// What a socket that is bound to an address receives.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

impl Program {
    /// The program that lets through what comes from the networks, as [`Networks::contains`] tells it.
    ///
    /// # Errors
    /// When there are too many of them.
    pub fn admitting(networks: &Networks, family: Family) -> Result<Self, TooLong> {
        let program = match family {
            Family::Ipv4 => ipv4_alone(ipv4(networks)),
            Family::Ipv6 => either(ipv4(networks), ipv6(networks)),
        };
        if program.len() > LONGEST { Err(TooLong { needed: program.len() }) } else { Ok(Self(program)) }
    }

    /// Its instructions, in order.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// Offsets from here on are those of the kernel's own notes on a packet: `SKF_AD_OFF`, and `SKF_AD_PROTOCOL`, its EtherType.
const PROTOCOL: u32 = (-0x1000_i32).cast_unsigned();

/// Offsets from here on count from the IP header, whatever the packet's data begins with: `SKF_NET_OFF`.
const IP_HEADER: u32 = (-0x10_0000_i32).cast_unsigned();

/// Where the source address begins (RFC 791 section 3.1, RFC 8200 section 3).
const IPV4_SOURCE: u32 = IP_HEADER + 12;
const IPV6_SOURCE: u32 = IP_HEADER + 8;

/// Bytes of the words that the program loads.
const WORD: u32 = 4;

/// `ETH_P_IP` and `ETH_P_IPV6`.
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;

fn ipv4(networks: &Networks) -> Vec<Instruction> {
    let intervals: Vec<_> =
        networks.ipv4().iter().map(|(first, last)| (u128::from(*first), u128::from(*last))).collect();
    tree::search(&intervals, &[IPV4_SOURCE])
}

fn ipv6(networks: &Networks) -> Vec<Instruction> {
    tree::search(networks.ipv6(), &[0, 1, 2, 3].map(|word| IPV6_SOURCE + word * WORD))
}

/// What is neither is dropped: a filter that does not know what it sees lets nothing pass.
fn ipv4_alone(ipv4: Vec<Instruction>) -> Vec<Instruction> {
    let start = [Instruction::load(PROTOCOL), Instruction::jump_if_equal(IPV4, 1, 0), Instruction::DROP];
    [&start[..], &ipv4].concat()
}

/// IPv6 sources that hold an IPv4 address (RFC 4291 section 2.5.5.2) are looked up as what they hold. The kernel drops such packets by
/// itself; what is promised is the answer of [`Networks::contains`].
fn either(ipv4: Vec<Instruction>, ipv6: Vec<Instruction>) -> Vec<Instruction> {
    let source = |word| Instruction::load(IPV6_SOURCE + word * WORD);
    let skip = |length: usize| Instruction::jump(u32::try_from(length).unwrap_or(u32::MAX));
    // The IPv4 tree loads its word first; a mapped address has it at another place, and has loaded it.
    let (load_ipv4, search_ipv4) = ipv4.split_at(1);
    let mapped = [
        source(0),
        Instruction::jump_if_equal(0, 0, 6),
        source(1),
        Instruction::jump_if_equal(0, 0, 4),
        source(2),
        Instruction::jump_if_equal(0xffff, 0, 2),
        source(3),
        skip(ipv6.len() + load_ipv4.len()),
    ];
    let start = [
        Instruction::load(PROTOCOL),
        Instruction::jump_if_equal(IPV6, 3, 0),
        Instruction::jump_if_equal(IPV4, 1, 0),
        Instruction::DROP,
        skip(mapped.len() + ipv6.len()),
    ];
    [&start[..], &mapped, &ipv6, load_ipv4, search_ipv4].concat()
}

impl Instruction {
    /// Ends the program: the packet is dropped, as if nothing listened.
    const DROP: Self = Self::result(0);

    /// Ends the program: the packet passes, and all of it.
    const PASS: Self = Self::result(u32::MAX);

    /// `BPF_LD | BPF_W | BPF_ABS`: four bytes, most significant first, become the accumulator. Where they are not there, the packet is
    /// dropped.
    const fn load(offset: u32) -> Self {
        Self { code: 0x20, if_true: 0, if_false: 0, operand: offset }
    }

    /// `BPF_JMP | BPF_JEQ | BPF_K`
    const fn jump_if_equal(value: u32, if_true: u8, if_false: u8) -> Self {
        Self { code: 0x15, if_true, if_false, operand: value }
    }

    /// `BPF_JMP | BPF_JGE | BPF_K`
    const fn jump_if_at_least(value: u32, if_true: u8, if_false: u8) -> Self {
        Self { code: 0x35, if_true, if_false, operand: value }
    }

    /// `BPF_JMP | BPF_JA`: the jump whose distance is 32 bits wide.
    const fn jump(distance: u32) -> Self {
        Self { code: 0x05, if_true: 0, if_false: 0, operand: distance }
    }

    /// `BPF_RET | BPF_K`: how many bytes of the packet pass.
    const fn result(bytes: u32) -> Self {
        Self { code: 0x06, if_true: 0, if_false: 0, operand: bytes }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
