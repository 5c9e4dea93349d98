//! `--describe`: offsets with their lag, members, or the state of groups.

use std::collections::BTreeMap;
use std::io::Write;

use super::{Failure, print_error, selected};
use crate::admin::groups::{self, Group, Member};
use crate::admin::{Place, offsets};
use crate::client::Client;
use crate::options::Parsed;

/// What is not known stands as this.
const NONE: &str = "-";

pub fn describe(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let mut ids = selected(client, options)?;
    ids.sort();
    ids.dedup();
    // All are described before the first is printed: an error leaves no half a table.
    let mut described = Vec::new();
    for id in &ids {
        described.push(groups::describe(client, id)?);
    }
    for group in &described {
        if options.has("members") {
            print_members(group, options.has("verbose"), out)?;
        } else if options.has("state") {
            print_state(client, group, out)?;
        } else {
            print_offsets(group, &rows(client, group)?, out)?;
        }
    }
    Ok(())
}

/// A line of the table of offsets.
struct Row {
    place: Option<Place>,
    committed: Option<i64>,
    end: Option<i64>,
    member: String,
    host: String,
    client: String,
}

/// First what members have, those with most first; then what only has a committed offset.
fn rows(client: &mut Client, group: &Group) -> Result<Vec<Row>, Failure> {
    let committed = offsets::committed(client, &group.id)?;
    let mut members: Vec<&Member> =
        group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut places: Vec<(Place, Option<&Member>)> = Vec::new();
    for member in members {
        let mut assigned = member.assignment.clone();
        assigned.sort_by_key(|place| (place.partition, place.topic.clone()));
        places.extend(assigned.into_iter().map(|place| (place, Some(member))));
    }
    let mut unassigned: Vec<Place> =
        committed.keys().filter(|place| places.iter().all(|(taken, _)| taken != *place)).cloned().collect();
    unassigned.sort_by_key(|place| (place.partition, place.topic.clone()));
    places.extend(unassigned.into_iter().map(|place| (place, None)));

    let asked: Vec<(Place, i64)> = places.iter().map(|(place, _)| (place.clone(), offsets::LATEST)).collect();
    let ends = offsets::at(client, &asked)?;
    let told = |member: Option<&Member>, what: fn(&Member) -> &String| {
        member.map_or_else(|| NONE.to_owned(), |member| what(member).clone())
    };
    let row = |(place, member): (Place, Option<&Member>)| Row {
        committed: committed.get(&place).copied(),
        end: ends.get(&place).and_then(|end| end.as_ref().ok().copied()),
        place: Some(place),
        member: told(member, |member| &member.id),
        host: told(member, |member| &member.host),
        client: told(member, |member| &member.client),
    };
    Ok(places.into_iter().map(row).collect())
}

/// Says what a state means for the reader, and whether there is anything to show.
fn is_shown(group: &Group, rows: usize, out: &mut dyn Write) -> Result<bool, Failure> {
    match group.state.as_str() {
        "Dead" => print_error(out, &format!("Consumer group '{}' does not exist.", group.id))?,
        "Empty" => {
            out.flush()?;
            eprintln!("\nConsumer group '{}' has no active members.", group.id);
        }
        "PreparingRebalance" | "CompletingRebalance" => {
            out.flush()?;
            eprintln!("\nWarning: Consumer group '{}' is rebalancing.", group.id);
        }
        "Stable" => {}
        other => {
            return Err(Failure::message(format!(
                "Expected a valid consumer group state, but found '{other}'."
            )));
        }
    }
    Ok(group.state != "Dead" && rows > 0)
}

