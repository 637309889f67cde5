//! PROXY headers: whatever a balancer sends, in whatever pieces, one answer, which holds nothing but what was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullgate_policy::proxy_header::{Announced, LONGEST, LONGEST_TEXT, Malformed, Progress, parse};
use std::net::{IpAddr, SocketAddr};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    in_pieces(bytes, whole);
    match whole {
        // Nobody waits for more than a header has.
        Ok(Progress::Partial) => assert!(bytes.len() < if bytes.starts_with(b"P") { LONGEST_TEXT } else { LONGEST }),
        Ok(Progress::Complete(announced, end)) => {
            let header = &bytes[..end];
            assert_eq!(parse(header), whole, "what follows decided something");
            if header.starts_with(b"P") {
                text(header, announced)
            } else {
                binary(header, announced)
            }
            if let Announced::Client(client) = announced {
                written_anew(client);
            }
        }
        Err(Malformed) => {}
    }
});

/// Every prefix has the answer of the whole, or asks for more; it never takes back what it said.
fn in_pieces(bytes: &[u8], whole: Result<Progress, Malformed>) {
    for end in 0..bytes.len().min(LONGEST + 1) {
        match parse(&bytes[..end]) {
            Ok(Progress::Partial) => {
                if let Ok(Progress::Complete(_, length)) = whole {
                    assert!(length > end, "{length} bytes were there already");
                }
            }
            said => assert_eq!(said, whole, "after {end}"),
        }
    }
}

/// Version 1, read a second time, from its end.
fn text(header: &[u8], announced: Announced) {
    assert!(header.len() <= LONGEST_TEXT && header.ends_with(b"\r\n"));
    let line = std::str::from_utf8(&header[..header.len() - 2]).expect("it is visible ASCII");
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
    let Announced::Client(client) = announced else { return assert!(line.starts_with("PROXY UNKNOWN"), "{line}") };
    let words: Vec<&str> = line.split(' ').collect();
    let [word, family, from, to, port, to_port] = words[..] else { panic!("{line}") };
    let (from, to): (IpAddr, IpAddr) = (from.parse().expect("an address"), to.parse().expect("an address"));
    assert_eq!((word, family), ("PROXY", if from.is_ipv4() { "TCP4" } else { "TCP6" }));
    assert_eq!((from.is_ipv4(), client), (to.is_ipv4(), SocketAddr::new(from, port.parse().expect("a port"))));
    for number in [port, to_port] {
        assert_eq!(number.parse::<u16>().expect("a port").to_string(), number);
    }
}

/// Version 2, by its fields.
fn binary(header: &[u8], announced: Announced) {
    assert_eq!(header.len(), 16 + usize::from(header[14]) * 256 + usize::from(header[15]));
    assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n") && header.len() <= LONGEST);
    let expected = match (header[12], header[13]) {
        (0x21, 0x11) => {
            let [a, b, c, d] = [16, 17, 18, 19].map(|at| header[at]);
            Announced::Client(SocketAddr::new([a, b, c, d].into(), u16::from_be_bytes([header[24], header[25]])))
        }
        (0x21, 0x21) => {
            let from: [u8; 16] = header[16..32].try_into().expect("sixteen");
            Announced::Client(SocketAddr::new(from.into(), u16::from_be_bytes([header[48], header[49]])))
        }
        (0x20, _) | (0x21, 0x00 | 0x31) => Announced::Nobody,
        other => panic!("{other:?} is taken"),
    };
    assert_eq!(announced, expected);
}

/// A header that is made of what was understood is understood the same.
fn written_anew(client: SocketAddr) {
    let (family, to, code) = match client.ip() {
        IpAddr::V4(_) => ("TCP4", "192.0.2.1", 0x11),
        IpAddr::V6(_) => ("TCP6", "2001:db8::1", 0x21),
    };
    let line = format!("PROXY {family} {} {to} {} 443\r\n", client.ip(), client.port());
    assert_eq!(parse(line.as_bytes()), Ok(Progress::Complete(Announced::Client(client), line.len())));
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let to = octets(to.parse().expect("an address"));
    let rest = [octets(client.ip()), to, client.port().to_be_bytes().to_vec(), vec![1, 187]].concat();
    let length = u8::try_from(rest.len()).expect("it is short");
    let header = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, code, 0, length], &rest].concat();
    assert_eq!(parse(&header), Ok(Progress::Complete(Announced::Client(client), header.len())));
}
