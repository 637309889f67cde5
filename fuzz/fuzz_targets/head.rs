//! Heads of HTTP/1.1: what is accepted has one reading, and it is the one that goes on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullgate_policy::Reason;
use pullgate_policy::head::{Extent, MOST_FIELDS, Progress, check, progress};

/// Bytes of a head; small, so that the limit is met.
const LONGEST: usize = 4096;

/// Fields of a head.
const FIELDS: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let whole = progress(bytes, 0, LONGEST);
    in_pieces(bytes, whole);
    let Ok(Progress::Complete(end)) = whole else { return };
    let head = &bytes[..end];
    assert_eq!(progress(head, 0, LONGEST), whole, "what follows decided something");
    assert!(end <= LONGEST, "{end} bytes");
    if let Ok(extent) = check(head, FIELDS) {
        let reading = Reading::of(head);
        assert_eq!(extent, reading.extent());
        as_it_is_forwarded(head, &reading);
        // No room for as many fields is the only other reason to refuse it.
        assert_eq!(check(head, reading.fields.len()), Ok(extent));
        if let Some(fewer) = reading.fields.len().checked_sub(1) {
            assert_eq!(check(head, fewer), Err(Reason::HeadTooLarge));
        }
    }
});

/// However the bytes arrive, the answer is the one for all of them.
fn in_pieces(bytes: &[u8], whole: Result<Progress, Reason>) {
    let mut from = 0;
    for end in 0..=bytes.len() {
        match progress(&bytes[..end], from, LONGEST) {
            Ok(Progress::Partial(next)) => {
                assert!(from <= next && next <= end);
                from = next;
            }
            said => return assert_eq!(said, whole, "after {end}"),
        }
    }
    assert_eq!(whole, Ok(Progress::Partial(from)));
}

/// A head as RFC 9112 has it, read by nothing but its grammar.
struct Reading<'a> {
    method: &'a [u8],
    target: &'a [u8],
    is_old: bool,
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Reading<'a> {
    fn of(head: &'a [u8]) -> Self {
        let text = head.strip_suffix(b"\r\n\r\n").expect("it ends in an empty line");
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        lines.push(rest);
        assert!(lines.iter().all(|line| !line.is_empty() && !line.iter().any(|byte| b"\r\n\0".contains(byte))));
        let words: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
        let [method, target, version] = words[..] else { panic!("not three words") };
        assert!(!method.is_empty() && method.iter().all(is_token) && method != b"CONNECT");
        assert!(!target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#'));
        assert!(version == b"HTTP/1.1" || version == b"HTTP/1.0");
        let fields = lines[1..].iter().map(|line| field(line)).collect();
        Self { method, target, is_old: version == b"HTTP/1.0", fields }
    }

    fn all(&self, name: &str) -> Vec<&'a [u8]> {
        let named = self.fields.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| *value).collect()
    }

    /// How much of the connection is the request's, told in one way.
    fn extent(&self) -> Extent {
        assert!(self.all("host").len() <= 1);
        assert!(!self.is_old || self.all("expect").is_empty());
        match (&self.all("content-length")[..], &self.all("transfer-encoding")[..]) {
            ([], [coding]) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked") && !self.is_old);
                if self.all("upgrade").is_empty() { Extent::Chunks } else { Extent::Open }
            }
            ([], []) if self.all("upgrade").is_empty() => Extent::Bytes(0),
            ([], []) => Extent::Open,
            ([digits], []) => {
                assert!(!digits.is_empty());
                let length = digits.iter().fold(0usize, |sum, digit| {
                    assert!(digit.is_ascii_digit());
                    sum.checked_mul(10)
                        .and_then(|sum| sum.checked_add(usize::from(digit - b'0')))
                        .expect("it is countable")
                });
                if self.all("upgrade").is_empty() { Extent::Bytes(length) } else { Extent::Open }
            }
            other => panic!("told in two ways: {other:?}"),
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').expect("it has a colon");
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    assert!(!name.is_empty() && name.iter().all(is_token), "{name:?}");
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().take_while(blank).count();
    let end = value.len() - value[start..].iter().rev().take_while(blank).count();
    let value = &value[start..end];
    assert!(value.iter().all(|byte| (*byte >= b' ' && *byte != 0x7f) || *byte == b'\t'), "{value:?}");
    (name, value)
}

/// The parser that stands between here and the upstream, as Pingora sets it up, understands the same.
fn as_it_is_forwarded(head: &[u8], reading: &Reading<'_>) {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));
    assert_eq!(request.method.map(str::as_bytes), Some(reading.method));
    assert_eq!(request.path.map(str::as_bytes), Some(reading.target));
    assert_eq!(request.version, Some(u8::from(!reading.is_old)));
    let parsed: Vec<(&[u8], &[u8])> =
        request.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
    assert_eq!(parsed, reading.fields);
}
