//! The report as a table for people, at most 110 columns wide.

use super::attack::{Column, Group, Transport};
use super::outcome::{How, Outcome, Resumption};
use super::report::{Control, Report, Verdict};
use rustls::AlertDescription;
use std::collections::BTreeMap;
use std::fmt;

/// Wide enough for the longest name, and for "THROUGH resumed": four columns end at 110.
const NAME: usize = 47;
const CELL: usize = 16;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns = self.columns(false);
        heading(f, &columns)?;
        writeln!(f, "Controls: what has to be served")?;
        for control in &self.controls {
            write_line(f, control.name, &control.cells, &columns, |at| control_cell(control, at))?;
        }
        let mut group = None;
        for row in &self.attacks {
            if group != Some(row.group) {
                group = Some(row.group);
                writeln!(f)?;
                if row.group == Group::Plain {
                    columns = self.columns(true);
                    heading(f, &columns)?;
                }
                writeln!(f, "{} ({})", row.group.title(), row.group.stems_from())?;
            }
            write_line(f, row.name, &row.cells, &columns, |at| attack_cell(&row.cells[at].1))?;
        }
        self.legend(f)?;
        self.last_line(f)
    }
}

impl Report {
    /// The columns of the TLS part or of the plain part, as far as something stands in them.
    fn columns(&self, plain: bool) -> Vec<Column> {
        let used = |column: &Column| self.attacks.iter().any(|row| row.cells.iter().any(|(used, _)| used == column));
        let wanted = |column: &Column| (column.transport == Transport::Plain) == plain && used(column);
        Column::ALL.into_iter().filter(wanted).collect()
    }

    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alerts: BTreeMap<u8, AlertDescription> = self
            .outcomes()
            .filter_map(|outcome| match outcome {
                Outcome::Refused { how: How::Alert(alert), .. } => Some((u8::from(*alert), *alert)),
                _ => None,
            })
            .collect();
        writeln!(
            f,
            "\nRefused: by an HTTP status, a TLS alert, the end of the connection, or an answer of another host (elsewhere)."
        )?;
        writeln!(f, "Sessions: taken by the server (resumed), never given by it (none), else offered and declined.")?;
        let named: Vec<_> = alerts.iter().map(|(number, alert)| format!("{number} {alert:?}")).collect();
        for (at, line) in named.chunks(ALERTS).enumerate() {
            writeln!(f, "{:<8}{}", if at == 0 { "Alerts:" } else { "" }, line.join(", "))?;
        }
        Ok(())
    }

    fn last_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let untried = self.outcomes().count() - self.tried();
        if self.verdict() == Verdict::NotBelieved {
            let why = match self.unreachable() {
                0 => "a control failed".to_owned(),
                count => format!("a control failed or the server was not reached ({count} attempts)"),
            };
            writeln!(f, "\nNot believed: {why}. A server that refuses the good shows nothing by refusing the bad.")?;
        }
        let more = if untried == 0 { String::new() } else { format!("; {untried} not tried") };
        write!(f, "\n{} of {} attempts got through{more}", self.through(), self.tried())
    }
}

/// Alerts named in one line.
const ALERTS: usize = 4;

fn heading(f: &mut fmt::Formatter<'_>, columns: &[Column]) -> fmt::Result {
    for line in [0, 1] {
        let cells = columns.iter().map(|column| column.heading()[line].to_owned());
        write_cells(f, "", cells)?;
    }
    Ok(())
}

/// A name and its cells, each at its column; or the argument that all of them lack.
fn write_line(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    cells: &[(Column, Outcome)],
    columns: &[Column],
    cell: impl Fn(usize) -> String,
) -> fmt::Result {
    let name = format!("  {name}");
    if let Some(missing) = missing(cells) {
        return write_cells(f, &name, std::iter::once(format!("not tried: needs {missing}")));
    }
    let at = |column: &Column| cells.iter().position(|(used, _)| used == column);
    write_cells(f, &name, columns.iter().map(|column| at(column).map_or_else(String::new, &cell)))
}

fn write_cells(f: &mut fmt::Formatter<'_>, name: &str, cells: impl Iterator<Item = String>) -> fmt::Result {
    let line = cells.fold(format!("{name:<NAME$}"), |line, cell| format!("{line}{cell:<CELL$}"));
    writeln!(f, "{}", line.trim_end())
}

fn control_cell(control: &Control, at: usize) -> String {
    let outcome = &control.cells[at].1;
    match control.passed[at] {
        true => format!("served{}", session(outcome.session())),
        false => format!("FAILED {}", refusal(outcome)),
    }
}

fn attack_cell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Through { session: used, .. } => format!("THROUGH{}", session(*used)),
        Outcome::Refused { session: used, .. } => format!("{}{}", refusal(outcome), session(*used)),
        Outcome::NotTried(_) => String::new(),
    }
}

fn missing(cells: &[(Column, Outcome)]) -> Option<&'static str> {
    cells.iter().find_map(|(_, outcome)| match outcome {
        Outcome::NotTried(missing) => Some(missing.0),
        Outcome::Through { .. } | Outcome::Refused { .. } => None,
    })
}

fn session(used: Option<Resumption>) -> &'static str {
    match used {
        None | Some(Resumption::Declined) => "",
        Some(Resumption::NothingToOffer) => " none",
        Some(Resumption::Resumed) => " resumed",
    }
}

fn refusal(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Through { status, .. } => format!("{status}"),
        Outcome::NotTried(_) => String::new(),
        Outcome::Refused { how, .. } => match how {
            How::Alert(alert) => format!("alert {}", u8::from(*alert)),
            How::Status(status) => format!("{status}"),
            How::Unmarked(status) => format!("{status} elsewhere"),
            How::ToHttps(status) => format!("{status} to https"),
            How::Closed => "closed".to_owned(),
            How::Silence => "silence".to_owned(),
            How::Unreachable => "unreachable".to_owned(),
        },
    }
}
