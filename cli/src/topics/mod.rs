//! `kafka-topics.sh`: creates, lists, describes, alters and deletes topics.

use std::io::Write;
use std::path::Path;

use crate::client::{Client, Settings};
use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, flag, text};
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "topics",
    summary: "This tool helps to create, delete, describe, or change a topic.",
    spec: &SPEC,
    run,
};

const SPEC: Spec = Spec {
    options: &[
        text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: brokers to start from, as HOST:PORT[,HOST:PORT...].",
        ),
        text("command-config", "command config property file", "A file of properties for the client."),
        flag("list", "Print the names of the topics."),
        text("topic", "topic", "The topic; for every action but --create a regular expression."),
        flag("exclude-internal", "Leave out internal topics with --list and --describe."),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options.require(&["bootstrap-server"])?;
    let settings = match options.value("command-config")? {
        Some(path) => Settings::load(Path::new(path)).map_err(|error| Failure::message(error.to_string()))?,
        None => Settings::default(),
    };
    let mut client = Client::new(options.value("bootstrap-server")?.unwrap_or_default(), settings)?;
    list(&mut client, out)
}

fn list(client: &mut Client, out: &mut dyn Write) -> Result<(), Failure> {
    let answer = client.describe_topics(None)?;
    let mut names: Vec<String> =
        answer.topics.iter().filter_map(|topic| topic.name.as_ref().map(|name| name.to_string())).collect();
    names.sort();
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}
