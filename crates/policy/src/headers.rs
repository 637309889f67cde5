//! Header hygiene: the names that the gateway owns, and the edits between client and upstream.
//!
//! Nothing that a client chose reaches the upstream under an owned name. From a peer that is believed, the fields that
//! Cloudflare sets itself pass unchanged, those of a feature where the host declares it (see [`passes`]); every other owned
//! field is removed, whatever its spelling.

mod sent;

use sent::LONGEST_VALUE;
pub(crate) use sent::scheme_of_cf_visitor;
pub use sent::{SENT, Sent, feature_of, passes};

use crate::access::Identity;
use crate::denial::Reason;
use crate::policies::ASSERTION;
use crate::secrets::SecretNames;
use crate::template::{Known, Template};
use crate::visitor::VisitorRule;
use http::header::{CONNECTION, COOKIE, FORWARDED, HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::Write as _;
use std::net::IpAddr;

// Names, not texts: a lookup by text parses it first, on each request.
pub(crate) const CF_CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
pub(crate) const CF_VISITOR: HeaderName = HeaderName::from_static("cf-visitor");
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removals first, then replacements; applying them twice changes nothing more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Fields to remove, every line of them.
    pub remove: Vec<HeaderName>,
    /// Fields to set, replacing what is there.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// One edit of a message's fields.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'a> {
    /// Remove every line of this field.
    Remove(&'a HeaderName),
    /// Set this field, in place of every line of it.
    Set(&'a HeaderName, &'a HeaderValue),
}

impl HeaderEdits {
    /// The edits one by one, in the order in which they count; whoever holds the fields carries them out.
    pub fn each(&self) -> impl Iterator<Item = Edit<'_>> {
        let set = self.set.iter().map(|(name, value)| Edit::Set(name, value));
        self.remove.iter().map(Edit::Remove).chain(set)
    }

    /// Adds the operator's own edits after these.
    pub fn extend(&mut self, rules: &HeaderRules, known: &Known<'_>) {
        for name in &rules.remove {
            self.set.retain(|(set, _)| set != name);
            self.remove.push(name.clone());
        }
        self.set.extend(rules.set.iter().map(|(name, template)| (name.clone(), template.fill(known))));
    }
}

/// The edits that a host's configuration asks for.
#[derive(Debug, Clone, Default)]
pub struct HeaderRules {
    /// Fields to remove.
    pub remove: Vec<HeaderName>,
    /// Fields to set after that.
    pub set: Vec<(HeaderName, Template)>,
}

impl HeaderRules {
    /// The edits for one request.
    #[must_use]
    pub fn fill(&self, known: &Known<'_>) -> HeaderEdits {
        let mut edits = HeaderEdits::default();
        edits.extend(self, known);
        edits
    }
}

/// Owned names, lowercase with `-` for every byte that is not a letter or digit.
const OWNED: [&str; 23] = [
    "cdn-loop",
    "client-ip",
    "early-data",
    "exposed-credential-check",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "malicious-uploads-detection",
    "proxy",
    "proxy-client-ip",
    "remote-user",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-true-client-ip",
];

/// Beginnings of owned names, in the same spelling.
const OWNED_PREFIXES: [&str; 9] = [
    "cf-",
    "client-cert",
    "ssl-client-",
    "x-client-cert",
    "x-envoy-",
    "x-forwarded-",
    "x-original-forwarded-",
    "x-remote-",
    "x-ssl-",
];

/// Whether the gateway owns a name, in any spelling that an application may fold into it (`CF_Connecting_IP`, `x.real.ip`).
#[must_use]
pub fn is_owned(name: &str) -> bool {
    // Every owned name starts with one of these, which spares most fields the comparison.
    let first = name.as_bytes().first().map(u8::to_ascii_lowercase);
    if !matches!(first, Some(b'c' | b'e'..=b'f' | b'm' | b'p' | b'r'..=b't' | b'v'..=b'x')) {
        return false;
    }
    let same_start = |owned: &&&str| owned.as_bytes().first() == first.as_ref();
    OWNED.iter().filter(same_start).any(|owned| folds_to(name, owned) == Fold::Whole)
        || OWNED_PREFIXES.iter().filter(same_start).any(|prefix| folds_to(name, prefix) != Fold::No)
}

#[derive(PartialEq, Eq)]
enum Fold {
    No,
    Prefix,
    Whole,
}

/// What CGI makes of a byte of a name, with `-` for its `_`.
fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// A name as applications may fold it: lowercase, with `-` for every byte that is not a letter or digit.
pub(crate) fn folded(name: &str) -> String {
    name.bytes().map(fold).map(char::from).collect()
}

