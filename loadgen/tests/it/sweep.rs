//! Sweeps, and what is made of their results.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use thalweg_loadgen::fake_broker::{FakeBroker, Script};
use thalweg_loadgen::page::{self, data::Page};
use thalweg_loadgen::stored;

fn command(broker: &FakeBroker, out: &Path, options: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg-loadgen"));
    command.args(["sweep", "--bootstrap-server", &broker.address.to_string(), "--out"]).arg(out);
    command.args("--producers 1,2 --batch-bytes 1KiB,4KiB --record-size 100 --set threads=1".split(' '));
    command.args("--warmup 50ms --duration 250ms --pause 0".split(' ')).args(options.split_whitespace());
    command.args((!options.contains("--repeats")).then_some("--repeats=2"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// File name -> what the point is.
fn results(out: &Path) -> BTreeMap<String, Value> {
    let files = fs::read_dir(out.join("results")).into_iter().flatten().map(|f| f.unwrap().path());
    let json = files.filter(|f| f.extension().is_some_and(|e| e == "json"));
    json.map(|f| {
        let document: Value = serde_json::from_slice(&fs::read(&f).unwrap()).unwrap();
        assert_eq!(document["result"]["interrupted"], false, "{}", f.display());
        assert!(document["result"]["acked_records"].as_u64().unwrap() > 0);
        let name = f.file_name().unwrap().to_string_lossy().into_owned();
        (name, document["sweep"].clone())
    })
    .collect()
}

fn sink() -> FakeBroker {
    super::broker(Script { partitions: 1, ..Script::default() })
}

#[test]
fn a_sweep_that_is_interrupted_and_resumed_has_the_same_points_as_one_that_was_not() {
    let (broker, directory) = (sink(), tempfile::tempdir().unwrap());
    let (whole, parts) = (directory.path().join("whole"), directory.path().join("parts"));
    assert!(command(&broker, &whole, "").status().unwrap().success());
    let expected = results(&whole);
    assert_eq!(expected.len(), 8);

    let mut child = command(&broker, &parts, "").spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while results(&parts).len() < 3 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "an interrupted sweep says so");
    let kept = results(&parts);
    assert!((3..8).contains(&kept.len()), "{} results before the interruption", kept.len());
    let stamp = |name: &String| fs::metadata(parts.join("results").join(name)).unwrap().modified().unwrap();
    let before: Vec<_> = kept.keys().map(stamp).collect();

    assert!(command(&broker, &parts, "").status().unwrap().success());
    assert_eq!(results(&parts), expected);
    assert_eq!(kept.keys().map(stamp).collect::<Vec<_>>(), before, "what was measured is not measured again");
    // More repeats add to it; other points do not fit in it.
    assert!(command(&broker, &parts, "--repeats 3").status().unwrap().success());
    assert_eq!(results(&parts).len(), 12);
    assert_eq!(
        command(&broker, &parts, "--acks 0,1").stderr(Stdio::null()).status().unwrap().code(),
        Some(2)
    );
}

#[test]
fn the_highest_sustained_rate_of_a_broker_is_found() {
    // One answer takes 20 ms, one request is in flight, and a request carries one record: 50 records a second.
    let broker = super::broker(Script { partitions: 1, delays: vec![super::ms(20)], ..Script::default() });
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg-loadgen"));
    command.args(["sweep", "--bootstrap-server", &broker.address.to_string(), "--out"]).arg(directory.path());
    command
        .args("--record-size 100 --batch-bytes 100 --in-flight 1 --set linger=0ms --search-max".split(' '));
    command.args("--warmup 200ms --duration 1500ms --pause 0 --repeats 1".split(' '));
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let file = directory.path().join("results/001-1.json");
    let document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let rate = document["search"]["sustained_records_per_second"].as_f64().unwrap();
    // The upper bound is the script's; how near one gets to it depends on the machine's timers.
    assert!((10.0..51.5).contains(&rate), "{rate}: {}", document["search"]);
}

#[test]
fn percentiles_of_the_report_are_those_of_the_raw_histograms() {
    let delays = [1, 2, 1, 9, 1, 3].map(super::ms).to_vec();
    let (broker, directory) =
        (super::broker(Script { partitions: 1, delays, ..Script::default() }), tempfile::tempdir().unwrap());
    assert!(command(&broker, directory.path(), "").status().unwrap().success());
    let points = stored::load(directory.path()).unwrap();
    assert_eq!(points.len(), 4);
    let page = Page::of("test", &points).unwrap();
    for (point, shown) in points.iter().zip(&page.points) {
        assert_eq!(point.repeats.len(), 2);
        for kind in ["latency", "service"] {
            let raw = point.histogram(kind).unwrap().unwrap();
            let curve = &shown.latencies[kind];
            assert_eq!(raw.len(), curve.count);
            for (name, p) in thalweg_loadgen::report::PERCENTILES {
                assert_eq!(curve.percentiles[name], raw.value_at_percentile(p), "{kind} {name}");
            }
        }
        let in_intervals: u64 = shown.heat.cells.iter().map(|c| c.2).sum();
        let acked: f64 = point.values("/window_acked_records").iter().sum();
        assert!(
            (in_intervals as f64 / acked - 1.0).abs() < 0.4,
            "{in_intervals} records over time, {acked} acknowledged"
        );
    }
    assert!(page::html(&page).unwrap().contains("\"points\":["));
}

/// A fake broker as a program that takes a properties file; the first one that is started is killed after a second.
const MORTAL: &str = r#"#!/bin/sh
[ "$1" = --version ] && echo mortal && exit
for setting; do
  case $setting in listeners=*) address=${setting#listeners=PLAINTEXT://} ;; esac
done
first=$(dirname "$0")/first
if [ -e "$first" ]; then exec LOADGEN fake-broker --listen "$address"; fi
: > "$first"
exec timeout -s KILL 1 LOADGEN fake-broker --listen "$address"
"#;

/// A broker that died was taken for the one that the next points need as well, and every one of them failed.
#[test]
fn a_broker_that_died_is_started_again_for_the_next_measurement() {
    let directory = tempfile::tempdir().unwrap();
    let (program, out) = (directory.path().join("mortal"), directory.path().join("out"));
    fs::write(&program, MORTAL.replace("LOADGEN", env!("CARGO_BIN_EXE_thalweg-loadgen"))).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg-loadgen"));
    command.args(["sweep", "--server-bin"]).arg(&program).arg("--out").arg(&out);
    command.args(
        "--producers 1,2 --record-size 100 --warmup 50ms --duration 300ms --pause 0 --repeats 3".split(' '),
    );
    let _one_may_have_failed = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(results(&out).len() >= 5, "{:?}", results(&out).keys());
}
