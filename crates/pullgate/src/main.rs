//! The command line. Exit codes: 0 done, 1 failed at run time, 2 bad usage or configuration (do not restart).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line reports where its user looks")]

/// Prints, as `print!` does. Whoever reads may have gone (`| head`): then there is nobody left to tell.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        if write!(std::io::stdout(), $($what)*).is_err() {
            std::process::exit(0);
        }
    }};
}

/// Prints a line, as `println!` does.
macro_rules! sayln {
    ($($what:tt)*) => { say!("{}\n", format_args!($($what)*)) };
}

mod commands;
mod explaining;
mod itself;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use commands::{check, demo, observed, ranges, ready, reload, run, upgrade};
use explaining::Explain;
use itself::{completions, man, schema};
use rustix::thread::disable_transparent_huge_pages;
use std::net::SocketAddr;
use std::path::PathBuf;
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
    /// Say what every layer would decide about a request, and why, with the lines of the configuration
    Explain(Box<Explain>),
    /// Show the main job on this machine: a play-acted Cloudflare, the gateway, an origin
    Demo {
        /// End after the five requests, with exit code 0 only if all came out right
        #[arg(long)]
        once: bool,
    },
    /// Print the JSON Schema of the configuration, by which editors complete, explain and check it
    Schema,
    /// Print the script by which a shell completes this command line
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the man page
    Man {
        /// Write the page, and one of each command, as files into this folder
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
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
    /// Have the running gateway fetch the list now: exit code 1 if it was not had or not taken, and then nothing has changed
    Refresh,
}

const FAILED: u8 = 1;
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    // Of huge pages the process would hold two or three times the memory that it uses, and they save it no time. The allocator is built to
    // ask for none, from before this line on; here the process declines those that some kernels give unasked. One that knows no such
    // request serves as well.
    let _ = disable_transparent_huge_pages(true);
    let result = match Arguments::parse().command {
        Command::Run { config, take_over } => run(&config.config, take_over),
        Command::Reload { config, format } => reload(&config.config, format),
        Command::Upgrade { config, program, format } => upgrade(&config.config, program, format),
        Command::Check { config, format, would_refuse: false } => Ok(check(&config.config, format)),
        Command::Check { config, format, would_refuse: true } => observed(&config.config, format),
        Command::Healthcheck { config, address } => ready(&config.config, address),
        Command::Ranges { what, config, format } => ranges(what, &config.config, format),
        Command::Explain(request) => request.explain(),
        Command::Demo { once } => demo(once),
        Command::Schema => Ok(schema()),
        Command::Completions { shell } => completions(shell),
        Command::Man { out } => man(out.as_deref()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pullgate: {error:#}");
        ExitCode::from(FAILED)
    })
}
