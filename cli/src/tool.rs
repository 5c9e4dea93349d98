//! The tools by name, and what becomes of a tool's result: exit code and last words.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use crate::completion;
use crate::failure::Failure;
use crate::options::argparse::{Outcome, Program};
use crate::options::{Parsed, Spec, usage};
use crate::{api_versions, configs, delete_records, dump_log, get_offsets, groups, log_dirs, topics};
#[cfg(feature = "librdkafka")]
use crate::{
    console_consumer, console_producer, consumer_perf, producer_perf, verifiable_consumer,
    verifiable_producer,
};

/// One of Kafka's tools.
pub struct Tool {
    /// The name of Kafka's script without `kafka-` and `.sh`.
    pub name: &'static str,
    /// One line, shown before the options.
    pub summary: &'static str,
    /// Shown instead of the summary when there are no arguments at all.
    pub on_nothing: Option<&'static str>,
    pub spec: &'static Spec,
    pub run: fn(&Parsed, &mut dyn Write) -> Result<(), Failure>,
}

/// Every tool; `thalweg help` and the shell completion are made from this table.
pub const TOOLS: &[Tool] = &[
    topics::TOOL,
    groups::TOOL,
    configs::TOOL,
    delete_records::TOOL,
    get_offsets::TOOL,
    log_dirs::TOOL,
    api_versions::TOOL,
    dump_log::TOOL,
    #[cfg(feature = "librdkafka")]
    console_consumer::TOOL,
    #[cfg(feature = "librdkafka")]
    console_producer::TOOL,
    #[cfg(feature = "librdkafka")]
    consumer_perf::TOOL,
    #[cfg(feature = "librdkafka")]
    producer_perf::TOOL,
    #[cfg(feature = "librdkafka")]
    verifiable_consumer::TOOL,
    #[cfg(feature = "librdkafka")]
    verifiable_producer::TOOL,
];

/// The tools whose command lines Kafka reads with argparse4j.
const ARGPARSE: &[(&str, &Program)] = &[
    #[cfg(feature = "librdkafka")]
    (producer_perf::TOOL.name, &producer_perf::PROGRAM),
    #[cfg(feature = "librdkafka")]
    (verifiable_consumer::TOOL.name, &verifiable_consumer::PROGRAM),
    #[cfg(feature = "librdkafka")]
    (verifiable_producer::TOOL.name, &verifiable_producer::PROGRAM),
];

/// Runs the tool that the first argument names.
pub fn run(arguments: &[String]) -> ExitCode {
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", overview());
        return ExitCode::from(1);
    };
    match name.as_str() {
        "help" | "--help" | "-h" => {
            print!("{}", overview());
            ExitCode::SUCCESS
        }
        "--version" | "version" => {
            println!("{}", version());
            ExitCode::SUCCESS
        }
        "completion" => complete(rest),
        name => match TOOLS.iter().find(|tool| tool.name == name) {
            Some(tool) => run_tool(tool, rest),
            None => {
                eprintln!("thalweg: no tool is called {name}; `thalweg help` lists them");
                ExitCode::from(1)
            }
        },
    }
}

fn complete(arguments: &[String]) -> ExitCode {
    match arguments.first().and_then(|shell| completion::script(shell)) {
        Some(script) => {
            print!("{script}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("thalweg: completion is for bash, zsh or fish: `source <(thalweg completion bash)`");
            ExitCode::from(1)
        }
    }
}

fn run_tool(tool: &Tool, arguments: &[String]) -> ExitCode {
    let stdout = io::stdout();
    let mut out = BufWriter::new(stdout.lock());
    let outcome = start(tool, arguments, &mut out);
    let flushed = out.flush().map_err(Failure::Output);
    conclude(tool, outcome.and(flushed))
}

/// Reads the command line and runs the tool, with `--help` and `--version` answered for all of them.
///
/// # Errors
/// Whatever the tool ends with.
pub fn start(tool: &Tool, arguments: &[String], out: &mut dyn Write) -> Result<(), Failure> {
    if let Some((_, program)) = ARGPARSE.iter().find(|(name, _)| *name == tool.name) {
        return match program.parse(tool.spec, tool.summary, arguments)? {
            Outcome::Parsed(parsed) => (tool.run)(&parsed, out),
            Outcome::Help(help) => Ok(write!(out, "{help}")?),
        };
    }
    let parsed = Parsed::parse(tool.spec, arguments).map_err(|fault| Failure::usage(fault.to_string()))?;
    if arguments.is_empty() {
        return Err(Failure::usage(tool.on_nothing.unwrap_or(tool.summary)));
    }
    if parsed.has_if_known("help") {
        return Err(Failure::usage(tool.summary));
    }
    if parsed.has_if_known("version") {
        writeln!(out, "{}", version())?;
        return Ok(());
    }
    (tool.run)(&parsed, out)
}

fn conclude(tool: &Tool, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("{message}");
            eprint!("{}", usage(tool.spec));
            ExitCode::from(1)
        }
        Err(failure @ (Failure::Message(_) | Failure::Client(_))) => {
            eprintln!("{}", failure.text());
            ExitCode::from(1)
        }
        Err(Failure::Said(code)) => ExitCode::from(code),
        // `kafka-topics.sh --list | head -1`: not an error of this tool.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => {
            eprintln!("thalweg: cannot write the output: {error}");
            ExitCode::from(1)
        }
    }
}

/// The release, and the release of Kafka whose tools these are.
pub fn version() -> String {
    format!("{} (Thalweg; the tools of Kafka 3.2.0)", env!("CARGO_PKG_VERSION"))
}

fn overview() -> String {
    let mut text =
        "USAGE: thalweg TOOL [OPTION...]\n\nThe tools, each also as scripts/kafka-TOOL.sh:\n".to_owned();
    for tool in TOOLS {
        text.push_str(&format!("  {:<22} {}\n", tool.name, tool.summary));
    }
    text.push_str("  completion             Print a completion script for bash, zsh or fish.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tools_and_of_their_options_are_unique() {
        for (index, tool) in TOOLS.iter().enumerate() {
            assert!(TOOLS[..index].iter().all(|other| other.name != tool.name), "{} twice", tool.name);
            for (index, option) in tool.spec.options.iter().enumerate() {
                let before = &tool.spec.options[..index];
                assert!(before.iter().all(|other| other.name != option.name), "{} twice", option.name);
            }
        }
    }
}
