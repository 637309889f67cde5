//! YAML as a JSON value: for files that Prometheus reads and the gateway does not, and for a look at ours with an editor's eyes.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The one document of a text, every scalar a text.
#[must_use]
pub fn read(text: &str) -> Value {
    document(text, |text, _| Value::String(text))
}

/// The one document of a text; scalars without quotes are numbers, booleans and null where JSON has them too.
#[must_use]
pub fn typed(text: &str) -> Value {
    document(text, |text, style| {
        let resolved = serde_json::from_str(&text).ok().filter(|_| style == ScalarStyle::Plain);
        resolved.filter(|value: &Value| !value.is_string()).unwrap_or(Value::String(text))
    })
}

fn document(text: &str, scalar: fn(String, ScalarStyle) -> Value) -> Value {
    let events = Parser::new_from_str(text).map(|event| event.expect("YAML").0);
    let mut reader = Reader { events, scalar, anchors: HashMap::new() };
    reader.value().expect("a document")
}

struct Reader<I> {
    events: I,
    scalar: fn(String, ScalarStyle) -> Value,
    anchors: HashMap<usize, Value>,
}

impl<'a, I: Iterator<Item = Event<'a>>> Reader<I> {
    /// The next value; none at the end of what is open.
    fn value(&mut self) -> Option<Value> {
        let (value, anchor) = loop {
            match self.events.next()? {
                Event::Alias(anchor) => return Some(self.anchors[&anchor].clone()),
                Event::Scalar(text, style, anchor, _) => break ((self.scalar)(text.into_owned(), style), anchor),
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
