//! `thalweg-loadgen`: parses the command line, runs the command, and turns its outcome into an exit code: 0 for
//! success, 1 for a run with failures in it, 2 for one that could not be done.

use std::process::ExitCode;

use clap::Parser;
use thalweg_loadgen::cli::{Cli, Command, FakeBrokerOptions};
use thalweg_loadgen::fake_broker::{FakeBroker, Script};
use thalweg_loadgen::run::RunError;
use thalweg_loadgen::{compare, page, run, sweep, verify};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Sweep(options) => sweep::sweep(&options),
        Command::Compare(options) => compare::compare(&options),
        Command::Report(options) => page::report(&options),
        Command::Verify(options) => verify::verify(&options),
        Command::FakeBroker(options) => fake_broker(options),
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

/// Serves until the process is ended.
fn fake_broker(o: FakeBrokerOptions) -> Result<bool, RunError> {
    let script = Script {
        partitions: o.partitions,
        store: o.store,
        stall: o.stall_after.zip(o.stall_for),
        delays: o.delay,
        ..Script::default()
    };
    let broker = FakeBroker::start(o.listen, script, o.cpu)?;
    println!("{}", broker.address);
    loop {
        std::thread::park();
    }
}
