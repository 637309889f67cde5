//! What the program says about itself: the schema of its configuration, completions for shells, man pages.

use crate::Arguments;
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;
use std::process::ExitCode;

const NAME: &str = "pullgate";

/// The schema of the configuration.
pub(crate) fn schema() -> ExitCode {
    say!("{}", pullgate_config::schema());
    ExitCode::SUCCESS
}

/// The script by which a shell completes.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    // The generator panics where its output cannot be written: it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
    say!("{}", String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}

/// The main page on standard output, or all pages in a folder.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
        say!("{}", String::from_utf8(page)?);
        return Ok(ExitCode::SUCCESS);
    };
    let cannot = || format!("cannot write man pages to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(cannot)?;
    clap_mangen::generate_to(Arguments::command(), folder).with_context(cannot)?;
    Ok(ExitCode::SUCCESS)
}
