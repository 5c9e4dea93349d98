//! `thalweg-server server.properties [--override property=value]*`

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg_server::broker::main(std::env::args().skip(1))
}
