//! `access`: visitors whom Cloudflare Access has let in, by the token that it signs for each request.
//!
//! ```yaml
//! policies:
//!   - kind: access
//!     team: example
//!     audiences: [4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2]
//!     identities: {emails: ["*@example.com"]}
//! ```
//!
//! Everything is refused that is not a token for one of the applications (`audiences`), signed by the team with a key that it publishes,
//! and in force. Without keys of the team, or with ones of which there was no news for too long, nobody passes. No kind of request is
//! exempt: a path that Access lets through without a login needs a route without this policy.

use super::{Asked, Findings, Policy};
use crate::access::{Claims, Identities, Identity, KeyFeed, Token};
use crate::denial::Reason;
use crate::facts::TrustLevel;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use rustls_pki_types::UnixTime;

/// Lets those pass who bring a token of a team's.
#[derive(Debug)]
pub struct Access {
    feed: KeyFeed,
    issuer: String,
    audiences: Vec<String>,
    identities: Option<Identities>,
    cookie: Cookie,
}

/// Whether the cookie of a login counts as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// The header alone.
    Ignored,
    /// In place of the header; where both are there, they have to be the same.
    Read,
}

/// Where the token is.
pub const ASSERTION: &str = "cf-access-jwt-assertion";

/// The cookie that holds the same token.
const AUTHORIZATION: &str = "CF_Authorization";

/// Seconds by which two clocks may differ.
const LEEWAY: u64 = 60;

impl Access {
    /// Tokens of the team for one of the audiences; with `identities`, those alone whom they name.
    #[must_use]
    pub fn new(feed: KeyFeed, audiences: Vec<String>, identities: Option<Identities>, cookie: Cookie) -> Self {
        let issuer = feed.team.issuer();
        Self { feed, issuer, audiences, identities, cookie }
    }

    fn check(&self, claims: &Claims, now: UnixTime) -> Result<Identity, Reason> {
        if claims.text("iss")? != Some(&self.issuer) {
            return Err(Reason::AccessIssuer);
        }
        if !claims.is_for(&self.audiences) {
            return Err(Reason::AccessAudience);
        }
        // A token of type `org` is the login to the team itself, signed with the same keys and good for no application.
        if claims.text("type")? != Some("app") {
            return Err(Reason::AccessType);
        }
        check_times(claims, now.as_secs())?;
        if let Some(identities) = &self.identities
            && !identities.name(claims)?
        {
            return Err(Reason::AccessIdentity);
        }
        Ok(Identity { email: claims.text("email")?.map(str::to_owned) })
    }

    /// The one token of a request.
    fn token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a [u8], Reason> {
        let mut lines = headers.get_all(ASSERTION).iter().map(HeaderValue::as_bytes);
        let header = only(&mut lines)?;
        let cookie = match self.cookie {
            Cookie::Ignored => None,
            Cookie::Read => only(&mut cookies(headers))?,
        };
        match (header, cookie) {
            (Some(header), Some(cookie)) if header != cookie => Err(Reason::AccessTokenDuplicated),
            (Some(token), _) | (None, Some(token)) => Ok(token),
            (None, None) => Err(Reason::AccessTokenMissing),
        }
    }
}

impl Policy for Access {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        self.examine(asked, &mut Findings::default())
    }

    fn examine(&self, asked: &Asked<'_>, findings: &mut Findings) -> Result<(), Reason> {
        let now = asked.facts.now;
        let token = Token::parse(self.token(asked.facts.request.headers)?)?;
        let verified = token.verify(asked.access_keys.of(&self.feed.team, now)?);
        if matches!(verified, Err(Reason::AccessKeyUnknown)) {
            findings.unknown_keys.push(self.feed.team.clone());
        }
        findings.identity = Some(self.check(&verified?, now)?);
        Ok(())
    }

    fn proves(&self) -> TrustLevel {
        TrustLevel::Account
    }

    fn key_feed(&self) -> Option<&KeyFeed> {
        Some(&self.feed)
    }
}

/// `exp` has to be there; `nbf` and `iat` need not, the tokens of services have no `nbf`.
fn check_times(claims: &Claims, now: u64) -> Result<(), Reason> {
    let end = claims.time("exp")?.ok_or(Reason::AccessTokenMalformed)?;
    let begins = claims.time("nbf")?.max(claims.time("iat")?).unwrap_or_default();
    if now >= end.saturating_add(LEEWAY) {
        return Err(Reason::AccessExpired);
    }
    if begins > now.saturating_add(LEEWAY) {
        return Err(Reason::AccessNotYetValid);
    }
    Ok(())
}

/// The one value, where there is one; of two, upstream and gateway could take different ones.
fn only<'a>(values: &mut impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Reason> {
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Reason::AccessTokenDuplicated),
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(AUTHORIZATION.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
