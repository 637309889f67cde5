//! The table of a run: what each kind of work cost each peer, as lines for people and as tab-separated values for programs.

use std::fmt::{Display, Formatter, Result as Written};
use std::str::FromStr;

/// The least, the middle and the most of several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The middle.
    pub median: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of at least one round.
    #[must_use]
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self { least: rounds[0], median: rounds[rounds.len() / 2], most: rounds[rounds.len() - 1] }
    }

    /// Of ratios: each round of one peer beside the other's of the same number.
    #[must_use]
    pub fn ratio(ours: &[f64], theirs: &[f64]) -> Self {
        // A quick round may take the other less than a tick of the clock.
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs.max(0.1)).collect())
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        let digits = f.precision().unwrap_or(1);
        let text = format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.least, self.most);
        match f.width() {
            Some(width) => write!(f, "{text:>width$}"),
            None => f.write_str(&text),
        }
    }
}

/// What one kind of work cost one peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The title of the work.
    pub work: String,
    /// The peer's name.
    pub peer: String,
    /// CPU microseconds a unit.
    pub cpu: Spread,
    /// Its ratio to nginx's.
    pub to_nginx: Spread,
    /// Pullgate's ratio to bare Pingora's, where that took part.
    pub to_pingora: Option<Spread>,
    /// The 50th and the 99th percentile of what a request took at the client, in microseconds.
    pub percentiles: [u64; 2],
}

impl Row {
    /// The names of the tab-separated values.
    pub const NAMES: &str = "work\tpeer\tcpu_us\tleast\tmost\tratio_to_nginx\tratio_least\tratio_most\t\
                             ratio_to_pingora\tpingora_least\tpingora_most\tp50_us\tp99_us";

    /// The heading above the lines for people.
    #[must_use]
    pub fn heading() -> String {
        format!(
            "{:30} {:12} {:>24} {:>20} {:>20} {:>8} {:>8}",
            "work", "peer", "CPU µs a unit", "ratio to nginx", "to bare Pingora", "p50 µs", "p99 µs"
        )
    }

    /// The line for programs.
    #[must_use]
    pub fn tsv(&self) -> String {
        let spread = |spread: Option<Spread>, digits: usize| {
            spread.map_or_else(
                || "-\t-\t-".to_owned(),
                |spread| format!("{:.digits$}\t{:.digits$}\t{:.digits$}", spread.median, spread.least, spread.most),
            )
        };
        let (cpu, nginx, pingora) =
            (spread(Some(self.cpu), 2), spread(Some(self.to_nginx), 3), spread(self.to_pingora, 3));
        let [half, most] = self.percentiles;
        format!("{}\t{}\t{cpu}\t{nginx}\t{pingora}\t{half}\t{most}", self.work, self.peer)
    }
}

/// The line for people.
impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        let Self { work, peer, cpu, to_nginx, to_pingora, percentiles: [half, most] } = self;
        let pingora = to_pingora.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        write!(f, "{work:30} {peer:12} {cpu:>24.1} {to_nginx:>20.2} {pingora:>20} {half:>8} {most:>8}")
    }
}

impl FromStr for Row {
    type Err = String;

    /// Reads a line for programs.
    fn from_str(line: &str) -> Result<Self, String> {
        let values: Vec<&str> = line.split('\t').collect();
        let [work, peer, c1, c2, c3, n1, n2, n3, p1, p2, p3, half, most] = values.as_slice() else {
            return Err(format!("{} values, not {}", values.len(), Self::NAMES.split('\t').count()));
        };
        Ok(Self {
            work: (*work).to_owned(),
            peer: (*peer).to_owned(),
            cpu: spread(&[c1, c2, c3])?,
            to_nginx: spread(&[n1, n2, n3])?,
            to_pingora: if *p1 == "-" { None } else { Some(spread(&[p1, p2, p3])?) },
            percentiles: [number(half)?, number(most)?],
        })
    }
}

/// The rows of a file of tab-separated values.
///
/// # Errors
/// The first line that is none, with its number.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut lines = text.lines();
    if lines.next() != Some(Row::NAMES) {
        return Err(format!("line 1: not the names of the values, which are {}", Row::NAMES.replace('\t', ", ")));
    }
    let rows = lines.zip(2..).map(|(line, at): (_, u32)| line.parse().map_err(|why| format!("line {at}: {why}")));
    rows.collect()
}

fn spread([median, least, most]: &[&str; 3]) -> Result<Spread, String> {
    Ok(Spread { median: number(median)?, least: number(least)?, most: number(most)? })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let spread = |median| Spread { median, least: median - 0.25, most: median + 0.5 };
        let row = Row {
            work: "request, HTTP/2".into(),
            peer: "pullgate".into(),
            cpu: spread(22.5),
            to_nginx: spread(1.25),
            to_pingora: Some(spread(0.875)),
            percentiles: [900, 1_800],
        };
        for row in [row.clone(), Row { to_pingora: None, ..row }] {
            assert_eq!(rows(&format!("{}\n{}\n", Row::NAMES, row.tsv())), Ok(vec![row]));
        }
    }

    #[test]
    fn what_is_no_row_is_told_with_its_line() {
        let named = |line: &str| rows(&format!("{}\n{line}\n", Row::NAMES)).unwrap_err();
        assert_eq!(named("work\tpeer"), "line 2: 2 values, not 13");
        assert_eq!(named("w\tp\t1\t1\t1\tone\t1\t1\t-\t-\t-\t1\t1"), "line 2: `one` is no number");
        assert!(rows("work\n").unwrap_err().starts_with("line 1: "));
    }

    #[test]
    fn a_ratio_is_one_of_rounds_of_the_same_number() {
        let ratio = Spread::ratio(&[10.0, 30.0, 20.0], &[10.0, 10.0, 40.0]);
        assert_eq!(ratio, Spread { least: 0.5, median: 1.0, most: 3.0 });
    }
}
