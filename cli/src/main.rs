//! `thalweg TOOL [OPTION...]`: Kafka's command-line tools in one binary. Everything is in the library, which is tested.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    thalweg_cli::run(&arguments)
}
