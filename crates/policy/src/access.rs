//! Cloudflare Access: teams and the keys that they sign with, what a token says once its signature holds, and whom a policy means.

mod identities;
mod keys;
mod members;
mod token;

pub use identities::{EmailPattern, Identities, NotAnEmailPattern};
pub use keys::{AccessKeys, Key, KeySet, TeamKeys, UnfitKeys};
pub(crate) use token::{Claims, Token};

use http::Uri;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A team of Cloudflare Access, by what stands before `.cloudflareaccess.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Team(Arc<str>);

/// A text that names no team.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a team")]
pub struct NotATeam(String);

impl FromStr for Team {
    type Err = NotATeam;

    /// One label of a hostname in lowercase; `example.fed` is the team `example` of the FedRAMP service.
    fn from_str(text: &str) -> Result<Self, NotATeam> {
        let label = text.strip_suffix(".fed").unwrap_or(text);
        let letters = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let fits = (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        if letters && fits { Ok(Self(text.into())) } else { Err(NotATeam(text.to_owned())) }
    }
}

impl fmt::Display for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Team {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands in `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://{self}.cloudflareaccess.com")
    }

    /// Where it publishes its keys.
    #[must_use]
    pub fn certs(&self) -> String {
        format!("{}/cdn-cgi/access/certs", self.issuer())
    }
}

/// A team and where its keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyFeed {
    /// The team.
    pub team: Team,
    /// The team's own address, or one that stands in for it.
    pub url: Uri,
}

/// Who a verified token says is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The visitor's e-mail address; a service token has none.
    pub email: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn a_team_is_one_label_and_says_where_its_keys_are() {
        let team: Team = "example".parse().unwrap();
        assert_eq!(team.issuer(), "https://example.cloudflareaccess.com");
        assert_eq!(team.certs(), "https://example.cloudflareaccess.com/cdn-cgi/access/certs");
        assert_eq!("a-1.fed".parse::<Team>().unwrap().issuer(), "https://a-1.fed.cloudflareaccess.com");
        let long = "a".repeat(64);
        for bad in ["", ".fed", "-a", "a-", "a.b", "a.fed.fed", "Example", "a/b", "a@b", "a b", "https://a", "ä", &long]
        {
            assert_eq!(bad.parse::<Team>(), Err(NotATeam(bad.to_owned())));
        }
    }
}