fn print_offsets(group: &Group, rows: &[Row], out: &mut dyn Write) -> Result<(), Failure> {
    if !is_shown(group, rows.len(), out)? {
        return Ok(());
    }
    let topic = |row: &Row| row.place.as_ref().map_or(NONE.to_owned(), |place| place.topic.clone());
    let widest = |of: &dyn Fn(&Row) -> usize| rows.iter().map(of).fold(15, usize::max);
    let (groups, topics) = (group.id.len().max(15), widest(&|row| topic(row).len()));
    let (members, hosts) = (widest(&|row| row.member.len()), widest(&|row| row.host.len()));
    writeln!(out)?;
    let mut line = |cells: [&str; 9]| {
        let [group, topic, partition, committed, end, lag, member, host, client] = cells;
        writeln!(
            out,
            "{group:<groups$} {topic:<topics$} {partition:<10} {committed:<15} {end:<15} {lag:<15} \
             {member:<members$} {host:<hosts$} {client}"
        )
    };
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ])?;
    for row in rows {
        let number = |number: Option<i64>| number.map_or(NONE.to_owned(), |number| number.to_string());
        let lag = row.committed.zip(row.end).map(|(committed, end)| end - committed);
        let partition = row.place.as_ref().map_or(NONE.to_owned(), |place| place.partition.to_string());
        line([
            &group.id,
            &topic(row),
            &partition,
            &number(row.committed),
            &number(row.end),
            &number(lag),
            &row.member,
            &row.host,
            &row.client,
        ])?;
    }
    Ok(())
}

fn print_members(group: &Group, verbose: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if !is_shown(group, group.members.len(), out)? {
        return Ok(());
    }
    let widest =
        |least: usize, of: fn(&Member) -> usize| group.members.iter().map(of).fold(least, usize::max);
    let groups = group.id.len().max(15);
    let (ids, hosts, clients) = (
        widest(15, |member| member.id.len()),
        widest(15, |member| member.host.len()),
        widest(15, |member| member.client.len()),
    );
    let instances = widest(17, |member| instance(member).len());
    let any_instance = group.members.iter().any(|member| member.instance.is_some());
    writeln!(out)?;
    let mut line = |cells: [&str; 6], assignment: &str| -> Result<(), Failure> {
        let [group, id, instance, host, client, partitions] = cells;
        write!(out, "{group:<groups$} {id:<ids$} ")?;
        if any_instance {
            write!(out, "{instance:<instances$} ")?;
        }
        writeln!(out, "{host:<hosts$} {client:<clients$} {partitions:<15} {assignment}")?;
        Ok(())
    };
    let titles = ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS"];
    line(titles, if verbose { "ASSIGNMENT" } else { "" })?;
    for member in &group.members {
        let count = member.assignment.len().to_string();
        let cells = [&group.id, &member.id, instance(member), &member.host, &member.client, &count];
        line(cells, &if verbose { assignment(&member.assignment) } else { String::new() })?;
    }
    Ok(())
}

fn instance(member: &Member) -> &str {
    member.instance.as_deref().unwrap_or_default()
}

/// `topic(0,1), other(2)`
fn assignment(places: &[Place]) -> String {
    if places.is_empty() {
        return NONE.to_owned();
    }
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for place in places {
        topics.entry(&place.topic).or_default().push(place.partition);
    }
    let text = topics.into_iter().map(|(topic, mut partitions)| {
        partitions.sort_unstable();
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        format!("{topic}({})", partitions.join(","))
    });
    text.collect::<Vec<_>>().join(", ")
}

fn print_state(client: &mut Client, group: &Group, out: &mut dyn Write) -> Result<(), Failure> {
    let node = client.coordinator(&group.id)?;
    if !is_shown(group, 1, out)? {
        return Ok(());
    }
    let coordinator = format!("{}:{} ({})", node.address.host, node.address.port, node.id);
    let width = coordinator.len().max(25);
    let mut line = |cells: [&str; 5]| {
        let [group, coordinator, strategy, state, members] = cells;
        write!(out, "\n{group:<width$} {coordinator:<25} {strategy:<20} {state:<15} {members}")
    };
    line(["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"])?;
    line([&group.id, &coordinator, &group.strategy, &group.state, &group.members.len().to_string()])?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_shown_by_topic_in_order() {
        assert_eq!(assignment(&[]), "-");
        let places = [Place::new("b", 1), Place::new("a", 2), Place::new("b", 0)];
        assert_eq!(assignment(&places), "a(2), b(0,1)");
    }
}
