//! The soak's command line. Exit codes: 0 every bar is held, 1 one is missed, 2 bad usage.
#![allow(clippy::print_stdout, reason = "a command line reports where its user looks")]

use clap::{Parser, ValueEnum};
use pullgate_tests::soak::{Changes, Figure, Growth, Idle, Setting, Slow, Strangers, table};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Puts the gateway under load, change and attack, and compares what it does with what it has to do.
///
/// It takes both cores of a small machine; nothing else should run.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The parts to run; all where none is given
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// The binary under test
    #[arg(long, value_name = "FILE", default_value = "target/release/pullgate")]
    binary: PathBuf,
    /// How long the last part takes, in minutes
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// Divide reloads, upgrades, strangers, slow clients and idle connections by this
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    divide: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Reloads and upgrades, and not a request lost
    Changes,
    /// A flood of connection attempts
    Strangers,
    /// Slow clients of each kind
    Slow,
    /// Idle connections, beside nginx
    Idle,
    /// A mixed load, and memory that does not grow
    Growth,
}

const ALL: [Part; 5] = [Part::Changes, Part::Strangers, Part::Slow, Part::Idle, Part::Growth];

const LEAST_RATE: f64 = 1000.0;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let parts = if arguments.parts.is_empty() { ALL.to_vec() } else { arguments.parts.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    let mut holds = true;
    for part in parts {
        let begun = Instant::now();
        let figures = runtime.block_on(run(part, &arguments, &arguments.binary));
        holds &= figures.iter().all(|figure| figure.holds);
        println!("{}\n({:.0} s)\n", table(&figures), begun.elapsed().as_secs_f64());
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(part: Part, arguments: &Arguments, binary: &Path) -> Vec<Figure> {
    let divide = arguments.divide;
    match part {
        Part::Changes => {
            let full = Changes::full();
            let plan = Changes { reloads: full.reloads / divide, upgrades: full.upgrades / divide, ..full };
            plan.run(binary).await.figures(&plan, LEAST_RATE)
        }
        Part::Strangers => {
            let mut figures = Vec::new();
            for kernel_filter in ["off", "require"] {
                let full = Strangers::full(Setting { kernel_filter, ..Setting::default() });
                let plan = Strangers { attempts: full.attempts / divide, ..full };
                figures.extend(plan.run(binary).await.figures(plan.setting));
            }
            figures
        }
        Part::Slow => {
            let mut figures = Vec::new();
            for plan in Slow::all(2000 / divide) {
                figures.extend(plan.run(binary).await.figures(plan));
            }
            figures
        }
        Part::Idle => {
            let plan = Idle { count: 10_000 / divide };
            plan.run(binary).await.figures(plan)
        }
        Part::Growth => Growth::minutes(arguments.minutes).run(binary).await.figures(),
    }
}
