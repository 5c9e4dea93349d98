//! A server without its network: recovery, then one storage per shard, on a simulated machine.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thalweg_engine::clean::CleanerOptions;
use thalweg_engine::error::StartError;
use thalweg_engine::id::PartitionId;
use thalweg_engine::io::sim::{RunError, SimRunner, SimWorld};
use thalweg_engine::log::{Log, LogOptions, ReadRequest};
use thalweg_engine::recovery::{RecoveryOptions, RecoveryReport, recover};
use thalweg_engine::runtime::{EngineOptions, seeds};
use thalweg_engine::storage::Storage;
use thalweg_protocol::batch::BatchView;

/// Virtual time that anything may take.
pub const LIMIT: Duration = Duration::from_secs(600);

/// Small files, so that rolls, checkpoints and journal laps happen within a short run.
pub fn small_options() -> LogOptions {
    LogOptions {
        segment_bytes: 64 << 10,
        index_interval_bytes: 1024,
        file_delete_delay_ms: 20,
        ..LogOptions::default()
    }
}

/// Settings of a server in one log directory.
pub fn engine_options(shards: u16) -> EngineOptions {
    EngineOptions {
        dirs: vec![PathBuf::from("/data")],
        shards,
        journal_bytes_max: 16 << 20,
        cache_bytes: 2 << 20,
        idle_poll: Duration::ZERO,
        default_log_options: small_options(),
        retention_check_interval: Duration::from_secs(1),
        cleaner: CleanerOptions { backoff: Duration::from_millis(50), ..CleanerOptions::default() },
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub enum NoStart {
    Run(RunError),
    Refused(StartError),
}

impl From<RunError> for NoStart {
    fn from(error: RunError) -> NoStart {
        NoStart::Run(error)
    }
}

/// A running server.
pub struct Server {
    pub runner: SimRunner,
    pub storages: Vec<Rc<Storage>>,
    pub report: RecoveryReport,
}

impl Drop for Server {
    fn drop(&mut self) {
        (0..self.storages.len()).for_each(|shard| self.runner.io(shard).shutdown());
    }
}

impl Server {
    /// Recovers and opens.
    pub fn try_start(world: &SimWorld, options: &EngineOptions) -> Result<Server, NoStart> {
        options.dirs.iter().for_each(|dir| world.make_dirs(dir).unwrap());
        let starter = SimRunner::new(world, 1);
        let io = starter.io(0).clone();
        // None to speak of: everything is written as it comes. A chunk for some of the logs. More than there is.
        let memory_bytes_max = [1, 48 << 10, 2 << 20][io.random() as usize % 3];
        let recovery = RecoveryOptions {
            dirs: options.dirs.clone(),
            failed_dirs: Vec::new(),
            shards: options.shards,
            options: Arc::new(options.default_log_options.clone()),
            memory_bytes_max,
        };
        let recovered = starter.run(0, LIMIT, async move { recover(&io, &recovery).await });
        starter.io(0).shutdown();
        let recovered = recovered?.map_err(NoStart::Refused)?;
        tracing::debug!("recovered: {:?}", recovered.report);
        let mut server = Server {
            runner: SimRunner::new(world, usize::from(options.shards)),
            storages: Vec::new(),
            report: recovered.report.clone(),
        };
        for (shard, seed) in seeds(options, &recovered).into_iter().enumerate() {
            let io = server.runner.io(shard).clone();
            let opened = server.runner.run(shard, LIMIT, async move { Storage::open(&io, seed).await });
            tracing::debug!("shard {shard} is open");
            let storage = opened?.map_err(|failure| NoStart::Refused(failure.into()))?;
            storage.maintain();
            server.storages.push(storage);
        }
        Ok(server)
    }

    /// # Panics
    /// When it does not start.
    pub fn start(world: &SimWorld, options: &EngineOptions) -> Server {
        match Server::try_start(world, options) {
            Ok(server) => server,
            Err(error) => panic!("no start: {error:?}"),
        }
    }

    /// The shard of a partition.
    pub fn home(&self, id: PartitionId) -> usize {
        usize::from(id.home(self.storages.len() as u16).0)
    }

    pub fn storage_of(&self, id: PartitionId) -> &Rc<Storage> {
        &self.storages[self.home(id)]
    }

    pub fn log(&self, id: PartitionId) -> Option<Rc<Log>> {
        self.storage_of(id).log(id)
    }

    /// Runs a future on the shard of a partition.
    pub fn run<T: 'static>(
        &self,
        id: PartitionId,
        future: impl Future<Output = T> + 'static,
    ) -> Result<T, RunError> {
        self.runner.run(self.home(id), LIMIT, future)
    }

    /// Stops every shard cleanly.
    pub fn shutdown(&self) -> Result<(), RunError> {
        for (shard, storage) in self.storages.iter().enumerate() {
            let storage = Rc::clone(storage);
            let stopped = self.runner.run(shard, LIMIT, async move { storage.shutdown().await })?;
            stopped.unwrap_or_else(|error| panic!("no clean stop: {error}"));
        }
        Ok(())
    }

    /// Everything between the log's ends, batch by batch; an error of a read ends it.
    pub fn read_all(&self, id: PartitionId) -> Result<Result<Vec<Vec<u8>>, String>, RunError> {
        let Some(log) = self.log(id) else { return Ok(Err("there is no such partition".into())) };
        tracing::debug!("reading {} from {} to {}", log.name(), log.log_start(), log.high_watermark());
        self.run(id, async move {
            let mut batches = Vec::new();
            let mut offset = log.log_start();
            while offset < log.high_watermark() {
                let request = ReadRequest { offset, max_bytes: 256 << 10, at_least_one: true };
                let slice = log.read(request).await.map_err(|error| error.to_string())?;
                assert!(slice.next_offset > offset, "a read at {offset} does not move on");
                batches.extend(split(&slice.bytes.concat()));
                offset = slice.next_offset;
            }
            Ok(batches)
        })
    }
}

/// Cuts a run of whole batches into batches.
///
/// # Panics
/// If it is none.
pub fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut batches, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let view = BatchView::parse(&bytes[at..]).expect("whole batches");
        assert!(view.crc_ok(), "a batch with a wrong CRC was served");
        batches.push(view.bytes().to_vec());
        at += view.total_bytes();
    }
    batches
}
