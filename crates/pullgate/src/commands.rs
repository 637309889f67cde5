//! What each command does with the library, and what it says.

use crate::{BAD_CONFIGURATION, FAILED, Format, Ranges};
use anyhow::Context;
use pullgate::{
    Applied, AskError, Beginning, Demo, LoadError, Loaded, RunError, System, Upgraded, difference, healthcheck, load,
    ranges_in_force, refresh_ranges, would_refuse,
};
use pullgate_config::Config;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(file: &Path, take_over: bool) -> anyhow::Result<ExitCode> {
    match pullgate::run(file, if take_over { Beginning::TakeOver } else { Beginning::Fresh }) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::Load(error)) => Ok(refused(&error)),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn reload(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    match (pullgate::reload(file), format) {
        (Ok(Applied { file, generation, warnings }), Format::Text) => {
            sayln!("{warnings}{}: in force as generation {generation}", file.display());
        }
        (Ok(Applied { file, generation, warnings }), Format::Json) => {
            sayln!("{}", json!({"file": file, "applied": true, "generation": generation, "warnings": warnings}));
        }
        (Err(AskError::Refused { why, configuration }), format) => {
            return Ok(unchanged(&why, configuration, format, "the configuration before serves on"));
        }
        (Err(AskError::Load(error)), _) => return Ok(refused(&error)),
        (Err(error), _) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn upgrade(file: &Path, program: Option<PathBuf>, format: Format) -> anyhow::Result<ExitCode> {
    let program = program.map_or_else(std::env::current_exe, std::path::absolute).context("which program?")?;
    let Upgraded { process, before } = pullgate::upgrade(file, &program).context("nothing has changed")?;
    match format {
        Format::Text => sayln!("process {process} serves, process {before} finishes what is open and ends"),
        Format::Json => sayln!("{}", json!({"process": process, "before": before})),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn refused(error: &LoadError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(BAD_CONFIGURATION)
}

pub(crate) fn check(file: &Path, format: Format) -> ExitCode {
    match (load(file), format) {
        (Ok(Loaded { config, warnings, advice, .. }), Format::Text) => {
            say!("{warnings}{advice}");
            sayln!("{}: ok: {}", file.display(), summary(&config));
            ExitCode::SUCCESS
        }
        (Ok(Loaded { warnings, advice, .. }), Format::Json) => {
            let warnings = [warnings.list(), advice.list()].concat();
            sayln!("{}", json!({"file": file, "ok": true, "problems": [], "warnings": warnings}));
            ExitCode::SUCCESS
        }
        (Err(error), Format::Text) => refused(&error),
        (Err(error), Format::Json) => {
            let problems = match &error {
                LoadError::Problems(problems) => json!(problems.list()),
                LoadError::Unreadable { .. } => json!([{"message": error.to_string()}]),
            };
            sayln!("{}", json!({"file": file, "ok": false, "problems": problems, "warnings": []}));
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

pub(crate) fn observed(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let config = match load(file) {
        Ok(loaded) => loaded.config,
        Err(error) => return Ok(refused(&error)),
    };
    let report = would_refuse(&config)?;
    match format {
        Format::Text => say!("{report}"),
        Format::Json => sayln!("{}", report.json()),
    }
    Ok(if report.is_clear() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn summary(config: &Config) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![
        count(config.listeners.len(), "listener"),
        count(config.hosts.len(), "host"),
        count(config.upstreams.len(), "upstream"),
    ];
    parts.extend(config.tracing.as_ref().map(|tracing| format!("{} traced to {}", tracing.sample, tracing.otlp)));
    parts.join(", ")
}

pub(crate) fn ready(file: &Path, address: Option<SocketAddr>) -> anyhow::Result<ExitCode> {
    let address = match address.map_or_else(|| load(file).map(|loaded| loaded.config.admin.address), Ok) {
        Ok(address) => address,
        Err(error) => return Ok(refused(&error)),
    };
    healthcheck(address)?;
    sayln!("ready");
    Ok(ExitCode::SUCCESS)
}

/// What comes of a change that a running gateway was asked for and refuses.
fn unchanged(why: &str, configuration: bool, format: Format, stays: &str) -> ExitCode {
    match format {
        Format::Text => eprintln!("{why}\npullgate: nothing has changed: {stays}"),
        Format::Json => sayln!("{}", json!({"applied": false, "problem": why})),
    }
    ExitCode::from(if configuration { BAD_CONFIGURATION } else { FAILED })
}

fn refresh(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    match (refresh_ranges(file), format) {
        (Ok(outcome), Format::Text) => sayln!("ranges fetched: {outcome}"),
        (Ok(outcome), Format::Json) => sayln!("{}", json!({"applied": true, "outcome": outcome})),
        (Err(AskError::Refused { why, configuration }), format) => {
            return Ok(unchanged(&why, configuration, format, "the ranges before stay in force"));
        }
        (Err(AskError::Load(error)), _) => return Ok(refused(&error)),
        (Err(error), _) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn ranges(what: Ranges, file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let config = match load(file) {
        Ok(loaded) => loaded.config,
        Err(error) => return Ok(refused(&error)),
    };
    let system = System::beside(file);
    let (text, json, is_same) = match what {
        Ranges::Show => ranges_in_force(&config, &system).map(|report| (report.to_string(), json!(report), true))?,
        Ranges::Diff => difference(&config, &system).map(|found| (found.to_string(), json!(found), found.is_none()))?,
        Ranges::Refresh => return refresh(file, format),
    };
    match format {
        Format::Text => say!("{text}"),
        Format::Json => sayln!("{json}"),
    }
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

pub(crate) fn demo(once: bool) -> anyhow::Result<ExitCode> {
    let demo = Demo::start().context("the demo cannot start")?;
    let all_right = demo.show(&mut std::io::stdout())?;
    if !once {
        demo.stay(&mut std::io::stdout())?;
    }
    demo.end();
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
