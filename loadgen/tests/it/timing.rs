//! Latencies mean what they say.

use super::{broker, measure, ms};
use thalweg_loadgen::fake_broker::Script;

fn stalling() -> Script {
    Script { partitions: 1, stall: Some((ms(1500), ms(200))), ..Script::default() }
}

#[test]
fn open_loop_shows_a_stall_that_closed_loop_service_time_hides() {
    let open = measure(
        &broker(stalling()),
        "--record-size 100 --batch-bytes 100 --in-flight 1 --rate 1000/s --linger 0 --warmup 500ms --duration 3s",
    );
    let shown = open.stats.latency.percentile(99.9);
    assert!((180_000..400_000).contains(&shown), "open loop p99.9 is {shown} us");
    assert!(open.stats.latency.percentile(100.0) >= 195_000);
    let closed = measure(
        &broker(stalling()),
        "--record-size 100 --batch-bytes 100 --in-flight 1 --rate max --warmup 500ms --duration 3s",
    );
    let hidden = closed.stats.service.percentile(99.9);
    assert!(closed.stats.window_acked_batches > 2000, "{} batches", closed.stats.window_acked_batches);
    assert!(closed.stats.service.percentile(100.0) >= 195_000, "the stall did not happen");
    assert!(hidden < 150_000, "closed loop service p99.9 is {hidden} us");
}

/// A run whose records were all refused ended as a success, and a sweep kept its figures.
#[test]
fn a_run_with_refused_records_or_fetches_has_failed() {
    let script = Script { partitions: 1, ..Script::default() };
    let good = measure(&broker(script), "--record-size 100 --warmup 0s --duration 200ms");
    assert!(!good.has_failed(), "{:?}", good.warnings());
    let mut refused = good.clone();
    refused.stats.produce_errors.insert(10, 3);
    assert!(refused.has_failed());
    let mut unread = good.clone();
    unread.stats.fetch_errors.insert(10, 3);
    assert!(unread.has_failed());
}

#[test]
fn a_scripted_latency_distribution_comes_back_within_one_percent() {
    // Of 20 answers 13 take 150 ms, 5 take 300 ms and 2 take 600 ms.
    let delays: Vec<_> = (0..20u64)
        .map(|i| match i * 7 % 20 {
            0..13 => ms(150),
            13..18 => ms(300),
            _ => ms(600),
        })
        .collect();
    let m = measure(
        &broker(Script { partitions: 1, delays, ..Script::default() }),
        "--producers 24 --threads 2 --record-size 100 --batch-bytes 100 --in-flight 1 --warmup 700ms --duration 6s",
    );
    assert!(m.stats.service.histogram().len() > 300);
    for (p, scripted) in [(10.0, 150_000.0), (40.0, 150_000.0), (80.0, 300_000.0), (96.0, 600_000.0)] {
        let found = m.stats.service.percentile(p) as f64;
        let error = (found - scripted).abs() / scripted;
        assert!(error <= 0.01, "p{p}: {found} us for {scripted} scripted");
    }
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let m = measure(
        &broker(Script { partitions: 2, ..Script::default() }),
        "--producers 3 --record-size 100 --batch-bytes 1KB --rate 5000/s --warmup 200ms --duration 2s",
    );
    let due = 10_000;
    let counted = m.stats.latency.histogram().len();
    assert!((due - 3..=due + 3).contains(&counted), "{counted} records for {due} due");
    assert_eq!(m.stats.unsent_records, 0);
}

#[test]
fn a_broker_that_never_answers_again_does_not_vanish_from_the_histogram() {
    let script = Script { partitions: 1, stall: Some((ms(500), ms(60_000))), ..Script::default() };
    let m = measure(
        &broker(script),
        "--record-size 100 --batch-bytes 100 --in-flight 1 --rate 100/s --linger 0 --warmup 0s --duration 1s --drain 1s",
    );
    assert!(m.stats.censored_records + m.stats.unsent_records >= 40, "{:?}", m.warnings());
    assert!(m.stats.latency.percentile(80.0) >= 1_000_000);
    assert_eq!(m.stats.latency.histogram().len(), 100);
    assert!(m.warnings().iter().any(|w| w.contains("never sent")));
}

#[test]
fn consumers_see_each_record_and_its_age() {
    let script = Script { partitions: 3, store: true, ..Script::default() };
    let m = measure(
        &broker(script),
        "--producers 2 --consumers 2 --record-size 100 --batch-bytes 2KB --rate 4000/s --warmup 200ms --duration 1s",
    );
    assert_eq!(m.stats.consumed_records, m.stats.acked_records);
    let seen = m.stats.end_to_end.histogram().len();
    assert!((3997..=4003).contains(&seen), "{seen} end-to-end samples of 4000");
    assert!(m.stats.end_to_end.percentile(50.0) < 500_000);
}
