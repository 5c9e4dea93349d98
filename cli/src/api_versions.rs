//! `kafka-broker-api-versions.sh`: which requests each broker answers, in which versions, and which this tool would use.

use std::collections::BTreeMap;
use std::io::Write;

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;

use crate::client::{Connection, Node};
use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, text};
use crate::session;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "broker-api-versions",
    summary: "This tool helps to retrieve broker version information.",
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
        text("command-config", "command config property file", "File with properties of the client."),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options.require(&["bootstrap-server"])?;
    let mut client = session::connect(options)?;
    let nodes: Vec<Node> = client.nodes()?.to_vec();
    for node in nodes {
        let rack = node.rack.as_deref().unwrap_or("null");
        let shown = format!("{}:{} (id: {} rack: {rack})", node.address.host, node.address.port, node.id);
        match Connection::open(&node.address, client.settings()) {
            Ok(connection) => {
                let versions = connection.versions().iter().map(|(key, range)| (*key, *range)).collect();
                writeln!(out, "{shown} -> {}", listed(&versions))?;
            }
            Err(error) => writeln!(out, "{shown} -> ERROR: {}", error.described())?,
        }
    }
    Ok(())
}

/// Every API that the broker or this tool knows, by key.
fn listed(theirs: &BTreeMap<i16, VersionRange>) -> String {
    let mut lines: BTreeMap<i16, String> = BTreeMap::new();
    for api in ApiKey::iter() {
        lines.insert(api as i16, format!("\t{api:?}({}): UNSUPPORTED", api as i16));
    }
    for (key, range) in theirs {
        let line = match ApiKey::try_from(*key) {
            Ok(api) => format!(
                "\t{api:?}({key}): {} [usable: {}]",
                span(range),
                usable(range, &api.valid_versions())
            ),
            Err(_) => format!("\tUNKNOWN({key}): {}", span(range)),
        };
        lines.insert(*key, line);
    }
    format!("(\n{}\n)", lines.into_values().collect::<Vec<_>>().join(",\n"))
}

fn span(range: &VersionRange) -> String {
    if range.min == range.max { range.min.to_string() } else { format!("{} to {}", range.min, range.max) }
}

fn usable(theirs: &VersionRange, ours: &VersionRange) -> String {
    let shared = theirs.intersect(ours);
    if shared.is_empty() { "none".to_owned() } else { shared.max.to_string() }
}
