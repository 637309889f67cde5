//! YAML text to a validated [`Config`], or all problems at once, each with file, line, column and key path.
//!
//! The way of a text: `yaml` makes a tree whose nodes know their places, `interpolate` puts the environment's variables into
//! its values, and the readers in `sections` ask a `section` for its keys one by one. A reader that cannot make its value
//! reports the reason and goes on with the next key, so that one load finds everything there is to find.

mod advice;
mod closest;
mod duration;
mod entry;
mod interpolate;
mod loading;
mod model;
mod places;
mod problem;
mod scalar;
mod schema;
mod section;
mod sections;
mod size;
mod world;
mod yaml;

pub use advice::advice;
pub use model::*;
pub use places::Places;
pub use problem::{Location, Problem, Problems, Severity, Shown};
pub use schema::schema;
pub use world::*;

use entry::Entry;
use loading::Loading;
use std::path::PathBuf;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What somebody should look at, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration from `text`; `file` is its name in problems.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(file: &str, text: &str, world: &dyn World) -> Result<Loaded, Problems> {
    let (tree, shape) = yaml::parse(problem::unmarked(text));
    let loading = Loading::new(world, text);
    for problem in shape {
        loading.report(problem);
    }
    let config = tree.map(|mut root| {
        interpolate::interpolate(&mut root, "", &loading);
        sections::read(&Entry::root(&loading, &root))
    });
    let (problems, mut warnings) = loading.into_lists();
    match config {
        Some(Ok(config)) if problems.is_empty() => {
            warnings.sort_by_key(|warning| warning.at);
            Ok(Loaded { config, warnings })
        }
        _ => Err(Problems::new(file, text, problems)),
    }
}

/// The `runtime.state_dir` of a configuration that may have other mistakes; `file` is its name in problems.
///
/// # Errors
/// What keeps the text from being YAML.
pub fn state_dir(file: &str, text: &str, world: &dyn World) -> Result<PathBuf, Problems> {
    let loading = Loading::new(world, text);
    let (tree, shape) = yaml::parse(problem::unmarked(text));
    let Some(mut root) = tree else { return Err(Problems::new(file, text, shape)) };
    interpolate::interpolate(&mut root, "", &loading);
    Ok(sections::state_dir(&root).unwrap_or_else(|| sections::STATE_DIR.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
mod tests;
