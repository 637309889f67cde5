//! Secrets that requests carry to say whom they come from: their values, the names of their fields, and that no upstream gets one.

use crate::headers::{HeaderEdits, folded, is_owned, is_spelling_of};
use http::{HeaderMap, HeaderName};
use std::str::FromStr;
use subtle::{Choice, ConstantTimeEq};

/// A value that the operator and Cloudflare know, and nobody else. It has no form that could be printed.
pub struct Secret(Box<[u8]>);

/// Bytes that are no secret; it does not say which they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// There are none.
    #[error("there is no secret in it")]
    Empty,
    /// Few enough to be guessed.
    #[error("a secret of fewer than {SHORTEST} bytes can be guessed")]
    TooShort,
    /// More than a field is for.
    #[error("a secret has {LONGEST} bytes at most")]
    TooLong,
    /// Something that does not come through in a field's value as it is (RFC 9110 section 5.5).
    #[error(
        "a header carries one line of visible ASCII: no line break, no control character, no space at either end, no other letters"
    )]
    NotAValue,
}

const SHORTEST: usize = 16;

/// What comes in a field is compared with all values, byte by byte.
const LONGEST: usize = 1024;

impl Secret {
    /// The secret in a file's bytes; one line end behind it does not count.
    ///
    /// # Errors
    /// When it could be guessed, or no field could carry it.
    pub fn new(bytes: &[u8]) -> Result<Self, BadSecret> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let carried = line.trim_ascii() == line && line.iter().all(|byte| (b' '..=b'~').contains(byte));
        match line.len() {
            0 => Err(BadSecret::Empty),
            _ if !carried => Err(BadSecret::NotAValue),
            length if length < SHORTEST => Err(BadSecret::TooShort),
            length if length > LONGEST => Err(BadSecret::TooLong),
            _ => Ok(Self(line.into())),
        }
    }

    /// Whether two secrets are the same one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.fits(&other.0).into()
    }

    /// Whether a field's value is this secret. How long the answer takes tells their lengths and nothing of the bytes.
    pub(crate) fn fits(&self, value: &[u8]) -> Choice {
        self.0.ct_eq(value)
    }
}

/// The name of a field that may carry a secret: nothing else depends on it, for it is removed from every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHeader(HeaderName);

/// A name that cannot be given to a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSecretHeader {
    /// It is none that Cloudflare could set.
    #[error("`{0}` is not the name of a header that Cloudflare sets: letters, digits, `-` and `_`")]
    NotSettable(String),
    /// The gateway has its own use for it.
    #[error("`{0}` is a header of the gateway's or Cloudflare's own, and cannot carry a secret")]
    Owned(String),
    /// Others have.
    #[error("`{0}` is needed by HTTP or applications, and a header with a secret is removed from every request")]
    Needed(String),
}

impl FromStr for SecretHeader {
    type Err = BadSecretHeader;

    fn from_str(text: &str) -> Result<Self, BadSecretHeader> {
        let settable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let Some(name) = text.parse::<HeaderName>().ok().filter(|_| text.bytes().all(settable)) else {
            return Err(BadSecretHeader::NotSettable(text.to_owned()));
        };
        let folded = folded(text);
        // Cloudflare lets no rule set these either.
        if is_owned(text) || folded.starts_with("x-cf-") {
            return Err(BadSecretHeader::Owned(text.to_owned()));
        }
        if NEEDED.contains(&folded.as_str()) || NEEDED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix)) {
            return Err(BadSecretHeader::Needed(text.to_owned()));
        }
        Ok(Self(name))
    }
}

impl AsRef<HeaderName> for SecretHeader {
    fn as_ref(&self) -> &HeaderName {
        &self.0
    }
}

/// Registered names that requests use, lowercase.
const NEEDED: [&str; 26] = [
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "dnt",
    "expect",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
];

/// Beginnings of such names.
const NEEDED_PREFIXES: [&str; 6] = ["accept", "access-control-", "content-", "if-", "proxy-", "sec-"];

/// The names under which requests carry secrets, for whichever host: no upstream gets a field of one, in any spelling.
#[derive(Debug, Default)]
pub struct SecretNames(Vec<String>);

