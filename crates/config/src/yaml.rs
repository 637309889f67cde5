//! YAML text to a tree in which every node knows its place.

use crate::loading::Reported;
use crate::problem::{Location, Problem};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::fmt::Write as _;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it starts.
    pub(crate) at: Location,
    /// What it is.
    pub(crate) content: Content,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A single value.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text, no key twice.
    Map(Vec<(Key, Node)>),
    /// Something that has been reported already, and that nobody is to complain about again.
    Faulty(Reported),
}

/// A single value, not yet given a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The value.
    pub(crate) text: String,
    /// Whether it stood without quotes, and so may be a number, a boolean or null.
    pub(crate) plain: bool,
    /// Whether a variable was put into it: such a value is a number or text, as the key wants it, with quotes or without.
    pub(crate) filled: bool,
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its text.
    pub(crate) text: String,
    /// Where it starts.
    pub(crate) at: Location,
}

/// Nodes that one document may have, aliases counted as what they stand for.
const MOST_NODES: usize = 100_000;

/// Lists and maps within one another; the configuration itself needs eight.
const DEEPEST: usize = 64;

/// What a line with a variable may lack: in `{ }` and `[ ]` a brace ends a plain value.
fn variable_in_flow(text: &str, line: usize) -> Option<&'static str> {
    let line = text.lines().nth(line.checked_sub(1)?)?;
    line.contains("${").then_some("inside { } and [ ] a value with ${NAME} needs quotes: \"${NAME}\"")
}

/// Reads one document: the tree, where there is one, and everything that is wrong with its shape.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let taken = match event {
            Ok((event, span)) => tree.take(event, span),
            Err(error) => {
                let at = place(error.marker());
                let message = format!("this is not YAML: {}", error.info());
                Err(tree.problem(at, message, variable_in_flow(text, at.line)))
            }
        };
        if let Err(last) = taken {
            tree.problems.push(last);
            return (None, tree.problems);
        }
    }
    tree.finish()
}

/// The path of `key` in the map at `path`; a key that would blur the path stands in quotes.
pub(crate) fn path_of(path: &str, key: &str) -> String {
    let clear = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    let dot = if path.is_empty() { "" } else { "." };
    if !key.is_empty() && key.chars().all(clear) { format!("{path}{dot}{key}") } else { format!("{path}{dot}{key:?}") }
}

fn place(marker: &Marker) -> Location {
    Location { line: marker.line().max(1), column: marker.col() + 1 }
}

/// The tree while it grows.
#[derive(Default)]
struct Tree {
    /// The lists and maps that are open, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    anchors: HashMap<usize, Grown>,
    problems: Vec<Problem>,
}

/// A finished node with what it weighs.
#[derive(Clone)]
struct Grown {
    node: Node,
    /// Nodes in it, itself included.
    size: usize,
    /// Levels below it.
    height: usize,
}

/// A list or map that is not finished.
struct Open {
    at: Location,
    anchor: usize,
    /// How many nodes there were before it.
    before: usize,
    height: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, places: HashMap<String, Location>, next: Next },
}

