//! `--list`: the ids, or with `--state` a table.

use std::io::Write;

use super::Failure;
use crate::admin::groups;
use crate::client::Client;
use crate::options::Parsed;

/// As brokers write them, in the order in which Kafka names them.
const STATES: [&str; 5] = ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty"];

pub fn list(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    if !options.has("state") {
        for group in groups::list(client, &[])? {
            writeln!(out, "{}", group.id)?;
        }
        return Ok(());
    }
    let states = options.value("state")?.map(states).transpose()?.unwrap_or_default();
    let listed = groups::list(client, &states)?;
    let width = listed.iter().map(|group| group.id.len()).fold(15, usize::max);
    writeln!(out, "{:<width$} STATE", "GROUP")?;
    for group in listed {
        let state = if group.state.is_empty() { "Unknown" } else { &group.state };
        writeln!(out, "{:<width$} {state}", group.id)?;
    }
    Ok(())
}

fn states(text: &str) -> Result<Vec<&'static str>, Failure> {
    let known = |name: &str| STATES.into_iter().find(|state| state.eq_ignore_ascii_case(name.trim()));
    let states: Option<Vec<&'static str>> = text.split(',').map(known).collect();
    states.ok_or_else(|| {
        Failure::usage(format!("Invalid state list '{text}'. Valid states are: {}", STATES.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_in_any_case() {
        assert_eq!(states("stable, Empty").unwrap(), ["Stable", "Empty"]);
        assert!(states("stable,odd").unwrap_err().text().contains("'stable,odd'"));
    }
}
