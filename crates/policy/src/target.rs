//! Request targets: accepted as they came, or named as malformed; and the second reading that routes are checked against.
//!
//! Between here and the application somebody may decode `%2e%2e`, merge `//`, cut `;parameters` or turn `\` into `/`. The
//! gateway changes nothing of that: it forwards the bytes that it judged, and refuses a target whose readings lead to
//! different routes.

use crate::denial::Reason;
use std::borrow::Cow;

/// The path and query of a request, as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The path, from its leading slash, still percent-encoded.
    pub path: &'a [u8],
    /// What follows the first question mark.
    pub query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Accepts an origin-form target (RFC 9112 section 3.2.1).
    ///
    /// # Errors
    /// [`Reason::TargetMalformed`] where it does not start with a slash, or holds a space, a control byte or a fragment.
    pub fn parse(raw: &'a [u8]) -> Result<Self, Reason> {
        let sound = |byte: &u8| *byte > b' ' && *byte != 0x7f && *byte != b'#';
        if raw.first() != Some(&b'/') || !raw.iter().all(sound) {
            return Err(Reason::TargetMalformed);
        }
        Ok(match raw.iter().position(|byte| *byte == b'?') {
            Some(at) => Self { path: &raw[..at], query: Some(&raw[at + 1..]) },
            None => Self { path: raw, query: None },
        })
    }

    /// The path as an application may read it after decoding; none where there is only one way to read it.
    #[must_use]
    pub fn decoded_path(&self) -> Option<Vec<u8>> {
        if is_plain(self.path) {
            return None;
        }
        let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode(self.path).into();
        let mut segments: Vec<&[u8]> = Vec::new();
        for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
            let bare = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            match bare {
                b"" | b"." => {}
                b".." => {
                    segments.pop();
                }
                name => segments.push(name),
            }
        }
        let mut path = Vec::with_capacity(decoded.len());
        for segment in segments {
            path.push(b'/');
            path.extend_from_slice(segment);
        }
        if path.is_empty() || (decoded.ends_with(b"/") && path.last() != Some(&b'/')) {
            path.push(b'/');
        }
        Some(path)
    }
}

/// Whether nothing in the path is read differently by anybody: no escape, backslash, parameter, dot segment or empty segment.
fn is_plain(path: &[u8]) -> bool {
    let special = |byte: &u8| matches!(byte, b'%' | b'\\' | b';');
    let mut pairs = path.windows(2);
    !path.iter().any(special) && !pairs.any(|pair| matches!(pair, b"//" | b"/."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_readings() {
        let table: [(&str, Option<&str>); 14] = [
            ("/", None),
            ("/a/b.c/", None),
            ("/a?x=%2e/../", None),
            ("/public/../admin", Some("/admin")),
            ("/public/%2e%2E/admin", Some("/admin")),
            ("/public/..%2fadmin", Some("/admin")),
            ("/public\\..\\admin", Some("/admin")),
            ("//admin", Some("/admin")),
            ("/public/..;x=1/admin", Some("/admin")),
            ("/./admin", Some("/admin")),
            ("/%61dmin", Some("/admin")),
            ("/a%2fb/", Some("/a/b/")),
            ("/../..", Some("/")),
            ("/.well-known/x", Some("/.well-known/x")),
        ];
        for (raw, expected) in table {
            let target = Target::parse(raw.as_bytes()).unwrap();
            let decoded = target.decoded_path().map(|path| String::from_utf8(path).unwrap());
            assert_eq!(decoded.as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn malformed() {
        for raw in ["", "*", "a", "http://x/", "/a b", "/a\tb", "/\0", "/a#b", "/a\r\nX: y", "/\x7f"] {
            assert_eq!(Target::parse(raw.as_bytes()), Err(Reason::TargetMalformed), "{raw:?}");
        }
        assert_eq!(Target::parse("/é".as_bytes()).map(|target| target.path.len()), Ok(3));
    }
}
