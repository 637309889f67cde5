//! Scalars to typed values, through serde: plain ones resolve as in YAML 1.2's core schema, quoted ones are text.

use crate::closest::did_you_mean;
use crate::loading::Fault;
use crate::yaml::Scalar;
use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Unexpected, Visitor};
use std::fmt;

/// The value of a scalar as a `T`: an enum (by name, quoted or not), a boolean, a number or text.
pub(crate) fn typed<'a, T: Deserialize<'a>>(scalar: &'a Scalar) -> Result<T, Fault> {
    T::deserialize(Leaf(scalar)).map_err(|error| error.in_words(scalar))
}

/// Whether a plain scalar is null.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// What a plain scalar stands for (YAML 1.2.2 section 10.3.2).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Resolved<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl<'a> Resolved<'a> {
    fn of(scalar: &'a Scalar) -> Self {
        let text = scalar.text.as_str();
        if !scalar.plain && !scalar.filled {
            return Self::Text(text);
        }
        match text {
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            _ if is_null(text) && scalar.plain => Self::Null,
            _ => Self::number(text).unwrap_or(Self::Text(text)),
        }
    }

    fn number(text: &str) -> Option<Self> {
        let based = |digits, base| u64::from_str_radix(digits, base).ok().map(Self::Unsigned);
        match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
            (Some(digits), _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => return based(digits, 8),
            (_, Some(digits)) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => return based(digits, 16),
            _ => {}
        }
        if let ".nan" | ".NaN" | ".NAN" = text {
            return Some(Self::Float(f64::NAN));
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if let ".inf" | ".Inf" | ".INF" = unsigned {
            return Some(Self::Float(f64::INFINITY));
        }
        // Rust reads more than YAML means by a number: "inf", "nan", "infinity".
        let starts_as_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        let whole = || text.parse().map(Self::Unsigned).or_else(|_| text.parse().map(Self::Signed)).ok();
        starts_as_number.then(|| whole().or_else(|| text.parse().map(Self::Float).ok())).flatten()
    }
}

/// A scalar as serde reads it.
struct Leaf<'a>(&'a Scalar);

impl<'de> Deserializer<'de> for Leaf<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match Resolved::of(self.0) {
            Resolved::Null => visitor.visit_unit(),
            Resolved::Bool(value) => visitor.visit_bool(value),
            Resolved::Unsigned(value) => visitor.visit_u64(value),
            Resolved::Signed(value) => visitor.visit_i64(value),
            Resolved::Float(value) => visitor.visit_f64(value),
            Resolved::Text(value) => visitor.visit_borrowed_str(value),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.filled { visitor.visit_borrowed_str(&self.0.text) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    /// Variants go by their text: `1.2` and `off` mean themselves, with quotes or without.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let variant: StrDeserializer<'de, Mismatch> = self.0.text.as_str().into_deserializer();
        variant.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Why a scalar is not of the type asked for.
#[derive(Debug)]
enum Mismatch {
    /// It names no variant of the enum; these there are.
    Variant(&'static [&'static str]),
    /// It is something else than serde expected, in serde's words.
    Type(String),
}

impl Mismatch {
    fn in_words(self, scalar: &Scalar) -> Fault {
        let text = scalar.text.as_str();
        let found = if scalar.plain && is_null(text) { "nothing".to_owned() } else { format!("`{text}`") };
        match self {
            Self::Variant(known) => {
                let fault = Fault::new(format!("expected {}, found {found}", alternatives(known)));
                fault.maybe_help(did_you_mean(text, known.iter().copied()))
            }
            Self::Type(expected) => {
                let wanted = in_plain_words(&expected);
                Fault::new(format!("expected {wanted}, found {found}")).maybe_help(remedy(wanted, scalar))
            }
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Type(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(expected.to_string())
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::Variant(known)
    }
}

/// `a, b or c`
pub(crate) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What serde expects, without Rust's names of types.
fn in_plain_words(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "text",
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "a nonzero usize" => "a whole number of at least 1",
        other => other,
    }
}

fn remedy(wanted: &str, scalar: &Scalar) -> Option<String> {
    let text = scalar.text.as_str();
    match (wanted, text.to_lowercase().as_str()) {
        ("text", _) => Some(format!("put it in quotes: \"{text}\"")),
        ("true or false", "yes" | "on" | "true") => Some("write true, without quotes".to_owned()),
        ("true or false", "no" | "off" | "false") => Some("write false, without quotes".to_owned()),
        ("true or false", _) => did_you_mean(text, ["true", "false"]),
        _ if !scalar.plain && text.parse::<u64>().is_ok() => Some(format!("write {text} without quotes")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Resolved<'_> {
        Resolved::number(text).unwrap_or(Resolved::Text(text))
    }

    #[test]
    fn plain_numbers_resolve_as_in_the_core_schema() {
        let table = [
            ("0", Resolved::Unsigned(0)),
            ("017", Resolved::Unsigned(17)),
            ("+5", Resolved::Unsigned(5)),
            ("-5", Resolved::Signed(-5)),
            ("0o17", Resolved::Unsigned(15)),
            ("0xFf", Resolved::Unsigned(255)),
            ("1.5", Resolved::Float(1.5)),
            (".5", Resolved::Float(0.5)),
            ("1e3", Resolved::Float(1000.0)),
            ("-.inf", Resolved::Float(f64::INFINITY)),
            ("18446744073709551616", Resolved::Float(18_446_744_073_709_551_616.0)),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text), expected, "{text}");
        }
        for text in
            ["", "-", "0x", "0o9", "0x-1", "inf", "nan", "infinity", "1_000", "1s", "1.2.3.4", "::1", "off", "0b1"]
        {
            assert_eq!(resolve(text), Resolved::Text(text), "{text}");
        }
    }

    #[test]
    fn quotes_make_text_of_everything() {
        for text in ["1", "true", "null", ""] {
            let quoted = Scalar { text: text.to_owned(), plain: false, filled: false };
            assert_eq!(Resolved::of(&quoted), Resolved::Text(text));
            assert_eq!(typed::<&str>(&quoted), Ok(text));
            let plain = Scalar { plain: true, ..quoted };
            assert!(typed::<&str>(&plain).is_err(), "{text}");
        }
    }
}
