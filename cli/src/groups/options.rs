//! The options of `kafka-consumer-groups.sh`, and which of them exclude each other.

use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, flag, long, text};

pub const SPEC: Spec = Spec {
    options: &[
        text("bootstrap-server", "server to connect to", "REQUIRED: where to connect first: HOST:PORT, or several with commas between."),
        text("command-config", "command config property file", "File with properties of the client."),
        text("group", "consumer group", "The group; may be repeated."),
        text("topic", "topic", "A topic for --reset-offsets or --delete-offsets, or single partitions of it: `topic:0,1,2`. May be repeated."),
        flag("all-topics", "Reset in all topics that the group has committed offsets for."),
        flag("list", "List the groups."),
        flag("describe", "Show where groups are, and how far behind the end of the log."),
        flag("all-groups", "Every group."),
        flag("delete", "Delete groups with all their offsets."),
        long("timeout", "timeout (ms)", "How long to wait for brokers and for a group to settle.").or("5000"),
        flag("reset-offsets", "Move the committed offsets of groups without members. Takes a scope (--topic or --all-topics, unless --from-file names the partitions) and one of --to-offset, --shift-by, --to-datetime, --by-duration, --to-earliest, --to-latest, --to-current and --from-file."),
        flag("delete-offsets", "Delete a group's committed offsets in some topics."),
        flag("dry-run", "Show what --reset-offsets would do (what it does without --execute too)."),
        flag("execute", "Let --reset-offsets commit the new offsets."),
        flag("export", "Print the new offsets as CSV, to be read with --from-file."),
        long("to-offset", "offset", "Reset to this offset."),
        text("from-file", "path to CSV file", "Reset to the offsets in this file."),
        text("to-datetime", "datetime", "Reset to the first record at or after this time: YYYY-MM-DDTHH:mm:SS.sss, in UTC unless an offset follows."),
        text("by-duration", "duration", "Reset to the first record that is no older than this: PnDTnHnMnS."),
        flag("to-earliest", "Reset to the start of the log."),
        flag("to-latest", "Reset to the end of the log."),
        flag("to-current", "Reset to where the group is: for --export."),
        long("shift-by", "number-of-offsets", "Reset to so many records further on, or back if negative."),
        flag("members", "Describe the members of the group."),
        flag("verbose", "Describe more: with --members also which partitions each has."),
        flag("offsets", "Describe the offsets of the group, as without this option."),
        text("state", "state", "With --describe: the state of the group. With --list: list the state too, or only groups in these states, as in `stable,empty`.").optional(),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

/// The kinds of reset, of which one is needed.
pub const SCENARIOS: [&str; 8] = [
    "to-offset",
    "shift-by",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "from-file",
];

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];

/// Refuses what makes no sense together.
///
/// # Errors
/// The message of Kafka's tool.
pub fn check(options: &Parsed) -> Result<(), Failure> {
    check_availability(options)?;
    options.require(&["bootstrap-server"])?;
    let grouped = options.has("group") || options.has("all-groups");
    if options.has("describe") {
        check_describe(options, grouped)?;
    }
    if options.has("delete") {
        if !grouped {
            return Err(needs_group("delete"));
        }
        if options.has("topic") {
            return Err(Failure::usage(
                "The consumer does not support topic-specific offset deletion from a consumer group.",
            ));
        }
    }
    if options.has("delete-offsets") && !(options.has("group") && options.has("topic")) {
        return Err(Failure::usage("Option [delete-offsets] takes the following options: [group], [topic]"));
    }
    if options.has("reset-offsets") {
        check_reset(options, grouped)?;
    }
    options.exclude("group", &["all-groups"])?;
    options.exclude("group", &["list"])?;
    options.exclude("topic", &["list", "describe"])?;
    if ACTIONS.iter().filter(|action| options.has(action)).count() != 1 {
        return Err(Failure::usage(
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets",
        ));
    }
    Ok(())
}

/// What only makes sense beside another option.
fn check_availability(options: &Parsed) -> Result<(), Failure> {
    let describes = options.has("describe");
    let mut options_alone = vec!["members", "verbose", "offsets"];
    options_alone.retain(|option| options.has(option) && !describes);
    if options.has("state") && !describes && !options.has("list") {
        options_alone.push("state");
    }
    match options_alone.is_empty() {
        true => Ok(()),
        false => Err(Failure::message(format!(
            "Option(s) [{}] are unavailable given other options on the command line",
            options_alone.join(", ")
        ))),
    }
}

fn check_describe(options: &Parsed, grouped: bool) -> Result<(), Failure> {
    if !grouped {
        return Err(needs_group("describe"));
    }
    if ["members", "offsets", "state"].iter().filter(|what| options.has(what)).count() > 1 {
        return Err(Failure::usage(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        ));
    }
    if options.value("state")?.is_some() {
        return Err(Failure::usage("Option [describe] does not take a value for [state]"));
    }
    Ok(())
}

fn check_reset(options: &Parsed, grouped: bool) -> Result<(), Failure> {
    if options.has("dry-run") && options.has("execute") {
        return Err(Failure::usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]"));
    }
    if !options.has("dry-run") && !options.has("execute") {
        eprintln!(
            "WARN: No action will be performed as the --execute option is missing. Add --dry-run if that is what is meant."
        );
    }
    if !grouped {
        return Err(needs_group("reset-offsets"));
    }
    for scenario in SCENARIOS {
        let others: Vec<&'static str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        options.exclude(scenario, &others)?;
    }
    Ok(())
}

fn needs_group(action: &str) -> Failure {
    Failure::usage(format!("Option [{action}] takes one of these options: [group], [all-groups]"))
}