/// Whether a name is a spelling of the one that was folded.
pub(crate) fn is_spelling_of(name: &str, folded: &str) -> bool {
    name.len() == folded.len() && folds_to(name, folded) == Fold::Whole
}

/// Whether `name`, folded as CGI folds it, starts with or is `owned`.
fn folds_to(name: &str, owned: &str) -> Fold {
    if name.len() < owned.len() || !name.bytes().zip(owned.bytes()).all(|(given, own)| fold(given) == own) {
        return Fold::No;
    }
    if name.len() == owned.len() { Fold::Whole } else { Fold::Prefix }
}

/// Whether applications may take a field for another one: the same name, in another spelling.
fn poses_as(name: &HeaderName, own: &HeaderName) -> bool {
    let (given, own) = (name.as_str(), own.as_str());
    given.len() == own.len()
        && given != own
        && given.bytes().zip(own.bytes()).all(|(one, other)| fold(one) == fold(other))
}

/// Whether a field is set in place of whatever came under its name.
fn is_set_anew(name: &HeaderName, believed: bool) -> bool {
    [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST].contains(name) || believed && *name == CF_CONNECTING_IP
}

/// The edits that every forwarded request gets.
///
/// `believed` tells whether what the peer says of visitors is taken. The host goes on as it was judged.
#[must_use]
pub fn identity_edits(known: &Known<'_>, rule: &VisitorRule, host: &str, believed: bool) -> HeaderEdits {
    let headers = known.facts.request.headers;
    // Most requests bring no other names than those that are set anew below, or pass.
    let mut edits = HeaderEdits { remove: Vec::new(), set: Vec::with_capacity(8) };
    for name in headers.keys() {
        let stays = || is_set_anew(name, believed) || believed && passes(name, headers, known.visitor, rule.features);
        if poses_as(name, &rule.address_header) || is_owned(name.as_str()) && !stays() {
            edits.remove.push(name.clone());
        }
    }
    let (scheme, visitor) = (scheme(known, believed), known.visitor.address);
    let text = Shown::of(visitor);
    let address = as_sent(headers.get(&rule.address_header), text.as_bytes());
    if believed {
        edits.set.push((CF_CONNECTING_IP, address.clone()));
        edits.set.extend(sent::early_data(headers, rule.features));
    }
    if rule.forwarded {
        edits.set.push((FORWARDED, forwarded(visitor, scheme, host)));
    }
    let host = as_sent(headers.get(HOST), host.as_bytes());
    edits.set.push((X_FORWARDED_FOR, address));
    edits.set.push((X_FORWARDED_PROTO, HeaderValue::from_static(scheme)));
    edits.set.push((X_FORWARDED_HOST, host.clone()));
    edits.set.push((HOST, host));
    if let Some(cookie) = joined_cookie(headers) {
        edits.set.push((COOKIE, cookie));
    }
    if let Some(identity) = known.identity {
        vouch(&mut edits, identity);
    }
    edits
}

const EMAIL: HeaderName = HeaderName::from_static("cf-access-authenticated-user-email");

/// The token that `access` has verified goes on, whoever the peer is: it proves itself. The e-mail address goes on as the token has it, for
/// the field that Cloudflare sends is not signed, or not at all.
fn vouch(edits: &mut HeaderEdits, identity: &Identity) {
    edits.remove.retain(|name| name != ASSERTION);
    let email = identity.email.as_deref().and_then(|email| HeaderValue::from_str(email).ok());
    if let Some(email) = email.filter(|email| email.len() <= LONGEST_VALUE) {
        edits.set.push((EMAIL, email));
    } else {
        edits.remove.push(EMAIL);
    }
}

/// A value that was sent as it is to go on is shared, not written anew.
fn as_sent(sent: Option<&HeaderValue>, wanted: &[u8]) -> HeaderValue {
    match sent {
        Some(sent) if sent.as_bytes() == wanted => sent.clone(),
        _ => HeaderValue::from_bytes(wanted).unwrap_or_else(|_| HeaderValue::from_static("")),
    }
}

/// An address as text, without an allocation: every request has one.
struct Shown {
    bytes: [u8; LONGEST_ADDRESS],
    length: usize,
}

/// The longest that an IPv6 address gets, with an IPv4 address at its end.
const LONGEST_ADDRESS: usize = 45;

