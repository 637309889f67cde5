//! A token: its form, which is checked before anything else is, and what it says once its signature holds.
//!
//! The signature is the library's work (RFC 7515). What the library takes and nobody should is refused here, before it: other algorithms,
//! keys that a token brings along or points to, names that stand twice, numbers that are none.

use super::keys::{KeySet, LONGEST_ID};
use super::members::Members;
use crate::denial::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, decode};
use serde_json::Value;
use std::sync::LazyLock;

/// Bytes of a token; Cloudflare's have one or two thousand.
const LONGEST: usize = 16 * 1024;

/// Header members that name a key, or demand that a reader know what they mean (RFC 7515 sections 4.1.2 to 4.1.11).
const NOT_OURS: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64"];

/// A token of the right form, of which nothing is believed yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    text: &'a str,
    key_id: String,
}

impl<'a> Token<'a> {
    /// Three parts of base64url without padding, a header that means RS256 and names a key by its identity alone.
    ///
    /// # Errors
    /// [`Reason::AccessTokenMalformed`] or [`Reason::AccessAlgorithm`].
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST).ok_or(MALFORMED)?;
        let mut parts = text.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(MALFORMED);
        };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| MALFORMED)?;
        let Members(header) = serde_json::from_slice(&header).map_err(|_| MALFORMED)?;
        if header.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(Reason::AccessAlgorithm);
        }
        let typ = header.get("typ").is_none_or(|typ| typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT")));
        if !typ || NOT_OURS.iter().any(|name| header.contains_key(*name)) {
            return Err(MALFORMED);
        }
        match header.get("kid") {
            Some(Value::String(id)) if (1..=LONGEST_ID).contains(&id.len()) => Ok(Self { text, key_id: id.clone() }),
            _ => Err(MALFORMED),
        }
    }

    /// What the token says, where one of the keys has signed it.
    ///
    /// # Errors
    /// [`Reason::AccessKeyUnknown`], [`Reason::AccessSignature`] or [`Reason::AccessTokenMalformed`].
    pub(crate) fn verify(&self, keys: &KeySet) -> Result<Claims, Reason> {
        let key = keys.find(&self.key_id).ok_or(Reason::AccessKeyUnknown)?;
        let token = decode::<Members>(self.text, key.verifying(), &SIGNATURE).map_err(|error| reason(&error))?;
        Ok(Claims(token.claims))
    }
}

const MALFORMED: Reason = Reason::AccessTokenMalformed;

/// The signature and nothing else: the library would read a clock, round times, and take a list of issuers. The policy looks at the claims.
static SIGNATURE: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    validation
});

fn reason(error: &Error) -> Reason {
    match error.kind() {
        ErrorKind::InvalidSignature => Reason::AccessSignature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Reason::AccessAlgorithm,
        _ => MALFORMED,
    }
}

/// What a verified token says.
#[derive(Debug)]
pub(crate) struct Claims(Members);

impl Claims {
    fn claim(&self, name: &str) -> Option<&Value> {
        self.0.0.get(name)
    }

    /// A text; none where there is none, or it is empty, as in the tokens of services.
    ///
    /// # Errors
    /// [`Reason::AccessTokenMalformed`] where the claim is something else.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Reason> {
        match self.claim(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty()).map(String::as_str)),
            Some(_) => Err(MALFORMED),
        }
    }

    /// A time, in whole seconds since 1970.
    ///
    /// # Errors
    /// [`Reason::AccessTokenMalformed`] where it is no whole number that a signed 64-bit reader could hold.
    pub(crate) fn time(&self, name: &str) -> Result<Option<u64>, Reason> {
        let Some(value) = self.claim(name) else { return Ok(None) };
        value.as_i64().and_then(|time| u64::try_from(time).ok()).map(Some).ok_or(MALFORMED)
    }

    /// Whether the token is for one of these: `aud` is one of them, or a list of texts with one of them in it.
    pub(crate) fn is_for(&self, audiences: &[String]) -> bool {
        let ours = |value: &Value| value.as_str().is_some_and(|text| audiences.iter().any(|audience| audience == text));
        match self.claim("aud") {
            Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.iter().any(ours),
            Some(value) => ours(value),
            None => false,
        }
    }

    /// The groups that the identity provider told: `groups`, and the same among the claims of the team's own choice, `custom`.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        let own = self.claim("custom").and_then(|custom| custom.get("groups"));
        self.claim("groups")
            .into_iter()
            .chain(own)
            .flat_map(|groups| match groups {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            })
            .filter_map(Value::as_str)
    }
}
