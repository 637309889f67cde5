//! What is wrong with a configuration, where, and how it is shown.

use std::fmt;

/// A place in the configuration's text, counted from one; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// One thing that is wrong, or that deserves a warning.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Where.
    pub at: Location,
    /// The path of the key, such as `hosts[0].origin_pull.mode`; empty for the text as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// The problem as people read it: one line to find it by, the line of the text with a caret, and the help.
    #[must_use]
    pub fn show<'a>(&'a self, severity: Severity, file: &'a str, text: &'a str) -> Shown<'a> {
        Shown { problem: self, severity, file, text: unmarked(text) }
    }
}

/// The text without the byte order mark that some editors put in front of it.
pub(crate) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether a problem keeps the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A [`Problem`] beside the text that it is about.
#[derive(Debug)]
pub struct Shown<'a> {
    problem: &'a Problem,
    severity: Severity,
    file: &'a str,
    text: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { at, key, message, help } = self.problem;
        write!(f, "{}:{}:{}: {}: ", self.file, at.line, at.column, self.severity)?;
        if !key.is_empty() {
            write!(f, "{}: ", printable(key))?;
        }
        writeln!(f, "{}", printable(message))?;
        if let Some(line) = at.line.checked_sub(1).and_then(|index| self.text.lines().nth(index)) {
            let number = at.line.to_string();
            writeln!(f, " {number} | {}", printable(line))?;
            writeln!(f, " {:width$} | {}^", "", indent(line, at.column), width = number.len())?;
        }
        if let Some(help) = help {
            writeln!(f, "  help: {}", printable(help))?;
        }
        Ok(())
    }
}

/// What stands before the caret: tabs stay tabs, so that both lines are equally wide.
fn indent(line: &str, column: usize) -> String {
    line.chars().take(column.saturating_sub(1)).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect()
}

/// Text that a terminal takes for nothing else: control characters could rewrite what stands around them.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter }).collect()
}

/// Everything that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    text: String,
    list: Vec<Problem>,
}

impl Problems {
    /// The problems of a file's text, which are put in the order of their places.
    pub(crate) fn new(file: &str, text: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by(|one, other| (one.at, &one.key).cmp(&(other.at, &other.key)));
        Self { file: file.to_owned(), text: text.to_owned(), list }
    }

    /// The file's name, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, in the order of their places.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            writeln!(f, "{}", problem.show(Severity::Error, &self.file, &self.text))?;
        }
        match self.list.len() {
            1 => f.write_str("1 problem"),
            count => write!(f, "{count} problems"),
        }
    }
}

impl fmt::Debug for Problems {
    /// Leaves the text out, which may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problems").field("file", &self.file).field("list", &self.list).finish_non_exhaustive()
    }
}

impl std::error::Error for Problems {}
