//! `--print-metrics`: what the client has counted, in the layout of Kafka's tools.
//!
//! The Java client has over a hundred metrics; shown are those that librdkafka counts too, under the Java client's names.

use std::io::{self, Write};
use std::sync::Mutex;

use rdkafka::Statistics;

/// How often librdkafka tells.
pub const INTERVAL_MS: &str = "100";

/// The latest statistics.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Option<Statistics>>);

/// Which client they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Producer,
    Consumer,
}

impl Metrics {
    pub fn keep(&self, statistics: Statistics) {
        if let Ok(mut latest) = self.0.lock() {
            *latest = Some(statistics);
        }
    }

    /// Whether any have come, or come anew since [`Metrics::forget`].
    pub fn is_there(&self) -> bool {
        self.0.lock().is_ok_and(|latest| latest.is_some())
    }

    pub fn forget(&self) {
        if let Ok(mut latest) = self.0.lock() {
            *latest = None;
        }
    }

    /// # Errors
    /// Those of the output.
    pub fn print(&self, side: Side, client_id: &str, out: &mut dyn Write) -> io::Result<()> {
        let Ok(latest) = self.0.lock() else { return Ok(()) };
        let Some(statistics) = latest.as_ref() else { return Ok(()) };
        let rows: Vec<(String, String)> = rows(side, statistics)
            .into_iter()
            .map(|(name, value)| (format!("{name}:{{client-id={client_id}}}"), value))
            .collect();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        writeln!(out, "\n{:<width$}   Value", "Metric Name")?;
        for (name, value) in rows {
            writeln!(out, "{name:<width$} : {value}")?;
        }
        Ok(())
    }
}

/// Sorted by name.
fn rows(side: Side, statistics: &Statistics) -> Vec<(String, String)> {
    let count = |value: i64| format!("{value}.000");
    let brokers = || statistics.brokers.values();
    let (group, records_name, records, bytes_name, bytes) = match side {
        Side::Producer => (
            "producer-metrics",
            "record-send-total",
            statistics.txmsgs,
            "record-bytes-total",
            statistics.txmsg_bytes,
        ),
        Side::Consumer => (
            "consumer-fetch-manager-metrics",
            "records-consumed-total",
            statistics.rxmsgs,
            "bytes-consumed-total",
            statistics.rxmsg_bytes,
        ),
    };
    let client = if side == Side::Producer { "producer-metrics" } else { "consumer-metrics" };
    let mut rows = vec![
        ("app-info:version".to_owned(), crate::tool::version()),
        (format!("{group}:{records_name}"), count(records)),
        (format!("{group}:{bytes_name}"), count(bytes)),
        (
            format!("{client}:connection-count"),
            count(brokers().filter(|broker| broker.state == "UP").count() as i64),
        ),
        (format!("{client}:incoming-byte-total"), count(statistics.rx_bytes)),
        (format!("{client}:outgoing-byte-total"), count(statistics.tx_bytes)),
        (format!("{client}:request-total"), count(statistics.tx)),
        (format!("{client}:response-total"), count(statistics.rx)),
    ];
    if side == Side::Producer {
        let total = |value: &dyn Fn(&rdkafka::statistics::Broker) -> u64| {
            count(brokers().map(value).sum::<u64>() as i64)
        };
        rows.push((format!("{client}:record-error-total"), total(&|broker| broker.txerrs)));
        rows.push((format!("{client}:record-retry-total"), total(&|broker| broker.txretries)));
    }
    rows.sort();
    rows
}
