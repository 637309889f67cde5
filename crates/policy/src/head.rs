//! Where a request head of HTTP/1.1 ends, what no head may hold, and how much of the connection it claims: a pure look at the bytes,
//! before any parser.

use crate::denial::Reason;
use crate::framing;
use std::mem::MaybeUninit;

/// How far a head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes have to come; the next look may start at this offset.
    Partial(usize),
    /// The head ends before this offset.
    Complete(usize),
}

/// Looks at the bytes of a head from `from` on; what lies before was looked at already, so that a head costs one pass however
/// slowly it comes. A head has `longest` bytes at most, its last empty line included.
///
/// # Errors
/// [`Reason::HeadTooLarge`], or [`Reason::HeadMalformed`] for a line that does not end in CRLF (RFC 9112 section 2.2), for a NUL,
/// and for an empty first line.
pub fn progress(bytes: &[u8], from: usize, longest: usize) -> Result<Progress, Reason> {
    let mut at = from;
    while let Some(found) = bytes[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n' | b'\0')) {
        let ending = at + found;
        if ending >= longest {
            return Err(Reason::HeadTooLarge);
        }
        match (bytes[ending], bytes.get(ending + 1)) {
            (b'\r', None) => return Ok(Progress::Partial(ending)),
            (b'\r', Some(b'\n')) => {}
            _ => return Err(Reason::HeadMalformed),
        }
        at = ending + 2;
        match ending {
            0 => return Err(Reason::HeadMalformed),
            _ if bytes[ending - 1] == b'\n' && at > longest => return Err(Reason::HeadTooLarge),
            _ if bytes[ending - 1] == b'\n' => return Ok(Progress::Complete(at)),
            _ => {}
        }
    }
    if bytes.len() >= longest { Err(Reason::HeadTooLarge) } else { Ok(Progress::Partial(bytes.len())) }
}

/// The most fields that any head may have: there is no more room in Pingora's parser.
pub const MOST_FIELDS: usize = 256;

/// What follows a head on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A body of this many bytes, which may be none; then the next head.
    Bytes(usize),
    /// A body in chunks, whose end shows in the last one.
    Chunks,
    /// Whatever the answer to `Upgrade` makes of it.
    Open,
}

/// Looks at a whole head: what no strict recipient takes, and what two recipients may frame in two ways, is refused before a
/// lenient parser can make something of it. What passes says how much of the connection belongs to its request.
///
/// The request line has to be three words (RFC 9112 section 3), fields have to parse (section 5, no folding), Host is there at most
/// once (section 3.2), the length of the body is told once and in one way (section 6.3), and there are `most_fields` at most.
///
/// # Errors
/// [`Reason::HeadMalformed`], [`Reason::HeadTooLarge`], [`Reason::TargetMalformed`], [`Reason::HostMalformed`],
/// [`Reason::BodyAmbiguous`], [`Reason::ExpectationUnknown`], or [`Reason::MethodUnlisted`] for CONNECT.
pub fn check(head: &[u8], most_fields: usize) -> Result<Extent, Reason> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut fields) {
        // What comes behind would be read as a body or another head.
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        Ok(_) => return Err(Reason::HeadMalformed),
        Err(httparse::Error::TooManyHeaders) => return Err(Reason::HeadTooLarge),
        Err(_) => return Err(Reason::HeadMalformed),
    }
    if request.headers.len() > most_fields {
        return Err(Reason::HeadTooLarge);
    }
    // Pingora cuts a fragment off, which would forward something else than what was asked.
    if request.path.is_some_and(|target| target.contains('#')) {
        return Err(Reason::TargetMalformed);
    }
    if request.method == Some("CONNECT") {
        return Err(Reason::MethodUnlisted);
    }
    extent(request.headers, request.version == Some(0))
}

/// The fields that say where a message ends, counted.
#[derive(Default)]
struct Told {
    hosts: usize,
    length: Option<usize>,
    is_chunked: bool,
    asks_for_upgrade: bool,
}

