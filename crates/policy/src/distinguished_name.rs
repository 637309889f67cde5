//! Distinguished names as RFC 4514 writes them, and which of them a certificate's subject may have.

use std::str::FromStr;
use x509_parser::prelude::X509Name;
use x509_parser::x509::RelativeDistinguishedName;

/// A distinguished name: its relative names in the order in which RFC 4514 writes them, the reverse of DER's.
///
/// Two are equal where types and values are the same to the byte. X.500 would compare some values without regard to case and spaces; what
/// tells people apart is compared more strictly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Relative>);

/// A relative name: attributes by the object identifier of their type, sorted, since they are a set.
type Relative = Vec<(String, String)>;

/// A text that is no distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// No `type=value`, an escape that is none, a character that needs one, or an empty value.
    #[error("`{0}` is not a distinguished name (RFC 4514)")]
    Malformed(String),
    /// A type that has no short name here.
    #[error("`{0}` is not a type of attribute; there are {kinds}, or its object identifier in dots", kinds = kinds())]
    UnknownType(String),
}

/// Types of attributes by the short names that RFC 4514 and OpenSSL give them, the common name first.
const TYPES: [(&str, &str); 14] = [
    ("CN", COMMON_NAME),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("SN", "2.5.4.4"),
    ("GN", "2.5.4.42"),
    ("title", "2.5.4.12"),
    ("serialNumber", "2.5.4.5"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

const COMMON_NAME: &str = "2.5.4.3";

fn kinds() -> String {
    TYPES.map(|(name, _)| name).join(", ")
}

impl DistinguishedName {
    /// The name in a certificate; none where a value is not text that everybody decodes alike.
    #[must_use]
    pub fn of(name: &X509Name<'_>) -> Option<Self> {
        let mut relatives = name.iter_rdn().map(decoded).collect::<Option<Vec<_>>>()?;
        relatives.reverse();
        Some(Self(relatives))
    }

    /// The common name, where there is exactly one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        let mut values = self.0.iter().flatten().filter(|(kind, _)| kind == COMMON_NAME).map(|(_, value)| value);
        let (value, None) = (values.next()?, values.next()) else { return None };
        Some(value)
    }
}

fn decoded(relative: &RelativeDistinguishedName<'_>) -> Option<Relative> {
    let decode = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        Some((attribute.attr_type().to_id_string(), attribute.as_str().ok()?.to_owned()))
    };
    let mut attributes = relative.iter().map(decode).collect::<Option<Relative>>()?;
    attributes.sort();
    Some(attributes)
}

impl FromStr for DistinguishedName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        pieces(text, ',').into_iter().map(relative).collect::<Result<_, _>>().map(Self)
    }
}

fn relative(text: &str) -> Result<Relative, NotAName> {
    let mut attributes = pieces(text, '+').into_iter().map(attribute).collect::<Result<Relative, _>>()?;
    attributes.sort();
    Ok(attributes)
}

fn attribute(text: &str) -> Result<(String, String), NotAName> {
    let malformed = || NotAName::Malformed(text.to_owned());
    // RFC 2253 let spaces follow a separator, and people put them there.
    let (kind, value) = text.trim_start_matches(' ').split_once('=').ok_or_else(malformed)?;
    let value = unescaped(value).filter(|value| !value.is_empty()).ok_or_else(malformed)?;
    Ok((identifier(kind)?, value))
}

fn identifier(kind: &str) -> Result<String, NotAName> {
    let is_dotted = |text: &str| {
        let is_arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
        text.contains('.') && text.split('.').all(is_arc)
    };
    if is_dotted(kind) {
        return Ok(kind.to_owned());
    }
    let known = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind));
    known.map(|(_, identifier)| (*identifier).to_owned()).ok_or_else(|| NotAName::UnknownType(kind.to_owned()))
}

/// The parts of a text between separators that no backslash stands before.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        if !escaped && letter == separator {
            pieces.push(&text[start..at]);
            start = at + separator.len_utf8();
        }
        escaped = !escaped && letter == '\\';
    }
    pieces.push(&text[start..]);
    pieces
}

/// A value without its escapes (RFC 4514 section 2.4). Its hexadecimal form (`#0c05…`) names bytes of any meaning and is not taken.
fn unescaped(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if matches!(bytes.first(), Some(b'#' | b' ')) {
        return None;
    }
    let (mut value, mut given, mut ends_bare) = (Vec::with_capacity(bytes.len()), bytes.iter().copied(), false);
    while let Some(byte) = given.next() {
        ends_bare = byte == b' ';
        match byte {
            b'\\' => value.push(escape(&mut given)?),
            b'"' | b';' | b'<' | b'>' | 0 => return None,
            plain => value.push(plain),
        }
    }
    // A space at the end is escaped, or it is somebody's slip.
    if ends_bare { None } else { String::from_utf8(value).ok() }
}

/// What follows a backslash: a special character, or a byte as two hexadecimal digits.
fn escape(given: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = given.next()?;
    if b" \"#+,;<=>\\".contains(&first) {
        return Some(first);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(first)? << 4 | digit(given.next()?)?)
}

/// A subject that certificates may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `CN=alice`: a subject with exactly one common name, this one, whatever else it has.
    CommonName(String),
    /// The whole subject.
    Whole(DistinguishedName),
}

