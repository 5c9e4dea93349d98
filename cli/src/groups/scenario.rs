//! To which offsets a reset goes: one function per kind, all bounded by what the log holds.

use std::collections::BTreeMap;
use std::io::Write;

use super::options::SCENARIOS;
use super::reset::Plans;
use super::{Failure, print_error, when};
use crate::admin::Place;
use crate::admin::offsets::{self, EARLIEST, Found, LATEST};
use crate::client::{Client, ClientError};
use crate::options::Parsed;

type Offsets = BTreeMap<Place, i64>;

/// The new offsets of one group's partitions.
///
/// # Errors
/// When no kind of reset is given, its argument makes no sense, or a partition has no offset of this kind.
pub fn prepare(
    client: &mut Client,
    options: &Parsed,
    group: &str,
    places: &[Place],
    given: Option<&Plans>,
    out: &mut dyn Write,
) -> Result<Offsets, Failure> {
    let scenario = SCENARIOS.into_iter().find(|scenario| options.has(scenario));
    match scenario {
        Some("to-offset") => {
            let offset = number(options, "to-offset")?.unwrap_or_default();
            within_log(client, places.iter().map(|place| (place.clone(), offset)).collect())
        }
        Some("to-earliest") => ends(client, places, EARLIEST),
        Some("to-latest") => ends(client, places, LATEST),
        Some("shift-by") => shifted(client, options, group, places),
        Some("to-datetime") => {
            let time = when::datetime(options.value("to-datetime")?.unwrap_or_default())?;
            at_time(client, places, time, out)
        }
        Some("by-duration") => {
            let time = when::before_now(options.value("by-duration")?.unwrap_or_default())?;
            at_time(client, places, time, out)
        }
        Some("to-current") => current(client, group, places),
        Some(_) => match given.and_then(|plans| plans.get(group)) {
            Some(plan) => within_log(client, plan.clone()),
            None => {
                print_error(out, &format!("No reset plan for group {group} found"))?;
                Ok(Offsets::new())
            }
        },
        None => {
            let known: Vec<String> = SCENARIOS.iter().map(|scenario| format!("[{scenario}]")).collect();
            let known = known.join(", ");
            Err(Failure::usage(format!(
                "Option '[reset-offsets]' requires one of the following scenarios: [{known}]"
            )))
        }
    }
}

fn all_at(client: &mut Client, places: &[Place], time: i64) -> Result<BTreeMap<Place, Found>, Failure> {
    let asked: Vec<(Place, i64)> = places.iter().map(|place| (place.clone(), time)).collect();
    Ok(offsets::at(client, &asked)?)
}

fn ends(client: &mut Client, places: &[Place], time: i64) -> Result<Offsets, Failure> {
    let found = all_at(client, places, time)?.into_iter();
    found
        .map(|(place, found)| match found {
            Ok(offset) => Ok((place, offset)),
            Err(error) => Err(ClientError::Refused(error).into()),
        })
        .collect()
}

fn shifted(client: &mut Client, options: &Parsed, group: &str, places: &[Place]) -> Result<Offsets, Failure> {
    let by: i64 = number(options, "shift-by")?.unwrap_or_default();
    let committed = offsets::committed(client, group)?;
    let mut wanted = Offsets::new();
    for place in places {
        let Some(offset) = committed.get(place) else {
            return Err(Failure::usage(format!(
                "Cannot shift offset for partition {place} since there is no current committed offset"
            )));
        };
        wanted.insert(place.clone(), offset.saturating_add(by));
    }
    within_log(client, wanted)
}

/// The first record at or after a time; the end of the log where there is none so late.
fn at_time(
    client: &mut Client,
    places: &[Place],
    time: i64,
    out: &mut dyn Write,
) -> Result<Offsets, Failure> {
    let mut planned = Offsets::new();
    let mut late = Vec::new();
    for (place, found) in all_at(client, places, time)? {
        match found {
            Ok(offset) if offset >= 0 => {
                planned.insert(place, offset);
            }
            Ok(_) => late.push(place),
            Err(error) => return Err(ClientError::Refused(error).into()),
        }
    }
    for place in &late {
        let Place { topic, partition } = place;
        writeln!(
            out,
            "\nWarn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset."
        )?;
    }
    planned.extend(ends(client, &late, LATEST)?);
    Ok(planned)
}

/// What is committed, or the end of the log where nothing is.
fn current(client: &mut Client, group: &str, places: &[Place]) -> Result<Offsets, Failure> {
    let committed = offsets::committed(client, group)?;
    let (with, without): (Vec<&Place>, Vec<&Place>) =
        places.iter().partition(|place| committed.contains_key(place));
    let without: Vec<Place> = without.into_iter().cloned().collect();
    let mut planned = ends(client, &without, LATEST)?;
    planned.extend(with.into_iter().map(|place| (place.clone(), committed[place])));
    Ok(planned)
}

/// Moves offsets that are outside of the log to its nearer end, and says so.
fn within_log(client: &mut Client, wanted: Offsets) -> Result<Offsets, Failure> {
    let places: Vec<Place> = wanted.keys().cloned().collect();
    let (starts, ends) = (ends(client, &places, EARLIEST)?, ends(client, &places, LATEST)?);
    Ok(wanted
        .into_iter()
        .map(|(place, offset)| {
            let (start, end) = (starts[&place], ends[&place]);
            let bounded = offset.min(end).max(start);
            if bounded != offset {
                let (side, which) = if offset > end { ("higher", "latest") } else { ("lower", "earliest") };
                eprintln!(
                    "WARN New offset ({offset}) is {side} than {which} offset for topic partition {place}. Value will \
                     be set to {bounded}"
                );
            }
            (place, bounded)
        })
        .collect())
}

/// Noticed late, as with Kafka: an error of the action and not of the command line.
fn number(options: &Parsed, name: &'static str) -> Result<Option<i64>, Failure> {
    options.number(name).map_err(|fault| Failure::message(fault.to_string()))
}
