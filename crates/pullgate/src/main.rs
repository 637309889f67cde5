//! The command line. Exit codes: 0 done, 1 failed at run time, 2 bad usage or configuration (do not restart).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line reports where its user looks")]

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use pullgate::{
    Applied, AskError, Beginning, Demo, LoadError, Loaded, RunError, System, Upgraded, difference, healthcheck, load,
    ranges_in_force, would_refuse,
};
use pullgate_config::Config;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The gate between Cloudflare and a web origin.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM (drains open requests) or SIGINT (stops at once); SIGHUP loads the configuration again; SIGUSR1 opens the access log's file anew
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// Go on with the sockets of the gateway that runs, which ends once this one serves
        #[arg(long)]
        take_over: bool,
    },
    /// Have the running gateway load its configuration again: exit code 2 if it refuses, and then nothing has changed
    Reload {
        #[command(flatten)]
        config: ConfigFile,
        /// How to report
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Have another process take over from the running gateway, without a moment in which nobody listens
    Upgrade {
        #[command(flatten)]
        config: ConfigFile,
        /// The program to start, in place of this one
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// How to report
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Load a configuration and every file it names, and report all problems at once
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// How to report
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Ask the running gateway what its observe modes let pass that enforcing would refuse: exit code 1 if there was anything
        #[arg(long)]
        would_refuse: bool,
    },
    /// Ask a running gateway whether it is ready: exit code 0 if it is, 1 if not
    Healthcheck {
        #[command(flatten)]
        config: ConfigFile,
        /// The admin listener's address, in place of the configuration's
        #[arg(long, value_name = "ADDRESS")]
        address: Option<SocketAddr>,
    },
    /// The ranges that count as Cloudflare
    Ranges {
        /// What to do
        #[arg(value_enum)]
        what: Ranges,
        #[command(flatten)]
        config: ConfigFile,
        /// How to report
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show the main job on this machine: a play-acted Cloudflare, the gateway, an origin
    Demo {
        /// End after the five requests, with exit code 0 only if all came out right
        #[arg(long)]
        once: bool,
    },
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration
    #[arg(short, long, value_name = "FILE", env = "PULLGATE_CONFIG", default_value = "pullgate.yaml")]
    config: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ranges {
    /// What counts in the running gateway, or would at a start
    Show,
    /// Fetch the list and compare: exit code 0 if it changes nothing, 1 if it does or would be refused
    Diff,
}

const FAILED: u8 = 1;
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run { config, take_over } => run(&config.config, take_over),
        Command::Reload { config, format } => reload(&config.config, format),
        Command::Upgrade { config, program, format } => upgrade(&config.config, program, format),
        Command::Check { config, format, would_refuse: false } => Ok(check(&config.config, format)),
        Command::Check { config, format, would_refuse: true } => observed(&config.config, format),
        Command::Healthcheck { config, address } => ready(&config.config, address),
        Command::Ranges { what, config, format } => ranges(what, &config.config, format),
        Command::Demo { once } => demo(once),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pullgate: {error:#}");
        ExitCode::from(FAILED)
    })
}

fn run(file: &Path, take_over: bool) -> anyhow::Result<ExitCode> {
    match pullgate::run(file, if take_over { Beginning::TakeOver } else { Beginning::Fresh }) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::Load(error)) => Ok(refused(&error)),
        Err(error) => Err(error.into()),
    }
}

fn reload(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    match (pullgate::reload(file), format) {
        (Ok(Applied { file, generation, warnings }), Format::Text) => {
            println!("{warnings}{}: in force as generation {generation}", file.display());
        }
        (Ok(Applied { file, generation, warnings }), Format::Json) => {
            println!("{}", json!({"file": file, "applied": true, "generation": generation, "warnings": warnings}));
        }
        (Err(AskError::Refused { why, configuration }), format) => {
            match format {
                Format::Text => eprintln!("{why}\npullgate: nothing has changed: the configuration before serves on"),
                Format::Json => println!("{}", json!({"applied": false, "problem": why})),
            }
            return Ok(ExitCode::from(if configuration { BAD_CONFIGURATION } else { FAILED }));
        }
        (Err(AskError::Load(error)), _) => return Ok(refused(&error)),
        (Err(error), _) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn upgrade(file: &Path, program: Option<PathBuf>, format: Format) -> anyhow::Result<ExitCode> {
    let program = program.map_or_else(std::env::current_exe, std::path::absolute).context("which program?")?;
    let Upgraded { process, before } = pullgate::upgrade(file, &program).context("nothing has changed")?;
    match format {
        Format::Text => println!("process {process} serves, process {before} finishes what is open and ends"),
        Format::Json => println!("{}", json!({"process": process, "before": before})),
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(error: &LoadError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(BAD_CONFIGURATION)
}

fn check(file: &Path, format: Format) -> ExitCode {
    match (load(file), format) {
        (Ok(Loaded { config, warnings, .. }), Format::Text) => {
            print!("{warnings}");
            println!("{}: ok: {}", file.display(), summary(&config));
            ExitCode::SUCCESS
        }
        (Ok(Loaded { warnings, .. }), Format::Json) => {
            println!("{}", json!({"file": file, "ok": true, "problems": [], "warnings": warnings.list()}));
            ExitCode::SUCCESS
        }
        (Err(error), Format::Text) => refused(&error),
        (Err(error), Format::Json) => {
            let problems = match &error {
                LoadError::Problems(problems) => json!(problems.list()),
                LoadError::Unreadable { .. } => json!([{"message": error.to_string()}]),
            };
            println!("{}", json!({"file": file, "ok": false, "problems": problems, "warnings": []}));
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn observed(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let config = match load(file) {
        Ok(loaded) => loaded.config,
        Err(error) => return Ok(refused(&error)),
    };
    let report = would_refuse(&config)?;
    match format {
        Format::Text => print!("{report}"),
        Format::Json => println!("{}", report.json()),
    }
    Ok(if report.is_clear() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn summary(config: &Config) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    [
        count(config.listeners.len(), "listener"),
        count(config.hosts.len(), "host"),
        count(config.upstreams.len(), "upstream"),
    ]
    .join(", ")
}

fn ready(file: &Path, address: Option<SocketAddr>) -> anyhow::Result<ExitCode> {
    let address = match address.map_or_else(|| load(file).map(|loaded| loaded.config.admin.address), Ok) {
        Ok(address) => address,
        Err(error) => return Ok(refused(&error)),
    };
    healthcheck(address)?;
    println!("ready");
    Ok(ExitCode::SUCCESS)
}

fn ranges(what: Ranges, file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let config = match load(file) {
        Ok(loaded) => loaded.config,
        Err(error) => return Ok(refused(&error)),
    };
    let system = System::beside(file);
    let (text, json, is_same) = match what {
        Ranges::Show => ranges_in_force(&config, &system).map(|report| (report.to_string(), json!(report), true))?,
        Ranges::Diff => difference(&config, &system).map(|found| (found.to_string(), json!(found), found.is_none()))?,
    };
    match format {
        Format::Text => print!("{text}"),
        Format::Json => println!("{json}"),
    }
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn demo(once: bool) -> anyhow::Result<ExitCode> {
    let demo = Demo::start().context("the demo cannot start")?;
    let all_right = demo.show(&mut std::io::stdout())?;
    if !once {
        demo.stay(&mut std::io::stdout())?;
    }
    demo.end();
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
