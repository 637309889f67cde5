//! Whom a policy means: e-mail addresses by pattern, groups, and the names of service tokens and devices.

use super::Claims;
use crate::denial::Reason;
use std::str::FromStr;

/// E-mail addresses: one, or all with a beginning and an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailPattern {
    /// One address.
    One(String),
    /// Addresses that begin and end like this, around what the star stands for.
    Around(String, String),
}

/// A text that is no pattern of e-mail addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an e-mail address, nor a pattern of them")]
pub struct NotAnEmailPattern(String);

impl FromStr for EmailPattern {
    type Err = NotAnEmailPattern;

    /// With one `@` and one `*` at most. The `@` has to be written: `*example.com` would mean `eve@badexample.com` too.
    fn from_str(text: &str) -> Result<Self, NotAnEmailPattern> {
        let bad = || NotAnEmailPattern(text.to_owned());
        let (name, domain) = text.split_once('@').ok_or_else(bad)?;
        let plain = text.chars().all(|letter| !letter.is_whitespace() && !letter.is_control());
        if name.is_empty() || domain.is_empty() || domain.contains('@') || !plain {
            return Err(bad());
        }
        match text.split_once('*') {
            None => Ok(Self::One(text.to_owned())),
            Some((_, end)) if end.contains('*') => Err(bad()),
            Some((start, end)) => Ok(Self::Around(start.to_owned(), end.to_owned())),
        }
    }
}

impl EmailPattern {
    /// Whether an address fits, whatever the case of its ASCII letters. The star stands for anything but `@`.
    #[must_use]
    pub fn fits(&self, address: &str) -> bool {
        let (start, end) = match self {
            Self::One(one) => return address.eq_ignore_ascii_case(one),
            Self::Around(start, end) => (start.as_bytes(), end.as_bytes()),
        };
        let address = address.as_bytes();
        let Some(middle) = address.len().checked_sub(start.len() + end.len()) else { return false };
        let (head, rest) = address.split_at(start.len());
        let (middle, tail) = rest.split_at(middle);
        head.eq_ignore_ascii_case(start) && tail.eq_ignore_ascii_case(end) && !middle.contains(&b'@')
    }
}

/// Who may pass, of those who have a token: whoever one of the lists names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    /// By e-mail address.
    pub emails: Vec<EmailPattern>,
    /// By group, exactly as the identity provider writes it.
    pub groups: Vec<String>,
    /// By `common_name`: a service token, `<client id>.access`, or a device's certificate.
    pub common_names: Vec<String>,
}

impl Identities {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.emails.is_empty() && self.groups.is_empty() && self.common_names.is_empty()
    }

    pub(crate) fn name(&self, claims: &Claims) -> Result<bool, Reason> {
        let email = claims.text("email")?;
        let common_name = claims.text("common_name")?;
        let by_email = || email.is_some_and(|address| self.emails.iter().any(|pattern| pattern.fits(address)));
        let by_name = || common_name.is_some_and(|name| self.common_names.iter().any(|listed| listed == name));
        let by_group = || claims.groups().any(|group| self.groups.iter().any(|listed| listed == group));
        Ok(by_email() || by_name() || by_group())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_an_at_and_one_star_which_stops_at_it() {
        let table = [
            ("*@example.com", "alice@example.com", true),
            ("*@example.com", "Alice@EXAMPLE.com", true),
            ("*@Example.com", "alice@example.com", true),
            ("*@example.com", "alice@sub.example.com", false),
            ("*@example.com", "alice@badexample.com", false),
            ("*@example.com", "alice@example.com.evil.net", false),
            ("*@example.com", "eve@evil.net@example.com", false),
            ("*@example.com", "eve@evil.net\u{0}@example.com", false),
            ("*@example.com", "@example.com", true),
            ("*@example.com", "example.com", false),
            ("*@example.com", "", false),
            ("alice@example.com", "ALICE@example.com", true),
            ("alice@example.com", "malice@example.com", false),
            ("alice@example.com", "alice@example.co", false),
            ("ops-*@example.com", "ops-1@example.com", true),
            ("ops-*@example.com", "ops@example.com", false),
            ("ops-*@example.com", "ops-@example.com", true),
            ("alice@*.example.com", "alice@eu.example.com", true),
            ("alice@*.example.com", "alice@example.com", false),
            // Beginning and end may not share a letter of the address.
            ("a*@a.a", "a@a.a", true),
            ("aa*a@a.a", "aa@a.a", false),
            // A letter that only folds to ASCII is another letter: the Kelvin sign.
            ("*@kelvin.example", "a@\u{212a}elvin.example", false),
            ("*@k\u{e9}.example", "a@k\u{e9}.example", true),
        ];
        for (pattern, address, fits) in table {
            assert_eq!(
                pattern.parse::<EmailPattern>().map(|pattern| pattern.fits(address)),
                Ok(fits),
                "{pattern} {address}"
            );
        }
        for bad in ["", "*", "@", "a@", "@a", "*example.com", "a@b@c", "*@*.com", "**@a", "a b@c", "a@b\n"] {
            assert!(bad.parse::<EmailPattern>().is_err(), "{bad}");
        }
    }
}
