//! Runs the reactors of a world on one thread: in random order while any of them can go on, then time moves.
//!
//! The only part of the simulation that knows the executor above the seam. A shard that never comes to rest does not
//! stop time: after a bounded number of rounds it moves anyway, as it would on a real machine.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::prng::Prng;
use super::world::SimWorld;
use crate::io::{Monotonic, Park};
use crate::reactor::Io;

/// Rounds over all shards at one moment before time moves although somebody is still busy.
const ROUNDS_PER_MOMENT_MAX: usize = 1_000;

/// How far time moves then.
const BUSY_MOMENT: Duration = Duration::from_micros(1);

/// Why a run ended before what it was to wait for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Power loss, process kill or a crash point: the world is over.
    #[error("the simulated machine crashed (seed {seed})")]
    Crashed { seed: u64 },
    /// Nothing is due, no timer is set, and what was waited for has not happened.
    #[error("every shard waits for ever (seed {seed}, at {} ns)", at.0)]
    Deadlock { seed: u64, at: Monotonic },
    #[error("not done within {limit:?} of virtual time (seed {seed})")]
    TimeLimit { seed: u64, limit: Duration },
    #[error("a shard's driver broke (seed {seed})")]
    Driver { seed: u64, source: io::Error },
}

/// The shards of one simulated process.
pub struct SimRunner {
    world: SimWorld,
    shards: Vec<Io>,
    prng: RefCell<Prng>,
}

impl SimRunner {
    /// A runner over `shards` new reactors, each on a driver of its own, of process 0.
    pub fn new(world: &SimWorld, shards: usize) -> SimRunner {
        SimRunner::of_process(world, 0, shards)
    }

    /// As [`SimRunner::new`], for another process of the machine. Each process needs its runner to be run in turn.
    pub fn of_process(world: &SimWorld, process: u32, shards: usize) -> SimRunner {
        let shards = (0..shards).map(|_| Io::new(world.driver_of(process))).collect();
        SimRunner { world: world.clone(), shards, prng: RefCell::new(Prng::new(world.random())) }
    }

    /// The machine that the shards run on.
    pub fn world(&self) -> &SimWorld {
        &self.world
    }