/// What a map waits for.
enum Next {
    Key,
    Value(Key),
    /// The value of a key that cannot be used.
    Ignored,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = place(&span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain, filled: false };
                self.count(1, at)?;
                self.close(Grown { node: Node { at, content: Content::Scalar(scalar) }, size: 1, height: 0 }, anchor);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                self.open(at, anchor, Inside::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                self.open(at, anchor, Inside::Map { entries: Vec::new(), places: HashMap::new(), next: Next::Key })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close_innermost();
                Ok(())
            }
        }
    }

    fn document(&mut self, at: Location) -> Result<(), Problem> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        Err(self.problem(at, "a second document starts here".into(), Some("one file holds one configuration")))
    }

    fn refuse_tag(&mut self, tag: Option<&saphyr_parser::Tag>, at: Location) {
        if tag.is_some() {
            let problem = self.problem(at, "YAML tags have no meaning here".into(), Some("remove the tag"));
            self.problems.push(problem);
        }
    }

    fn count(&mut self, more: usize, at: Location) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MOST_NODES {
            return Ok(());
        }
        Err(self.problem(at, format!("the file has more than {MOST_NODES} values"), None))
    }

    fn check_depth(&self, levels: usize, at: Location) -> Result<(), Problem> {
        if self.open.len() + levels <= DEEPEST {
            return Ok(());
        }
        Err(self.problem(at, format!("lists and maps are nested more than {DEEPEST} deep"), None))
    }

    fn open(&mut self, at: Location, anchor: usize, inside: Inside) -> Result<(), Problem> {
        self.check_depth(1, at)?;
        let before = self.nodes;
        self.count(1, at)?;
        self.open.push(Open { at, anchor, before, height: 0, inside });
        Ok(())
    }

    fn close_innermost(&mut self) {
        let Some(Open { at, anchor, before, height, inside }) = self.open.pop() else { return };
        let content = match inside {
            Inside::List(nodes) => Content::List(nodes),
            Inside::Map { entries, .. } => Content::Map(entries),
        };
        self.close(Grown { node: Node { at, content }, size: self.nodes - before, height }, anchor);
    }

    fn alias(&mut self, anchor: usize, at: Location) -> Result<(), Problem> {
        let Some(mut grown) = self.anchors.get(&anchor).cloned() else {
            return Err(self.problem(at, "this alias stands within what it stands for".into(), None));
        };
        self.check_depth(grown.height, at)?;
        self.count(grown.size, at)?;
        grown.node.at = at;
        self.close(grown, 0);
        Ok(())
    }

    /// Puts a finished node into its place.
    fn close(&mut self, grown: Grown, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, grown.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(grown.node);
            return;
        };
        parent.height = parent.height.max(grown.height + 1);
        match &mut parent.inside {
            Inside::List(nodes) => nodes.push(grown.node),
            Inside::Map { entries, places, next } => match std::mem::replace(next, Next::Key) {
                Next::Ignored => {}
                Next::Value(key) => entries.push((key, grown.node)),
                Next::Key => match key_of(grown.node, places) {
                    Ok(key) => *next = Next::Value(key),
                    Err(refused) => {
                        *next = Next::Ignored;
                        self.refuse_key(refused);
                    }
                },
            },
        }
    }

    fn refuse_key(&mut self, refused: RefusedKey) {
        let map = self.path();
        let key = refused.text.map_or_else(|| map.clone(), |text| path_of(&map, &text));
        let help = refused.help.map(str::to_owned);
        self.problems.push(Problem { at: refused.at, key, message: refused.message, help });
    }

    fn problem(&self, at: Location, message: String, help: Option<&str>) -> Problem {
        Problem { at, key: self.path(), message, help: help.map(str::to_owned) }
    }

    /// The path of what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.inside {
                // Writing to a string cannot fail.
                Inside::List(nodes) => drop(write!(path, "[{}]", nodes.len())),
                Inside::Map { next: Next::Value(key), .. } => path = path_of(&path, &key.text),
                Inside::Map { .. } => {}
            }
        }
        path
    }

    fn finish(mut self) -> (Option<Node>, Vec<Problem>) {
        let empty =
            |node: &Node| matches!(&node.content, Content::Scalar(scalar) if scalar.plain && scalar.text.is_empty());
        let root = self.root.take().filter(|root| !empty(root));
        if root.is_none() {
            let start = Location { line: 1, column: 1 };
            let problem = self.problem(start, "the file is empty".into(), Some("start with `version: 1`"));
            self.problems.push(problem);
        }
        (root, self.problems)
    }
}

/// Why a node cannot be a key.
struct RefusedKey {
    at: Location,
    /// The key, where there is one to name.
    text: Option<String>,
    message: String,
    help: Option<&'static str>,
}

/// A key out of a node, unless it is none or has been there before.
fn key_of(node: Node, places: &mut HashMap<String, Location>) -> Result<Key, RefusedKey> {
    let at = node.at;
    let refused = |message: &str, help| Err(RefusedKey { at, text: None, message: message.to_owned(), help });
    let Content::Scalar(Scalar { text, plain, filled: _ }) = node.content else {
        return refused("a key has to be plain text", None);
    };
    if text.is_empty() {
        return refused("a key is missing in front of the colon", None);
    }
    if plain && text == "<<" {
        return refused("merge keys (`<<`) are not supported", Some("write the keys out"));
    }
    if let Some(first) = places.get(&text) {
        let message = format!("duplicate key; line {} has it already", first.line);
        return Err(RefusedKey { at, text: Some(text), message, help: None });
    }
    places.insert(text.clone(), at);
    Ok(Key { text, at })
}
