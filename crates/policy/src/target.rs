//! Request targets: accepted as they came, or named as malformed; and the second reading that routes are checked against.
//!
//! Between here and the application somebody may decode `%2e%2e`, merge `//`, cut `;parameters` or turn `\` into `/`. The
//! gateway changes nothing of that: it forwards the bytes that it judged, and refuses a target whose readings lead to
//! different routes. The order of those steps differs from one application to the next, and most targets mean the same in
//! any order; [`Target::is_contested`] names those that do not.

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
        let mut ends_in_slash = false;
        for bare in bare_segments(&decoded) {
            ends_in_slash = matches!(bare, b"" | b"." | b"..");
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
        if ends_in_slash {
            path.push(b'/');
        }
        Some(path)
    }

    /// Whether applications may read more out of the path than [`Self::decoded_path`] shows.
    ///
    /// It climbs (`..`), so that `/a//../b` is `/b` to whom merges slashes first and `/a/b` to whom does not; or it has a
    /// `;parameter` and a slash in disguise (`\`, `%2f`), so that `/a;%2fx/b` is `/a/b` or `/a/x/b`.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode(self.path).into();
        let slashes = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
        let disguised = decoded.contains(&b'\\') || slashes(&decoded) > slashes(self.path);
        (decoded.contains(&b';') && disguised) || bare_segments(&decoded).any(|segment| segment == b"..")
    }
}

/// The segments between slashes of either kind, without parameters.
fn bare_segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
    segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default())
}

/// Whether nothing in the path is read differently by anybody: no escape, backslash, parameter, dot segment or empty segment.
fn is_plain(path: &[u8]) -> bool {
    let special = |byte: &u8| matches!(byte, b'%' | b'\\' | b';');
    let mut pairs = path.windows(2);
    !path.iter().any(special) && !pairs.any(|pair| matches!(pair, b"//" | b"/."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

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

    const PIECES: [&str; 13] = ["/", "/", "..", ".", ";", "\\", "%2f", "%2e", "%5c", "%3b", "%25", "%", "a"];

    fn reading(path: &[u8]) -> Option<Vec<u8>> {
        Target { path, query: None }.decoded_path()
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn a_target_is_cut_at_its_first_question_mark_and_nowhere_else(raw in vec(any::<u8>(), 0..40)) {
            if let Ok(target) = Target::parse(&raw) {
                let query: Vec<u8> = target.query.map(|query| [b"?", query].concat()).unwrap_or_default();
                prop_assert_eq!([target.path, &query].concat(), &*raw);
                prop_assert!(target.path.starts_with(b"/") && !target.path.contains(&b'?'));
            }
        }

        /// The second reading is an absolute path of plain names. Where it holds no percent sign it reads as itself; where it
        /// does, since a target may be encoded twice, each further reading is the same or shorter.
        #[test]
        fn a_second_reading_has_no_other_but_further_decoding(
            pieces in vec(
                prop_oneof![
                    3 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
                    1 => vec(any::<u8>(), 1..3),
                ],
                0..12,
            ),
        ) {
            let path = [b"/", &*pieces.concat()].concat();
            let Some(second) = reading(&path) else { return Ok(()) };
            let inner = second.strip_prefix(b"/").unwrap();
            let inner = inner.strip_suffix(b"/").unwrap_or(inner);
            let plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| b"\\;".contains(byte));
            prop_assert!(inner.is_empty() || inner.split(|byte| *byte == b'/').all(plain), "{second:?}");
            match reading(&second) {
                None => {}
                Some(third) if second.contains(&b'%') => prop_assert!(third == second || third.len() < second.len()),
                Some(third) => prop_assert_eq!(third, second),
            }
        }
    }
}
