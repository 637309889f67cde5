//! The keys of an Access team as it publishes them: a JWK set (RFC 7517) at `/cdn-cgi/access/certs`
//! (<https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json/>).

use pullgate_policy::access::{Key, KeySet, UnfitKeys};
use serde::Deserialize;
use std::collections::HashSet;

/// Why keys are not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Something else, or half of it.
    #[error("the answer is no JWK set")]
    NotAKeySet(#[from] serde_json::Error),
    /// A part of a key is not there.
    #[error("a key has no `{0}`")]
    Incomplete(&'static str),
    /// Keys that no token should be believed by.
    #[error(transparent)]
    Unfit(#[from] UnfitKeys),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Published>,
}

/// The members that count; the certificates beside the keys say nothing more.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// Reads a JWK set. Keys of other kinds and for other purposes are left out, as RFC 7517 section 5 wants it; one that should be a key for
/// tokens and is none fails them all, and so do two of one `kid`, whatever they are for.
///
/// # Errors
/// Names what is wrong.
pub fn parse(document: &[u8]) -> Result<KeySet, KeysError> {
    let Document { keys } = serde_json::from_slice(document)?;
    let mut ids = HashSet::new();
    if !keys.iter().filter_map(|key| key.kid.as_deref()).all(|id| ids.insert(id)) {
        return Err(UnfitKeys::TwoOfOneId.into());
    }
    let keys = keys.iter().filter(|key| key.is_for_tokens()).map(Published::key).collect::<Result<_, _>>()?;
    Ok(KeySet::new(keys)?)
}

impl Published {
    fn is_for_tokens(&self) -> bool {
        let is_or_absent =
            |member: &Option<String>, wanted: &str| member.as_deref().is_none_or(|given| given == wanted);
        self.kty == "RSA" && is_or_absent(&self.alg, "RS256") && is_or_absent(&self.purpose, "sig")
    }

    fn key(&self) -> Result<Key, KeysError> {
        let part = |part: &'static str, member: &'_ Option<String>| member.clone().ok_or(KeysError::Incomplete(part));
        Ok(Key::new(&part("kid", &self.kid)?, &part("n", &self.n)?, &part("e", &self.e)?)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    /// Any number of 2048 bits, whose last letter has no bits to spare: nothing is verified here.
    fn modulus() -> String {
        "g".repeat(342)
    }

    fn key(id: &str, more: &str) -> String {
        format!(r#"{{"kid":"{id}","kty":"RSA","alg":"RS256","use":"sig","e":"AQAB","n":"{}"{more}}}"#, modulus())
    }

    fn ids(document: &str) -> Result<Vec<String>, String> {
        let set = parse(document.as_bytes()).map_err(|error| error.to_string())?;
        Ok(set.keys().iter().map(|key| key.id().to_owned()).collect())
    }

    #[test]
    fn the_keys_of_a_team_and_nothing_beside_them() {
        let certs =
            r#""public_cert":{"kid":"a","cert":"-----BEGIN CERTIFICATE-----"},"public_certs":[{"kid":"a","cert":"x"}]"#;
        let (a, b) = (key("a", ""), key("b", r#","x5t":"AAAA""#));
        let other = r#"{"kid":"c","kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#;
        let encryption = key("d", "").replace("\"sig\"", "\"enc\"");
        let longer = key("e", "").replace("RS256", "RS512");
        let bare = format!(r#"{{"kid":"f","kty":"RSA","e":"AQAB","n":"{}"}}"#, modulus());
        assert_eq!(ids(&format!(r#"{{"keys":[{a},{b}],{certs}}}"#)), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(ids(&format!(r#"{{"keys":[{other},{encryption},{longer},{bare}]}}"#)), Ok(vec!["f".into()]));
    }

    #[test]
    fn what_is_no_key_set_is_refused_as_a_whole() {
        let (a, b) = (key("a", ""), key("b", ""));
        let table = [
            (String::new(), "the answer is no JWK set"),
            ("<!DOCTYPE html><html>".into(), "the answer is no JWK set"),
            ("[]".into(), "the answer is no JWK set"),
            ("{}".into(), "the answer is no JWK set"),
            (r#"{"keys":null}"#.into(), "the answer is no JWK set"),
            (r#"{"keys":{}}"#.into(), "the answer is no JWK set"),
            (format!(r#"{{"keys":[{a}"#), "the answer is no JWK set"),
            (format!(r#"{{"keys":[{a}],"keys":[{b}]}}"#), "the answer is no JWK set"),
            (format!(r#"{{"keys":[{}]}}"#, key("a", r#","kid":"b""#)), "the answer is no JWK set"),
            (r#"{"keys":[]}"#.into(), "there is no key"),
            (r#"{"keys":[{"kty":"EC","kid":"a"}]}"#.into(), "there is no key"),
            (format!(r#"{{"keys":[{a},{b},{a}]}}"#), "two keys have one `kid`"),
            (format!(r#"{{"keys":[{a},{{"kty":"EC","kid":"a"}}]}}"#), "two keys have one `kid`"),
            (format!(r#"{{"keys":[{b},{}]}}"#, a.replace("\"kid\"", "\"id\"")), "a key has no `kid`"),
            (format!(r#"{{"keys":[{b},{}]}}"#, a.replace("\"e\"", "\"f\"")), "a key has no `e`"),
            (format!(r#"{{"keys":[{b},{}]}}"#, a.replace(&modulus(), "gggg")), "the modulus"),
        ];
        for (document, expected) in table {
            let error = ids(&document).unwrap_err();
            assert!(error.starts_with(expected), "{document}: {error}");
        }
    }
}
