//! `countries`: visitors by the country that Cloudflare found.
//!
//! ```yaml
//! policies:
//!   - {kind: countries, deny: [T1]}
//! ```
//!
//! A visitor is in `CF-IPCountry`, two capitals or digits, as a believed peer sent it once; `XX` is what Cloudflare does not know, `T1` is
//! Tor. With an `allow`, whoever is in none of its countries is refused, and so is whose country nobody told: `XX` in `allow` lets those
//! pass alone of whom Cloudflare says so. Without one, a visitor whose country nobody told passes, unless `deny` has `XX`.

use super::{Asked, Policy};
use crate::denial::Reason;

/// Lets visitors pass by their country.
#[derive(Debug)]
pub struct Countries {
    allow: Vec<[u8; 2]>,
    deny: Vec<[u8; 2]>,
}

impl Countries {
    /// Visitors in `deny` are refused; so is everybody outside `allow`, where it is not empty. The codes are as
    /// [`country_code`](crate::visitor::country_code) takes them.
    #[must_use]
    pub fn new(allow: Vec<[u8; 2]>, deny: Vec<[u8; 2]>) -> Self {
        Self { allow, deny }
    }
}

impl Policy for Countries {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        match asked.visitor.country {
            None if !self.allow.is_empty() || self.deny.contains(b"XX") => Err(Reason::CountryUnknown),
            None => Ok(()),
            Some(country) if self.deny.contains(&country) => Err(Reason::CountryDenied),
            Some(country) if !self.allow.is_empty() && !self.allow.contains(&country) => Err(Reason::CountryUnlisted),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::{Arrival, VISITOR, judged};
    use crate::visitor::country_code;

    #[test]
    fn an_allow_refuses_what_it_does_not_know() {
        let codes = |list: &[&str]| list.iter().map(|code| country_code(code.as_bytes()).unwrap()).collect();
        let [denied, unlisted, unknown] =
            [Reason::CountryDenied, Reason::CountryUnlisted, Reason::CountryUnknown].map(Err);
        let table: [(&[&str], &[&str], &[&[u8]], Result<(), Reason>); 22] = [
            (&["DE"], &[], &[b"DE"], Ok(())),
            (&["DE", "AT"], &[], &[b"AT"], Ok(())),
            (&["DE"], &[], &[b"FR"], unlisted),
            (&["DE"], &[], &[b"XX"], unlisted),
            (&["DE"], &[], &[b"T1"], unlisted),
            (&["DE", "XX"], &[], &[b"XX"], Ok(())),
            (&["DE"], &[], &[], unknown),
            (&["DE", "XX"], &[], &[], unknown),
            (&["DE"], &[], &[b"de"], unknown),
            (&["DE"], &[], &[b"DEU"], unknown),
            (&["DE"], &[], &[b"D"], unknown),
            (&["DE"], &[], &[b"DE,FR"], unknown),
            (&["DE"], &[], &[b"D\xcb"], unknown),
            (&["DE"], &[], &[b"DE", b"DE"], unknown),
            (&[], &["T1"], &[b"T1"], denied),
            (&[], &["T1"], &[b"DE"], Ok(())),
            (&[], &["T1"], &[b"XX"], Ok(())),
            (&[], &["T1"], &[], Ok(())),
            (&[], &["T1"], &[b"T1", b"T1"], Ok(())),
            (&[], &["XX"], &[b"XX"], denied),
            (&[], &["XX"], &[], unknown),
            (&["DE"], &["T1"], &[b"T1"], denied),
        ];
        for (allow, deny, fields, expected) in table {
            let policy = Countries::new(codes(allow), codes(deny));
            let arrival = fields.iter().fold(Arrival::good(), |arrival, value| arrival.with("cf-ipcountry", value));
            assert_eq!(judged(&policy, &arrival, VISITOR), expected, "{allow:?} {deny:?} {fields:?}");
        }
    }
}
