//! `kafka-topics.sh`: creates, lists, describes, alters and deletes topics.
//!
//! [`options`] is the command line and what it must not combine, [`action`] does what is asked, [`describe`] prints
//! descriptions, [`assignment`] reads `--replica-assignment`.

mod action;
mod assignment;
mod describe;
mod options;

use std::io::Write;

pub use action::pattern;

use crate::failure::Failure;
use crate::options::Parsed;
use crate::session;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "topics",
    summary: "This tool helps to create, delete, describe, or change a topic.",
    on_nothing: Some("Create, delete, describe, or change a topic."),
    spec: &options::SPEC,
    run,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options::check(options)?;
    let mut client = session::connect(options)?;
    // From here on an error is a sentence on stdout, as scripts expect it.
    action::perform(&mut client, options, out).or_else(|failure| match failure {
        Failure::Output(_) | Failure::Said(_) => Err(failure),
        failure => {
            writeln!(out, "Error while executing topic command : {}", failure.text())?;
            out.flush()?;
            eprintln!("ERROR {}", failure.described());
            Err(Failure::Said(1))
        }
    })
}
