//! A second as logs write it.

use rustls_pki_types::UnixTime;
use serde::{Serialize, Serializer};
use std::fmt::{self, Display};
use std::time::{Duration, SystemTime};

/// RFC 3339, in UTC; nothing beyond the year 9999.
#[derive(Debug, Clone, Copy)]
pub struct Date(pub UnixTime);

impl Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_secs() >= YEAR_10000 {
            return Ok(());
        }
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.as_secs())).fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The first second of that year since 1970, which RFC 3339 has no digits for.
const YEAR_10000: u64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_that_has_digits() {
        let table =
            [(0, "1970-01-01T00:00:00Z"), (YEAR_10000 - 1, "9999-12-31T23:59:59Z"), (YEAR_10000, ""), (u64::MAX, "")];
        for (second, shown) in table {
            assert_eq!(Date(UnixTime::since_unix_epoch(Duration::from_secs(second))).to_string(), shown);
        }
    }
}
