//! Lengths of time, which always carry a unit.

use crate::loading::Fault;
use std::time::Duration;

/// A length of time with its unit, `10s` or `1h 30m`.
pub(crate) fn length(text: &str) -> Result<Duration, Fault> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(Fault::new(format!("`{text}` has no unit")).help(format!("write {text}s for seconds")));
    }
    let length = humantime::parse_duration(text)
        .map_err(|_| Fault::new(format!("`{text}` is not a length of time")).help("write 10s, 250ms, 5m or 1h"))?;
    if length > LONGEST {
        return Err(Fault::new(format!("`{text}` is longer than a year")));
    }
    Ok(length)
}

/// A length of time that something may take.
pub(crate) fn timeout(text: &str) -> Result<Duration, Fault> {
    let length = length(text)?;
    if length.is_zero() {
        return Err(Fault::new("a time-out of zero would refuse everything").help("write 10s, for instance"));
    }
    Ok(length)
}

/// Far beyond any use, and far from where adding it to the present overflows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units() {
        let table = [
            ("10s", Ok(Duration::from_secs(10))),
            ("250ms", Ok(Duration::from_millis(250))),
            ("1h 30m", Ok(Duration::from_secs(5400))),
            ("0s", Ok(Duration::ZERO)),
            ("1.5s", Ok(Duration::from_millis(1500))),
            ("10", Err("write 10s for seconds")),
            ("0", Err("write 0s for seconds")),
            ("1.5", Err("write 1.5s for seconds")),
            ("", Err("write 10s, 250ms, 5m or 1h")),
            ("-1s", Err("write 10s, 250ms, 5m or 1h")),
            ("99999999999999999999s", Err("write 10s, 250ms, 5m or 1h")),
        ];
        for (text, expected) in table {
            let found = length(text);
            assert_eq!(
                found.as_ref().map_err(|fault| fault.help.as_deref().unwrap_or_default()),
                expected.as_ref().map_err(|help| *help),
                "{text}"
            );
        }
    }
}
