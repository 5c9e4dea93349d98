//! The machine that every simulated shard runs on, and the test's handle to it.
//!
//! The test makes a world, takes drivers from it, runs the code under test, and lets time pass; it injects faults,
//! plays the clients, and cuts the power. A crash ends the world: its drivers swallow what is submitted, their turns
//! fail, and the next world starts with the disk that the crash left behind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::SimClient;
use super::clock::{Clock, Event};
use super::disk::{Disk, DiskImage};
use super::driver::SimDriver;
use super::fault::{Fault, FaultId, FaultPlan};
use super::network::Network;
use super::options::{OnViolation, SimOptions, SimViolation};
use super::prng::Prng;
use super::submit::{Handle, InFlight};
use super::trace::Trace;
use crate::io::{Completion, Doorbell, Monotonic};

/// A moment at which the world ends by itself. Counts start at 1 and belong to one world.
///
/// A sync, here, is a `Sync`, a `SyncDir`, or a `Write` with `durable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The n-th operation was submitted and has not completed.
    OpIssued(u64),
    /// The n-th sync was submitted and has not completed.
    SyncIssued(u64),
    /// The n-th sync has completed, and nobody has learnt of it.
    SyncDone(u64),
}

pub(super) struct Bell(AtomicBool);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One driver's part of the world.
pub(super) struct DriverState {
    pub(super) process: u32,
    bell: Arc<Bell>,
    pub(super) ready: Vec<Completion>,
    pub(super) files: BTreeMap<i32, Handle>,
    pub(super) prng: Prng,
}

impl DriverState {
    pub(super) fn doorbell(&self) -> Arc<dyn Doorbell> {
        Arc::<Bell>::clone(&self.bell)
    }

    pub(super) fn take_ring(&self) -> bool {
        self.bell.0.swap(false, Ordering::Acquire)
    }
}

pub(super) struct World {
    pub(super) options: SimOptions,
    pub(super) prng: Prng,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) network: Network,
    pub(super) faults: FaultPlan,
    pub(super) trace: Trace,
    pub(super) drivers: Vec<DriverState>,
    pub(super) in_flight: BTreeMap<u64, InFlight>,
    /// Descriptors that each process has open.
    pub(super) descriptors: BTreeMap<u32, usize>,
    pub(super) violations: Vec<SimViolation>,
    pub(super) crash_point: Option<CrashPoint>,
    pub(super) dead: bool,
    pub(super) ops_issued: u64,
    pub(super) syncs_issued: u64,
    pub(super) syncs_done: u64,
    next_id: i32,
}

impl World {
    fn new(options: SimOptions, prng: Prng, disk: Disk, start: Monotonic) -> World {
        World {
            clock: Clock::new(start, options.epoch_ms),
            trace: Trace::new(options.keep_trace),
            options,
            prng,
            disk,
            network: Network::default(),
            faults: FaultPlan::default(),
            drivers: Vec::new(),
            in_flight: BTreeMap::new(),
            descriptors: BTreeMap::new(),
            violations: Vec::new(),
            crash_point: None,
            dead: false,
            ops_issued: 0,
            syncs_issued: 0,
            syncs_done: 0,
            next_id: 100,
        }
    }

    /// A number for a descriptor. Never given twice, so that a use after close cannot hit somebody else.
    pub(super) fn fresh_id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn note(&mut self, event: std::fmt::Arguments<'_>) {
        self.trace.record(self.clock.now(), event);
    }

    pub(super) fn violate(&mut self, violation: SimViolation) {
        self.note(format_args!("violation {violation:?}"));
        match self.options.on_violation {
            OnViolation::Panic => panic!("simulation, seed {}: {violation:?}", self.options.seed),
            OnViolation::Record => self.violations.push(violation),
        }
    }

    pub(super) fn reach(&mut self, point: CrashPoint) {
        if self.crash_point == Some(point) {
            self.note(format_args!("crash at {point:?}"));
            self.die();
        }
    }

    fn die(&mut self) {
        self.dead = true;
        for connection in self.network.connections.values_mut() {
            connection.reset = true;
        }
    }

    /// Handles what is due by now.
    pub(super) fn run_due(&mut self) {
        while !self.dead
            && let Some(event) = self.clock.take_due()
        {
            match event {
                Event::Land(key) => self.land(key),
                Event::Complete(key) => self.complete(key),
                Event::Socket(id) => self.serve(id),
            }
        }
    }

