//! Who the visitor is: one address from one header, believed only from a peer that may say so.

use crate::denial::Reason;
use crate::features::Features;
use crate::visitor_certificate::CertificateFields;
use http::{HeaderMap, HeaderName};
use std::net::{IpAddr, Ipv4Addr};

/// The person or program behind Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The address that requests are attributed to; IPv4-mapped addresses are IPv4.
    pub address: IpAddr,
    /// The country that Cloudflare found, two capitals or digits (`XX` unknown, `T1` Tor).
    pub country: Option<[u8; 2]>,
}

impl Visitor {
    /// The country as text.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        self.country.as_ref().and_then(|code| std::str::from_utf8(code).ok())
    }
}

/// What to do where no header names the visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Answer 400.
    Refuse,
    /// Take the socket's peer: right where probes and tests come without Cloudflare's headers.
    Source,
}

/// How a host learns who the visitor is, and what it tells the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorRule {
    /// The header that carries exactly one address.
    pub address_header: HeaderName,
    /// What its absence means.
    pub missing: Missing,
    /// The features of Cloudflare's that are on: the headers of all others are a visitor's own, and removed.
    pub features: Features,
    /// Whether the upstream gets `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// Which fields tell of the visitor's certificate; none where nothing does.
    pub client_certificate: Option<CertificateFields>,
}

impl Default for VisitorRule {
    /// As Cloudflare sends it where nothing was turned on.
    fn default() -> Self {
        let address_header = HeaderName::from_static("cf-connecting-ip");
        Self {
            address_header,
            missing: Missing::Refuse,
            features: Features::default(),
            forwarded: false,
            client_certificate: None,
        }
    }
}

impl VisitorRule {
    /// The visitor's address from a peer that is believed; behind Pseudo IPv4 that overwrites, the IPv6 address that was overwritten.
    ///
    /// # Errors
    /// [`Reason::VisitorMissing`] or [`Reason::VisitorMalformed`].
    pub fn address(&self, headers: &HeaderMap, peer: IpAddr) -> Result<IpAddr, Reason> {
        let mut values = headers.get_all(&self.address_header).iter();
        match (values.next(), values.next(), self.missing) {
            (Some(value), None, _) => {
                one_address(value.as_bytes()).map(|told| unmasked(told, headers)).ok_or(Reason::VisitorMalformed)
            }
            (Some(_), Some(_), _) => Err(Reason::VisitorMalformed),
            (None, _, Missing::Source) => Ok(peer),
            (None, _, Missing::Refuse) => Err(Reason::VisitorMissing),
        }
    }
}

/// One address and nothing else: no port, list, zone identifier, brackets or leading zeros.
pub(crate) fn one_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.parse::<IpAddr>().ok()?.to_canonical())
}

/// Whether an address is one that Pseudo IPv4 makes out of an IPv6 one: class E, where nobody has a real one (RFC 1112 section 4).
pub(crate) fn is_pseudo(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address >= Ipv4Addr::new(240, 0, 0, 0))
}

/// The IPv6 address behind one of class E, where exactly one stands beside it; else the address itself, which still tells visitors apart.
/// Beside any other address the field is a visitor's own and means nothing.
fn unmasked(told: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !is_pseudo(told) {
        return told;
    }
    let mut values = headers.get_all("cf-connecting-ipv6").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => one_address(value.as_bytes()).filter(IpAddr::is_ipv6).unwrap_or(told),
        _ => told,
    }
}

const CF_IPCOUNTRY: HeaderName = HeaderName::from_static("cf-ipcountry");

/// The country from `CF-IPCountry`, where it is one code.
#[must_use]
pub fn country(headers: &HeaderMap) -> Option<[u8; 2]> {
    let mut values = headers.get_all(CF_IPCOUNTRY).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    country_code(value.as_bytes())
}

/// The code of a country, as Cloudflare writes it: two capitals or digits.
#[must_use]
pub fn country_code(text: &[u8]) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.try_into().ok()?;
    code.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).then_some(code)
}

