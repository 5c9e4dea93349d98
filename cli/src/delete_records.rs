//! `kafka-delete-records.sh`: deletes the records before given offsets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use serde::Deserialize;

use crate::admin::{Place, records};
use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, text};
use crate::session;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "delete-records",
    summary: "This tool helps to delete records of the given partitions down to the specified offset.",
    on_nothing: None,
    spec: &SPEC,
    run,
};

const SPEC: Spec = Spec {
    options: &[
        text(
            "bootstrap-server",
            "server(s) to use for bootstrapping",
            "REQUIRED: where to connect first: HOST:PORT, or several with commas between.",
        ),
        text(
            "offset-json-file",
            "Offset json file path",
            "REQUIRED: which records: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": 1}. What is before the offset is deleted; -1 is the end of the log.",
        ),
        text("command-config", "command config property file path", "File with properties of the client."),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

/// The file; version 1 is the only one there is.
#[derive(Deserialize)]
struct Asked {
    version: Option<i64>,
    partitions: Option<Vec<Partition>>,
}

#[derive(Deserialize)]
struct Partition {
    topic: String,
    partition: i32,
    offset: i64,
}

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options.require(&["bootstrap-server", "offset-json-file"])?;
    let mut client = session::connect(options)?;
    let offsets = read(options.value("offset-json-file")?.unwrap_or_default())?;
    writeln!(out, "Executing records delete operation")?;
    let deleted = records::delete_before(&mut client, &offsets)?;
    writeln!(out, "Records delete operation completed:")?;
    for (place, result) in deleted {
        match result {
            Ok(start) => writeln!(out, "partition: {place}\tlow_watermark: {start}")?,
            Err(error) => writeln!(out, "partition: {place}\terror: {}", error.described())?,
        }
    }
    Ok(())
}

fn read(path: &str) -> Result<BTreeMap<Place, i64>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::message(format!("{path}: {error}")))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        Failure::message(format!("The input string is not a valid JSON: {path}: {error}"))
    })?;
    let asked: Asked = serde_json::from_value(value)
        .map_err(|error| Failure::message(format!("{path} is no list of partitions and offsets: {error}")))?;
    match asked.version {
        None | Some(1) => {}
        Some(other) => return Err(Failure::message(format!("Not supported version field value {other}"))),
    }
    let Some(partitions) = asked.partitions else {
        return Err(Failure::message("Missing partitions field"));
    };
    let mut offsets = BTreeMap::new();
    for one in partitions {
        let place = Place::new(&one.topic, one.partition);
        if offsets.insert(place.clone(), one.offset).is_some() {
            return Err(Failure::message(format!(
                "Offset json file contains duplicate topic partitions: {place}"
            )));
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<BTreeMap<Place, i64>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets.json");
        fs::write(&path, text).unwrap();
        read(path.to_str().unwrap()).map_err(|failure| failure.text())
    }

    #[test]
    fn offsets_are_read_and_nonsense_is_named() {
        let one =
            from(r#"{"partitions": [{"topic": "t", "partition": 0, "offset": 3}], "version": 1}"#).unwrap();
        assert_eq!(one[&Place::new("t", 0)], 3);
        assert_eq!(from("{}").unwrap_err(), "Missing partitions field");
        assert!(from("nonsense").unwrap_err().starts_with("The input string is not a valid JSON"));
        assert_eq!(from(r#"{"version": 2}"#).unwrap_err(), "Not supported version field value 2");
    }
}
