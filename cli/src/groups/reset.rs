//! `--reset-offsets`: plans new offsets group by group, commits them with `--execute`, and prints what they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use super::{Failure, plan, print_error, scenario, scope, selected};
use crate::admin::{Place, groups, offsets};
use crate::client::Client;
use crate::options::Parsed;

/// The new offsets of each group.
pub type Plans = BTreeMap<String, BTreeMap<Place, i64>>;

pub fn reset(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let given = read_plan(options)?;
    let mut plans = Plans::new();
    for group in selected(client, options)? {
        let state = groups::describe(client, &group)?.state;
        if !["Empty", "Dead"].contains(&state.as_str()) {
            print_error(
                out,
                &format!(
                    "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
                ),
            )?;
            plans.insert(group, BTreeMap::new());
            continue;
        }
        let places = scope::scope(client, options, &group)?;
        let planned = scenario::prepare(client, options, &group, &places, given.as_ref(), out)?;
        if options.has("execute") {
            offsets::commit(client, &group, &planned)?;
        }
        plans.insert(group, planned);
    }
    match options.has("export") {
        true => writeln!(out, "{}", plan::to_csv(&plans, options.values("group").len() == 1))?,
        false => print(&plans, out)?,
    }
    Ok(())
}

fn read_plan(options: &Parsed) -> Result<Option<Plans>, Failure> {
    let Some(path) = options.value("from-file")? else { return Ok(None) };
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::message(format!("Unable to read file {path}: {error}")))?;
    plan::from_csv(&text, options.values("group")).map(Some)
}

fn print(plans: &Plans, out: &mut dyn Write) -> Result<(), Failure> {
    if !plans.is_empty() {
        writeln!(out, "\n{:<30} {:<30} {:<10} {:<15}", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")?;
    }
    for (group, offsets) in plans {
        for (place, offset) in offsets {
            writeln!(out, "{group:<30} {:<30} {:<10} {offset:<15}", place.topic, place.partition)?;
        }
    }
    Ok(())
}
