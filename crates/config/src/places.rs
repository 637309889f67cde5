//! Where each part of a configuration stands in its text.

use crate::problem::{Location, unmarked};
use crate::yaml::{Content, Node, parse, path_of};
use std::collections::HashMap;

/// The places of all keys and list items, by their paths: `hosts[0].origin_pull.mode`.
#[derive(Debug, Clone, Default)]
pub struct Places(HashMap<String, Location>);

impl Places {
    /// The places in a text; none in one that is no YAML.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut places = Self::default();
        if let (Some(root), _) = parse(unmarked(text)) {
            places.note("", &root);
        }
        places
    }

    /// Where a key or item stands; none where it is not written.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Location> {
        self.0.get(path).copied()
    }

    fn note(&mut self, path: &str, node: &Node) {
        match &node.content {
            Content::Scalar(_) | Content::Faulty(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.note(&path, item);
                    self.0.insert(path, item.at);
                }
            }
            Content::Map(entries) => {
                for (key, value) in entries {
                    let path = path_of(path, &key.text);
                    self.note(&path, value);
                    self.0.insert(path, key.at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_items_have_places() {
        let places = Places::of("a: 1\nhosts:\n  - name: x\n    policies: [{kind: proof}]\n  - {name: y}\n");
        let line = |path: &str| places.find(path).map(|at| (at.line, at.column));
        assert_eq!(line("hosts"), Some((2, 1)));
        assert_eq!(line("hosts[0].policies[0].kind"), Some((4, 17)));
        assert_eq!(line("hosts[1]").map(|(line, _)| line), Some(5));
        assert_eq!(line("hosts[2]"), None);
        assert!(Places::of("a: [").find("a").is_none());
    }
}
