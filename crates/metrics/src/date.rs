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
