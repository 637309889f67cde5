//! All outcomes, and what they amount to.

use super::attack::{Column, Group};
use super::outcome::{How, Outcome, Resumption};
use serde_json::{Value, json};

/// The outcomes of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What had to be served.
    pub controls: Vec<Control>,
    /// What had to be refused.
    pub attacks: Vec<Row>,
}

/// One control.
#[derive(Debug, Clone)]
pub struct Control {
    /// Its name in requests and in JSON.
    pub id: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// The outcomes.
    pub cells: Vec<(Column, Outcome)>,
    /// For each outcome, whether it is what had to come.
    pub passed: Vec<bool>,
}

/// One attack.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it stands in the table.
    pub group: Group,
    /// Its name in requests and in JSON.
    pub id: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// The outcomes.
    pub cells: Vec<(Column, Outcome)>,
}

/// What a run amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing got through.
    Tight,
    /// Something got through.
    Leaking,
    /// A control failed, or the server could not be reached: the rest says nothing.
    NotBelieved,
}

impl Report {
    /// What the run amounts to. A failed control outweighs everything else.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let failed = self.controls.iter().any(|control| control.passed.contains(&false));
        match failed || self.unreachable() > 0 {
            true => Verdict::NotBelieved,
            false if self.through() > 0 => Verdict::Leaking,
            false => Verdict::Tight,
        }
    }

    /// Attempts made.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.outcomes().filter(|outcome| outcome.is_tried()).count()
    }

    /// Attempts that got through.
    #[must_use]
    pub fn through(&self) -> usize {
        self.outcomes().filter(|outcome| outcome.is_through()).count()
    }

    /// Attempts that met no server at all.
    #[must_use]
    pub fn unreachable(&self) -> usize {
        let is_unreachable = |outcome: &&Outcome| matches!(outcome, Outcome::Refused { how: How::Unreachable, .. });
        self.outcomes().filter(is_unreachable).count()
    }

    /// The outcomes of all attacks.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.attacks.iter().flat_map(|row| row.cells.iter().map(|(_, outcome)| outcome))
    }

    /// One attack by its id.
    #[must_use]
    pub fn attack(&self, id: &str) -> Option<&Row> {
        self.attacks.iter().find(|row| row.id == id)
    }

    /// Everything as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let controls = self.controls.iter().map(|control| {
            let cells = control.cells.iter().zip(&control.passed);
            let cells = cells.map(|(cell, passed)| with(cell_json(cell), "passed", (*passed).into()));
            json!({"id": control.id, "name": control.name, "cells": cells.collect::<Vec<_>>()})
        });
        let attacks = self.attacks.iter().map(|row| {
            let cells: Vec<_> = row.cells.iter().map(cell_json).collect();
            let (group, stems_from) = (row.group.title(), row.group.stems_from());
            json!({"id": row.id, "group": group, "name": row.name, "stems_from": stems_from, "cells": cells})
        });
        json!({
            "believed": self.verdict() != Verdict::NotBelieved,
            "tried": self.tried(),
            "through": self.through(),
            "controls": controls.collect::<Vec<_>>(),
            "attacks": attacks.collect::<Vec<_>>(),
        })
    }
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    object[key] = value;
    object
}

fn cell_json((column, outcome): &(Column, Outcome)) -> Value {
    let [transport, http] = column.heading();
    let session = outcome.session().map(|session| match session {
        Resumption::NothingToOffer => "nothing_to_offer",
        Resumption::Declined => "declined",
        Resumption::Resumed => "resumed",
    });
    let cell = json!({"transport": transport, "http": http, "session": session});
    match outcome {
        Outcome::Through { status, .. } => with(with(cell, "outcome", "through".into()), "status", (*status).into()),
        Outcome::NotTried(missing) => with(with(cell, "outcome", "not_tried".into()), "needs", missing.0.into()),
        Outcome::Refused { how, .. } => {
            let (how, detail) = match how {
                How::Alert(alert) => ("alert", json!(format!("{alert:?}"))),
                How::Status(status) => ("status", json!(status)),
                How::Unmarked(status) => ("without_marker", json!(status)),
                How::ToHttps(status) => ("redirect_to_https", json!(status)),
                How::Closed => ("closed", Value::Null),
                How::Silence => ("silence", Value::Null),
                How::Unreachable => ("unreachable", Value::Null),
            };
            with(with(with(cell, "outcome", "refused".into()), "how", how.into()), "detail", detail)
        }
    }
}
