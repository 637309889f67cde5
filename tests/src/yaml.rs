//! YAML of others' formats as a JSON value, every scalar a text: for files that Prometheus reads and the gateway does not.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The one document of a text.
#[must_use]
pub fn read(text: &str) -> Value {
    let events = Parser::new_from_str(text).map(|event| event.expect("YAML").0);
    let mut reader = Reader { events, anchors: HashMap::new() };
    reader.value().expect("a document")
}

struct Reader<I> {
    events: I,
    anchors: HashMap<usize, Value>,
}

impl<'a, I: Iterator<Item = Event<'a>>> Reader<I> {
    /// The next value; none at the end of what is open.
    fn value(&mut self) -> Option<Value> {
        let (value, anchor) = loop {
            match self.events.next()? {
                Event::Alias(anchor) => return Some(self.anchors[&anchor].clone()),
                Event::Scalar(text, _, anchor, _) => break (Value::String(text.into_owned()), anchor),
                Event::SequenceStart(anchor, _) => break (self.list(), anchor),
                Event::MappingStart(anchor, _) => break (self.map(), anchor),
                Event::SequenceEnd | Event::MappingEnd => return None,
                _ => {}
            }
        };
        self.anchors.insert(anchor, value.clone());
        Some(value)
    }

    fn list(&mut self) -> Value {
        Value::Array(std::iter::from_fn(|| self.value()).collect())
    }

    fn map(&mut self) -> Value {
        let mut map = Map::new();
        while let Some(key) = self.value() {
            map.insert(key.as_str().expect("a key").to_owned(), self.value().expect("a value"));
        }
        Value::Object(map)
    }
}
