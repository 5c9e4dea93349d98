//! A reset plan as CSV: `topic,partition,offset` for one group, `group,topic,partition,offset` for several.

use super::Failure;
use super::reset::Plans;
use crate::admin::Place;

/// One line per partition; Kafka's names need no quotes.
pub fn to_csv(plans: &Plans, one_group: bool) -> String {
    let mut text = String::new();
    for (group, offsets) in plans {
        for (Place { topic, partition }, offset) in offsets {
            match one_group {
                true => text.push_str(&format!("{topic},{partition},{offset}\n")),
                false => text.push_str(&format!("{},{topic},{partition},{offset}\n", quoted(group))),
            }
        }
    }
    text
}

/// A group may be called anything.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Reads either form; the short one only if there is exactly one group for it.
///
/// # Errors
/// Names the line that is neither.
pub fn from_csv(text: &str, groups: &[String]) -> Result<Plans, Failure> {
    let mut plans = Plans::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fields = fields(line);
        let fields: Vec<&str> = fields.iter().map(|field| field.trim()).collect();
        let parsed = match (fields.as_slice(), groups) {
            ([topic, partition, offset], [group]) => entry(group, topic, partition, offset),
            ([group, topic, partition, offset], _) => entry(group, topic, partition, offset),
            _ => None,
        };
        let Some((group, place, offset)) = parsed else {
            return Err(Failure::message(format!(
                "Line {} of the reset plan is neither topic,partition,offset (for one --group) nor \
                 group,topic,partition,offset: {line}",
                number + 1
            )));
        };
        plans.entry(group).or_default().insert(place, offset);
    }
    Ok(plans)
}

fn entry(group: &str, topic: &str, partition: &str, offset: &str) -> Option<(String, Place, i64)> {
    Some((group.to_owned(), Place::new(topic, partition.parse().ok()?), offset.parse().ok()?))
}

/// The fields of a line, with quotes as in RFC 4180.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars().peekable();
    let mut inside = false;
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            '"' if inside && characters.peek() == Some(&'"') => {
                characters.next();
                fields[last].push('"');
            }
            '"' => inside = !inside,
            ',' if !inside => fields.push(String::new()),
            other => fields[last].push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_plan_survives_its_text() {
        let offsets = BTreeMap::from([(Place::new("t", 0), 5), (Place::new("t", 1), 7)]);
        let plans = Plans::from([("a,b\"c".to_owned(), offsets.clone()), ("g".to_owned(), offsets.clone())]);
        assert_eq!(from_csv(&to_csv(&plans, false), &[]).unwrap(), plans);
        let one = Plans::from([("g".to_owned(), offsets)]);
        assert_eq!(to_csv(&one, true), "t,0,5\nt,1,7\n");
        assert_eq!(from_csv(&to_csv(&one, true), &["g".to_owned()]).unwrap(), one);
    }

    #[test]
    fn a_line_that_is_no_plan_is_named() {
        let group = ["g".to_owned()];
        assert!(from_csv("t,0,5\nt,x,5\n", &group).unwrap_err().text().starts_with("Line 2"));
        assert!(from_csv("t,0,5\n", &[]).is_err());
    }
}
