//! What the instrument can drive from one core, against a sink that only acknowledges.

use thalweg_loadgen::fake_broker::{FakeBroker, Script};

use super::measure;

/// The sink on CPU 1, the load generator on CPU 0. A machine that does other things fails this, as does a debug
/// build: `cargo test --release -p thalweg-loadgen -- --ignored --nocapture one_core`.
#[test]
#[ignore = "needs two idle cores and a release build"]
fn one_core_drives_the_rates_that_the_benchmarks_need() {
    let script = Script { partitions: 4, ..Script::default() };
    let sink = FakeBroker::start("127.0.0.1:0".parse().unwrap(), script, Some(1)).unwrap();
    let common = "--cpus 0 --producers 4 --batch-bytes 64KiB --warmup 1s --duration 5s";
    let small = measure(&sink, &format!("{common} --record-size 1000"));
    let large = measure(&sink, &format!("{common} --record-size 65400"));
    for (name, m) in [("1 KB records", &small), ("64 KB records", &large)] {
        println!(
            "{name}: {:.0} records/s, {:.2} GB/s, {:.3} us/record, busy {:.2}, starved {:.2}",
            m.records_per_second(),
            m.bytes_per_second() / 1e9,
            m.own_cpu_ns as f64 / 1e3 / m.stats.window_acked_records.max(1) as f64,
            m.worker_busy[0],
            m.worker_starved[0],
        );
    }
    assert!(small.records_per_second() >= 1.5e6);
    assert!(large.bytes_per_second() >= 2.5e9);
}
