//! `${NAME}` and `${NAME:-default}` in values, replaced from the environment.
//!
//! A scalar stays one scalar, whatever the variable holds. `$${` stands for a literal `${`; a `$` before anything else stands
//! for itself.

use crate::loading::{Fault, Loading};
use crate::scalar;
use crate::yaml::{Content, Node, Scalar, path_of};

/// Replaces the variables in every value below a node; a value where that fails is reported and becomes faulty.
pub(crate) fn interpolate(node: &mut Node, path: &str, loading: &Loading<'_>) {
    match &mut node.content {
        Content::Faulty(_) => {}
        Content::List(nodes) => {
            for (index, inner) in nodes.iter_mut().enumerate() {
                interpolate(inner, &format!("{path}[{index}]"), loading);
            }
        }
        Content::Map(entries) => {
            for (key, inner) in entries {
                interpolate(inner, &path_of(path, &key.text), loading);
            }
        }
        Content::Scalar(scalar) if !scalar.text.contains("${") => {}
        Content::Scalar(scalar) => {
            node.content = match replaced(&scalar.text, &|name| loading.world.variable(name)) {
                Ok(text) => {
                    Content::Scalar(Scalar { plain: scalar.plain && !scalar::is_null(&text), text, filled: true })
                }
                Err(fault) => Content::Faulty(loading.report(fault.at(node.at, path))),
            };
        }
    }
}

/// The text with its variables replaced. What a variable brings is not looked at again.
pub(crate) fn replaced(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            result.push_str(escaped);
            result.push_str("${");
            rest = after;
            continue;
        }
        let (inside, after) = after.split_once('}').ok_or_else(|| {
            Fault::new("`${` is not closed").help("write ${NAME} or ${NAME:-default}; $${ stands for a literal ${")
        })?;
        result.push_str(before);
        result.push_str(&value_of(inside, variable)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// As in a shell, the default stands in for a variable that is unset or empty.
fn value_of(inside: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    if !is_name(name) {
        let fault = Fault::new(format!("`{name}` is not the name of a variable"));
        return Err(fault.help("write ${NAME} or ${NAME:-default}"));
    }
    match (variable(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            let fault = Fault::new(format!("the environment has no variable `{name}`"));
            Err(fault.help(format!("set {name}, or give a default: ${{{name}:-default}}")))
        }
    }
}

fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && name.bytes().all(word)
}
