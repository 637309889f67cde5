//! What no head of an answer may hold: an upstream that frames its answers in two ways could have one client read the answer to another.

use crate::framing::length;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};

/// Interim answers (RFC 9110 section 15.2) that may come before the one that counts.
pub const MOST_INTERIM: u32 = 100;

/// Why an answer is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// `Content-Length` stands there twice, or is no number.
    LengthAmbiguous,
    /// `Transfer-Encoding` holds something else than one `chunked`, or comes with HTTP/1.0 (RFC 9112 section 6.1).
    CodingUnknown,
    /// A body is announced with a status that has none (RFC 9110 sections 8.6 and 15.3.5).
    BodyUnexpected,
    /// More interim answers than [`MOST_INTERIM`].
    InterimFlood,
    /// Another protocol, for which nobody asked.
    SwitchUnasked,
}

impl Fault {
    /// Every fault there is.
    pub const ALL: &'static [Self] =
        &[Self::LengthAmbiguous, Self::CodingUnknown, Self::BodyUnexpected, Self::InterimFlood, Self::SwitchUnasked];

    /// The label in the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LengthAmbiguous => "length_ambiguous",
            Self::CodingUnknown => "coding_unknown",
            Self::BodyUnexpected => "body_unexpected",
            Self::InterimFlood => "interim_flood",
            Self::SwitchUnasked => "switch_unasked",
        }
    }
}

/// The head of an answer, with what it answers.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its version of HTTP.
    pub version: Version,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// How many interim answers have come, it among them.
    pub interim: u32,
    /// Whether the request asks for another protocol, as it went to the upstream.
    pub may_switch: bool,
}

impl Answer<'_> {
    /// Judges it.
    ///
    /// # Errors
    /// The first [`Fault`] that is found.
    pub fn check(&self) -> Result<(), Fault> {
        if self.interim > MOST_INTERIM {
            return Err(Fault::InterimFlood);
        }
        if self.status == StatusCode::SWITCHING_PROTOCOLS && !self.may_switch {
            return Err(Fault::SwitchUnasked);
        }
        let length = told_length(self.headers)?;
        let is_chunked = told_coding(self.version, self.headers)?;
        let has_no_body = self.status.is_informational() || self.status == StatusCode::NO_CONTENT;
        if has_no_body && (is_chunked || length.is_some_and(|length| length > 0)) {
            return Err(Fault::BodyUnexpected);
        }
        Ok(())
    }
}

fn told_length(headers: &HeaderMap) -> Result<Option<usize>, Fault> {
    let mut told = headers.get_all(CONTENT_LENGTH).iter();
    match (told.next(), told.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => length(value.as_bytes()).map(Some).ok_or(Fault::LengthAmbiguous),
        _ => Err(Fault::LengthAmbiguous),
    }
}

fn told_coding(version: Version, headers: &HeaderMap) -> Result<bool, Fault> {
    let mut told = headers.get_all(TRANSFER_ENCODING).iter();
    match (told.next(), told.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if version == Version::HTTP_11 && value.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(true)
        }
        _ => Err(Fault::CodingUnknown),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use http::HeaderName;
    use std::collections::HashSet;

    type Fields<'a> = &'a [(&'static str, &'static str)];

    fn headers(fields: Fields<'_>) -> HeaderMap {
        let named = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in fields.iter().map(named) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn what_an_answer_may_say_of_its_framing() {
        let (length, coding) = ("content-length", "transfer-encoding");
        let table: [(u16, Fields<'_>, Result<(), Fault>); 20] = [
            (200, &[], Ok(())),
            (200, &[(length, "5")], Ok(())),
            (200, &[(coding, "Chunked")], Ok(())),
            (204, &[], Ok(())),
            (204, &[(length, "0")], Ok(())),
            (304, &[(length, "5")], Ok(())),
            (100, &[], Ok(())),
            (200, &[(length, "5"), (length, "5")], Err(Fault::LengthAmbiguous)),
            (200, &[(length, "5"), (length, "6")], Err(Fault::LengthAmbiguous)),
            (200, &[(length, "5, 5")], Err(Fault::LengthAmbiguous)),
            (200, &[(length, "-5")], Err(Fault::LengthAmbiguous)),
            (200, &[(length, "")], Err(Fault::LengthAmbiguous)),
            (200, &[(coding, "gzip, chunked")], Err(Fault::CodingUnknown)),
            (200, &[(coding, "gzip")], Err(Fault::CodingUnknown)),
            (200, &[(coding, "identity")], Err(Fault::CodingUnknown)),
            (200, &[(coding, "chunked"), (coding, "chunked")], Err(Fault::CodingUnknown)),
            (204, &[(length, "5")], Err(Fault::BodyUnexpected)),
            (204, &[(coding, "chunked")], Err(Fault::BodyUnexpected)),
            (103, &[(length, "5")], Err(Fault::BodyUnexpected)),
            (101, &[(coding, "chunked")], Err(Fault::BodyUnexpected)),
        ];
        for (status, fields, expected) in table {
            let (status, headers) = (StatusCode::from_u16(status).unwrap(), headers(fields));
            let answer = Answer { status, headers: &headers, ..sound(&headers) };
            assert_eq!(answer.check(), expected, "{status} {fields:?}");
        }
        let chunked = headers(&[(coding, "chunked")]);
        let old = Answer { version: Version::HTTP_10, ..sound(&chunked) };
        assert_eq!(old.check(), Err(Fault::CodingUnknown));
    }

    fn sound(headers: &HeaderMap) -> Answer<'_> {
        Answer { status: StatusCode::OK, version: Version::HTTP_11, headers, interim: 0, may_switch: true }
    }

    #[test]
    fn what_may_come_before_an_answer() {
        let none = HeaderMap::new();
        for (interim, expected) in [(MOST_INTERIM, Ok(())), (MOST_INTERIM + 1, Err(Fault::InterimFlood))] {
            assert_eq!(Answer { interim, ..sound(&none) }.check(), expected);
        }
        let switching = Answer { status: StatusCode::SWITCHING_PROTOCOLS, ..sound(&none) };
        assert_eq!(switching.check(), Ok(()));
        assert_eq!(Answer { may_switch: false, ..switching }.check(), Err(Fault::SwitchUnasked));
    }

    #[test]
    fn labels_are_unique() {
        let labels: HashSet<_> = Fault::ALL.iter().map(|fault| fault.label()).collect();
        assert_eq!(labels.len(), Fault::ALL.len());
    }
}
