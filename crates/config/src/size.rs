//! Amounts of bytes, which always carry a unit.

use crate::loading::Fault;
use std::ops::RangeInclusive;

/// An amount of bytes with its unit, `128KiB`: bytes, or powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, Fault> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = (&text[..end], text[end..].trim_start());
    if !digits.is_empty() && unit.is_empty() {
        return Err(Fault::new(format!("`{text}` has no unit")).help(format!("write {text}B for bytes")));
    }
    let not = || Fault::new(format!("`{text}` is not an amount of bytes")).help("write 512B, 128KiB, 100MiB or 1GiB");
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(not)?;
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(*bytes)).ok_or_else(not)
}

/// A size that has to lie in a range; `within` says which in the words of the configuration.
pub(crate) fn size_within(text: &str, range: RangeInclusive<u64>, within: &str) -> Result<u64, Fault> {
    let size = size(text)?;
    if !range.contains(&size) {
        return Err(Fault::new(format!("`{text}` is not {within}")));
    }
    Ok(size)
}

const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_units() {
        let table = [
            ("512B", Ok(512)),
            ("128KiB", Ok(131_072)),
            ("100 MiB", Ok(104_857_600)),
            ("2GiB", Ok(2_147_483_648)),
            ("0B", Ok(0)),
            ("100", Err("write 100B for bytes")),
            ("100KB", Err("write 512B, 128KiB, 100MiB or 1GiB")),
            ("1.5MiB", Err("write 512B, 128KiB, 100MiB or 1GiB")),
            ("MiB", Err("write 512B, 128KiB, 100MiB or 1GiB")),
            ("", Err("write 512B, 128KiB, 100MiB or 1GiB")),
            ("-1MiB", Err("write 512B, 128KiB, 100MiB or 1GiB")),
            ("18446744073709551615GiB", Err("write 512B, 128KiB, 100MiB or 1GiB")),
        ];
        for (text, expected) in table {
            let found = size(text);
            assert_eq!(
                found.as_ref().map_err(|fault| fault.help.as_deref().unwrap_or_default()),
                expected.as_ref().map_err(|help| *help),
                "{text}"
            );
        }
    }
}
