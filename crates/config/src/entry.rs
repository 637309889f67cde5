//! A value at its place: what the readers of the sections are given.

use crate::loading::{Fault, Loading, Read, Reported};
use crate::problem::Location;
use crate::scalar;
use crate::section::Section;
use crate::yaml::{Content, Key, Node, Scalar, path_of};
use serde::Deserialize;
use std::collections::HashMap;

/// A value with its path, for whoever reads it to complain about.
#[derive(Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) loading: &'a Loading<'a>,
    pub(crate) node: &'a Node,
    /// The path of its key.
    pub(crate) path: String,
    /// Where its key stands; the value itself, where it is in a list.
    key_at: Location,
}

impl<'a> Entry<'a> {
    pub(crate) fn root(loading: &'a Loading<'a>, node: &'a Node) -> Self {
        Self { loading, node, path: String::new(), key_at: node.at }
    }

    /// The value of a key in the map at `path`.
    pub(crate) fn under(loading: &'a Loading<'a>, path: &str, key: &'a Key, node: &'a Node) -> Self {
        Self { loading, node, path: path_of(path, &key.text), key_at: key.at }
    }

    /// A part of this value that has no place of its own, because it was left out.
    pub(crate) fn left_out(&self, key: &str, node: &'a Node) -> Self {
        Self { loading: self.loading, node, path: path_of(&self.path, key), key_at: self.key_at }
    }

    /// The value is wrong.
    pub(crate) fn wrong(&self, fault: Fault) -> Reported {
        self.loading.report(fault.at(self.node.at, &self.path))
    }

    /// The value is right and its key should not be here.
    pub(crate) fn misplaced(&self, fault: Fault) -> Reported {
        self.loading.report(fault.at(self.key_at, &self.path))
    }

    /// The value will do, and somebody should look at it.
    pub(crate) fn warn(&self, fault: Fault) {
        self.loading.warn(fault.at(self.node.at, &self.path));
    }

    /// The value names something that has run out, by its SHA-256: a warning, or a problem where it is to come into force beside what serves.
    pub(crate) fn outdated(&self, digest: [u8; 32], fault: Fault) -> Read<()> {
        if self.loading.world.is_new(digest) {
            return Err(self.wrong(fault));
        }
        self.warn(fault);
        Ok(())
    }

    /// The value will do, and somebody should ask why its key is here.
    pub(crate) fn warn_of_key(&self, fault: Fault) {
        self.loading.warn(fault.at(self.key_at, &self.path));
    }

    /// Where the value stands.
    pub(crate) fn at(&self) -> Location {
        self.node.at
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.node.content, Content::Scalar(scalar) if scalar.plain && scalar::is_null(&scalar.text))
    }

    /// The single value that this is.
    pub(crate) fn scalar(&self) -> Read<&'a Scalar> {
        match &self.node.content {
            Content::Scalar(scalar) => Ok(scalar),
            _ => Err(self.unexpected("a single value")),
        }
    }

    /// A boolean, a number, text, or an enum by the names of its variants.
    pub(crate) fn typed<T: Deserialize<'a>>(&self) -> Read<T> {
        scalar::typed(self.scalar()?).map_err(|fault| self.wrong(fault))
    }

    /// Free text that is given its meaning by `parse`; what looks like a number or boolean has to stand in quotes.
    pub(crate) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Read<T> {
        parse(self.typed::<&str>()?).map_err(|fault| self.wrong(fault))
    }

    /// Something with a form of its own (an address, a length of time), which `parse` knows; quotes make no difference.
    pub(crate) fn written<T>(&self, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Read<T> {
        if self.is_null() {
            return Err(self.unexpected("a value"));
        }
        parse(&self.scalar()?.text).map_err(|fault| self.wrong(fault))
    }

    /// A list, each item of it read whatever becomes of the others.
    pub(crate) fn list<T>(&self, mut read: impl FnMut(&Entry<'a>) -> Read<T>) -> Read<Vec<T>> {
        let Content::List(nodes) = &self.node.content else { return Err(self.unexpected("a list")) };
        let item = |(index, node): (usize, &'a Node)| Entry {
            loading: self.loading,
            node,
            path: format!("{}[{index}]", self.path),
            key_at: node.at,
        };
        let items: Vec<Read<T>> = nodes.iter().enumerate().map(item).map(|item| read(&item)).collect();
        items.into_iter().collect()
    }

    /// A list with something in it; `needed` says what of.
    pub(crate) fn full_list<T>(&self, needed: &str, read: impl FnMut(&Entry<'a>) -> Read<T>) -> Read<Vec<T>> {
        let items = self.list(read)?;
        if items.is_empty() {
            Err(self.wrong(Fault::new(format!("the list is empty; it needs {needed}"))))
        } else {
            Ok(items)
        }
    }

    /// A map whose keys are names of the operator's own, each value of it read whatever becomes of the others.
    pub(crate) fn named<T>(&self, mut read: impl FnMut(&str, &Entry<'a>) -> Read<T>) -> Read<Vec<T>> {
        let entries = self.keys()?.iter();
        let values: Vec<Read<T>> =
            entries.map(|(key, node)| read(&key.text, &Entry::under(self.loading, &self.path, key, node))).collect();
        values.into_iter().collect()
    }

    /// A map whose keys are known: `read` asks for them, and what it did not ask for is reported as unknown.
    pub(crate) fn section<T>(&self, read: impl FnOnce(&mut Section<'a>) -> Read<T>) -> Read<T> {
        let mut section = Section::new(self.clone(), self.keys()?);
        let value = read(&mut section);
        section.finish();
        value
    }

    fn keys(&self) -> Read<&'a [(Key, Node)]> {
        match &self.node.content {
            Content::Map(entries) => Ok(entries),
            _ => Err(self.unexpected("a map")),
        }
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> Reported {
        let found = match &self.node.content {
            Content::Faulty(reported) => return *reported,
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
            Content::Scalar(_) if self.is_null() => "nothing".to_owned(),
            Content::Scalar(scalar) => format!("`{}`", scalar.text),
        };
        self.wrong(Fault::new(format!("expected {wanted}, found {found}")))
    }
}

/// Names of one kind, none of which may be given twice.
#[derive(Debug, Clone)]
pub(crate) struct Unique {
    what: &'static str,
    first: HashMap<String, Location>,
}

impl Unique {
    /// `what` goes before the name in a sentence: `the listener name`.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, first: HashMap::new() }
    }

    /// Takes a name, unless it is taken.
    pub(crate) fn claim(&mut self, entry: &Entry<'_>, name: &str) -> Read<()> {
        if let Some(first) = self.first.get(name) {
            let message = format!("{} `{name}` is given twice; line {} has it first", self.what, first.line);
            return Err(entry.wrong(Fault::new(message)));
        }
        self.first.insert(name.to_owned(), entry.at());
        Ok(())
    }
}
