//! The PROXY header of a balancer, versions 1 and 2: who is connected, told before the first byte of the connection itself.
//!
//! A pure look at bytes, after <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. It is strict where the text leaves room: what a
//! balancer does not send is no header. The parsers of crates.io take ports such as `+80`, or refuse a header for where it was split.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All these bytes belong to the header, and more have to come.
    Partial,
    /// The header ends before this offset.
    Complete(Announced, usize),
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The balancer speaks for a client at this address.
    Client(SocketAddr),
    /// It speaks for nobody that has an address: `LOCAL`, `UNKNOWN`, an unspecified family or a Unix socket. Health probes do.
    Nobody,
}

/// Bytes that are no PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY header")]
pub struct Malformed;

/// Bytes of a version 1 header at most, its CRLF included (section 2.1).
pub const LONGEST_TEXT: usize = 107;

/// Bytes of a version 2 header at most, with all that a balancer adds about itself: what nginx takes.
pub const LONGEST: usize = 4096;

/// How a version 2 header begins (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How a version 1 header begins.
const WORD: &[u8; 6] = b"PROXY ";

/// Looks at the first bytes of a connection.
///
/// # Errors
/// [`Malformed`], as soon as no byte that may follow would make a header of them.
pub fn parse(bytes: &[u8]) -> Result<Progress, Malformed> {
    match bytes.first() {
        None => Ok(Progress::Partial),
        Some(b'P') => text(bytes),
        Some(_) => binary(bytes),
    }
}

/// Whether bytes begin as they should; none where they are too few to tell.
fn begins(bytes: &[u8], with: &[u8]) -> Result<Option<()>, Malformed> {
    let known = bytes.len().min(with.len());
    match bytes[..known] == with[..known] {
        false => Err(Malformed),
        true => Ok((known == with.len()).then_some(())),
    }
}

fn text(bytes: &[u8]) -> Result<Progress, Malformed> {
    if begins(bytes, WORD)?.is_none() {
        return Ok(Progress::Partial);
    }
    let window = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let Some(end) = window.iter().position(|byte| *byte < b' ' || *byte > b'~') else {
        // The two bytes of CRLF have to fit as well.
        return if bytes.len() > LONGEST_TEXT - 2 { Err(Malformed) } else { Ok(Progress::Partial) };
    };
    match (window[end], window.get(end + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) if end + 2 <= LONGEST_TEXT => return Ok(Progress::Partial),
        _ => return Err(Malformed),
    }
    let line = std::str::from_utf8(&window[WORD.len()..end]).map_err(|_| Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let announced = match words[..] {
        ["TCP4", from, to, from_port, to_port] => client::<Ipv4Addr>([from, to], [from_port, to_port])?,
        ["TCP6", from, to, from_port, to_port] => client::<Ipv6Addr>([from, to], [from_port, to_port])?,
        // What follows means nothing (section 2.1).
        ["UNKNOWN", ..] => Announced::Nobody,
        _ => return Err(Malformed),
    };
    Ok(Progress::Complete(announced, end + 2))
}

fn client<A: std::str::FromStr + Into<IpAddr>>(addresses: [&str; 2], ports: [&str; 2]) -> Result<Announced, Malformed> {
    let [Ok(from), Ok(_to)] = addresses.map(str::parse::<A>) else { return Err(Malformed) };
    let [Some(from_port), Some(_to_port)] = ports.map(port) else { return Err(Malformed) };
    Ok(Announced::Client((from.into(), from_port).into()))
}

/// A port without sign or leading zero.
fn port(text: &str) -> Option<u16> {
    let port = text.parse::<u16>().ok()?;
    (port.to_string() == text).then_some(port)
}

fn binary(bytes: &[u8]) -> Result<Progress, Malformed> {
    if begins(bytes, SIGNATURE)?.is_none() {
        return Ok(Progress::Partial);
    }
    let [version, family, high, low] = match bytes[SIGNATURE.len()..] {
        [version, family, high, low, ..] => [version, family, high, low],
        // The high half is the version.
        [version, ..] if !matches!(version, 0x20 | 0x21) => return Err(Malformed),
        _ => return Ok(Progress::Partial),
    };
    let end = HEAD + usize::from(u16::from_be_bytes([high, low]));
    let addresses = match (version, family) {
        (0x20, _) | (0x21, 0x00) => 0,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        (0x21, 0x31) => 216,
        // Datagrams, and what nobody has defined.
        _ => return Err(Malformed),
    };
    if end > LONGEST || end < HEAD + addresses {
        return Err(Malformed);
    }
    let Some(header) = bytes.get(HEAD..end) else { return Ok(Progress::Partial) };
    let announced = match header[..addresses] {
        [a, b, c, d, _, _, _, _, high, low, _, _] => {
            Announced::Client((Ipv4Addr::from([a, b, c, d]), u16::from_be_bytes([high, low])).into())
        }
        _ if addresses == 36 => {
            let from = <[u8; 16]>::try_from(&header[..16]).map_err(|_| Malformed)?;
            Announced::Client((Ipv6Addr::from(from), u16::from_be_bytes([header[32], header[33]])).into())
        }
        _ => Announced::Nobody,
    };
    Ok(Progress::Complete(announced, end))
}

/// Bytes of a version 2 header before its addresses.
const HEAD: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests;
