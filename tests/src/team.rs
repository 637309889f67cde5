//! A team of Cloudflare Access: keys made at run time, what it publishes of them, and the tokens that it signs.

use crate::feed::Reply;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SigningKey};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::SystemTime;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// The application that tokens are for.
pub const AUDIENCE: &str = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";

/// A key of a team.
#[derive(Debug)]
pub struct TeamKey {
    id: &'static str,
    pair: KeyPair,
}

/// The key that a scenario begins with. To make one takes a while: all scenarios share them.
pub static OLD: LazyLock<TeamKey> = LazyLock::new(|| TeamKey::new("old"));
/// The key that a team rotates to.
pub static NEW: LazyLock<TeamKey> = LazyLock::new(|| TeamKey::new("new"));

impl TeamKey {
    fn new(id: &'static str) -> Self {
        Self { id, pair: KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap() }
    }

    /// As it is published.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let (_, key) = RSAPublicKey::from_der(self.pair.der_bytes()).unwrap();
        let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
        let (n, e) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(key.exponent));
        json!({"kid": self.id, "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e})
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.token_naming(self.id, claims)
    }

    /// A token that names another key.
    #[must_use]
    pub fn token_naming(&self, id: &str, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": id, "typ": "JWT"}).to_string();
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The answer of a team with these keys.
#[must_use]
pub fn certs(keys: &[&TeamKey]) -> Reply {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    Reply::new(200, json!({"keys": keys, "public_cert": {"kid": "old", "cert": "x"}, "public_certs": []}).to_string())
}

/// What team `example` says of Alice, for five minutes from now.
#[must_use]
pub fn alice() -> Value {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    json!({
        "aud": [AUDIENCE], "email": "alice@example.com", "exp": now + 300, "iat": now, "nbf": now,
        "iss": "https://example.cloudflareaccess.com", "type": "app", "sub": "7335d417", "country": "DE",
        "custom": {"groups": ["staff"]},
    })
}

/// The same with one claim changed.
#[must_use]
pub fn alice_but(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = alice();
    claims[name] = value.into();
    claims
}
