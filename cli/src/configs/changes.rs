//! `--add-config`, `--add-config-file` and `--delete-config`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use crate::failure::Failure;
use crate::options::Parsed;

/// What is to be set and what to be removed.
#[derive(Debug, Default)]
pub struct Changes {
    pub set: BTreeMap<String, String>,
    pub deleted: Vec<String>,
}

impl Changes {
    /// # Errors
    /// When the file cannot be read, or a setting is no `key=value`.
    pub fn of(options: &Parsed, out: &mut dyn Write) -> Result<Changes, Failure> {
        let mut changes = Changes::default();
        if let Some(path) = options.value("add-config-file")? {
            let file = File::open(path).map_err(|error| Failure::message(format!("{path}: {error}")))?;
            let read = java_properties::read(file);
            changes.set.extend(read.map_err(|error| Failure::message(format!("{path}: {error}")))?);
        }
        if let Some(text) = options.value("add-config")? {
            changes.set.extend(settings(text)?);
        }
        if let Some(version) = changes.set.get("message.format.version") {
            writeln!(
                out,
                "WARNING: The configuration message.format.version={version} is specified. This configuration will be \
                 ignored if the version is newer than the inter.broker.protocol.version specified in the broker or if \
                 the inter.broker.protocol.version is 3.0 or newer. This configuration is deprecated and it will be \
                 removed in Apache Kafka 4.0."
            )?;
        }
        let deleted = options.values("delete-config").iter().flat_map(|text| text.split(','));
        changes.deleted = deleted.map(|key| key.trim().to_owned()).collect();
        Ok(changes)
    }

    /// Whether a changed key is one of these.
    pub fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        self.set.keys().chain(&self.deleted).any(|key| is(key))
    }
}

/// `k1=v1,k2=[v1,v2],k3=`: commas and equals signs within brackets belong to the value.
fn settings(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let malformed = || {
        Failure::message(
            "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\".",
        )
    };
    let setting = |text: &str| {
        let parts = split_outside_brackets(text, '=');
        match parts.as_slice() {
            [key, value] => Ok((key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned())),
            _ => Err(malformed()),
        }
    };
    split_outside_brackets(text, ',').into_iter().map(setting).collect()
}

fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let mut inside = false;
    let mut begin = 0;
    let mut parts = Vec::new();
    for (at, character) in text.char_indices() {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            other if other == separator && !inside => {
                parts.push(&text[begin..at]);
                begin = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_a_value_together() {
        let parsed = settings("a=1,b=[x=1,y],c=").unwrap();
        let parsed: Vec<(&str, &str)> = parsed.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(parsed, [("a", "1"), ("b", "x=1,y"), ("c", "")]);
        assert!(settings("a").is_err() && settings("a=1=2").is_err());
    }
}