    /// Moves time to the next event, if that comes by `limit`, else to `limit`, and handles what is due. False if
    /// there is neither.
    pub(super) fn advance(&mut self, limit: Option<Monotonic>) -> bool {
        let target = match (self.clock.next_due(), limit) {
            (Some(due), Some(limit)) => due.min(limit),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return false,
        };
        self.clock.advance(target);
        self.run_due();
        true
    }

    /// Ends the world; what was in flight may have happened, or partly.
    fn crash(&mut self, what: &str) -> Disk {
        self.note(format_args!("{what}"));
        self.die();
        self.settle_in_flight();
        std::mem::replace(&mut self.disk, Disk::new(0))
    }
}

/// The test's handle to a simulated machine. Clones are the same machine.
#[derive(Clone)]
pub struct SimWorld {
    world: Rc<RefCell<World>>,
}

impl SimWorld {
    /// A machine with an empty disk.
    pub fn new(options: SimOptions) -> SimWorld {
        let disk = Disk::new(options.disk_bytes);
        let prng = Prng::new(options.seed);
        SimWorld::from_world(World::new(options, prng, disk, Monotonic(1_000_000_000)))
    }

    /// A machine whose disk holds these files and nothing else, durably.
    ///
    /// # Errors
    /// If the paths contradict each other.
    pub fn load_image(options: SimOptions, image: &DiskImage) -> io::Result<SimWorld> {
        let world = SimWorld::new(options);
        for (path, contents) in image {
            world.put_file(path, contents)?;
        }
        Ok(world)
    }

    fn from_world(world: World) -> SimWorld {
        SimWorld { world: Rc::new(RefCell::new(world)) }
    }

    /// A driver for one more shard of the first process.
    pub fn driver(&self) -> Rc<SimDriver> {
        self.driver_of(0)
    }

    /// A driver for a shard of this process; processes differ in whose locks they hold and in their descriptors.
    pub fn driver_of(&self, process: u32) -> Rc<SimDriver> {
        let mut world = self.world.borrow_mut();
        let prng = world.prng.fork();
        world.drivers.push(DriverState {
            process,
            bell: Arc::new(Bell(AtomicBool::new(false))),
            ready: Vec::new(),
            files: BTreeMap::new(),
            prng,
        });
        Rc::new(SimDriver::new(Rc::clone(&self.world), world.drivers.len() - 1))
    }

    /// Virtual time now.
    pub fn now(&self) -> Monotonic {
        self.world.borrow().clock.now()
    }

    /// Moves time to the next event and handles it. False if nothing is due ever: only a test's action, or a timer
    /// of the code under test, can change anything.
    pub fn advance_to_next_event(&self) -> bool {
        self.world.borrow_mut().advance(None)
    }

    /// Moves time to the next event, or to `limit` if that is sooner, and handles what is due. Returns the time.
    pub fn advance_until(&self, limit: Monotonic) -> Monotonic {
        let mut world = self.world.borrow_mut();
        world.advance(Some(limit));
        world.clock.now()
    }

    /// When the next event is due.
    pub fn next_event(&self) -> Option<Monotonic> {
        self.world.borrow().clock.next_due()
    }

    /// Moves the wall clock, not the monotonic one.
    pub fn step_wall_clock(&self, delta_ms: i64) {
        self.world.borrow_mut().clock.step_wall(delta_ms);
    }

    /// Random bits for the test's own decisions, from the same seed.
    pub fn random(&self) -> u64 {
        self.world.borrow_mut().prng.bits()
    }

    /// Connects a client to a listener. The connection waits in the backlog until it is accepted.
    ///
    /// # Errors
    /// ECONNREFUSED without a listener there, or with a full backlog.
    pub fn connect(&self, address: SocketAddr) -> io::Result<SimClient> {
        let id = self.world.borrow_mut().connect(address)?;
        Ok(SimClient::new(Rc::clone(&self.world), id))
    }

