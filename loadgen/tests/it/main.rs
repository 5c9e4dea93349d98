//! Proof of the instrument, against a broker that behaves as it is told to.

// A test may panic; the lint's exception for tests does not reach functions that tests call.
#![allow(clippy::unwrap_used)]

mod proof;
mod rate;
mod sweep;
mod timing;

use std::time::Duration;

use clap::Parser;
use thalweg_loadgen::cli::{Cli, Command};
use thalweg_loadgen::fake_broker::{FakeBroker, Script};
use thalweg_loadgen::report::Measured;
use thalweg_loadgen::run;

fn broker(script: Script) -> FakeBroker {
    FakeBroker::start("127.0.0.1:0".parse().unwrap(), script, None).unwrap()
}

/// `run` with the options of a command line.
fn measure(broker: &FakeBroker, options: &str) -> Measured {
    let line = format!("thalweg-loadgen run --bootstrap-server {} {options}", broker.address);
    let Command::Run(options) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
        panic!("not a run: {line}");
    };
    let repeats = run::measure(&options, None).unwrap();
    Measured::pooled(&repeats).unwrap()
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
