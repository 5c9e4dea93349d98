//! `--prometheus ADDR`: the counters of a running measurement for a scrape, in the text format that Prometheus reads
//! (exposition format 0.0.4). Any path answers; a request is read up to a bound and not looked at further.
//!
//! One thread, one connection at a time: a scrape every some seconds is what it is for.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::buckets::{self, Counts};
use crate::over_time::Totals;
use crate::plan::Plan;

const REQUEST_BYTES_MAX: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);
/// Upper bounds of the exported buckets, in microseconds.
const BOUNDS_US: [u64; 19] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

type Watched = Arc<Mutex<Option<Arc<Plan>>>>;

#[derive(Debug)]
pub struct Exporter {
    pub address: SocketAddr,
    watched: Watched,
}

impl Exporter {
    pub fn start(listen: SocketAddr, server: Option<i32>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).map_err(|e| {
            io::Error::new(e.kind(), format!("--prometheus {listen}: {e}; choose an address that is free"))
        })?;
        let address = listener.local_addr()?;
        let watched = Watched::default();
        let served = watched.clone();
        thread::Builder::new().name("prometheus".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let plan = served.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A scraper that went away asks again later.
                let _gone = serve(stream, plan.as_deref(), server);
            }
        })?;
        eprintln!("metrics at http://{address}/metrics");
        Ok(Self { address, watched })
    }

    /// From now on this run is exported.
    pub fn watch(&self, plan: Arc<Plan>) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }
}

fn serve(mut stream: TcpStream, plan: Option<&Plan>, server: Option<i32>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut chunk)?;
        request.extend_from_slice(&chunk[..n]);
        if n == 0 || request.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let body = plan.map_or(String::new(), |p| text(&Totals::read(p, server)));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

fn text(t: &Totals) -> String {
    let mut out = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: f64| {
        // Writing to a String cannot fail.
        let _infallible = write!(
            out,
            "# HELP thalweg_loadgen_{name} {help}\n# TYPE thalweg_loadgen_{name} {kind}\nthalweg_loadgen_{name} {value}\n"
        );
    };
    one("acked_records_total", "counter", "Records acknowledged.", t.acked_records as f64);
    one("acked_batch_bytes_total", "counter", "Bytes of acknowledged batches.", t.acked_batch_bytes as f64);
    one("consumed_records_total", "counter", "Records that consumers read.", t.consumed_records as f64);
    one("consumed_batch_bytes_total", "counter", "Bytes of batches read.", t.consumed_bytes as f64);
    one("errors_total", "counter", "Records refused and failed fetches.", t.errors as f64);
    one("in_flight_requests", "gauge", "Requests without an answer yet.", t.in_flight as f64);
    if let Some(ns) = t.server_cpu_ns {
        one("server_cpu_seconds_total", "counter", "CPU of --server-pid.", ns as f64 / 1e9);
    }
    if let Some(bytes) = t.server_resident_bytes {
        one("server_resident_bytes", "gauge", "Resident memory of --server-pid.", bytes as f64);
    }
    histogram(&mut out, "latency_seconds", "From intended send to acknowledgement.", &t.latency);
    histogram(&mut out, "end_to_end_seconds", "From intended send to a consumer.", &t.end_to_end);
    out
}

/// Bucket edges are those of [`buckets`] next to each bound; the sum is that of the bucket middles, within 1.6 %.
fn histogram(out: &mut String, name: &str, help: &str, counts: &Counts) {
    let name = format!("thalweg_loadgen_{name}");
    let total = counts.total();
    let sum: f64 = counts.sparse().iter().map(|(b, n)| buckets::middle_us(*b) / 1e6 * *n as f64).sum();
    let mut text = format!("# HELP {name} {help}\n# TYPE {name} histogram\n");
    for us in BOUNDS_US {
        text += &format!("{name}_bucket{{le=\"{}\"}} {}\n", us as f64 / 1e6, counts.up_to(us * 1000));
    }
    text += &format!("{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}\n");
    out.push_str(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::LiveHistogram;

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_its_count() {
        let live = LiveHistogram::default();
        live.add(300_000, 5);
        live.add(3_000_000, 4);
        live.add(70_000_000_000, 1);
        let totals =
            Totals { latency: Counts::sum([&live].into_iter()), acked_records: 10, ..Totals::default() };
        let text = text(&totals);
        let line = |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap().to_string();
        assert_eq!(line("thalweg_loadgen_acked_records_total"), "thalweg_loadgen_acked_records_total 10");
        assert!(line("thalweg_loadgen_latency_seconds_bucket{le=\"0.0005\"}").ends_with(" 5"));
        assert!(line("thalweg_loadgen_latency_seconds_bucket{le=\"0.005\"}").ends_with(" 9"));
        assert!(line("thalweg_loadgen_latency_seconds_bucket{le=\"60\"}").ends_with(" 9"));
        assert!(line("thalweg_loadgen_latency_seconds_bucket{le=\"+Inf\"}").ends_with(" 10"));
        assert!(text.lines().all(|l| l.starts_with("# ") || l.split(' ').count() == 2));
    }
}
