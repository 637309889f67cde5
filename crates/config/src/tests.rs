//! Tests of the whole crate: texts in, a configuration or its problems out.

mod advised;
mod complete;
mod everything_at_once;
mod hostile;
mod refused;
mod schema;
mod shape;
mod shown;
mod variables;
mod warnings;
mod world;

use crate::{Loaded, Problem, Problems, advice, load};
use world::Village;

/// The least that loads.
const MINIMAL: &str = "\
version: 1
listeners:
  - {name: https, address: \"[::]:8443\"}
hosts:
  - name: shop
    hostnames: [shop.example.com]
    certificate: {chain: shop.pem, key: shop.key}
    origin_pull: {mode: require}
    routes:
      - {name: all, upstream: shop}
upstreams:
  shop: {servers: [\"127.0.0.1:9000\"]}
";

/// Loads a text that has to be right, in an editor too.
fn right(text: &str) -> Loaded {
    schema::approve(text);
    load("test.yaml", text, &Village::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Loads a text that has to be wrong.
fn wrong(text: &str) -> Problems {
    load("test.yaml", text, &Village::default()).map_or_else(|problems| problems, |_| panic!("this loads:\n{text}"))
}

/// A problem as tables write it: `LINE:COL KEY`.
fn place(problem: &Problem) -> String {
    format!("{}:{} {}", problem.at.line, problem.at.column, problem.key)
}

fn places(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(place).collect()
}

/// The text with its first `from` replaced.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}
