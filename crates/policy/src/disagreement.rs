//! Headers of one request that say two things of its visitor: counted and logged, and no reason to refuse.
//!
//! Cloudflare writes both of a pair itself, so that a difference is news: a Worker or a rule of the zone has set one of them, or what
//! is believed is not the edge.

use crate::headers::{CF_CONNECTING_IP, CF_VISITOR, X_FORWARDED_FOR, X_FORWARDED_PROTO, scheme_of_cf_visitor};
use crate::visitor::one_address;
use http::{HeaderMap, HeaderValue};

/// What two headers disagree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disagreement {
    /// `X-Forwarded-Proto` against `CF-Visitor`.
    Scheme,
    /// `CF-Connecting-IP` against the end of `X-Forwarded-For`.
    Address,
}

impl Disagreement {
    /// Every disagreement there is.
    pub const ALL: [Self; 2] = [Self::Scheme, Self::Address];

    /// The label in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Address => "address",
        }
    }

    /// What the headers of a believed peer disagree on; where one of a pair is absent, there is nothing to disagree with.
    ///
    /// It costs four lookups, and memory only where there is something to tell.
    #[must_use]
    pub fn among(headers: &HeaderMap) -> Vec<Self> {
        let differs = |what: &Self| match what {
            Self::Scheme => schemes_differ(headers),
            Self::Address => addresses_differ(headers),
        };
        Self::ALL.into_iter().filter(differs).collect()
    }
}

/// What cannot be read agrees with nothing, and neither does what is said twice.
fn schemes_differ(headers: &HeaderMap) -> bool {
    let mut forwarded = headers.get_all(&X_FORWARDED_PROTO).iter();
    let (Some(first), Some(visitor)) = (forwarded.next(), headers.get(&CF_VISITOR)) else { return false };
    let said = scheme_of_cf_visitor(visitor).map(str::as_bytes);
    forwarded.next().is_some() || said != Some(first.as_bytes())
}

fn addresses_differ(headers: &HeaderMap) -> bool {
    let chain = headers.get_all(&X_FORWARDED_FOR).iter().next_back();
    let (Some(chain), Some(connecting)) = (chain, headers.get(&CF_CONNECTING_IP)) else { return false };
    let (tail, connecting) = (tail(chain), connecting.as_bytes());
    // Usually they are the same bytes, which need no parsing.
    tail != connecting && one_address(tail).is_none_or(|tail| one_address(connecting) != Some(tail))
}

/// The last of a list: the one that the edge has added.
fn tail(chain: &HeaderValue) -> &[u8] {
    let chain = chain.as_bytes();
    let from = chain.iter().rposition(|byte| *byte == b',').map_or(0, |comma| comma + 1);
    chain[from..].trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Arrival;

    const HTTPS: &str = r#"{"scheme":"https"}"#;

    #[test]
    fn two_stories_of_one_visitor() {
        use Disagreement::{Address, Scheme};
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let table: [(Fields<'_>, &[Disagreement]); 24] = [
            (&[], &[]),
            (&[("x-forwarded-proto", "https")], &[]),
            (&[("cf-visitor", HTTPS)], &[]),
            (&[("x-forwarded-proto", "https"), ("cf-visitor", HTTPS)], &[]),
            (&[("x-forwarded-proto", "http"), ("cf-visitor", HTTPS)], &[Scheme]),
            (&[("x-forwarded-proto", "HTTPS"), ("cf-visitor", HTTPS)], &[Scheme]),
            (&[("x-forwarded-proto", ""), ("cf-visitor", HTTPS)], &[Scheme]),
            (&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https"), ("cf-visitor", HTTPS)], &[Scheme]),
            (&[("x-forwarded-proto", "https"), ("cf-visitor", "{}")], &[Scheme]),
            (&[("cf-connecting-ip", "203.0.113.7")], &[]),
            (&[("x-forwarded-for", "203.0.113.7")], &[]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7")], &[]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "6.6.6.6, 203.0.113.7")], &[]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "6.6.6.6,\t203.0.113.7 ")], &[]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "::ffff:203.0.113.7")], &[]),
            (&[("cf-connecting-ip", "2001:DB8::7"), ("x-forwarded-for", "2001:db8:0::7")], &[]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "a"), ("x-forwarded-for", "203.0.113.7")], &[]),
            (
                &[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "a")],
                &[Address],
            ),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7, 6.6.6.6")], &[Address]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7,")], &[Address]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7:80")], &[Address]),
            (&[("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "unknown")], &[Address]),
            // Pseudo IPv4 overwrites both of them.
            (
                &[
                    ("cf-connecting-ip", "240.16.0.1"),
                    ("x-forwarded-for", "240.16.0.1"),
                    ("cf-connecting-ipv6", "2001:db8::7"),
                ],
                &[],
            ),
            (
                &[
                    ("x-forwarded-proto", "http"),
                    ("cf-visitor", HTTPS),
                    ("cf-connecting-ip", "203.0.113.7"),
                    ("x-forwarded-for", "6.6.6.6"),
                ],
                &[Scheme, Address],
            ),
        ];
        for (fields, expected) in table {
            let arrival = fields.iter().fold(Arrival::bare(), |arrival, (name, value)| arrival.with(name, value));
            assert_eq!(Disagreement::among(&arrival.headers), expected, "{fields:?}");
        }
    }
}