impl Shown {
    fn of(address: IpAddr) -> Self {
        let mut bytes = [0; LONGEST_ADDRESS];
        let mut rest = &mut bytes[..];
        // There is room for every address.
        let _ = write!(rest, "{address}");
        let length = LONGEST_ADDRESS - rest.len();
        Self { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The value of a text that cannot hold what no header may.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// `Forwarded` for one hop, from the visitor to the gateway: what others say of hops before it is not repeated. What is no token stands in
/// quotes, and IPv6 in brackets besides (RFC 7239 sections 4 and 6).
fn forwarded(visitor: IpAddr, scheme: &str, host: &str) -> HeaderValue {
    let node = match visitor {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let quote = if host.bytes().all(is_token) { "" } else { "\"" };
    value(&format!("for={node};proto={scheme};host={quote}{host}{quote}"))
}

/// The visitor's scheme: as the believed peer says, else the connection's own.
fn scheme(known: &Known<'_>, believed: bool) -> &'static str {
    let headers = known.facts.request.headers;
    let told = || {
        let mut values = headers.get_all(&X_FORWARDED_PROTO).iter();
        match (values.next().map(HeaderValue::as_bytes), values.next()) {
            (Some(b"https"), None) => Some("https"),
            (Some(b"http"), None) => Some("http"),
            _ => headers.get(&CF_VISITOR).and_then(scheme_of_cf_visitor),
        }
    };
    let own = if known.facts.connection.tls().is_some() { "https" } else { "http" };
    believed.then(told).flatten().unwrap_or(own)
}

/// HTTP/2 clients may split Cookie into crumbs, which HTTP/1.1 wants as one field (RFC 9113 section 8.2.3).
fn joined_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let first = crumbs.next()?;
    let second = crumbs.next()?;
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// Refuses a `Connection` field that would have an identity removed on the way (RFC 9110 section 7.6.1 lets it name any field),
/// that names a secret's field, something else than fields, or too many.
///
/// # Errors
/// [`Reason::HopByHopIdentity`].
pub fn check_connection(headers: &HeaderMap, secrets: &SecretNames) -> Result<(), Reason> {
    let fields = headers.get_all(CONNECTION).iter();
    let names = fields.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    for (count, name) in names.filter(|name| !name.is_empty()).enumerate() {
        let name =
            std::str::from_utf8(name).ok().filter(|name| name.bytes().all(is_token)).ok_or(Reason::HopByHopIdentity)?;
        let needed = NEVER_HOP_BY_HOP.iter().any(|field| name.eq_ignore_ascii_case(field));
        let protected = needed || is_owned(name) || secrets.contains(name);
        if protected || count >= MOST_NOMINATIONS {
            return Err(Reason::HopByHopIdentity);
        }
    }
    Ok(())
}

/// Refuses a `Connection` field that names the field of the visitor's address, whatever an operator calls that.
///
/// # Errors
/// [`Reason::HopByHopIdentity`].
pub(crate) fn check_nomination(headers: &HeaderMap, own: &HeaderName) -> Result<(), Reason> {
    let fields = headers.get_all(CONNECTION).iter();
    let mut names = fields.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let is_own = |name: &[u8]| name.eq_ignore_ascii_case(own.as_str().as_bytes());
    if names.any(is_own) { Err(Reason::HopByHopIdentity) } else { Ok(()) }
}

/// Fields that `Connection` may name: no client needs more, and Pingora takes nine.
const MOST_NOMINATIONS: usize = 8;

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Fields besides the owned ones that decisions and applications depend on.
const NEVER_HOP_BY_HOP: [&str; 6] = ["authorization", "content-length", "content-type", "cookie", "host", "origin"];

/// Refuses a request that has gone round in a circle (`CDN-Loop`, RFC 8586; `Via`, RFC 9110 section 7.6.3).
///
/// # Errors
/// [`Reason::Loop`] where a field names Pullgate, or counts more rounds than any real path has.
pub fn check_loop(headers: &HeaderMap) -> Result<(), Reason> {
    let mut passes = 0u32;
    for member in members(headers, &CDN_LOOP) {
        let mut parts = member.split(';').map(str::trim);
        if parts.next().is_some_and(|id| id.eq_ignore_ascii_case("pullgate")) {
            return Err(Reason::Loop);
        }
        let loops =
            parts.filter_map(|part| part.strip_prefix("loops=")).map(|count| count.parse::<u32>().unwrap_or(u32::MAX));
        passes = passes.saturating_add(loops.max().unwrap_or(1));
    }
    let mut hops = 0u32;
    for hop in members(headers, &VIA) {
        // Protocol, then who received it. The gateway writes no Via, but an operator may have it set one.
        if hop.split_ascii_whitespace().nth(1).is_some_and(|by| by.eq_ignore_ascii_case("pullgate")) {
            return Err(Reason::Loop);
        }
        hops = hops.saturating_add(1);
    }
    if passes.max(hops) > MOST_PASSES { Err(Reason::Loop) } else { Ok(()) }
}

/// The members of a list that may stand in several fields.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let fields = headers.get_all(name).into_iter();
    fields.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','))
}

/// Rounds through content delivery networks, or proxies, that a request may have behind it.
const MOST_PASSES: u32 = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests;
