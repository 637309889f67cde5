//! Header values with placeholders: `{visitor.address}`, `{visitor.country}`, `{connection.trust}`, `{request.id}`, `{request.target}`.

use crate::access::Identity;
use crate::facts::{Facts, TrustLevel};
use crate::visitor::Visitor;
use http::HeaderValue;
use std::io::Write as _;
use std::str::FromStr;

/// A header value, checked, with its placeholders found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// No placeholder: the value itself.
    Literal(HeaderValue),
    /// Text and placeholders, in order.
    Parts(Vec<Part>),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// Something known of the request.
    Placeholder(Placeholder),
}

/// What may stand in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{visitor.address}`
    VisitorAddress,
    /// `{visitor.country}`: two letters, `XX` where it is not known.
    VisitorCountry,
    /// `{connection.trust}`: `none`, `network`, `edge` or `account`.
    ConnectionTrust,
    /// `{request.id}`: sixteen hexadecimal digits.
    RequestId,
    /// `{request.target}`: path and query as received.
    RequestTarget,
}

const PLACEHOLDERS: [(&str, Placeholder); 5] = [
    ("visitor.address", Placeholder::VisitorAddress),
    ("visitor.country", Placeholder::VisitorCountry),
    ("connection.trust", Placeholder::ConnectionTrust),
    ("request.id", Placeholder::RequestId),
    ("request.target", Placeholder::RequestTarget),
];

/// A text that is no header value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// A placeholder that does not exist.
    #[error(
        "unknown placeholder {{{0}}}; there are {{visitor.address}}, {{visitor.country}}, {{connection.trust}}, {{request.id}} and {{request.target}}"
    )]
    UnknownPlaceholder(String),
    /// Bytes that a header cannot carry.
    #[error("a header value cannot hold line breaks or control characters")]
    NotAValue,
}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let literal = HeaderValue::from_str(text).map_err(|_| BadTemplate::NotAValue)?;
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_placeholder(rest) {
            let found = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            let (_, placeholder) = found.ok_or_else(|| BadTemplate::UnknownPlaceholder(name.to_owned()))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Placeholder(*placeholder));
            rest = after;
        }
        if parts.is_empty() {
            return Ok(Self::Literal(literal));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self::Parts(parts))
    }
}

/// The first `{lowercase.words}` of a text; other braces, JSON's for instance, stand for themselves.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| at + from) {
        let inner = &text[open + 1..];
        if let Some(length) = inner.find('}') {
            let name = &inner[..length];
            if name.contains('.') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.' || byte == b'_')
            {
                return Some((&text[..open], name, &inner[length + 1..]));
            }
        }
        from = open + 1;
    }
    None
}

/// What placeholders are filled from.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The request's facts.
    pub facts: &'a Facts<'a>,
    /// The visitor.
    pub visitor: &'a Visitor,
    /// What the connection proves.
    pub trust: TrustLevel,
    /// Who a verified token says is asking.
    pub identity: Option<&'a Identity>,
}

impl Template {
    /// The value for one request.
    #[must_use]
    pub fn fill(&self, known: &Known<'_>) -> HeaderValue {
        let parts = match self {
            Self::Literal(value) => return value.clone(),
            Self::Parts(parts) => parts,
        };
        let mut text = Vec::new();
        for part in parts {
            // Writing to a vector cannot fail.
            let _ = match part {
                Part::Text(literal) => text.write_all(literal.as_bytes()),
                Part::Placeholder(Placeholder::VisitorAddress) => write!(text, "{}", known.visitor.address),
                Part::Placeholder(Placeholder::VisitorCountry) => {
                    text.write_all(known.visitor.country().unwrap_or("XX").as_bytes())
                }
                Part::Placeholder(Placeholder::ConnectionTrust) => text.write_all(known.trust.label().as_bytes()),
                Part::Placeholder(Placeholder::RequestId) => write!(text, "{}", known.facts.id),
                Part::Placeholder(Placeholder::RequestTarget) => text.write_all(known.facts.request.target),
            };
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        use Placeholder::{RequestId, VisitorAddress};
        let text = |text: &str| Part::Text(text.into());
        let table = [
            ("plain", Ok(Template::Literal(HeaderValue::from_static("plain")))),
            (r#"{"a": {"b": 1}}"#, Ok(Template::Literal(HeaderValue::from_static(r#"{"a": {"b": 1}}"#)))),
            ("{visitor.address}", Ok(Template::Parts(vec![Part::Placeholder(VisitorAddress)]))),
            ("a {request.id} {b", Ok(Template::Parts(vec![text("a "), Part::Placeholder(RequestId), text(" {b")]))),
            ("{visitor.adress}", Err(BadTemplate::UnknownPlaceholder("visitor.adress".into()))),
            ("a\nb", Err(BadTemplate::NotAValue)),
        ];
        for (input, expected) in table {
            assert_eq!(input.parse(), expected, "{input}");
        }
    }
}
