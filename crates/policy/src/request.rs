//! What the requests of a host may be, before any policy is asked: their methods and the size of their bodies.

use crate::denial::Reason;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method};

/// The limits of a host's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of a request body.
    pub body_bytes: u64,
    /// The methods that are taken at all; routes may take fewer.
    pub methods: Vec<Method>,
}

impl Default for RequestLimits {
    /// 100 MiB, and the methods that applications use. TRACE shows a client what was added to its request, and what nobody knows may mean
    /// anything to an application: neither is among them.
    fn default() -> Self {
        let methods =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        Self { body_bytes: 100 << 20, methods: methods.into() }
    }
}

impl RequestLimits {
    /// Judges a method.
    ///
    /// # Errors
    /// [`Reason::MethodUnlisted`].
    pub(crate) fn check_method(&self, method: &Method) -> Result<(), Reason> {
        if self.methods.contains(method) { Ok(()) } else { Err(Reason::MethodUnlisted) }
    }

    /// Judges the length that a request announces. What tells none is counted while it comes.
    ///
    /// # Errors
    /// [`Reason::BodyTooLarge`].
    pub(crate) fn check_length(&self, headers: &HeaderMap) -> Result<(), Reason> {
        let fits = |text: &str| text.trim().parse::<u64>().is_ok_and(|length| length <= self.body_bytes);
        let fields = headers.get_all(CONTENT_LENGTH).into_iter();
        // HTTP/2 lets one length stand there twice; a number that no machine holds is too large as well.
        let all_fit = |field: &http::HeaderValue| field.to_str().is_ok_and(|text| text.split(',').all(fits));
        if fields.into_iter().all(all_fit) { Ok(()) } else { Err(Reason::BodyTooLarge) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn lengths() {
        let limits = RequestLimits { body_bytes: 10, ..RequestLimits::default() };
        let table: [(&[&str], bool); 8] = [
            (&[], true),
            (&["0"], true),
            (&["10"], true),
            (&["11"], false),
            (&["10", "11"], false),
            (&["10, 11"], false),
            (&["99999999999999999999999"], false),
            (&["ten"], false),
        ];
        for (lengths, fits) in table {
            let fields = lengths.iter().map(|length| (CONTENT_LENGTH, HeaderValue::from_str(length).unwrap()));
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, value);
            }
            assert_eq!(limits.check_length(&headers).is_ok(), fits, "{lengths:?}");
        }
    }

    #[test]
    fn methods() {
        let limits = RequestLimits::default();
        for taken in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(limits.check_method(&taken.parse().unwrap()), Ok(()), "{taken}");
        }
        for refused in ["TRACE", "CONNECT", "PURGE", "get", "PROPFIND"] {
            assert_eq!(limits.check_method(&refused.parse().unwrap()), Err(Reason::MethodUnlisted), "{refused}");
        }
    }
}
