//! From options to running shards, and back: probe, recovery, one pinned thread per shard, the marks of a clean stop.

mod marks;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::bounds::RECOVERY_WORKERS;
use crate::clean::CleanerOptions;
use crate::error::{IoFailure, StartError};
use crate::id::{PartitionId, ShardId};
use crate::io::{Capabilities, Probe, UringDriver};
use crate::log::{LogOptions, LogSeed};
use crate::reactor::{Io, Mesh, MeshEnd, allowed_cpus, spawn_shard};
use crate::recovery::{Recovered, RecoveryOptions, RecoveryReport, recover};
use crate::storage::{Storage, StorageSeed};

pub use marks::CleanPartition;

/// How to run.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub dirs: Vec<PathBuf>,
    pub shards: u16,
    /// Upper bound of each journal (per shard and directory), bytes.
    pub journal_bytes_max: u64,
    /// Memory for tail chunks and cold chunks of all shards together, bytes.
    pub cache_bytes: u64,
    /// How long a shard that has been busy looks for work before its thread sleeps, at most; zero never.
    pub idle_poll: Duration,
    /// For partitions found on disk, until the server sets their topic's own.
    pub default_log_options: LogOptions,
    pub retention_check_interval: Duration,
    pub cleaner: CleanerOptions,
}

/// What a shard's code gets to work with.
pub struct ShardContext {
    pub id: ShardId,
    pub shards: u16,
    pub io: Io,
    pub storage: Rc<Storage>,
}

/// Opens and recovers every directory, then runs `main` once per shard, each on its own pinned thread. `make` builds
/// the shard's context, which other shards' calls will see; `attach` hands it its end of the mesh. Returns when every
/// shard's `main` has returned.
///
/// # Errors
/// What keeps the engine from starting, with what to change.
///
/// A panic on a shard's thread ends the process.
pub fn run<C: 'static>(
    options: EngineOptions,
    make: impl Fn(ShardContext) -> C + Send + Sync + 'static,
    attach: impl Fn(&C, Mesh<C>) + Send + Sync + 'static,
    main: impl AsyncFn(Rc<C>) + Send + Sync + 'static,
) -> Result<(), StartError> {
    let capabilities =
        Probe::run(&options.dirs).map_err(|error| StartError::Unsupported(error.to_string()))?;
    capabilities.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let recovered = recover_all(&options, &capabilities)?;
    report(&recovered.report, recovered.leader_epoch);

    let seeds = seeds(&options, &recovered);
    let shared = Arc::new((make, attach, main));
    let cpus = allowed_cpus().unwrap_or_default();
    let mut threads = Vec::new();
    for (seed, end) in seeds.into_iter().zip(MeshEnd::wire(options.shards)) {
        let (shared, capabilities) = (Arc::clone(&shared), capabilities.clone());
        // More shards than CPUs share them; a pinned pair would only get in each other's way.
        let cpu = (usize::from(options.shards) <= cpus.len()).then(|| cpus[usize::from(seed.shard.0)]);
        // Without a core of its own a shard would look for work in the time of another one.
        let linger = cpu.map_or(Duration::ZERO, |_| options.idle_poll);
        let driver = move || UringDriver::new(&capabilities).map(|driver| driver.lingering(linger));
        let shard = seed.shard.0;
        let body = move || {
            let _guard = AbortOnUnwind { shard };
            run_shard(seed, end, &driver, &shared.0, &shared.1, &shared.2)
        };
        let thread = spawn_shard(format!("shard-{shard}"), cpu, body);
        threads.push((shard, thread.map_err(|error| IoFailure::new("start a thread for", "shard", error))?));
    }
    let mut stopped = Vec::new();
    for (shard, thread) in threads {
        match thread.join() {
            Ok(outcome) => stopped.push(outcome?),
            Err(_) => {
                return Err(StartError::Shard { shard, what: "it panicked; see the message above".into() });
            }
        }
    }
    let clean: Option<Vec<_>> = stopped.into_iter().collect();
    if let Some(partitions) = clean {
        with_reactor(&capabilities, 1, |io| async move { marks::write(&io, &partitions.concat()).await })??;
    }
    Ok(())
}

