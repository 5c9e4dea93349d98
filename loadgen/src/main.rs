//! `thalweg-loadgen`: parses the command line, runs the command, and turns its outcome into an exit code: 0 for
//! success, 1 for a run with failures in it, 2 for one that could not be done.

use std::process::ExitCode;

use clap::Parser;
use thalweg_loadgen::cli::{Cli, Command};
use thalweg_loadgen::{run, verify};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Verify(options) => verify::verify(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("thalweg-loadgen: {e}");
            ExitCode::from(2)
        }
    }
}
