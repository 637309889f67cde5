//! The reader of a map with known keys: it remembers what it was asked for and reports the rest.

use crate::closest::closest;
use crate::entry::Entry;
use crate::loading::{Fault, Read, Reported};
use crate::problem::Location;
use crate::yaml::{Content, Key, Node, path_of};

/// A map with known keys.
///
/// A reader asks for all its keys first and looks at the results after that: a `?` between two questions would hide the
/// problems of the second, and make its key unknown.
pub(crate) struct Section<'a> {
    map: Entry<'a>,
    entries: &'a [(Key, Node)],
    /// The keys that were asked for.
    known: Vec<&'static str>,
    /// The keys that a later version reads.
    later: Vec<&'static str>,
    /// The keys that should be here, with what to say of their absence.
    missing: Vec<(&'static str, Fault)>,
    /// Whether keys that were not asked for are nobody's business.
    others: bool,
}

/// The one value that a key of a later version may have today, because it asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inert {
    /// No value will do.
    Nothing,
    /// `null`
    Null,
    /// This word.
    Word(&'static str),
}

/// What a section that was left out reads as, so that its defaults stand in one place.
static EMPTY: Node = Node { at: Location { line: 1, column: 1 }, content: Content::Map(Vec::new()) };

impl<'a> Section<'a> {
    pub(crate) fn new(map: Entry<'a>, entries: &'a [(Key, Node)]) -> Self {
        Self { map, entries, known: Vec::new(), later: Vec::new(), missing: Vec::new(), others: false }
    }

    /// The map itself.
    pub(crate) fn map(&self) -> &Entry<'a> {
        &self.map
    }

    /// A key that has to be there.
    pub(crate) fn required<T>(&mut self, key: &'static str, read: impl FnOnce(&Entry<'a>) -> Read<T>) -> Read<T> {
        self.know(key);
        match self.find(key) {
            Some(entry) if entry.is_null() => Err(entry.wrong(Fault::new("expected a value, found nothing"))),
            Some(entry) => read(&entry),
            None => Err(self.demand(key, Fault::new("missing"))),
        }
    }

    /// A key that may be absent, or null.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Entry<'a>) -> Read<T>,
    ) -> Read<Option<T>> {
        self.entry(key).map(|entry| read(&entry)).transpose()
    }

    /// A key with a default.
    pub(crate) fn or<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&Entry<'a>) -> Read<T>) -> Read<T> {
        Ok(self.optional(key, read)?.unwrap_or(default))
    }

    /// A section that may be absent, and then reads as an empty one.
    pub(crate) fn subsection<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> Read<T>,
    ) -> Read<T> {
        self.entry(key).unwrap_or_else(|| self.map.left_out(key, &EMPTY)).section(read)
    }

    /// The value of a key; none where it is absent, or null.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.know(key);
        self.find(key).filter(|entry| !entry.is_null())
    }

    /// The value of a key, null too; none where it is absent.
    pub(crate) fn given(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.know(key);
        self.find(key)
    }

    /// Reports the absence of a key that this map needs after all.
    pub(crate) fn demand(&mut self, key: &'static str, fault: Fault) -> Reported {
        self.missing.push((key, fault));
        Reported::at_the_end_of_the_section()
    }

    /// Keys that this version does not read: only a value that asks for nothing is let through.
    pub(crate) fn later(&mut self, keys: &[(&'static str, Inert)]) {
        for (key, inert) in keys {
            self.later.push(key);
            if let Some(entry) = self.find(key)
                && !inert.is(&entry)
            {
                entry.misplaced(Fault::new(NOT_YET).help(format!("remove `{key}`")));
            }
        }
    }

    /// Lets keys pass that nobody asks for: which ones there are depends on a value that could not be read.
    pub(crate) fn pass_others(&mut self) {
        self.others = true;
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    fn find(&self, key: &str) -> Option<Entry<'a>> {
        let (key, node) = self.entries.iter().find(|(given, _)| given.text == key)?;
        Some(Entry::under(self.map.loading, &self.map.path, key, node))
    }

    /// Reports unknown and missing keys; a misspelt key is not missing besides.
    pub(crate) fn finish(mut self) {
        if !self.others {
            for (key, _) in self.entries {
                if !self.known.contains(&key.text.as_str()) && !self.later.contains(&key.text.as_str()) {
                    self.unknown(key);
                }
            }
        }
        for (key, fault) in self.missing {
            self.map.loading.report(fault.at(self.map.at(), &path_of(&self.map.path, key)));
        }
    }

    fn unknown(&mut self, key: &Key) {
        let absent = self.known.iter().chain(&self.later).copied().filter(|known| self.find(known).is_none());
        let help = match closest(&key.text, absent) {
            Some(meant) => {
                self.missing.retain(|(missing, _)| *missing != meant);
                format!("did you mean `{meant}`?")
            }
            None => format!("the keys here are {}", self.known.join(", ")),
        };
        self.map.loading.report(Fault::new("unknown key").help(help).at(key.at, &path_of(&self.map.path, &key.text)));
    }
}

impl Inert {
    fn is(self, entry: &Entry<'_>) -> bool {
        match (&entry.node.content, self) {
            (Content::Faulty(_), _) => true,
            (Content::Scalar(_), Self::Null) => entry.is_null(),
            (Content::Scalar(scalar), Self::Word(word)) => scalar.text == word,
            _ => false,
        }
    }
}

/// What is said of everything that the reference describes and this version does not do.
pub(crate) const NOT_YET: &str = "not supported yet";