fn recover_all(options: &EngineOptions, capabilities: &Capabilities) -> Result<Recovered, StartError> {
    let recovery = RecoveryOptions {
        dirs: options.dirs.clone(),
        failed_dirs: capabilities.failed_dirs.clone(),
        shards: options.shards,
        options: Arc::new(options.default_log_options.clone()),
        // No shard has a cache yet.
        memory_bytes_max: options.cache_bytes,
    };
    with_reactor(capabilities, RECOVERY_WORKERS, |io| async move { recover(&io, &recovery).await })?
}

/// Runs one future on a reactor of its own, on this thread, with this many calls of it blocking at a time.
fn with_reactor<T, F: Future<Output = T>>(
    capabilities: &Capabilities,
    workers: u32,
    work: impl FnOnce(Io) -> F,
) -> Result<T, StartError> {
    let failed = |error| StartError::Io(IoFailure::new("set up", "io_uring", error));
    let driver = UringDriver::new(capabilities).map_err(failed)?;
    driver.allow_workers(workers);
    let io = Io::new(Rc::new(driver));
    let outcome = io.block_on(work(io.clone())).map_err(failed);
    io.shutdown();
    outcome
}

fn report(report: &RecoveryReport, leader_epoch: i32) {
    if report.clean {
        tracing::info!(
            "{} partitions found, nothing to recover, leader epoch {leader_epoch}",
            report.partitions
        );
    } else {
        tracing::info!(
            "recovered {} partitions after an unclean stop: {} batches ({} bytes) replayed from the journals, {} of \
             removed partitions dropped; leader epoch {leader_epoch}",
            report.partitions,
            report.replayed_batches,
            report.replayed_bytes,
            report.dropped_batches
        );
    }
    for (name, corruption) in &report.refused {
        tracing::error!("{name} is not served: {corruption}");
    }
}

/// What each shard starts from: every recovered log goes to its home.
pub fn seeds(options: &EngineOptions, recovered: &Recovered) -> Vec<StorageSeed> {
    let shards = options.shards;
    let default_options = Arc::new(options.default_log_options.clone());
    let mut logs: Vec<Vec<LogSeed>> = vec![Vec::new(); usize::from(shards)];
    for log in &recovered.logs {
        if let Some(home) = log.id.map(|id: PartitionId| id.home(shards)) {
            logs[usize::from(home.0)].push(log.clone());
        }
    }
    let seed = |(shard, logs): (u16, Vec<LogSeed>)| StorageSeed {
        shard: ShardId(shard),
        shards,
        leader_epoch: recovered.leader_epoch,
        volumes: recovered.volumes.clone(),
        logs,
        journal_bytes_max: options.journal_bytes_max,
        cache_bytes: usize::try_from(options.cache_bytes / u64::from(shards)).unwrap_or(usize::MAX),
        options: Arc::clone(&default_options),
        retention_check_interval: options.retention_check_interval,
        cleaner: options.cleaner.clone(),
    };
    (0..shards).zip(logs).map(seed).collect()
}

/// Ends the process when its shard panics. The other shards would wait for this one's answers for ever, and a client
/// would see half a broker; after an abort the journals make it an ordinary crash.
struct AbortOnUnwind {
    shard: u16,
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                shard = self.shard,
                "a shard panicked; the process ends, and recovers at its next start"
            );
            std::process::abort();
        }
    }
}

/// One shard's life. Returns its partitions if it stopped cleanly.
fn run_shard<C: 'static>(
    seed: StorageSeed,
    end: MeshEnd<C>,
    driver: &impl Fn() -> std::io::Result<UringDriver>,
    make: &impl Fn(ShardContext) -> C,
    attach: &impl Fn(&C, Mesh<C>),
    main: &impl AsyncFn(Rc<C>),
) -> Result<Option<Vec<CleanPartition>>, StartError> {
    let failed = |error| StartError::Io(IoFailure::new("run", "io_uring", error));
    let io = Io::new(Rc::new(driver().map_err(failed)?));
    let (id, shards) = (seed.shard, seed.shards);
    let storage = io.block_on(Storage::open(&io, seed)).map_err(failed)??;
    let context = Rc::new(make(ShardContext { id, shards, io: io.clone(), storage: Rc::clone(&storage) }));
    attach(&context, end.attach(&io, Rc::clone(&context)));
    let outcome = io.block_on(main(context)).map_err(failed);
    let partitions = storage.clean_partitions();
    io.shutdown();
    outcome.map(|()| partitions)
}
