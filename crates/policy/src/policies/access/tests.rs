//! Tokens of every kind (E37), and the clock (E39): one row each, against keys that are known.

use super::*;
use crate::access::{AccessKeys, KeySet, Team, TeamKeys};
use crate::decide::{Action, Rules};
use crate::features::{Feature, Features};
use crate::hosts::Host;
use crate::policies::Mode;
use crate::testing::{Arrival, NOW, ONE, Signer, TWO, VISITOR, at, attached, base64url, rules, shop, values};
use crate::visitor::{Visitor, VisitorRule};
use crate::visitor_certificate::CertificateClaim;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const OURS: &str = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";
const THEIRS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const ISSUER: &str = "https://example.cloudflareaccess.com";
const DAY: u64 = 24 * 3600;

type Judgement = Result<(), Reason>;

fn team() -> Team {
    "example".parse().unwrap()
}

fn policy_with(identities: Option<Identities>, cookie: Cookie) -> Access {
    let team = team();
    let url = team.certs().parse().unwrap();
    Access::new(KeyFeed { team, url }, vec![OURS.into()], identities, cookie)
}

fn policy() -> Access {
    policy_with(None, Cookie::Ignored)
}

/// Both keys, told by the team at [`NOW`].
fn keys() -> AccessKeys {
    let set = KeySet::new(vec![ONE.key(), TWO.key()]).unwrap();
    AccessKeys::new(HashMap::from([(team(), Arc::new(TeamKeys { set, fetched: at(NOW) }))]), Duration::from_secs(DAY))
}

fn judge_with(policy: &Access, arrival: &Arrival, access_keys: &AccessKeys) -> (Judgement, Findings) {
    let visitor = Visitor { address: VISITOR.parse().unwrap(), country: None };
    let trust = crate::TrustLevel::Network;
    let mut findings = Findings::default();
    let certificate = &CertificateClaim::new(None, &arrival.headers);
    let asked = Asked { facts: &arrival.facts(), visitor: &visitor, trust, access_keys, certificate };
    (policy.examine(&asked, &mut findings), findings)
}

fn judge(policy: &Access, arrival: &Arrival) -> Judgement {
    let (judgement, findings) = judge_with(policy, arrival, &keys());
    // Who is refused was found to be nobody.
    assert_eq!(findings.identity.is_some(), judgement.is_ok());
    judgement
}

fn bringing(token: impl AsRef<[u8]>) -> Arrival {
    Arrival::good().with(ASSERTION, token)
}

fn says(token: impl AsRef<[u8]>) -> Judgement {
    judge(&policy(), &bringing(token))
}

fn header(signer: &Signer) -> String {
    json!({"alg": "RS256", "kid": signer.id, "typ": "JWT"}).to_string()
}

/// What Access says of somebody who has logged in.
fn person() -> Value {
    json!({
        "aud": [OURS], "email": "alice@example.com", "exp": NOW + 600, "iat": NOW - 10, "nbf": NOW - 10, "iss": ISSUER, "type": "app",
        "identity_nonce": "6ei69kawdKzMIAPF", "sub": "7335d417-61da-459d-899c-0a01c76a2f94", "country": "DE",
        "custom": {"groups": ["staff", "ops"]},
    })
}

/// What Access says of a service token: no `nbf`, no `email`.
fn service() -> Value {
    json!({
        "type": "app", "aud": OURS, "exp": NOW + 600, "iss": ISSUER, "common_name": "e367826f93b8d71185e03fe518aff3b4.access",
        "iat": NOW - 10, "sub": "",
    })
}

/// The claims of a person with one of them changed; null takes it away.
fn but(name: &str, value: Value) -> Value {
    let mut claims = person();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() { members.remove(name) } else { members.insert(name.into(), value) };
    claims
}

fn signed(claims: &Value) -> String {
    ONE.token(&header(&ONE), &claims.to_string())
}

fn good() -> String {
    signed(&person())
}

