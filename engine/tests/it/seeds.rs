//! Runs one test body over many seeds on two threads, and says how to replay the one that failed.
//!
//! `THALWEG_SEEDS=N` sets how many, `THALWEG_SEED=x` runs only that one, with the engine's log on stderr.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Runs `body` for seeds from 0 on, `count` of them unless the environment says otherwise.
///
/// # Panics
/// When a seed fails, naming the command that replays it.
pub fn run(test: &str, count: u64, body: impl Fn(u64) + Sync) {
    if let Some(seed) = from_env("THALWEG_SEED") {
        let log = tracing_subscriber::fmt().with_env_filter("debug").with_writer(std::io::stderr).try_init();
        drop(log);
        return body(seed);
    }
    spread(test, from_env("THALWEG_SEEDS").unwrap_or(count), body);
}

/// As `run`, for a body whose number of cases is not the environment's to choose.
pub fn run_exactly(test: &str, count: u64, body: impl Fn(u64) + Sync) {
    match from_env("THALWEG_SEED") {
        Some(seed) => body(seed),
        None => spread(test, count, body),
    }
}

fn spread(test: &str, count: u64, body: impl Fn(u64) + Sync) {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures = Mutex::new(Vec::new());
    let worker = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                break;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(seed))) {
                failed.store(true, Ordering::Relaxed);
                failures.lock().unwrap().push((seed, message_of(&*panic)));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let failures = failures.into_inner().unwrap();
    if let Some((seed, message)) = failures.iter().min() {
        panic!(
            "seed {seed}: {message}\nreplay: THALWEG_SEED={seed} cargo test -p thalweg-engine --test it {test} \
             -- --exact"
        );
    }
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// What a panic said.
pub fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
