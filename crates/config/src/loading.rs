//! One load in progress: the outside it reads from, and everything found wrong so far.

use crate::problem::{Location, Problem};
use crate::world::World;
use http::Uri;
use pullgate_policy::access::Team;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

/// One load in progress.
///
/// Readers share it, so the lists grow behind a cell: a reader that returned at its first problem would hide the rest.
pub(crate) struct Loading<'a> {
    pub(crate) world: &'a dyn World,
    /// SHA-256 of the text that is loaded.
    pub(crate) text: [u8; 32],
    /// Where the keys of each Access team come from, as it was said first.
    pub(crate) key_feeds: RefCell<HashMap<Team, (Uri, Location)>>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

/// The proof that a problem has been put on the list: what readers return in place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported(());

/// What a reader returns: a value, or the proof that the reason for its absence is on the list.
pub(crate) type Read<T> = Result<T, Reported>;

/// What is wrong, before anybody says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) message: String,
    /// What would be right.
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None }
    }

    pub(crate) fn help(self, help: impl fmt::Display) -> Self {
        Self { help: Some(help.to_string()), ..self }
    }

    /// With help only where there is some.
    pub(crate) fn maybe_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    pub(crate) fn at(self, at: Location, key: &str) -> Problem {
        Problem { at, key: key.to_owned(), message: self.message, help: self.help }
    }
}

impl<'a> Loading<'a> {
    pub(crate) fn new(world: &'a dyn World, text: &str) -> Self {
        Self {
            world,
            text: Sha256::digest(text).into(),
            key_feeds: RefCell::default(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    pub(crate) fn report(&self, problem: Problem) -> Reported {
        self.problems.borrow_mut().push(problem);
        Reported(())
    }

    pub(crate) fn warn(&self, warning: Problem) {
        self.warnings.borrow_mut().push(warning);
    }

    /// The problems and the warnings.
    pub(crate) fn into_lists(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }
}

impl Reported {
    /// For a required key that is missing: its section reports that at its end, when it can tell a missing key from a
    /// misspelt one.
    pub(crate) fn at_the_end_of_the_section() -> Self {
        Self(())
    }
}