fn with_header(header: &Value) -> Judgement {
    says(ONE.token(&header.to_string(), &person().to_string()))
}

#[test]
fn e37_a_good_token_passes_whichever_key_signed_it() {
    assert_eq!(says(good()), Ok(()));
    assert_eq!(says(TWO.token(&header(&TWO), &person().to_string())), Ok(()));
    assert_eq!(says(signed(&service())), Ok(()));
    assert_eq!(with_header(&json!({"alg": "RS256", "kid": "one"})), Ok(()));
    assert_eq!(with_header(&json!({"alg": "RS256", "kid": "one", "typ": "jwt", "cty": "x"})), Ok(()));
    let both = Access::new(policy().feed, vec![THEIRS.into(), OURS.into()], None, Cookie::Ignored);
    assert_eq!(judge(&both, &bringing(good())), Ok(()));
}

#[test]
fn e37_one_algorithm_whatever_the_header_says() {
    for algorithm in ["none", "None", "nOnE", "NONE", "", "HS256", "HS512", "ES256", "PS256", "RS384", "RS512", "rs256", "RS256 "] {
        let header = json!({"alg": algorithm, "kid": "one", "typ": "JWT"});
        assert_eq!(with_header(&header), Err(Reason::AccessAlgorithm), "{algorithm}");
    }
    for algorithm in [json!(null), json!(["RS256"]), json!(1), json!({"alg": "RS256"})] {
        assert_eq!(with_header(&json!({"alg": algorithm, "kid": "one"})), Err(Reason::AccessAlgorithm), "{algorithm}");
    }
    assert_eq!(with_header(&json!({"kid": "one"})), Err(Reason::AccessAlgorithm));
    // Without a signature, as `none` has it.
    let (header, claims) = (json!({"alg": "none", "kid": "one"}).to_string(), person().to_string());
    let unsigned = format!("{}.{}.", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    assert_eq!(says(unsigned), Err(Reason::AccessAlgorithm));
    let (message, _) = good().rsplit_once('.').map(|(message, signature)| (message.to_owned(), signature.to_owned())).unwrap();
    for signature in ["", "AA", &base64url(&[0; 256]), &base64url(&[0xff; 256]), &base64url(&[0; 64])] {
        assert_eq!(says(format!("{message}.{signature}")), Err(Reason::AccessSignature), "{signature}");
    }
}

/// A secret made of what everybody can read: the public key.
#[test]
fn e37_hs256_with_the_public_key_is_refused_before_any_signature_is_looked_at() {
    let (modulus, _) = ONE.published();
    let key = jsonwebtoken::EncodingKey::from_secret(modulus.as_bytes());
    let header = jsonwebtoken::Header { kid: Some("one".into()), ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256) };
    let token = jsonwebtoken::encode(&header, &person(), &key).unwrap();
    assert_eq!(says(token), Err(Reason::AccessAlgorithm));
}