impl SecretNames {
    /// These names and all their spellings.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut spellings: Vec<_> = names.into_iter().map(|name| folded(name.as_str())).collect();
        spellings.sort_unstable();
        spellings.dedup();
        Self(spellings)
    }

    /// Whether a name is one of them, in any spelling that an application may fold into it.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|secret| is_spelling_of(name, secret))
    }

    /// Has edits remove every field that may hold a secret, and set none: the last word on what an upstream gets.
    pub(crate) fn withhold(&self, headers: &HeaderMap, edits: &mut HeaderEdits) {
        if self.0.is_empty() {
            return;
        }
        edits.set.retain(|(name, _)| !self.contains(name.as_str()));
        edits.remove.extend(headers.keys().filter(|name| self.contains(name.as_str())).cloned());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::decide::Rules;
    use crate::hosts::Host;
    use crate::policies::{EdgeSecret, Mode};
    use crate::testing::{Arrival, attached, cases, open_host, route, rules, shop, values};
    use http::HeaderValue;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_secret() {
        let long = [b'a'; 1025];
        let table: [(&[u8], Result<&[u8], BadSecret>); 20] = [
            (b"0123456789abcdef", Ok(b"0123456789abcdef")),
            (b"0123456789abcdef\n", Ok(b"0123456789abcdef")),
            (b"0123456789abcdef\r\n", Ok(b"0123456789abcdef")),
            (b"01234567 89:;<=~!", Ok(b"01234567 89:;<=~!")),
            (&long[1..], Ok(&long[1..])),
            (&long, Err(BadSecret::TooLong)),
            (b"", Err(BadSecret::Empty)),
            (b"\n", Err(BadSecret::Empty)),
            (b"\r\n", Err(BadSecret::Empty)),
            (b"0123456789abcde", Err(BadSecret::TooShort)),
            (b"0123456789abcde\n", Err(BadSecret::TooShort)),
            (b"0123456789abcdef\n\n", Err(BadSecret::NotAValue)),
            (b"0123456789abcdef\nmore", Err(BadSecret::NotAValue)),
            (b"\n0123456789abcdef", Err(BadSecret::NotAValue)),
            (b" 0123456789abcdef", Err(BadSecret::NotAValue)),
            (b"0123456789abcdef \n", Err(BadSecret::NotAValue)),
            (b"01234567\t89abcdef", Err(BadSecret::NotAValue)),
            (b"0123456789abcdef\0", Err(BadSecret::NotAValue)),
            (b"0123456789abcdef\x7f", Err(BadSecret::NotAValue)),
            ("0123456789abcd\u{e9}f".as_bytes(), Err(BadSecret::NotAValue)),
        ];
        for (bytes, expected) in table {
            assert_eq!(Secret::new(bytes).as_ref().map(|secret| &*secret.0).map_err(|bad| *bad), expected, "{bytes:?}");
        }
    }

    #[test]
    fn which_names_may_carry_one() {
        for free in ["X-Edge-Secret", "x_edge_secret", "Edge", "X-Auth", "0", "x-accept", "secure"] {
            assert!(free.parse::<SecretHeader>().is_ok(), "{free}");
        }
        let table: [(fn(String) -> BadSecretHeader, &[&str]); 3] = [
            (BadSecretHeader::NotSettable, &["", "X Edge", "X-Edge:", "X.Edge", "X!Edge", "X-\u{e9}"]),
            (
                BadSecretHeader::Owned,
                &["CF-Secret", "cf_secret", "X-Real-IP", "X_Forwarded_Secret", "Via", "CDN-Loop", "x-cf-secret"],
            ),
            (
                BadSecretHeader::Needed,
                &[
                    "Host",
                    "COOKIE",
                    "Authorization",
                    "Connection",
                    "TE",
                    "Upgrade",
                    "User-Agent",
                    "content_type",
                    "Content-Length",
                    "Accept",
                    "Accept-Language",
                    "If-Match",
                    "Sec-Fetch-Site",
                    "Proxy-Authorization",
                    "Origin",
                    "transfer_encoding",
                ],
            ),
        ];
        for (fault, names) in table {
            for name in names {
                assert_eq!(name.parse::<SecretHeader>(), Err(fault((*name).to_owned())), "{name}");
            }
        }
    }

    /// `shop` demands a secret on one of its routes, and only watches; what is set says that an operator has written it.
    fn guarded() -> Rules {
        let policy = || {
            let secret = Secret::new(b"0123456789abcdef").unwrap();
            EdgeSecret::new("X-Edge_Secret".parse().unwrap(), vec![secret])
        };
        let mut staff = route("/staff");
        staff.policies.push(attached("edge-secret", Mode::Observe, policy()));
        let mut host = Host { routes: vec![route("/"), staff], ..shop() };
        host.headers.set = vec![("x-edge-secret".parse().unwrap(), "set".parse().unwrap())];
        rules(vec![host, open_host("blog", &["blog.example.com"])])
    }

    #[test]
    fn connection_nominates_no_name_of_a_secret() {
        for (named, expected) in [
            ("X-Edge-Secret", Err(crate::Reason::HopByHopIdentity)),
            ("close, x_edge_secret", Err(crate::Reason::HopByHopIdentity)),
            ("close, x-edge-secrets", Ok(())),
        ] {
            assert_eq!(Arrival::good().with("connection", named).outcome(&guarded()), expected, "{named}");
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn no_spelling_of_a_secret_gets_to_an_upstream(
            spellings in vec(("[xX][-_.~][eE]dge[-_!+][sS]ecret", "[!-~]{0,20}"), 0..4),
            host in proptest::sample::select(vec!["shop.example.com", "blog.example.com"]),
            path in proptest::sample::select(vec!["/", "/staff"]),
        ) {
            let rules = guarded();
            let mut arrival = Arrival::good().to(host).asks("GET", path).with("x-edge", "kept").with("edge-secret", "kept");
            for (name, value) in &spellings {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                arrival.headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let forwarded = arrival.forwarded(&rules);
            for name in forwarded.keys() {
                // Told here once more, so that the code does not measure itself.
                let dashed = name.as_str().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
                prop_assert!(!dashed.eq_ignore_ascii_case("x-edge-secret"), "{name}");
            }
            prop_assert_eq!((values(&forwarded, "x-edge"), values(&forwarded, "edge-secret")), (vec!["kept"], vec!["kept"]));
        }
    }
}
