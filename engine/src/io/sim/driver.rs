//! One shard's driver: a handle into the world.
//!
//! A turn with `Park::Poll` never moves time. A parked turn moves it, event by event, until something is there for
//! this driver or its deadline has come: enough for one reactor under `block_on`. Several reactors on one thread are
//! stepped with `Park::Poll` by the runner, which moves time once none of them can go on.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use nix::errno::Errno;

use super::world::World;
use crate::io::{
    Completion, DirEntry, Doorbell, Driver, FileId, ListenOptions, ListenerId, Monotonic, Op, OpId, Park,
};

pub struct SimDriver {
    world: Rc<RefCell<World>>,
    index: usize,
}

impl SimDriver {
    pub(super) fn new(world: Rc<RefCell<World>>, index: usize) -> SimDriver {
        SimDriver { world, index }
    }

    /// Whether a turn would return at once: a completion or a ring waits.
    fn take_ready(world: &mut World, index: usize, completions: &mut Vec<Completion>) -> bool {
        let driver = &mut world.drivers[index];
        let rung = driver.take_ring();
        let ready = !driver.ready.is_empty();
        completions.append(&mut driver.ready);
        rung || ready
    }
}

impl Driver for SimDriver {
    fn submit(&self, id: OpId, op: Op) {
        self.world.borrow_mut().submit(self.index, id, op);
    }

    fn cancel(&self, id: OpId) {
        self.world.borrow_mut().cancel(self.index, id);
    }

    /// # Errors
    /// When the world has ended, and when a parked turn would wait for ever.
    fn turn(&self, park: Park, completions: &mut Vec<Completion>) -> io::Result<()> {
        let world = &mut *self.world.borrow_mut();
        let deadline = match park {
            Park::Until(deadline) => Some(deadline),
            Park::Poll | Park::Forever => None,
        };
        world.run_due();
        loop {
            if world.dead {
                return Err(io::Error::other("the simulated machine has crashed"));
            }
            let done = SimDriver::take_ready(world, self.index, completions);
            if done || park == Park::Poll || deadline.is_some_and(|deadline| deadline <= world.clock.now()) {
                return Ok(());
            }
            if !world.advance(deadline) {
                let seed = world.options.seed;
                return Err(io::Error::other(format!(
                    "simulation, seed {seed}: parked, and nothing will happen"
                )));
            }
        }
    }

    fn now(&self) -> Monotonic {
        self.world.borrow().clock.now()
    }

    fn wall_clock_ms(&self) -> i64 {
        self.world.borrow().clock.wall_ms()
    }

    fn random(&self) -> u64 {
        self.world.borrow_mut().drivers[self.index].prng.bits()
    }

    fn doorbell(&self) -> Arc<dyn Doorbell> {
        self.world.borrow().drivers[self.index].doorbell()
    }

    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<(ListenerId, SocketAddr)> {
        self.world.borrow_mut().listen(self.index, address, options)
    }

    fn close_listener(&self, listener: ListenerId) {
        self.world.borrow_mut().close_listener(listener.0);
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.world.borrow().disk.list(path)
    }

    fn file_len(&self, file: FileId) -> io::Result<u64> {
        let world = self.world.borrow();
        let handle = world.drivers[self.index].files.get(&file.0).ok_or(Errno::EBADF)?;
        Ok(world.disk.file(handle.inode).len())
    }

    fn lock_file(&self, path: &Path) -> io::Result<bool> {
        let world = &mut *self.world.borrow_mut();
        let process = world.drivers[self.index].process;
        world.disk.lock(path, process)
    }

    fn disk_space(&self, path: &Path) -> io::Result<(u64, u64)> {
        let world = self.world.borrow();
        world.disk.names().lookup(path)?;
        Ok(world.disk.space())
    }
}
