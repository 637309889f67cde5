//! Draws the table of a run of peers: `plot TSV SVG`.
#![allow(clippy::print_stderr, reason = "a command line reports where its user looks")]

use pullgate_benches::plot::svg;
use pullgate_benches::table::rows;
use std::process::ExitCode;

fn main() -> ExitCode {
    match draw() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("plot: {why}");
            ExitCode::FAILURE
        }
    }
}

fn draw() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [table, picture] = arguments.as_slice() else { return Err("usage: plot TSV SVG".into()) };
    let text = std::fs::read_to_string(table).map_err(|why| format!("{table}: {why}"))?;
    let rows = rows(&text).map_err(|why| format!("{table}: {why}"))?;
    std::fs::write(picture, svg(&rows)).map_err(|why| format!("{picture}: {why}"))
}
