//! `edge-secret`: requests that carry a secret which Cloudflare adds for the operator's own zone.
//!
//! ```yaml
//! policies:
//!   - {kind: edge-secret, header: X-Edge-Secret, values: [{file: secrets/edge-a}, {file: secrets/edge-b}]}
//! ```
//!
//! The header has to be there once, and to hold one of the values: two of them let one be exchanged for another. Without it nobody passes,
//! whatever else the connection proves. No upstream gets it, from any request of any host
//! ([`SecretNames`](crate::secrets::SecretNames)).

use super::{Asked, Policy};
use crate::denial::Reason;
use crate::facts::TrustLevel;
use crate::secrets::{Secret, SecretHeader};
use http::HeaderName;
use std::fmt;
use subtle::Choice;

/// Refuses requests that do not carry a secret.
pub struct EdgeSecret {
    header: SecretHeader,
    values: Vec<Secret>,
}

impl EdgeSecret {
    /// Requests with any of the values in this header may pass.
    #[must_use]
    pub fn new(header: SecretHeader, values: Vec<Secret>) -> Self {
        Self { header, values }
    }
}

impl fmt::Debug for EdgeSecret {
    /// Shows how many values there are, and none of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeSecret").field("header", &self.header).field("values", &self.values.len()).finish()
    }
}

impl Policy for EdgeSecret {
    fn judge(&self, asked: &Asked<'_>) -> Result<(), Reason> {
        let mut lines = asked.facts.request.headers.get_all(self.header.as_ref()).iter();
        let given = match (lines.next(), lines.next()) {
            (None, _) => return Err(Reason::SecretMissing),
            (Some(line), None) => line.as_bytes(),
            (Some(_), Some(_)) => return Err(Reason::SecretRepeated),
        };
        // Every value is compared, so that the time it takes does not tell which of them fits.
        let fits = self.values.iter().fold(Choice::from(0), |fits, value| fits | value.fits(given));
        if fits.into() { Ok(()) } else { Err(Reason::SecretWrong) }
    }

    /// The account's own zone knows the secret; the connection may be anybody's.
    fn proves(&self) -> TrustLevel {
        TrustLevel::Account
    }

    fn secret_header(&self) -> Option<&HeaderName> {
        Some(self.header.as_ref())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use crate::testing::{Arrival, VISITOR, judged};

    const OLD: &[u8] = b"old-0123456789abcdef";
    const NEW: &[u8] = b"new-0123456789abcdef-longer";

    fn policy(values: &[&[u8]]) -> EdgeSecret {
        let secrets = values.iter().map(|value| Secret::new(value).unwrap()).collect();
        EdgeSecret::new("X-Edge-Secret".parse().unwrap(), secrets)
    }

    #[test]
    fn one_line_with_one_of_the_values() {
        let [missing, wrong, repeated] =
            [Reason::SecretMissing, Reason::SecretWrong, Reason::SecretRepeated].map(Err);
        let both = [OLD, b", ", NEW].concat();
        let table: [(&[(&str, &[u8])], Result<(), Reason>); 17] = [
            (&[("x-edge-secret", OLD)], Ok(())),
            (&[("x-edge-secret", NEW)], Ok(())),
            (&[("X-EDGE-SECRET", NEW)], Ok(())),
            (&[], missing),
            (&[("x_edge_secret", OLD)], missing),
            (&[("x-edge-secret-2", OLD)], missing),
            (&[("cookie", OLD)], missing),
            (&[("x-edge-secret", b"")], wrong),
            (&[("x-edge-secret", b"old-0123456789abcdeF")], wrong),
            (&[("x-edge-secret", b"OLD-0123456789abcdef")], wrong),
            (&[("x-edge-secret", &OLD[1..])], wrong),
            (&[("x-edge-secret", &OLD[..OLD.len() - 1])], wrong),
            (&[("x-edge-secret", b"old-0123456789abcdef\xff")], wrong),
            (&[("x-edge-secret", &both)], wrong),
            (&[("x-edge-secret", OLD), ("x-edge-secret", OLD)], repeated),
            (&[("x-edge-secret", OLD), ("x-edge-secret", b"wrong")], repeated),
            (&[("x-edge-secret", OLD), ("x_edge_secret", b"wrong")], Ok(())),
        ];
        for (fields, expected) in table {
            let arrival = fields.iter().fold(Arrival::good(), |arrival, (name, value)| arrival.with(name, value));
            for values in [&[OLD, NEW], &[NEW, OLD]] {
                assert_eq!(judged(&policy(values), &arrival, VISITOR), expected, "{fields:?}");
            }
        }
        assert_eq!(judged(&policy(&[OLD]), &Arrival::good().with("x-edge-secret", NEW), VISITOR), wrong);
    }

    #[test]
    fn no_value_is_ever_printed() {
        let shown = format!("{:?}", policy(&[OLD, NEW]));
        assert_eq!(shown, r#"EdgeSecret { header: SecretHeader("x-edge-secret"), values: 2 }"#);
    }
}