#[test]
fn e37_a_token_brings_no_key_and_points_to_none() {
    let (n, e) = TWO.published();
    let jwk = json!({"kty": "RSA", "kid": "two", "n": n, "e": e});
    let members = [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/certs")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ];
    for (name, value) in members {
        let mut header = json!({"alg": "RS256", "kid": "one", "typ": "JWT"});
        header[name] = value;
        assert_eq!(with_header(&header), Err(Reason::AccessTokenMalformed), "{name}");
    }
    for typ in [json!("JWE"), json!("at+jwt"), json!(1), json!(null)] {
        assert_eq!(with_header(&json!({"alg": "RS256", "kid": "one", "typ": typ})), Err(Reason::AccessTokenMalformed));
    }
}

#[test]
fn e37_a_key_is_named_and_known() {
    let long = "a".repeat(257);
    for id in [json!(null), json!(""), json!(1), json!(["one"]), json!({"kid": "one"}), json!(long)] {
        assert_eq!(with_header(&json!({"alg": "RS256", "kid": id})), Err(Reason::AccessTokenMalformed), "{id}");
    }
    assert_eq!(with_header(&json!({"alg": "RS256"})), Err(Reason::AccessTokenMalformed));
    let megabyte = json!({"alg": "RS256", "kid": "a".repeat(1 << 20)});
    assert_eq!(with_header(&megabyte), Err(Reason::AccessTokenMalformed));
    for id in ["three", "../../", "../../dev/null", "one' OR '1'='1", "ONE", "one ", "one\u{0}", "é", &"a".repeat(256)] {
        assert_eq!(with_header(&json!({"alg": "RS256", "kid": id})), Err(Reason::AccessKeyUnknown), "{id}");
    }
    // Another key of the team's has signed it.
    assert_eq!(with_header(&json!({"alg": "RS256", "kid": "two"})), Err(Reason::AccessSignature));
}

/// The note for whoever fetches keys, and nothing of what the token says.
#[test]
fn e37_an_unknown_key_is_noted_and_nothing_else_is() {
    let token = ONE.token(&json!({"alg": "RS256", "kid": "new"}).to_string(), &person().to_string());
    let (judgement, findings) = judge_with(&policy(), &bringing(token), &keys());
    assert_eq!(judgement, Err(Reason::AccessKeyUnknown));
    assert_eq!(findings, Findings { identity: None, unknown_keys: vec![team()] });
    for token in [good(), signed(&but("aud", json!(THEIRS))), "a.b.c".into()] {
        assert!(judge_with(&policy(), &bringing(token), &keys()).1.unknown_keys.is_empty());
    }
}

/// Whatever letter is changed, it is no token any more.
#[test]
fn e37_no_letter_of_a_token_can_be_changed() {
    let good = good();
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(says(&changed).is_err(), "{at}");
    }
}

#[test]
fn e37_three_parts_of_base64url_without_padding() {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, tail) = (parts[0], parts[1], parts[2]);
    let bom = ONE.token(&format!("\u{feff}{}", header(&ONE)), &person().to_string());
    let bom_in_claims = ONE.token(&header(&ONE), &format!("\u{feff}{}", person()));
    let bad = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        head.into(),
        format!("{head}.{body}"),
        format!("{good}."),
        format!("{good}.{tail}"),
        format!(".{good}"),
        format!("{head}=.{body}.{tail}"),
        format!("{head}.{body}=.{tail}"),
        format!("{head}.{body}==.{tail}"),
        format!("{good}=="),
        format!("{head}.{body}.{tail}A==="),
        format!("{good} "),
        format!(" {good}"),
        format!("{head} .{body}.{tail}"),
        format!("{head}. {body}.{tail}"),
        format!("{head}.{body}\t.{tail}"),
        format!("Bearer {good}"),
        format!("\"{good}\""),
        format!("{good},{good}"),
        good.replace('_', "/").replace('-', "+"),
        bom,
        bom_in_claims,
        ONE.token("[]", &person().to_string()),
        ONE.token("null", &person().to_string()),
        ONE.token(&format!("{}{}", header(&ONE), header(&ONE)), &person().to_string()),
        ONE.token(&header(&ONE), "[]"),
        ONE.token(&header(&ONE), "\"a\""),
        ONE.token(&header(&ONE), ""),
        ONE.token(&header(&ONE), &format!("{}{}", person(), person())),
        ONE.token(&header(&ONE), &format!("{} x", person())),
    ];
    for token in bad {
        let judgement = says(&token);
        // What changes what was signed may be found out by the signature.
        assert!(matches!(judgement, Err(Reason::AccessTokenMalformed | Reason::AccessSignature)), "{judgement:?} {token}");
    }
    assert_eq!(says(b"\xff\xfe.a.b"), Err(Reason::AccessTokenMalformed));
    assert_eq!(says(format!("{head}.{body}.{tail}=")), Err(Reason::AccessTokenMalformed));
}

