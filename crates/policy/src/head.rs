//! Where a request head of HTTP/1.1 ends, and what no head may hold: a pure look at the bytes, before any parser.

use crate::denial::Reason;

/// The most bytes of a head, its last empty line included: Cloudflare's own limit is 128 KB
/// (<https://developers.cloudflare.com/workers/platform/limits/#request-limits>).
pub const LONGEST_HEAD: usize = 128 * 1024;

/// How far a head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes have to come; the next look may start at this offset.
    Partial(usize),
    /// The head ends before this offset.
    Complete(usize),
}

/// Looks at the bytes of a head from `from` on; what lies before was looked at already.
///
/// # Errors
/// [`Reason::HeadTooLarge`], or [`Reason::HeadMalformed`] for a line that does not end in CRLF (RFC 9112 section 2.2), for a NUL,
/// and for an empty first line.
pub fn progress(bytes: &[u8], from: usize) -> Result<Progress, Reason> {
    let mut line = from;
    while let Some(length) = bytes[line..].iter().position(|byte| *byte == b'\n') {
        let end = line + length;
        if end >= LONGEST_HEAD {
            return Err(Reason::HeadTooLarge);
        }
        let text = bytes[line..end].strip_suffix(b"\r").ok_or(Reason::HeadMalformed)?;
        if text.iter().any(|byte| matches!(byte, b'\r' | b'\0')) || (text.is_empty() && line == 0) {
            return Err(Reason::HeadMalformed);
        }
        line = end + 1;
        if text.is_empty() {
            return Ok(Progress::Complete(line));
        }
    }
    if bytes.len() >= LONGEST_HEAD { Err(Reason::HeadTooLarge) } else { Ok(Progress::Partial(line)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let table: [(&[u8], Result<Progress, Reason>); 10] = [
            (b"", Ok(Progress::Partial(0))),
            (b"GET / HTTP/1.1\r", Ok(Progress::Partial(0))),
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
            assert_eq!(progress(bytes, 0), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn size() {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(LONGEST_HEAD - 4, b'a');
        assert_eq!(progress(&head, 0), Ok(Progress::Partial(16)));
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(progress(&head, 16), Ok(Progress::Complete(LONGEST_HEAD)));
        head.insert(20, b'a');
        assert_eq!(progress(&head, 16), Err(Reason::HeadTooLarge));
        assert_eq!(progress(&vec![b'a'; LONGEST_HEAD], 0), Err(Reason::HeadTooLarge));
    }
}