    /// The reactor of a shard.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn io(&self, shard: usize) -> &Io {
        &self.shards[shard]
    }

    /// Steps every shard once, in random order; true if anything happened.
    fn round(&self) -> Result<bool, RunError> {
        let mut order: Vec<&Io> = self.shards.iter().collect();
        self.prng.borrow_mut().shuffle(&mut order);
        let mut progress = false;
        for shard in order {
            progress |= shard.step(Park::Poll).map_err(|source| self.broken(source))?;
        }
        Ok(progress)
    }

    fn broken(&self, source: io::Error) -> RunError {
        let seed = self.world.seed();
        if self.world.is_dead() { RunError::Crashed { seed } } else { RunError::Driver { seed, source } }
    }

    /// Steps all shards until none can go on at this moment. False: one goes on and on.
    ///
    /// # Errors
    /// If the world ends.
    pub fn settle(&self) -> Result<bool, RunError> {
        for _ in 0..ROUNDS_PER_MOMENT_MAX {
            if !self.round()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves time to the next event or timer, at most to `end`. False if neither will ever come.
    fn advance(&self, end: Monotonic) -> bool {
        let timer = self.shards.iter().filter_map(Io::next_deadline).min();
        let next = [timer, self.world.next_event()].into_iter().flatten().min();
        let Some(next) = next else { return false };
        self.world.advance_until(next.min(end));
        true
    }

    /// Runs until `done` says so; it is asked whenever all shards have come to rest, before time moves. It may act on
    /// the world: play clients, inject faults.
    ///
    /// # Errors
    /// See [`RunError`]; `limit` is virtual time.
    pub fn run_until(&self, limit: Duration, mut done: impl FnMut() -> bool) -> Result<(), RunError> {
        let end = self.world.now().after(limit);
        let seed = self.world.seed();
        loop {
            self.settle()?;
            if done() {
                return Ok(());
            }
            // What `done` did may have made the shards busy again at this very moment.
            let at_rest = self.settle()?;
            let at = self.world.now();
            if at >= end {
                return Err(RunError::TimeLimit { seed, limit });
            }
            if !at_rest {
                self.world.advance_until(at.after(BUSY_MOMENT).min(end));
            } else if !self.advance(end) {
                return if done() { Ok(()) } else { Err(RunError::Deadlock { seed, at }) };
            }
        }
    }

    /// Runs until nothing is due and no timer is set, or for `limit` of virtual time. True if all came to rest.
    ///
    /// # Errors
    /// If the world ends.
    pub fn run_to_rest(&self, limit: Duration) -> Result<bool, RunError> {
        match self.run_until(limit, || false) {
            Ok(()) | Err(RunError::Deadlock { .. }) => Ok(true),
            Err(RunError::TimeLimit { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets `time` of virtual time pass.
    ///
    /// # Errors
    /// If the world ends.
    pub fn run_for(&self, time: Duration) -> Result<(), RunError> {
        let end = self.world.now().after(time);
        self.run_to_rest(time)?;
        while self.world.now() < end {
            self.world.advance_until(end);
            self.settle()?;
        }
        Ok(())
    }

    /// Runs all shards until `future`, as a task of `shard`, is ready, and returns its output.
    ///
    /// # Errors
    /// See [`RunError`]; `limit` is virtual time.
    pub fn run<T: 'static>(
        &self,
        shard: usize,
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> Result<T, RunError> {
        let output = Rc::new(Cell::new(None));
        let slot = Rc::clone(&output);
        // Dropped on an early return, which cancels the task.
        let _task = self.io(shard).spawn("simulated", async move { slot.set(Some(future.await)) });
        let mut result = None;
        self.run_until(limit, || {
            result = result.take().or_else(|| output.take());
            result.is_some()
        })?;
        match result {
            Some(result) => Ok(result),
            None => unreachable!("the run ended because there was a result"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::io::sim::{CrashPoint, Fault, OpKind, SimOptions};
    use crate::io::{AlignedBuf, OpenMode, PAGE_BYTES};

    const LIMIT: Duration = Duration::from_secs(60);

    async fn write_file(io: Io, path: &'static str, pages: usize) -> io::Result<()> {
        let file = io.open(path, OpenMode::DirectCreate).await?;
        let mut data = AlignedBuf::zeroed(pages * PAGE_BYTES);
        data.fill(7);
        file.write_at(data.freeze(), 0, true).await?;
        io.sync_dir("/").await
    }

    #[test]
    fn a_future_runs_over_files_and_short_writes_to_its_end() {
        for seed in 0..30 {
            let world = SimWorld::new(SimOptions { short_file_io: 0.5, ..SimOptions::new(seed) });
            let runner = SimRunner::new(&world, 1);
            runner.run(0, LIMIT, write_file(runner.io(0).clone(), "/a", 5)).unwrap().unwrap();
            let image = world.power_loss().live_image();
            assert_eq!(image.values().next(), Some(&vec![7; 5 * PAGE_BYTES]));
        }
    }

    #[test]
    fn shards_interleave_by_the_seed_and_a_seed_replays() {
        let run = |seed| {
            let world = SimWorld::new(SimOptions::new(seed));
            let runner = SimRunner::new(&world, 3);
            for (shard, path) in ["/a", "/b", "/c"].into_iter().enumerate() {
                runner.io(shard).spawn("writer", write_file(runner.io(shard).clone(), path, 3)).detach();
            }
            assert!(runner.run_to_rest(LIMIT).unwrap());
            assert_eq!(world.dump_image().len(), 3);
            world.trace_hash()
        };
        let hashes: Vec<u64> = (0..10).map(run).collect();
        assert_eq!(hashes, (0..10).map(run).collect::<Vec<_>>());
        assert_eq!(hashes.into_iter().collect::<BTreeSet<_>>().len(), 10);
    }

    #[test]
    fn timers_move_time_and_limits_hold() {
        let world = SimWorld::new(SimOptions::new(1));
        let runner = SimRunner::new(&world, 2);
        let start = world.now();
        let io = runner.io(1).clone();
        runner.run(1, LIMIT, async move { io.sleep(Duration::from_secs(9)).await }).unwrap();
        assert_eq!(world.now().since(start), Duration::from_secs(9));
        let never = runner.run(0, LIMIT, std::future::pending::<()>());
        assert!(matches!(never, Err(RunError::Deadlock { seed: 1, .. })));
        let io = runner.io(0).clone();
        let late = runner.run(0, LIMIT, async move { io.sleep(2 * LIMIT).await });
        assert!(matches!(late, Err(RunError::TimeLimit { .. })));
        let before = world.now();
        runner.run_for(LIMIT).unwrap();
        assert_eq!(world.now().since(before), LIMIT);
    }

    #[test]
    fn a_busy_shard_does_not_stop_time() {
        let world = SimWorld::new(SimOptions::new(1));
        let runner = SimRunner::new(&world, 2);
        let (busy, other) = (runner.io(0).clone(), runner.io(1).clone());
        let spin = async move {
            loop {
                busy.yield_now().await;
            }
        };
        runner.io(0).spawn("spin", spin).detach();
        runner.run(1, LIMIT, async move { other.sleep(Duration::from_millis(3)).await }).unwrap();
    }

    #[test]
    fn a_crash_ends_the_run_and_an_error_reaches_the_task() {
        let world = SimWorld::new(SimOptions::new(5));
        let runner = SimRunner::new(&world, 1);
        world.inject(Fault::error(nix::errno::Errno::EIO).on(OpKind::SyncDir).nth(1));
        let failed = runner.run(0, LIMIT, write_file(runner.io(0).clone(), "/a", 1)).unwrap();
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(nix::libc::EIO));
        world.crash_at(CrashPoint::SyncIssued(world.syncs_issued() + 1));
        let crashed = runner.run(0, LIMIT, write_file(runner.io(0).clone(), "/b", 1));
        assert!(matches!(crashed, Err(RunError::Crashed { seed: 5 })));
        drop(runner);
        assert!(!world.power_loss().is_dead());
    }
}