#[test]
fn e37_a_token_of_more_than_16_kib_is_refused_as_it_stands() {
    let long = |length: usize| signed(&but("custom", json!({"padding": "a".repeat(length)})));
    // Three bytes are four letters.
    let most = (16_384 - long(0).len()) / 4 * 3;
    let (longest, longer) = (long(most), long(most + 3));
    assert!(longest.len() > 16_380 && longest.len() <= 16_384 && longer.len() > 16_384, "{} {}", longest.len(), longer.len());
    assert_eq!(says(longest), Ok(()));
    assert_eq!(says(longer), Err(Reason::AccessTokenMalformed));
    assert_eq!(says("a".repeat(16_385)), Err(Reason::AccessTokenMalformed));
}

#[test]
fn e37_the_token_is_for_one_of_the_applications() {
    let refused = Err(Reason::AccessAudience);
    let table = [
        (json!(OURS), Ok(())),
        (json!([OURS]), Ok(())),
        (json!([THEIRS, OURS]), Ok(())),
        (json!(null), refused),
        (json!(THEIRS), refused),
        (json!([THEIRS]), refused),
        (json!([]), refused),
        (json!(""), refused),
        (json!([""]), refused),
        (json!([[OURS]]), refused),
        (json!([OURS, [OURS]]), refused),
        (json!([OURS, 1]), refused),
        (json!({"aud": OURS}), refused),
        (json!({OURS: true}), refused),
        (json!(1), refused),
        (json!(true), refused),
        (json!(OURS.to_uppercase()), refused),
        (json!(format!("{OURS} ")), refused),
        (json!(&OURS[..63]), refused),
        (json!(format!("{OURS},{THEIRS}")), refused),
    ];
    for (audience, expected) in table {
        assert_eq!(says(signed(&but("aud", audience.clone()))), expected, "{audience}");
    }
}

#[test]
fn e37_the_issuer_is_the_team_to_the_letter() {
    let (other, malformed) = (Err(Reason::AccessIssuer), Err(Reason::AccessTokenMalformed));
    let table = [
        (json!(ISSUER), Ok(())),
        (json!(null), other),
        (json!(""), other),
        (json!(format!("{ISSUER}/")), other),
        (json!(format!("{ISSUER}/cdn-cgi")), other),
        (json!("https://Example.cloudflareaccess.com"), other),
        (json!("http://example.cloudflareaccess.com"), other),
        (json!("https://example.cloudflareaccess.com.evil.net"), other),
        (json!("https://example.fed.cloudflareaccess.com"), other),
        (json!("https://evil.cloudflareaccess.com"), other),
        (json!("example"), other),
        (json!([ISSUER]), malformed),
        (json!({"iss": ISSUER}), malformed),
        (json!(1), malformed),
    ];
    for (issuer, expected) in table {
        assert_eq!(says(signed(&but("iss", issuer.clone()))), expected, "{issuer}");
    }
}

#[test]
fn e37_only_tokens_for_applications_pass() {
    for kind in [json!("org"), json!("APP"), json!("app "), json!(""), json!(null)] {
        assert_eq!(says(signed(&but("type", kind.clone()))), Err(Reason::AccessType), "{kind}");
    }
    for kind in [json!(["app"]), json!(1), json!({"type": "app"})] {
        assert_eq!(says(signed(&but("type", kind.clone()))), Err(Reason::AccessTokenMalformed), "{kind}");
    }
}

