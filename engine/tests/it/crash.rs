//! Random workloads that end at a random moment, by power loss or SIGKILL; then recovery, perhaps cut short as well.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use thalweg_engine::io::sim::{CrashPoint, Prng, RunError, SimOptions, SimWorld};
use thalweg_engine::log::Durability;
use thalweg_engine::runtime::EngineOptions;

use crate::harness::{LIMIT, NoStart, Server, engine_options};
use crate::oracle::{Known, Oracle, Survival};
use crate::seeds;
use crate::workload::{Clients, Mix};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    PowerLoss,
    ProcessKill,
}

impl Ending {
    fn strike(self, world: &SimWorld) -> SimWorld {
        match self {
            Ending::PowerLoss => world.power_loss(),
            Ending::ProcessKill => world.process_kill(),
        }
    }
}

fn crash_point(world: &SimWorld, prng: &mut Prng) -> CrashPoint {
    let ahead = prng.pick(&[10, 100, 600, 2_000]);
    match prng.below(3) {
        0 => CrashPoint::OpIssued(world.ops_issued() + 1 + prng.below(ahead)),
        1 => CrashPoint::SyncIssued(world.syncs_issued() + 1 + prng.below(ahead / 3)),
        _ => CrashPoint::SyncDone(world.syncs_done() + 1 + prng.below(ahead / 3)),
    }
}

/// A life of one machine: the world, what its clients know, and how it ended last.
struct Life {
    world: SimWorld,
    oracle: Rc<RefCell<Oracle>>,
    prng: Prng,
    durability: Durability,
    /// One log directory, or several.
    dirs: u64,
    /// Whether the power went since the last check.
    power_lost: bool,
}

impl Life {
    fn new(options: SimOptions) -> Life {
        let mut prng = Prng::new(options.seed ^ 0xC0FF_EE00);
        let dirs = prng.pick(&[1, 1, 2, 3]);
        let world = SimWorld::new(options);
        let oracle = Rc::new(RefCell::new(Oracle::default()));
        Life { world, oracle, prng, durability: Durability::Disk, dirs, power_lost: false }
    }

    fn options(&self, shards: u16) -> EngineOptions {
        let dirs = (0..self.dirs).map(|number| format!("/data{number}").into()).collect();
        EngineOptions { dirs, ..engine_options(shards) }
    }

    fn end(&mut self) {
        let ending = self.prng.pick(&[Ending::PowerLoss, Ending::PowerLoss, Ending::ProcessKill]);
        self.power_lost |= ending == Ending::PowerLoss;
        self.world = ending.strike(&self.world);
    }

    /// Starts a server; up to twice the machine goes down meanwhile.
    fn start(&mut self, shards: u16) -> Server {
        for _ in 0..2 {
            if self.prng.chance(0.35) {
                let point = CrashPoint::OpIssued(self.world.ops_issued() + 1 + self.prng.below(150));
                self.world.crash_at(point);
            }
            match self.start_and_check(shards) {
                Ok(server) => return server,
                Err(RunError::Crashed { .. }) => self.end(),
                Err(error) => panic!("recovery: {error}"),
            }
        }
        self.start_and_check(shards).unwrap_or_else(|error| panic!("recovery: {error}"))
    }

    fn start_and_check(&mut self, shards: u16) -> Result<Server, RunError> {
        let server = match Server::try_start(&self.world, &self.options(shards)) {
            Ok(server) => server,
            Err(NoStart::Run(error)) => return Err(error),
            // The machine went down; what recovery made of it in its last moment is of no interest.
            Err(NoStart::Refused(_)) if self.world.is_dead() => {
                return Err(RunError::Crashed { seed: self.world.seed() });
            }
            Err(NoStart::Refused(error)) => panic!("no start: {error}"),
        };
        let weak = self.durability == Durability::Os && self.power_lost;
        let survival = |_: &Known| if weak { Survival::Prefix } else { Survival::All };
        self.oracle.borrow_mut().check(&server, survival)?;
        // A crash point that is still ahead belongs to nobody now.
        self.world.crash_at(CrashPoint::OpIssued(0));
        self.power_lost = false;
        Ok(server)
    }

    fn work(&mut self, server: &Server, mix: Mix) -> Result<(), RunError> {
        let clients = Clients::new(server, &self.oracle, mix);
        clients.start(&mut self.prng);
        if self.prng.chance(0.6) {
            self.world.crash_at(crash_point(&self.world, &mut self.prng));
        }
        let time = Duration::from_micros(self.prng.pick(&[2_000, 50_000, 300_000, 1_000_000]));
        server.runner.run_for(time)
    }
}

fn live_and_crash(seed: u64, sim: SimOptions) {
    let mut life = Life::new(sim);
    let mix = Mix::random(&mut life.prng);
    life.durability = mix.durability;
    let mut shards = life.prng.pick(&[1, 1, 2, 4]);
    for _ in 0..life.prng.between(1, 3) {
        let server = life.start(shards);
        match life.work(&server, mix) {
            Ok(()) | Err(RunError::Crashed { .. }) => (),
            Err(error) => panic!("seed {seed}: {error}"),
        }
        drop(server);
        life.end();
        shards = life.prng.pick(&[shards, 1, 2, 4]);
    }
    let server = life.start(shards);
    stop_and_start(&mut life, server, mix);
}

/// Ends with a clean stop, after which nothing is left to recover.
fn stop_and_start(life: &mut Life, server: Server, mix: Mix) {
    let clients = Clients::new(&server, &life.oracle, mix);
    clients.start(&mut life.prng);
    server.runner.run_for(Duration::from_millis(20)).unwrap();
    clients.stop();
    server.runner.run_until(LIMIT, || clients.are_done()).unwrap();
    server.shutdown().unwrap();
    drop(clients);
    let shards = server.storages.len() as u16;
    drop(server);
    life.end();
    life.power_lost = false;
    let server = life.start_and_check(shards).unwrap();
    assert!(server.report.clean && server.report.replayed_batches == 0, "{:?}", server.report);
}

#[test]
fn crash_at_any_moment_loses_nothing_acknowledged_or_fetched() {
    seeds::run("crash::crash_at_any_moment_loses_nothing_acknowledged_or_fetched", 400, |seed| {
        live_and_crash(seed, SimOptions::varied(seed));
    });
}

/// Proves that the check above can fail: on a disk that acknowledges syncs without doing them, it does.
#[test]
fn a_disk_that_lies_about_its_syncs_is_caught() {
    let lie = |seed| {
        let sim = SimOptions { lie_about_sync: true, ..SimOptions::varied(seed) };
        std::panic::catch_unwind(|| live_and_crash(seed, sim)).is_err()
    };
    let caught = (0..40).filter(|seed| lie(*seed)).count();
    assert!(caught >= 10, "only {caught} of 40 runs noticed");
}