/// Whether this is one.
pub(crate) fn is_country(text: &[u8]) -> bool {
    country_code(text).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PEER: &str = "127.0.1.1";

    fn ask(missing: Missing, values: &[&[u8]]) -> Result<String, Reason> {
        let rule = VisitorRule { missing, ..VisitorRule::default() };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("cf-connecting-ip", HeaderValue::from_bytes(value).unwrap());
        }
        rule.address(&headers, PEER.parse().unwrap()).map(|address| address.to_string())
    }

    #[test]
    fn exactly_one_valid_address() {
        let good: [(&[u8], &str); 4] = [
            (b"203.0.113.7", "203.0.113.7"),
            (b"::ffff:203.0.113.7", "203.0.113.7"),
            (b"2001:DB8::1", "2001:db8::1"),
            (b"2a06:98c0:3600::103", "2a06:98c0:3600::103"),
        ];
        for (value, expected) in good {
            assert_eq!(ask(Missing::Refuse, &[value]), Ok(expected.into()));
        }
        let long = [b'1'; 300];
        let bad: [&[u8]; 12] = [
            b"",
            b" ",
            b"1.2.3.4, 5.6.7.8",
            b"1.2.3.4:80",
            b"1.2.3.4%0a",
            b"010.1.1.1",
            b"fe80::1%eth0",
            b"[::1]",
            b"1.2.3",
            b"0x7f.1.1.1",
            b"\xff",
            &long,
        ];
        for value in bad {
            assert_eq!(ask(Missing::Refuse, &[value]), Err(Reason::VisitorMalformed), "{value:?}");
            assert_eq!(ask(Missing::Source, &[value]), Err(Reason::VisitorMalformed), "{value:?}");
        }
        assert_eq!(ask(Missing::Refuse, &[b"1.2.3.4", b"1.2.3.4"]), Err(Reason::VisitorMalformed));
        assert_eq!(ask(Missing::Refuse, &[]), Err(Reason::VisitorMissing));
        assert_eq!(ask(Missing::Source, &[]), Ok(PEER.into()));
    }
    /// What counts as the visitor where Pseudo IPv4 has overwritten the address (class E), and what does not.
    #[test]
    fn behind_a_pseudo_address_the_visitor_is_the_ipv6_one() {
        let table: [(&str, &[&str], &str); 14] = [
            ("240.16.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("255.255.255.255", &["2001:DB8:0::7"], "2001:db8::7"),
            ("::ffff:240.16.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("240.16.0.1", &[], "240.16.0.1"),
            ("240.16.0.1", &["2001:db8::7", "2001:db8::7"], "240.16.0.1"),
            ("240.16.0.1", &["2001:db8::7, 2001:db8::8"], "240.16.0.1"),
            ("240.16.0.1", &["[2001:db8::7]"], "240.16.0.1"),
            ("240.16.0.1", &["2001:db8::7%eth0"], "240.16.0.1"),
            ("240.16.0.1", &[""], "240.16.0.1"),
            ("240.16.0.1", &["203.0.113.7"], "240.16.0.1"),
            ("240.16.0.1", &["::ffff:203.0.113.7"], "240.16.0.1"),
            // Where nothing was overwritten, the field is not Cloudflare's.
            ("203.0.113.7", &["2001:db8::7"], "203.0.113.7"),
            ("239.255.255.255", &["2001:db8::7"], "239.255.255.255"),
            ("2001:db8::1", &["2001:db8::7"], "2001:db8::1"),
        ];
        for (told, beside, expected) in table {
            let mut headers = HeaderMap::from_iter([(
                HeaderName::from_static("cf-connecting-ip"),
                HeaderValue::from_str(told).unwrap(),
            )]);
            headers.insert("cf-pseudo-ipv4", HeaderValue::from_static("240.99.99.99"));
            for value in beside {
                headers.append("cf-connecting-ipv6", HeaderValue::from_str(value).unwrap());
            }
            let address = VisitorRule::default().address(&headers, PEER.parse().unwrap());
            assert_eq!(address, Ok(expected.parse().unwrap()), "{told} {beside:?}");
        }
    }
}