#[test]
fn e37_times_are_whole_seconds_and_have_a_minute_of_leeway() {
    let (malformed, expired, early) =
        (Err(Reason::AccessTokenMalformed), Err(Reason::AccessExpired), Err(Reason::AccessNotYetValid));
    let table = [
        ("exp", json!(NOW + 1), Ok(())),
        ("exp", json!(NOW), Ok(())),
        ("exp", json!(NOW - 59), Ok(())),
        ("exp", json!(NOW - 60), expired),
        ("exp", json!(NOW - 61), expired),
        ("exp", json!(0), expired),
        ("exp", json!(i64::MAX), Ok(())),
        ("exp", json!(null), malformed),
        ("exp", json!(1_u64 << 63), malformed),
        ("exp", json!(u64::MAX), malformed),
        ("exp", json!(-1), malformed),
        ("exp", json!(i64::MIN), malformed),
        ("exp", json!((NOW + 600).to_string()), malformed),
        ("exp", json!(NOW as f64 + 600.0), malformed),
        ("exp", json!(1e300), malformed),
        ("exp", json!([NOW + 600]), malformed),
        ("exp", json!(true), malformed),
        ("nbf", json!(null), Ok(())),
        ("nbf", json!(NOW + 59), Ok(())),
        ("nbf", json!(NOW + 60), Ok(())),
        ("nbf", json!(NOW + 61), early),
        ("nbf", json!(i64::MAX), early),
        ("nbf", json!("0"), malformed),
        ("nbf", json!(0.5), malformed),
        ("nbf", json!(-1), malformed),
        ("iat", json!(null), Ok(())),
        ("iat", json!(NOW + 60), Ok(())),
        ("iat", json!(NOW + 61), early),
        ("iat", json!("now"), malformed),
    ];
    for (name, value, expected) in table {
        assert_eq!(says(signed(&but(name, value.clone()))), expected, "{name} {value}");
    }
    // What no number type holds, and null in the text itself.
    for claims in [r#""exp":1e999"#, r#""exp":99999999999999999999"#, r#""exp":null"#, r#""exp":0x7fffffff"#] {
        let text = person().to_string().replace(&format!(r#""exp":{}"#, NOW + 600), claims);
        assert!(text.contains(claims), "{text}");
        assert_eq!(says(ONE.token(&header(&ONE), &text)), malformed, "{claims}");
    }
}

/// With the clock five minutes or a day off, or set back, nothing moves but what a token says of times, and the age of the keys.
#[test]
fn e39_the_clock_moves_validity_and_nothing_else() {
    let judged_at = |seconds: u64| {
        let mut arrival = bringing(good());
        arrival.now = at(seconds);
        judge_with(&policy(), &arrival, &keys()).0
    };
    let (expired, early) = (Err(Reason::AccessExpired), Err(Reason::AccessNotYetValid));
    let table = [
        (NOW, Ok(())),
        (NOW + 300, Ok(())),
        (NOW + 659, Ok(())),
        (NOW + 660, expired),
        (NOW + DAY, expired),
        (NOW + DAY + 1, Err(Reason::AccessKeysStale)),
        (NOW - 70, Ok(())),
        (NOW - 71, early),
        (NOW - 300, early),
        (NOW - DAY, early),
        (0, early),
        (u64::MAX, Err(Reason::AccessKeysStale)),
        // And back again.
        (NOW, Ok(())),
    ];
    for (seconds, expected) in table {
        assert_eq!(judged_at(seconds), expected, "{seconds}");
    }
}

#[test]
fn e38_without_keys_nobody_passes_and_nobody_is_to_blame() {
    let none = AccessKeys::default();
    assert_eq!(judge_with(&policy(), &bringing(good()), &none).0, Err(Reason::AccessKeysMissing));
    assert_eq!(Reason::AccessKeysMissing.status(), 503);
    assert_eq!(Reason::AccessKeysStale.status(), 503);
    // Keys of another team are nothing to this one.
    let other: Team = "other".parse().unwrap();
    let set = KeySet::new(vec![ONE.key()]).unwrap();
    let theirs = AccessKeys::new(HashMap::from([(other, Arc::new(TeamKeys { set, fetched: at(NOW) }))]), Duration::MAX);
    assert_eq!(judge_with(&policy(), &bringing(good()), &theirs).0, Err(Reason::AccessKeysMissing));
}

#[test]
fn e37_a_claim_stands_once() {
    let person = person().to_string();
    for doubled in [
        format!(r#"{{"aud":"{THEIRS}",{}"#, &person[1..]),
        format!(r#"{},"email":"eve@example.com"}}"#, &person[..person.len() - 1]),
        format!(r#"{},"exp":{}}}"#, &person[..person.len() - 1], NOW + 600),
        format!(r#"{},"\u0065xp":{}}}"#, &person[..person.len() - 1], NOW + 600),
        person.replace(r#""groups":["#, r#""groups":["root"],"groups":["#),
    ] {
        assert_ne!(doubled, person);
        assert_eq!(says(ONE.token(&header(&ONE), &doubled)), Err(Reason::AccessTokenMalformed), "{doubled}");
    }
    for doubled in [r#"{"alg":"RS256","alg":"RS256","kid":"one"}"#, r#"{"alg":"none","kid":"one","alg":"RS256"}"#] {
        assert_eq!(says(ONE.token(doubled, &person)), Err(Reason::AccessTokenMalformed), "{doubled}");
    }
    assert_eq!(says(ONE.token(r#"{"alg":"RS256","kid":"two","kid":"one"}"#, &person)), Err(Reason::AccessTokenMalformed));
}

#[test]
fn e37_one_header_line_and_a_cookie_that_agrees() {
    let (good, other) = (good(), signed(&service()));
    let (missing, duplicated) = (Err(Reason::AccessTokenMissing), Err(Reason::AccessTokenDuplicated));
    let cookie = |token: &str| format!("a=b; CF_Authorization={token};c=d");
    let table: [(&[&str], &[String], Judgement, Judgement); 14] = [
        (&[], &[], missing, missing),
        (&[&good], &[], Ok(()), Ok(())),
        (&[&good, &good], &[], duplicated, duplicated),
        (&[&good, &other], &[], duplicated, duplicated),
        (&[""], &[], Err(Reason::AccessTokenMalformed), Err(Reason::AccessTokenMalformed)),
        (&[], &[cookie(&good)], missing, Ok(())),
        (&[&good], &[cookie(&good)], Ok(()), Ok(())),
        (&[&good], &[cookie(&other)], Ok(()), duplicated),
        (&[&good], &[cookie("")], Ok(()), duplicated),
        (&[], &[cookie(&good), cookie(&good)], missing, duplicated),
        (&[], &[format!("CF_Authorization={good}; CF_Authorization={other}")], missing, duplicated),
        (&[], &[format!("cf_authorization={good}; XCF_Authorization={good}; CF_Authorization2={good}")], missing, missing),
        (&[], &[format!("CF_Authorization=\"{good}\"")], missing, Err(Reason::AccessTokenMalformed)),
        (&[], &["a=b".into(), cookie(&other)], missing, Ok(())),
    ];
    for (lines, cookies, ignored, read) in table {
        let arrival = lines.iter().fold(Arrival::good(), |arrival, line| arrival.with(ASSERTION, line));
        let arrival = cookies.iter().fold(arrival, |arrival, cookie| arrival.with("cookie", cookie));
        assert_eq!(judge(&policy(), &arrival), ignored, "{lines:?} {cookies:?}");
        assert_eq!(judge(&policy_with(None, Cookie::Read), &arrival), read, "{lines:?} {cookies:?}");
    }
    // Neither the unsigned address nor a bearer's token counts.
    let claimed = Arrival::good().with("cf-access-authenticated-user-email", "alice@example.com");
    assert_eq!(judge(&policy(), &claimed.with("authorization", format!("Bearer {good}"))), missing);
}

#[test]
fn e40_identities_name_people_groups_and_services() {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let named = |emails: &[&str], groups: &[&str], names: &[&str]| Identities {
        emails: emails.iter().map(|email| email.parse().unwrap()).collect(),
        groups: texts(groups),
        common_names: texts(names),
    };
    let refused = Err(Reason::AccessIdentity);
    let client = "e367826f93b8d71185e03fe518aff3b4.access";
    let own = |groups: Value| but("groups", groups);
    let table = [
        (named(&["*@example.com"], &[], &[]), person(), Ok(())),
        (named(&["*@example.com"], &[], &[]), but("email", json!("Eve@EXAMPLE.com")), Ok(())),
        (named(&["*@example.com"], &[], &[]), but("email", json!("eve@example.net")), refused),
        (named(&["*@example.com"], &[], &[]), but("email", json!("")), refused),
        (named(&["*@example.com"], &[], &[]), but("email", Value::Null), refused),
        (named(&["*@example.com"], &[], &[]), service(), refused),
        (named(&["bob@example.com"], &["ops"], &[]), person(), Ok(())),
        (named(&["bob@example.com"], &["op"], &[]), person(), refused),
        (named(&[], &["Staff"], &[]), person(), refused),
        (named(&[], &["root"], &[]), own(json!(["root"])), Ok(())),
        (named(&[], &["root"], &[]), own(json!("root")), Ok(())),
        (named(&[], &["root"], &[]), own(json!([["root"]])), refused),
        (named(&[], &["root"], &[]), own(json!({"root": true})), refused),
        (named(&[], &[], &[client]), service(), Ok(())),
        (named(&[], &[], &[client]), person(), refused),
        (named(&[], &[], &[&client.to_uppercase()]), service(), refused),
        (named(&["*@example.com"], &[], &[]), but("email", json!(["alice@example.com"])), Err(Reason::AccessTokenMalformed)),
        // A service cannot call itself by a person's name, nor a person by a service's.
        (named(&[], &[], &["alice@example.com"]), person(), refused),
    ];
    for (identities, claims, expected) in table {
        let policy = policy_with(Some(identities.clone()), Cookie::Ignored);
        assert_eq!(judge(&policy, &bringing(signed(&claims))), expected, "{identities:?} {claims}");
    }
}

fn guarded(mode: Mode) -> Rules {
    let host = Host { policies: vec![attached("access", mode, policy())], ..shop() };
    Rules { access_keys: Arc::new(keys()), ..rules(vec![host]) }
}

/// What the upstream hears: a token that was verified, and the address in it; nothing else that begins with `Cf-Access-`.
#[test]
fn the_upstream_gets_what_was_verified_and_nothing_else() {
    let claimed = |arrival: Arrival| {
        arrival
            .with("cf-access-authenticated-user-email", "eve@example.com")
            .with("cf_access_jwt_assertion", "forged")
            .with("cf-access-client-id", "x")
    };
    let (good, eve) = (good(), signed(&but("aud", json!(THEIRS))));
    let forwarded = |mode, arrival: Arrival| {
        let headers = claimed(arrival).forwarded(&guarded(mode));
        assert!(!headers.contains_key("cf_access_jwt_assertion") && !headers.contains_key("cf-access-client-id"));
        let text = |name| values(&headers, name).into_iter().map(str::to_owned).collect::<Vec<_>>();
        (text(ASSERTION), text("cf-access-authenticated-user-email"))
    };
    let verified = (vec![good.clone()], vec!["alice@example.com".to_owned()]);
    let nothing = (vec![], vec![]);
    for mode in [Mode::Enforce, Mode::Observe] {
        assert_eq!(forwarded(mode, bringing(&good)), verified);
        let service = signed(&service());
        assert_eq!(forwarded(mode, bringing(&service)), (vec![service], vec![]));
        let odd = signed(&but("email", json!("a\u{e9}\r\nx: y@example.com")));
        assert_eq!(forwarded(mode, bringing(&odd)), (vec![odd], vec![]));
    }
    assert_eq!(forwarded(Mode::Observe, bringing(&eve)), nothing);
    assert_eq!(forwarded(Mode::Observe, bringing(&good).with(ASSERTION, &good)), nothing);
    assert_eq!(forwarded(Mode::Observe, Arrival::good()), nothing);
    // A host without the policy verifies nothing.
    let open = Rules { access_keys: Arc::new(keys()), ..rules(vec![shop()]) };
    let headers = claimed(bringing(&good)).forwarded(&open);
    assert!(headers.keys().all(|name| !name.as_str().starts_with("cf-access")), "{headers:?}");
}

/// Where Access is declared its fields pass unread; beside a token that was verified, the address that nobody signed does not.
#[test]
fn an_unsigned_address_does_not_stand_beside_a_token_that_names_nobody() {
    let features = Features::from_iter([Feature::Access]);
    let declaring = |policies| {
        let visitor = VisitorRule { features, ..VisitorRule::default() };
        Rules { access_keys: Arc::new(keys()), ..rules(vec![Host { policies, visitor, ..shop() }]) }
    };
    let token = signed(&service());
    let arrival = bringing(&token).with("cf-access-authenticated-user-email", "eve@example.com");
    let heard = |policies| {
        let headers = arrival.forwarded(&declaring(policies));
        assert_eq!(values(&headers, ASSERTION), [token.as_str()]);
        values(&headers, "cf-access-authenticated-user-email").join("|")
    };
    assert_eq!(heard(vec![]), "eve@example.com");
    for mode in [Mode::Enforce, Mode::Observe] {
        assert_eq!(heard(vec![attached("access", mode, policy())]), "");
    }
}

#[test]
fn observe_mode_notes_the_reason_and_the_unknown_key() {
    let token = ONE.token(&json!({"alg": "RS256", "kid": "new"}).to_string(), &person().to_string());
    let ruling = bringing(token).ruling(&guarded(Mode::Observe));
    assert!(matches!(ruling.outcome.unwrap().action(), Action::Forward { .. }));
    assert_eq!(ruling.observed.iter().map(|observed| observed.reason).collect::<Vec<_>>(), ["access_key_unknown"]);
    assert_eq!(ruling.findings.unknown_keys, [team()]);
}

/// No method, protocol or content type is let off.
#[test]
fn nothing_is_exempt() {
    let upgrade = |arrival: Arrival| arrival.with("connection", "Upgrade").with("upgrade", "websocket");
    let arrivals = [
        Arrival::good().asks("POST", "/grpc.Service/Call").with("content-type", "application/grpc").with("te", "trailers"),
        upgrade(Arrival::good()),
        Arrival::good().asks("OPTIONS", "/").with("access-control-request-method", "POST").with("origin", "https://a"),
        Arrival::good().asks("HEAD", "/"),
        Arrival::good().asks("GET", "/.well-known/acme-challenge/x"),
        Arrival::good().asks("GET", "/cdn-cgi/access/callback"),
        Arrival::good().admitted_as(crate::Source::Listed),
    ];
    for arrival in arrivals {
        let shown = format!("{arrival:?}");
        assert_eq!(arrival.outcome(&guarded(Mode::Enforce)), Err(Reason::AccessTokenMissing), "{shown}");
        assert_eq!(arrival.with(ASSERTION, good()).outcome(&guarded(Mode::Enforce)), Ok(()), "{shown}");
    }
}

/// Nothing that is shown of a request's ruling holds the token.
#[test]
fn what_is_shown_of_keys_and_rulings_holds_no_token() {
    let shown = format!("{:?} {:?}", keys(), policy());
    assert!(!shown.contains(&ONE.published().0), "{shown}");
    let good = good();
    let ruling = format!("{:?}", bringing(&good).ruling(&guarded(Mode::Enforce)));
    assert!(!ruling.contains(good.rsplit('.').next().unwrap()), "{ruling}");
}

/// Two policies of one host: what the first verified stays verified, where the second only observes.
#[test]
fn one_policy_that_verified_is_enough_for_the_upstream() {
    let elsewhere = Access::new(policy().feed, vec![THEIRS.into()], None, Cookie::Ignored);
    let policies = vec![attached("first", Mode::Enforce, policy()), attached("second", Mode::Observe, elsewhere)];
    let rules = Rules { access_keys: Arc::new(keys()), ..rules(vec![Host { policies, ..shop() }]) };
    let good = good();
    assert_eq!(values(&bringing(&good).forwarded(&rules), ASSERTION), [good]);
}
