//! `kafka-consumer-groups.sh`: lists, describes, resets and deletes consumer groups.
//!
//! [`options`] is the command line, [`listing`], [`describe`], [`reset`] and [`delete`] are the actions; a reset is made of
//! [`scope`] (which partitions), [`scenario`] (to which offsets), [`when`] (times as text) and [`plan`] (CSV).

mod delete;
mod describe;
mod listing;
mod options;
mod plan;
mod reset;
mod scenario;
mod scope;
mod when;

use std::io::Write;
use std::time::Duration;

use crate::client::Client;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::session;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "consumer-groups",
    summary: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset \
              consumer group offsets.",
    on_nothing: Some("Missing required argument \"[bootstrap-server]\""),
    spec: &options::SPEC,
    run,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options::check(options)?;
    let settings = session::settings(options)?;
    let timeout = options.number("timeout").map_err(|fault| Failure::message(fault.to_string()));
    let bootstrap = options.value("bootstrap-server")?.unwrap_or_default().to_owned();
    let mut client = Client::new(&bootstrap, settings)?;
    // From here on an error is a sentence on stdout and the exit code is 0: so it is with Kafka's tool.
    let done = timeout.and_then(|millis| {
        client.set_api_timeout(Duration::from_millis(millis.unwrap_or(5000)));
        perform(&mut client, options, out)
    });
    done.or_else(|failure| match failure {
        Failure::Message(_) | Failure::Client(_) => {
            let why = failure.described();
            print_error(out, &format!("Executing consumer group command failed due to {why}"))
        }
        other => Err(other),
    })
}

fn perform(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    if options.has("list") {
        listing::list(client, options, out)
    } else if options.has("describe") {
        describe::describe(client, options, out)
    } else if options.has("delete") {
        delete::groups(client, options, out)
    } else if options.has("reset-offsets") {
        reset::reset(client, options, out)
    } else {
        delete::offsets(client, options, out)
    }
}

/// The groups that `--group` names, or all.
fn selected(client: &mut Client, options: &Parsed) -> Result<Vec<String>, Failure> {
    if options.has("all-groups") {
        let listed = crate::admin::groups::list(client, &[])?;
        return Ok(listed.into_iter().map(|group| group.id).collect());
    }
    Ok(options.values("group").to_vec())
}

fn print_error(out: &mut dyn Write, message: &str) -> Result<(), Failure> {
    writeln!(out, "\nError: {message}")?;
    Ok(())
}