fn extent(fields: &[httparse::Header<'_>], is_old: bool) -> Result<Extent, Reason> {
    let mut told = Told::default();
    for field in fields {
        told.take(field, is_old)?;
    }
    match told {
        Told { hosts: 2.., .. } => Err(Reason::HostMalformed),
        Told { length: Some(_), is_chunked: true, .. } => Err(Reason::BodyAmbiguous),
        Told { asks_for_upgrade: true, .. } => Ok(Extent::Open),
        Told { is_chunked: true, .. } => Ok(Extent::Chunks),
        Told { length, .. } => Ok(Extent::Bytes(length.unwrap_or(0))),
    }
}

impl Told {
    /// Takes one field; `is_old` in a head of HTTP/1.0, which knows no chunks and waits for no 100 (RFC 9112 section 6.1, RFC 9110
    /// section 10.1.1).
    fn take(&mut self, field: &httparse::Header<'_>, is_old: bool) -> Result<(), Reason> {
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => self.hosts += 1,
            6 if is_old && field.name.eq_ignore_ascii_case("expect") => return Err(Reason::ExpectationUnknown),
            7 if field.name.eq_ignore_ascii_case("upgrade") => self.asks_for_upgrade = true,
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length = framing::length(field.value).ok_or(Reason::BodyAmbiguous)?;
                if self.length.replace(length).is_some() {
                    return Err(Reason::BodyAmbiguous);
                }
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                let is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
                if is_old || !is_chunked || std::mem::replace(&mut self.is_chunked, true) {
                    return Err(Reason::BodyAmbiguous);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    const LONGEST_HEAD: usize = 128 * 1024;

    use crate::testing::cases;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[test]
    fn heads() {
        let table: [(&[u8], Result<Progress, Reason>); 11] = [
            (b"", Ok(Progress::Partial(0))),
            (b"GET / HTTP/1.1", Ok(Progress::Partial(14))),
            (b"GET / HTTP/1.1\r", Ok(Progress::Partial(14))),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", Ok(Progress::Partial(25))),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n", Ok(Progress::Complete(27))),
            (b"GET / HTTP/1.1\nHost: a\n\n", Err(Reason::HeadMalformed)),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", Err(Reason::HeadMalformed)),
            (b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", Err(Reason::HeadMalformed)),
            (b"GET /\0 HTTP/1.1\r\n\r\n", Err(Reason::HeadMalformed)),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", Err(Reason::HeadMalformed)),
            (b"\r\n\r\n", Err(Reason::HeadMalformed)),
        ];
        for (bytes, expected) in table {
            assert_eq!(progress(bytes, 0, LONGEST_HEAD), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    /// What Pingora lets through by default, as far as a head of HTTP/1.1 shows it.
    #[test]
    fn what_lenient_parsers_take() {
        let table: [(&str, Result<Extent, Reason>); 37] = [
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n", Err(Reason::TargetMalformed)),
            ("GET / HTTP/1.1\r\nHost: a\r\n", Ok(Extent::Bytes(0))),
            ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\nCF-IPCity: K\u{f6}ln\r\n", Ok(Extent::Bytes(0))),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n", Ok(Extent::Bytes(5))),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n", Ok(Extent::Chunks)),
            ("GET / HTTP/1.0\r\n", Ok(Extent::Bytes(0))),
            ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n", Ok(Extent::Open)),
            ("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nContent-Length: 5\r\n", Ok(Extent::Open)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX-Content-Length: 5\r\n", Ok(Extent::Bytes(0))),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n", Ok(Extent::Bytes(5))),
            ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n", Ok(Extent::Bytes(0))),
            ("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n", Err(Reason::ExpectationUnknown)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n", Err(Reason::BodyAmbiguous)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\n", Err(Reason::HeadMalformed)),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/1.2\r\nHost: a\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/2.0\r\nHost: a\r\n", Err(Reason::HeadMalformed)),
            ("GET /\r\nHost: a\r\n", Err(Reason::HeadMalformed)),
            ("FOO\r\n", Err(Reason::HeadMalformed)),
            ("G(T / HTTP/1.1\r\nHost: a\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/1.1\r\nHost : a\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: b\u{1}c\r\n", Err(Reason::HeadMalformed)),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", Err(Reason::HostMalformed)),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n", Err(Reason::MethodUnlisted)),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Err(Reason::BodyAmbiguous),
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", Err(Reason::BodyAmbiguous)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n", Err(Reason::BodyAmbiguous)),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(Reason::BodyAmbiguous),
            ),
            ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", Err(Reason::BodyAmbiguous)),
        ];
        for (head, expected) in table {
            assert_eq!(check(format!("{head}\r\n").as_bytes(), MOST_FIELDS), expected, "{head:?}");
        }
        let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert_eq!(check(many(MOST_FIELDS).as_bytes(), MOST_FIELDS), Ok(Extent::Bytes(0)));
        assert_eq!(check(many(7).as_bytes(), 7), Ok(Extent::Bytes(0)));
        assert_eq!(check(many(8).as_bytes(), 7), Err(Reason::HeadTooLarge));
        assert_eq!(check(many(MOST_FIELDS + 1).as_bytes(), MOST_FIELDS), Err(Reason::HeadTooLarge));
    }

    #[test]
    fn size() {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(LONGEST_HEAD - 4, b'a');
        assert_eq!(progress(&head, 0, LONGEST_HEAD), Ok(Progress::Partial(LONGEST_HEAD - 4)));
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(progress(&head, 16, LONGEST_HEAD), Ok(Progress::Complete(LONGEST_HEAD)));
        head.insert(20, b'a');
        assert_eq!(progress(&head, 16, LONGEST_HEAD), Err(Reason::HeadTooLarge));
        assert_eq!(progress(&vec![b'a'; LONGEST_HEAD], 0, LONGEST_HEAD), Err(Reason::HeadTooLarge));
    }

    const PIECES: [&str; 8] = ["\r\n", "\r\n", "\r\n\r\n", "\n", "\r", "\0", "GET / HTTP/1.1", "A: b"];

    proptest! {
        #![proptest_config(cases(256))]

        /// However the bytes arrive, the answer is the one for all of them at once.
        #[test]
        fn a_head_in_pieces_is_judged_as_a_whole(
            pieces in vec(
                prop_oneof![
                    40 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
                    20 => vec(any::<u8>(), 0..4),
                    1 => Just(vec![b'a'; LONGEST_HEAD / 2]),
                ],
                0..10,
            ),
            cuts in vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = pieces.concat();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]).collect();
            ends.sort_unstable();
            let mut from = 0;
            let mut outcome = Ok(Progress::Partial(0));
            for end in ends {
                outcome = progress(&bytes[..end], from, LONGEST_HEAD);
                let Ok(Progress::Partial(next)) = outcome else { break };
                prop_assert!(from <= next && next <= end);
                from = next;
            }
            prop_assert_eq!(outcome, progress(&bytes, 0, LONGEST_HEAD));
        }

        #[test]
        fn a_complete_head_is_lines_that_end_in_crlf(bytes in "(GET / HTTP/1\\.1|A: b|\r\n|\n|\r|\0|a){0,12}") {
            let bytes = bytes.as_bytes();
            if let Ok(Progress::Complete(end)) = progress(bytes, 0, LONGEST_HEAD) {
                let lines = bytes[..end].strip_suffix(b"\r\n\r\n").unwrap().split(|byte| *byte == b'\n');
                let text = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect::<Vec<_>>().join(&b"\r\n"[..]);
                prop_assert_eq!([&text, &b"\r\n\r\n"[..]].concat(), &bytes[..end]);
                prop_assert!(!bytes[..end].contains(&0) && end <= LONGEST_HEAD);
            }
        }
    }
}
