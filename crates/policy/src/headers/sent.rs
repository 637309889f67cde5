//! What Cloudflare itself sends under owned names, and what such a value looks like: the only owned fields that pass.

use crate::features::{Feature, Features};
use crate::visitor::{Visitor, is_country, is_pseudo, one_address};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A field that Cloudflare sends, so that a visitor's own value never gets through the edge
/// (<https://developers.cloudflare.com/fundamentals/reference/http-headers/>).
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// The name, lowercase.
    pub name: &'static str,
    /// The feature that it is sent with; none where it comes with every request that has it.
    pub feature: Option<Feature>,
    form: Form,
}

/// What a value has to look like. Whatever else stands there, Cloudflare did not write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Visible ASCII.
    Visible,
    /// A signed token, longer than anything else.
    Token,
    /// UTF-8 without control characters: names of places are sent as raw bytes.
    Text,
    /// `{"scheme":"https"}` or `http`.
    Scheme,
    /// A country's code.
    Country,
    /// One address.
    Address,
    /// The address that counts as the visitor's.
    Visitor,
    /// An IPv4 address that stands for an IPv6 one.
    Pseudo,
}

const fn always(name: &'static str, form: Form) -> Sent {
    Sent { name, feature: None, form }
}

const fn with(feature: Feature, name: &'static str, form: Form) -> Sent {
    Sent { name, feature: Some(feature), form }
}

/// The fields that pass from a peer that is believed, the usual ones first.
///
/// Of Access there are two: what else begins with `Cf-Access-` is what a client shows to the edge, secrets of service tokens among it.
pub const SENT: [Sent; 28] = [
    always("cf-ray", Form::Visible),
    always("cf-visitor", Form::Scheme),
    always("cf-ipcountry", Form::Country),
    always("cdn-loop", Form::Visible),
    always("cf-worker", Form::Visible),
    always("cf-ew-via", Form::Visible),
    always("cf-connecting-o2o", Form::Visible),
    always("cf-connecting-ipv6", Form::Visitor),
    always("cf-pseudo-ipv4", Form::Pseudo),
    always("cf-warp-tag-id", Form::Visible),
    with(Feature::Access, "cf-access-jwt-assertion", Form::Token),
    with(Feature::Access, "cf-access-authenticated-user-email", Form::Text),
    with(Feature::Location, "cf-ipcity", Form::Text),
    with(Feature::Location, "cf-ipcontinent", Form::Text),
    with(Feature::Location, "cf-iplongitude", Form::Text),
    with(Feature::Location, "cf-iplatitude", Form::Text),
    with(Feature::Location, "cf-region", Form::Text),
    with(Feature::Location, "cf-region-code", Form::Text),
    with(Feature::Location, "cf-metro-code", Form::Text),
    with(Feature::Location, "cf-postal-code", Form::Text),
    with(Feature::Location, "cf-timezone", Form::Text),
    with(Feature::Bot, "cf-bot-score", Form::Visible),
    with(Feature::Bot, "cf-verified-bot", Form::Visible),
    with(Feature::Bot, "cf-ja3-hash", Form::Visible),
    with(Feature::Bot, "cf-ja4", Form::Visible),
    with(Feature::TrueClientIp, "true-client-ip", Form::Address),
    with(Feature::Waf, "exposed-credential-check", Form::Visible),
    with(Feature::Waf, "malicious-uploads-detection", Form::Visible),
];

/// `Early-Data` is sent with a feature too, and has rules of its own (see [`early_data`]).
const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// Whether an owned field of a believed peer goes on to the upstream as it came: Cloudflare's own, of a feature that is declared where it
/// belongs to one, once, and looking like what Cloudflare writes.
#[must_use]
pub fn passes(name: &HeaderName, headers: &HeaderMap, visitor: &Visitor, features: Features) -> bool {
    let Some(sent) = SENT.iter().find(|sent| sent.name == name.as_str()) else { return false };
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    sent.feature.is_none_or(|feature| features.contains(feature)) && sent.form.fits(value, visitor)
}

/// The `Early-Data` that goes on, where any came and the feature is declared. Several fields, and ones that say something else, count
/// as one that says 1 (RFC 8470 section 5.1): to lose it would make a request that may be a replay look like one that is none.
pub(super) fn early_data(headers: &HeaderMap, features: Features) -> Option<(HeaderName, HeaderValue)> {
    let told = features.contains(Feature::EarlyData) && headers.contains_key(&EARLY_DATA);
    told.then(|| (EARLY_DATA, HeaderValue::from_static("1")))
}

/// The feature whose headers a name belongs to.
#[must_use]
pub fn feature_of(name: &HeaderName) -> Option<Feature> {
    match SENT.iter().find(|sent| sent.name == name.as_str()) {
        Some(sent) => sent.feature,
        None => (*name == EARLY_DATA).then_some(Feature::EarlyData),
    }
}

/// The longest value that passes under an owned name.
pub(super) const LONGEST_VALUE: usize = 512;

/// The longest token, which has a list of groups and whatever else the account put into it.
const LONGEST_TOKEN: usize = 16 * 1024;

impl Form {
    fn fits(self, value: &HeaderValue, visitor: &Visitor) -> bool {
        let bytes = value.as_bytes();
        bytes.len() <= self.longest()
            && match self {
                Self::Visible | Self::Token => bytes.iter().all(|byte| (0x20..0x7f).contains(byte)),
                Self::Text => std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(char::is_control)),
                Self::Scheme => scheme_of_cf_visitor(value).is_some(),
                Self::Country => is_country(bytes),
                Self::Address => one_address(bytes).is_some(),
                Self::Visitor => one_address(bytes) == Some(visitor.address),
                Self::Pseudo => one_address(bytes).is_some_and(is_pseudo),
            }
    }

    /// Bytes.
    const fn longest(self) -> usize {
        match self {
            Self::Token => LONGEST_TOKEN,
            _ => LONGEST_VALUE,
        }
    }
}

/// The scheme in `CF-Visitor`.
pub(crate) fn scheme_of_cf_visitor(value: &HeaderValue) -> Option<&'static str> {
    match value.as_bytes() {
        br#"{"scheme":"https"}"# => Some("https"),
        br#"{"scheme":"http"}"# => Some("http"),
        _ => None,
    }
}