    /// Puts a fault in force.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.world.borrow_mut().faults.add(fault)
    }

    /// Ends one fault.
    pub fn lift(&self, fault: FaultId) {
        self.world.borrow_mut().faults.lift(fault);
    }

    /// Ends every fault.
    pub fn lift_all(&self) {
        self.world.borrow_mut().faults.lift_all();
    }

    /// Changes the size of the disk, in bytes; below what is used means full.
    pub fn set_disk_bytes(&self, bytes: u64) {
        self.world.borrow_mut().disk.set_capacity(bytes);
    }

    /// Changes how many descriptors a process may have open.
    pub fn set_open_files_max(&self, open_files_max: usize) {
        self.world.borrow_mut().options.open_files_max = open_files_max;
    }

    /// Makes a directory and those above it, durably.
    ///
    /// # Errors
    /// If a file is in the way.
    pub fn make_dirs(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.world.borrow_mut().disk.make_dirs(path.as_ref())
    }

    /// Puts a file on stable storage, with its directories, in place of one of that name. All names so far become
    /// durable.
    ///
    /// # Errors
    /// If the path is not possible.
    pub fn put_file(&self, path: impl AsRef<Path>, contents: &[u8]) -> io::Result<()> {
        self.world.borrow_mut().disk.put_file(path.as_ref(), contents)
    }

    /// Flips `bits` of the byte at `offset` of a file, as a decaying medium does.
    ///
    /// # Errors
    /// ENOENT without such a file, ERANGE past its end.
    pub fn corrupt(&self, path: impl AsRef<Path>, offset: u64, bits: u8) -> io::Result<()> {
        self.world.borrow_mut().disk.corrupt(path.as_ref(), offset, bits)
    }

    /// Every file with what is certain to survive a power loss now.
    pub fn dump_image(&self) -> DiskImage {
        self.world.borrow().disk.stable_image()
    }

    /// Every file as the process sees it now.
    pub fn live_image(&self) -> DiskImage {
        self.world.borrow().disk.live_image()
    }

    /// Ends the world at this moment; see [`SimWorld::is_dead`].
    pub fn crash_at(&self, point: CrashPoint) {
        self.world.borrow_mut().crash_point = Some(point);
    }

    /// Whether the world has ended; drivers of it fail in their next turn.
    pub fn is_dead(&self) -> bool {
        self.world.borrow().dead
    }

    /// Cuts the power, and starts the machine again with what the disk kept.
    pub fn power_loss(&self) -> SimWorld {
        let mut world = self.world.borrow_mut();
        let disk = world.crash("power loss");
        let tear = world.options.tear_within_sectors;
        let disk = disk.after_power_loss(tear, &mut world.prng);
        world.successor(disk)
    }

    /// Ends the process as SIGKILL does. What had completed is still in the page cache, and as volatile as it was.
    pub fn process_kill(&self) -> SimWorld {
        let mut world = self.world.borrow_mut();
        let disk = world.crash("process kill").after_process_kill();
        world.successor(disk)
    }

    /// Another machine with a copy of the disk as it is now, unsynced effects included, and a seed of its own: one
    /// state can be crashed in many ways. Operations in flight are not part of the copy.
    pub fn fork(&self, seed: u64) -> SimWorld {
        let world = self.world.borrow();
        let disk = world.disk.clone().after_process_kill();
        let options = SimOptions { seed, ..world.options.clone() };
        SimWorld::from_world(World::new(options, Prng::new(seed), disk, world.clock.now()))
    }

    /// Operations submitted to this world so far.
    pub fn ops_issued(&self) -> u64 {
        self.world.borrow().ops_issued
    }

    /// Syncs submitted so far, as [`CrashPoint`] counts them.
    pub fn syncs_issued(&self) -> u64 {
        self.world.borrow().syncs_issued
    }

    /// Syncs that completed without an error so far.
    pub fn syncs_done(&self) -> u64 {
        self.world.borrow().syncs_done
    }

    /// Operations that have not completed.
    pub fn ops_in_flight(&self) -> usize {
        self.world.borrow().in_flight.len()
    }

    /// The rules that were broken, when the options say to record them.
    pub fn violations(&self) -> Vec<SimViolation> {
        self.world.borrow().violations.clone()
    }

    /// What happened, one line an event, if the options keep it.
    pub fn trace(&self) -> Vec<String> {
        self.world.borrow().trace.lines().to_vec()
    }

    /// A hash over everything that happened, with its times.
    pub fn trace_hash(&self) -> u64 {
        self.world.borrow().trace.hash()
    }

    /// The seed that replays this world.
    pub fn seed(&self) -> u64 {
        self.world.borrow().options.seed
    }
}

impl World {
    fn successor(&mut self, disk: Disk) -> SimWorld {
        let restart = self.clock.now().after(Duration::from_secs(1));
        let mut next = World::new(self.options.clone(), self.prng.fork(), disk, restart);
        next.clock.step_wall(self.clock.wall_ms() + 1_000 - next.clock.wall_ms());
        SimWorld::from_world(next)
    }
}
