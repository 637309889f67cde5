//! Who the visitor is: one address from one header, believed only from a peer that may say so.

use crate::denial::Reason;
use crate::visitor_certificate::CertificateFields;
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;

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

/// How a host learns the visitor's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorRule {
    /// The header that carries exactly one address.
    pub address_header: HeaderName,
    /// What its absence means.
    pub missing: Missing,
    /// Which fields tell of the visitor's certificate; none where nothing does.
    pub client_certificate: Option<CertificateFields>,
}

impl VisitorRule {
    /// The visitor's address from a peer that is believed.
    ///
    /// # Errors
    /// [`Reason::VisitorMissing`] or [`Reason::VisitorMalformed`].
    pub fn address(&self, headers: &HeaderMap, peer: IpAddr) -> Result<IpAddr, Reason> {
        let mut values = headers.get_all(&self.address_header).iter();
        match (values.next(), values.next(), self.missing) {
            (Some(value), None, _) => address(value.as_bytes()).ok_or(Reason::VisitorMalformed),
            (Some(_), Some(_), _) => Err(Reason::VisitorMalformed),
            (None, _, Missing::Source) => Ok(peer),
            (None, _, Missing::Refuse) => Err(Reason::VisitorMissing),
        }
    }
}

/// One address and nothing else: no port, list, zone identifier, brackets or leading zeros.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.parse::<IpAddr>().ok()?.to_canonical())
}

/// The country from `CF-IPCountry`, where it is one code.
#[must_use]
pub fn country(headers: &HeaderMap) -> Option<[u8; 2]> {
    let mut values = headers.get_all("cf-ipcountry").iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    country_code(value.as_bytes())
}

/// The code of a country, as Cloudflare writes it: two capitals or digits.
#[must_use]
pub fn country_code(text: &[u8]) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.try_into().ok()?;
    code.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).then_some(code)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PEER: &str = "127.0.1.1";

    fn ask(missing: Missing, values: &[&[u8]]) -> Result<String, Reason> {
        let rule = VisitorRule {
            address_header: HeaderName::from_static("cf-connecting-ip"),
            missing,
            client_certificate: None,
        };
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
}
