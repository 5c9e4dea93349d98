//! `--verify` finds every fault it is there for (canaries), and none in a log that has none.

use clap::Parser;

use super::{broker, measure, ms};
use thalweg_loadgen::audit::Audit;
use thalweg_loadgen::cli::{Cli, Command};
use thalweg_loadgen::fake_broker::{Fault, FaultKind, Script};
use thalweg_loadgen::verify;

const PROVED: &str = "--verify --acks 1 --record-size 100 --batch-bytes 1KB --in-flight 1 --rate 2000/s --linger 2ms \
                      --warmup 0s --duration 300ms";

fn script(fault: Option<Fault>) -> Script {
    Script { partitions: 2, store: true, fault, ..Script::default() }
}

/// The verdict with consumers alongside, or with the log read back afterwards.
fn verdict(kind: Option<FaultKind>, more: &str) -> Audit {
    let fault = kind.map(|k| Fault::new(k, 20));
    measure(&broker(script(fault)), &format!("{PROVED} {more}")).audit.unwrap()
}

#[test]
fn a_sound_log_is_clean_with_every_codec_and_by_both_ways() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for consumers in [0, 2] {
            let a = verdict(None, &format!("--compression {codec} --consumers {consumers}"));
            assert!(a.is_clean() && a.found == 600, "{codec}, {consumers} consumers: {a:?}");
        }
    }
}

#[test]
fn each_injected_fault_is_found_and_named() {
    for consumers in ["--consumers 0", "--consumers 1"] {
        assert!(verdict(Some(FaultKind::Lose), consumers).lost > 0);
        assert!(verdict(Some(FaultKind::Duplicate), consumers).duplicated > 0);
        assert!(verdict(Some(FaultKind::Corrupt), consumers).corrupt > 0);
        let patched = verdict(Some(FaultKind::CorruptWithCrc), consumers);
        assert!(patched.corrupt == 1 && patched.lost == 1, "{patched:?}");
        assert!(verdict(Some(FaultKind::Misplace), consumers).misplaced > 0);
    }
}

/// Of several repeats the last verdict alone was shown, and a fault in the first one was not.
#[test]
fn the_verdicts_of_all_repeats_are_added_up() {
    let sound = verdict(None, "--repeats 2");
    assert!(sound.is_clean() && sound.found == 1200, "{sound:?}");
    let faulty = verdict(Some(FaultKind::Lose), "--repeats 2");
    assert!(faulty.lost > 0 && faulty.acknowledged == 1200, "{faulty:?}");
}

#[test]
fn two_batches_that_changed_places_are_found() {
    let script = Script { partitions: 1, ..script(Some(Fault::new(FaultKind::Reorder, 20))) };
    let a = measure(&broker(script), PROVED).audit.unwrap();
    assert!(a.reordered > 0 && a.moved > 0 && a.lost == 0, "{a:?}");
}

#[test]
fn a_ledger_is_checked_after_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    let clean = |fault| {
        let _absent_at_first = std::fs::remove_file(&ledger);
        let b = broker(script(fault));
        let line = format!("{} --ledger {}", PROVED.replace("--verify ", ""), ledger.display());
        // Two runs into one ledger: what is proved must hold over both.
        measure(&b, &line);
        measure(&b, &line);
        let args =
            ["x", "verify", "--bootstrap-server", &b.address.to_string(), "--ledger"].map(String::from);
        let args = args.into_iter().chain([ledger.display().to_string()]);
        let Command::Verify(options) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        verify::verify(&options).unwrap()
    };
    assert!(clean(None));
    assert!(!clean(Some(Fault::new(FaultKind::Lose, 30))));
    assert!(!clean(Some(Fault::new(FaultKind::Duplicate, 30))));
}

#[test]
fn idempotent_producers_send_again_over_broken_connections_and_nothing_doubles() {
    let script = Script { drop_every: 7, ..script(None) };
    let m = measure(
        &broker(script),
        &format!("{PROVED} --acks all --idempotent --duration 1s --drain 30s")
            .replace("--acks 1 ", "")
            .replace("--duration 300ms", ""),
    );
    let a = m.audit.clone().unwrap();
    assert!(m.stats.resent_batches > 3, "{}", m.stats.resent_batches);
    assert!(a.is_clean() && a.found == 2000 && a.unacknowledged_present == 0, "{a:?}");
}

#[test]
fn without_idempotence_nothing_is_sent_twice() {
    let script = Script { drop_every: 7, delays: vec![ms(1)], ..script(None) };
    let m = measure(&broker(script), &format!("{PROVED} --reconnect"));
    let a = m.audit.clone().unwrap();
    assert!(m.stats.unknown_records > 0 && m.stats.reconnects > 0);
    assert!(a.is_clean() && a.unacknowledged_present == m.stats.unknown_records, "{a:?}");
}
