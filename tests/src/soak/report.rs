//! The report: what was measured, what it has to be, and whether it is.

use std::fmt::Write as _;

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The part of the soak, in words.
    pub part: String,
    /// What was measured.
    pub measured: String,
    /// What it has to be; empty where it is told for its own sake.
    pub bar: String,
    /// Whether it is.
    pub holds: bool,
}

/// A line of the report.
pub(super) fn figure(part: &str, measured: String, bar: &str, holds: bool) -> Figure {
    Figure { part: part.to_owned(), measured, bar: bar.to_owned(), holds }
}

/// The lines as a table of Markdown.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut text = "| part | measured | bar | verdict |\n|---|---|---|---|\n".to_owned();
    for Figure { part, measured, bar, holds } in figures {
        let verdict = match (*holds, bar.is_empty()) {
            (false, _) => "MISSED",
            (true, true) => "",
            (true, false) => "holds",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {part} | {measured} | {bar} | {verdict} |");
    }
    text
}

/// Bytes in whole KiB or tenths of MiB.
pub(super) fn bytes(count: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if count < MIB {
        format!("{} KiB", count / 1024)
    } else {
        format!("{}.{} MiB", count / MIB, count % MIB * 10 / MIB)
    }
}