impl Subject {
    /// Whether a certificate's subject is this one.
    #[must_use]
    pub fn is(&self, name: &DistinguishedName) -> bool {
        match self {
            Self::CommonName(wanted) => name.common_name() == Some(wanted),
            Self::Whole(wanted) => name == wanted,
        }
    }
}

impl FromStr for Subject {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name: DistinguishedName = text.parse()?;
        Ok(match name.0.as_slice() {
            [relative] => match relative.as_slice() {
                [(kind, value)] if kind == COMMON_NAME => Self::CommonName(value.clone()),
                _ => Self::Whole(name),
            },
            _ => Self::Whole(name),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::named;
    use rcgen::{DnType, DnValue, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    /// The subject of a certificate with these attributes, in the order of DER.
    fn subject(attributes: &[(DnType, DnValue)]) -> Option<DistinguishedName> {
        let mut params = named("");
        params.distinguished_name = Default::default();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        DistinguishedName::of(parsed.subject())
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.into())
    }

    #[test]
    fn a_subject_is_compared_as_a_whole_or_by_its_one_common_name() {
        let alice = subject(&[
            (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
            (DnType::OrganizationName, utf8("Example, Inc.")),
            (DnType::CommonName, utf8("alice")),
        ])
        .unwrap();
        let nobody = subject(&[(DnType::OrganizationName, utf8("Example, Inc."))]).unwrap();
        let table = [
            ("CN=alice", true),
            ("cn=alice", true),
            ("2.5.4.3=alice", true),
            (r"CN=alice,O=Example\, Inc.,C=DE", true),
            (r"CN=alice, O=Example\2C Inc., C=DE", true),
            (r"CN=\61\6c\69\63\65", true),
            ("CN=Alice", false),
            ("CN=alic", false),
            ("CN=alice2", false),
            (r"CN=alice\00", false),
            (r"CN=alice\ ", false),
            ("O=alice", false),
            ("UID=alice", false),
            (r"O=Example\, Inc.", false),
            // The order of DER, which openssl prints unless it is asked for RFC 2253.
            (r"C=DE,O=Example\, Inc.,CN=alice", false),
            (r"CN=alice,O=Example\, Inc.", false),
            (r"CN=alice+O=Example\, Inc.,C=DE", false),
            (r"CN=alice,O=Example\, Inc.,C=DE,C=DE", false),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Subject>().unwrap().is(&alice), expected, "{text}");
            assert!(!text.parse::<Subject>().unwrap().is(&nobody) || text == r"O=Example\, Inc.", "{text}");
        }
    }

    /// Which of two names an application would read, nobody knows.
    #[test]
    fn of_two_common_names_none_counts() {
        let both: DistinguishedName = "CN=alice,CN=mallory".parse().unwrap();
        let set: DistinguishedName = "CN=alice+CN=mallory".parse().unwrap();
        for name in [&both, &set] {
            assert_eq!(name.common_name(), None);
            assert!(!"CN=alice".parse::<Subject>().unwrap().is(name));
            assert!(!"CN=mallory".parse::<Subject>().unwrap().is(name));
        }
        assert!("CN=mallory+CN=alice".parse::<Subject>().unwrap().is(&set));
        assert!(!"CN=mallory,CN=alice".parse::<Subject>().unwrap().is(&both));
    }

    #[test]
    fn what_is_escaped_names_what_it_stands_for() {
        let table = [
            (r"CN=a\,CN\=b", "a,CN=b"),
            (r"CN=\ a b\ ", " a b "),
            (r"CN=\#a#", "#a#"),
            (r#"CN=\"a\;\<\>\+\\"#, r#""a;<>+\"#),
            (r"CN=J\C3\BCrgen", "Jürgen"),
            ("CN=Jürgen", "Jürgen"),
            ("CN=a=b", "a=b"),
        ];
        for (text, expected) in table {
            let name = subject(&[(DnType::CommonName, utf8(expected))]).unwrap();
            assert_eq!(name, text.parse().unwrap(), "{text}");
            assert_eq!(name.common_name(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_names() {
        let malformed = [
            "",
            " ",
            "alice",
            "CN",
            "CN=",
            "CN= alice",
            "CN=alice ",
            "CN=alice,",
            ",CN=alice",
            "CN=alice,,O=x",
            "CN=a+",
            r"CN=a\",
            r"CN=a\x",
            r"CN=a\4",
            r"CN=\C3",
            "CN=a\"b",
            "CN=a;O=b",
            "CN=<a>",
            "CN=#0c0161",
            "CN=a\0b",
        ];
        for text in malformed {
            assert!(matches!(text.parse::<Subject>(), Err(NotAName::Malformed(_))), "{text}");
        }
        for text in ["CNN=alice", "CN =alice", "=alice", "/C=US/CN=alice", "2.5.4.=alice", ".=alice", "25=alice"] {
            assert!(matches!(text.parse::<Subject>(), Err(NotAName::UnknownType(_))), "{text}");
        }
    }

    /// Two readers could make two texts of it.
    #[test]
    fn a_name_in_an_old_encoding_is_no_name() {
        let wide = DnValue::BmpString("alice".try_into().unwrap());
        assert_eq!(subject(&[(DnType::CommonName, wide)]), None);
        assert!(subject(&[]).unwrap().common_name().is_none());
    }
}
