//! Headers as balancers send them, and what only looks like one.

use super::*;
use crate::testing::cases;
use proptest::collection::vec;
use proptest::prelude::*;

/// A version 2 header: version and command, family, the length that it tells, and what follows.
fn v2(version: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
    [&SIGNATURE[..], &[version, family], &length.to_be_bytes(), rest].concat()
}

fn client(text: &str) -> Announced {
    Announced::Client(text.parse().unwrap())
}

const V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x9c, 0x40, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let from = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets();
    let to = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
    [&from[..], &to, &[0x9c, 0x40, 0x01, 0xbb]].concat()
}

#[test]
fn headers_and_what_they_say() {
    let tlv = [0x04, 0x00, 0x03, 1, 2, 3];
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    assert_eq!(longest.len(), LONGEST_TEXT);
    let table = [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n".to_vec(), client("203.0.113.7:40000")),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n".to_vec(), client("[2001:db8::7]:40000")),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n".to_vec(), client("255.255.255.255:65535")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Announced::Nobody),
        (b"PROXY UNKNOWN 203.0.113.7 whatever  it says\r\n".to_vec(), Announced::Nobody),
        (longest.into_bytes(), Announced::Nobody),
        (v2(0x21, 0x11, 12, &V4), client("203.0.113.7:40000")),
        (v2(0x21, 0x11, 18, &[&V4[..], &tlv].concat()), client("203.0.113.7:40000")),
        (v2(0x21, 0x21, 36, &v6()), client("[2001:db8::7]:40000")),
        (v2(0x21, 0x21, 42, &[&v6()[..], &tlv].concat()), client("[2001:db8::7]:40000")),
        (v2(0x20, 0x00, 0, &[]), Announced::Nobody),
        (v2(0x20, 0x11, 12, &V4), Announced::Nobody),
        (v2(0x20, 0x11, 3, &[1, 2, 3]), Announced::Nobody),
        (v2(0x21, 0x00, 0, &[]), Announced::Nobody),
        (v2(0x21, 0x31, 216, &[0; 216]), Announced::Nobody),
        (v2(0x21, 0x11, 4080, &[&V4[..], &[0; 4068]].concat()), client("203.0.113.7:40000")),
    ];
    for (header, announced) in table {
        let complete = Ok(Progress::Complete(announced, header.len()));
        assert_eq!(parse(&header), complete, "{:?}", String::from_utf8_lossy(&header));
        let followed = [&header[..], b"\x16\x03\x01\x02\x00 GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(parse(&followed), complete, "what follows is none of its business");
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(Progress::Partial), "{end} of {header:?}");
        }
    }
}

#[test]
fn what_is_no_header() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    let texts = [
        "GET / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 ::1%1 ::1 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWN\0\r\n",
        "PROXY UNKNOWN \u{e9}\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWNS\r\n",
        &too_long,
    ];
    let rest = [0; 4096];
    let binaries = [
        v2(0x11, 0x11, 12, &V4),
        v2(0x22, 0x11, 12, &V4),
        v2(0x31, 0x11, 12, &V4),
        v2(0x21, 0x12, 12, &V4),
        v2(0x21, 0x22, 36, &v6()),
        v2(0x21, 0x41, 12, &V4),
        v2(0x21, 0x10, 12, &V4),
        v2(0x21, 0x11, 11, &V4),
        v2(0x21, 0x21, 35, &v6()),
        v2(0x21, 0x31, 215, &rest),
        v2(0x21, 0x11, 4081, &rest),
        v2(0x20, 0x00, 65_535, &rest),
        b"\r\n\r\n\0\r\nQUIT\r\x21\x11\x00\x0c".to_vec(),
    ];
    let texts = texts.iter().map(|text| text.as_bytes().to_vec());
    for bytes in texts.chain(binaries) {
        assert_eq!(parse(&bytes), Err(Malformed), "{:?}", String::from_utf8_lossy(&bytes));
    }
    // Told by the first bytes that show it, not by those that come later.
    assert_eq!(parse(b"G"), Err(Malformed));
    assert_eq!(parse(b"\x16"), Err(Malformed));
    assert_eq!(parse(b"PO"), Err(Malformed));
    assert_eq!(parse(&v2(0x21, 0x11, 4081, &[])), Err(Malformed));
    assert_eq!(parse(&v2(0x21, 0x11, 12, &[])[..13]), Ok(Progress::Partial));
    assert_eq!(parse(&v2(0x41, 0x11, 12, &[])[..13]), Err(Malformed));
    assert_eq!(parse(&[b'P'; 2]), Err(Malformed));
    assert_eq!(parse(format!("PROXY {}", "f".repeat(100)).as_bytes()), Err(Malformed));
}

proptest! {
    #![proptest_config(cases(512))]

    /// However the bytes arrive, the answer is the same, and what is complete never asks for more than it has.
    #[test]
    fn a_header_in_pieces_is_judged_as_a_whole(
        start in prop_oneof![
            Just(Vec::new()),
            Just(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec()),
            Just(b"PROXY TCP6 ::1 ::2 1 2\r".to_vec()),
            Just(b"PROXY UNKNOWN ".to_vec()),
            Just(v2(0x21, 0x11, 13, &V4)),
            Just(v2(0x21, 0x21, 37, &v6())),
            Just(v2(0x20, 0, 4, &[])),
        ],
        edit in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        rest in vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = [start, rest].concat();
        if let Some((at, byte)) = edit && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = parse(&bytes);
        for end in 0..=bytes.len() {
            match (parse(&bytes[..end]), whole) {
                (Ok(Progress::Partial), _) => {}
                (Ok(Progress::Complete(said, length)), _) => {
                    prop_assert!(length <= end && length <= LONGEST);
                    prop_assert_eq!(whole, Ok(Progress::Complete(said, length)));
                }
                (Err(Malformed), whole) => prop_assert_eq!(whole, Err(Malformed)),
            }
        }
    }
}
