//! The real driver: one io_uring per shard thread.
//!
//! Entries carry the operation's id and no pointer; what they point to lives in a slot with the same index until the
//! kernel has finished. Dropping the driver cancels what is in flight and waits for it, so that the kernel never
//! touches freed memory. It registers no buffers, so it needs no locked memory.
//!
//! Blocking calls happen only where the seam says so: listening, listing, locking, and the size of an open file.

mod blocking;
mod doorbell;
mod linger;
mod ring;
mod slot;

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use nix::libc;

use self::doorbell::RingDoorbell;
use self::linger::Linger;
pub(super) use self::ring::RingMode;
use self::ring::{Finished, Ring};
use self::slot::{InFlight, Message, Step};
use super::buf;
use super::probe::Capabilities;
use super::{
    Buffer, Completion, DirEntry, Doorbell, Driver, FileId, ListenOptions, ListenerId, Monotonic, Op, OpId,
    Outcome, Park, SocketId,
};
use crate::bounds::SEND_HEADERS_KEPT_MAX;

/// Marks entries that belong to no operation.
const OWN: u64 = 1 << 63;
const DOORBELL: u64 = OWN;
const IGNORED: u64 = OWN | 1;

/// How long dropping a driver waits for the kernel; what is still in flight then is leaked, not freed.
const DROP_WAIT: Duration = Duration::from_secs(30);

/// One thread's io_uring. See the module.
pub struct UringDriver {
    inner: RefCell<Inner>,
    doorbell: Arc<RingDoorbell>,
    locks: RefCell<Vec<File>>,
    entropy: RefCell<blocking::Entropy>,
    /// What the scheduler tells of this thread, if it does.
    scheduled: Option<File>,
}

struct Inner {
    ring: Ring,
    slots: Vec<Option<(OpId, InFlight)>>,
    in_flight: usize,
    /// Operations that ended at submission.
    ended: Vec<Completion>,
    #[expect(clippy::vec_box, reason = "a header must not move while the kernel may read it")]
    spare_messages: Vec<Box<Message>>,
    doorbell: Arc<RingDoorbell>,
    doorbell_armed: bool,
    /// Where the ring reads the doorbell's counter to.
    rings: Box<u64>,
    ring_truncates: bool,
    linger: Linger,
}

impl UringDriver {
    /// A ring for the calling thread, which alone may use it.
    ///
    /// # Errors
    /// As io_uring_setup(2) and eventfd(2); [`super::Probe::run`] has told the usual reasons before.
    pub fn new(capabilities: &Capabilities) -> io::Result<UringDriver> {
        let doorbell = Arc::new(RingDoorbell::new()?);
        let inner = Inner {
            ring: Ring::new()?,
            slots: Vec::new(),
            in_flight: 0,
            ended: Vec::new(),
            spare_messages: Vec::new(),
            doorbell: Arc::clone(&doorbell),
            doorbell_armed: false,
            rings: Box::new(0),
            ring_truncates: capabilities.ring_truncates,
            linger: Linger::new(Duration::ZERO),
        };
        buf::keep_ahead();
        let entropy = RefCell::new(blocking::Entropy::new());
        let scheduled = File::open("/proc/thread-self/schedstat").ok();
        Ok(UringDriver {
            inner: RefCell::new(inner),
            doorbell,
            locks: RefCell::default(),
            entropy,
            scheduled,
        })
    }

    /// Looks for work for up to `window_max` before the thread sleeps, where that has shown to be worth it.
    pub fn lingering(self, window_max: Duration) -> UringDriver {
        self.inner.borrow_mut().linger = Linger::new(window_max);
        self
    }
}

impl UringDriver {
    /// Lets this many calls that block (creations, allocations, syncs) run at a time. A kernel that cannot be told (before
    /// 5.15) keeps its own limit.
    pub fn allow_workers(&self, workers: u32) {
        if let Err(error) = self.inner.borrow().ring.allow_workers(workers) {
            tracing::debug!("the ring keeps its number of workers: {error}");
        }
    }
}

impl Inner {
    fn submit(&mut self, id: OpId, op: Op) {
        match self.describe(op) {
            Ok((in_flight, entry)) => self.start(id, in_flight, entry),
            Err((result, buffer)) => self.ended.push(Completion { id, result, buffer }),
        }
    }

    fn start(&mut self, id: OpId, in_flight: InFlight, entry: squeue::Entry) {
        let index = id.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let before = self.slots[index].replace((id, in_flight));
        assert!(before.is_none(), "two operations in flight with one index");
        self.in_flight += 1;
        // SAFETY: the entry points only to heap memory of its InFlight, which stays in its slot until it finished.
        unsafe { self.ring.push(entry.user_data(id.0)) };
    }

    /// The entry for an operation, or its end if it needs none.
    fn describe(&mut self, op: Op) -> Result<(InFlight, squeue::Entry), (io::Result<Outcome>, Buffer)> {
        let no_path = |error| (Err(error), Buffer::None);
        let nothing = (Ok(Outcome::Count(0)), Buffer::None);
        Ok(match op {
            Op::Open { path, mode } => slot::open(slot::c_path(&path).map_err(no_path)?, mode, true),
            Op::CloseFile { file } => slot::close(file.0),
            Op::Read { file, offset, len, buf } => slot::read(file, offset, len, buf),
            Op::Write { data, .. } if data.is_empty() => return Err(nothing),
            Op::Write { file, offset, data, durable } => slot::write(file, offset, data, durable),
            Op::Sync { file } => slot::sync(file),
            Op::Allocate { file, offset, len, extend } => slot::allocate(file, offset, len, extend),
            Op::Truncate { file, len } if self.ring_truncates => slot::truncate(file, len),
            Op::Truncate { file, len } => {
                return Err((blocking::truncate(file, len).map(|()| Outcome::Done), Buffer::None));
            }
            Op::Rename { from, to } => {
                let (from, to) = (slot::c_path(&from).map_err(no_path)?, slot::c_path(&to).map_err(no_path)?);
                slot::rename(from, to)
            }
            Op::Unlink { path } => slot::unlink(slot::c_path(&path).map_err(no_path)?, 0),
            Op::MakeDir { path } => slot::make_dir(slot::c_path(&path).map_err(no_path)?),
            Op::RemoveDir { path } => slot::unlink(slot::c_path(&path).map_err(no_path)?, libc::AT_REMOVEDIR),
            Op::SyncDir { path } => slot::open_directory(slot::c_path(&path).map_err(no_path)?),
            Op::Accept { listener } => slot::accept(listener.0),
            Op::Recv { socket, buf, max } => slot::recv(socket, buf, max),
            Op::Send { data, .. } if data.is_empty() => return Err(nothing),
            Op::Send { socket, data, more } => slot::send(socket, data, more, &mut self.spare_messages),
            Op::CloseSocket { socket } => {
                // Ends what is in flight on it, which closing alone would not.
                blocking::shut_down(socket.0);
                slot::close(socket.0)
            }
        })
    }

    fn cancel(&mut self, id: OpId) {
        let entry = opcode::AsyncCancel::new(id.0).build().user_data(IGNORED);
        // SAFETY: the entry points to nothing.
        unsafe { self.ring.push(entry) };
    }

    fn arm_doorbell(&mut self) {
        if self.doorbell_armed {
            return;
        }
        self.doorbell_armed = true;
        let target = (&raw mut *self.rings).cast();
        let entry = opcode::Read::new(Fd(self.doorbell.descriptor()), target, size_of::<u64>() as u32);
        // SAFETY: `rings` lives until the driver is dropped, which waits for this entry.
        unsafe { self.ring.push(entry.build().user_data(DOORBELL)) };
    }

    fn turn(&mut self, park: Park, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.arm_doorbell();
        let park = if self.ended.is_empty() { park } else { Park::Poll };
        let entered =
            if park == Park::Poll { self.ring.enter(park, blocking::monotonic) } else { self.wait(park) };
        completions.append(&mut self.ended);
        while let Some(finished) = self.ring.next_finished() {
            self.finish(&finished, completions);
        }
        entered
    }

    /// A turn with nothing to do until there is a completion, the doorbell, or the end of `park`.
    fn wait(&mut self, park: Park) -> io::Result<()> {
        let begun = blocking::monotonic();
        let found = self.linger.is_worth_it() && self.look(park)?;
        let park = if found || !self.doorbell.park() { Park::Poll } else { park };
        let entered = self.ring.enter(park, blocking::monotonic);
        if park != Park::Poll {
            self.doorbell.unpark();
        }
        self.linger.waited(blocking::monotonic().since(begun));
        entered
    }

    /// Submits, and looks for work without sleeping.
    fn look(&mut self, park: Park) -> io::Result<bool> {
        self.ring.enter(Park::Poll, blocking::monotonic)?;
        let deadline = match park {
            Park::Until(deadline) => Some(deadline),
            Park::Poll | Park::Forever => None,
        };
        let (ring, doorbell) = (&mut self.ring, &self.doorbell);
        Ok(self.linger.look(deadline, blocking::monotonic, || ring.has_work() || doorbell.is_rung()))
    }

    fn finish(&mut self, finished: &Finished, completions: &mut Vec<Completion>) {
        if finished.user_data & OWN != 0 {
            self.doorbell_armed &= finished.user_data != DOORBELL;
            return;
        }
        let id = OpId(finished.user_data);
        let Some((known, in_flight)) = self.slots[id.index()].take() else {
            unreachable!("the kernel finished an operation twice")
        };
        debug_assert_eq!(known, id, "an entry of another generation finished");
        self.in_flight -= 1;
        self.close_own(&in_flight);
        match in_flight.finish(finished.result, &mut self.spare_messages) {
            Step::Done(result, buffer) => completions.push(Completion { id, result, buffer }),
            Step::Next(in_flight, entry) => self.start(id, in_flight, entry),
        }
        self.spare_messages.truncate(SEND_HEADERS_KEPT_MAX);
    }

    fn close_own(&mut self, in_flight: &InFlight) {
        if let Some(descriptor) = in_flight.own_descriptor() {
            let (_, entry) = slot::close(descriptor);
            // SAFETY: the entry points to nothing.
            unsafe { self.ring.push(entry.user_data(IGNORED)) };
        }
    }

    /// Asks the kernel to end everything, and waits until it has let go of all memory. Returns whether it did.
    fn drain(&mut self) -> io::Result<bool> {
        let deadline = Instant::now() + DROP_WAIT;
        let mut completions = Vec::new();
        self.ring.enter(Park::Poll, blocking::monotonic)?;
        self.cancel_all();
        while (self.in_flight > 0 || self.doorbell_armed) && Instant::now() < deadline {
            let soon = blocking::monotonic().after(Duration::from_millis(100));
            self.ring.enter(Park::Until(soon), blocking::monotonic)?;
            while let Some(finished) = self.ring.next_finished() {
                self.finish(&finished, &mut completions);
            }
            completions.drain(..).for_each(close_opened);
        }
        self.ring.enter(Park::Poll, blocking::monotonic)?;
        Ok(self.in_flight == 0 && !self.doorbell_armed)
    }

    fn cancel_all(&mut self) {
        let ids: Vec<OpId> = self.slots.iter().flatten().map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.cancel(id));
        if self.doorbell_armed {
            self.cancel(OpId(DOORBELL));
        }
    }

    fn cancel_accepts(&mut self, listener: ListenerId) {
        let waits = |(_, in_flight): &&(OpId, InFlight)| matches!(in_flight, InFlight::Accept { listener: on, .. } if *on == listener.0);
        let ids: Vec<OpId> = self.slots.iter().flatten().filter(waits).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.cancel(id));
    }

    /// Gives up what the kernel may still touch without freeing it.
    fn leak(&mut self) {
        Vec::leak(std::mem::take(&mut self.slots));
        Box::leak(std::mem::take(&mut self.rings));
    }
}

/// Closes what an operation opened when nobody can take it any more.
fn close_opened(completion: Completion) {
    match completion.result {
        Ok(Outcome::File(FileId(descriptor)) | Outcome::Accepted(SocketId(descriptor), _)) => {
            blocking::close(descriptor);
        }
        Ok(Outcome::Done | Outcome::Count(_)) | Err(_) => {}
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let drained = self.drain();
        if !matches!(drained, Ok(true)) {
            tracing::error!(
                operations = self.in_flight,
                ?drained,
                "operations did not end; their memory is leaked"
            );
            self.leak();
        }
    }
}

impl Driver for UringDriver {
    fn submit(&self, id: OpId, op: Op) {
        self.inner.borrow_mut().submit(id, op);
    }

    fn cancel(&self, id: OpId) {
        self.inner.borrow_mut().cancel(id);
    }

    fn turn(&self, park: Park, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.inner.borrow_mut().turn(park, completions)
    }

    fn now(&self) -> Monotonic {
        blocking::monotonic()
    }

    fn cpu_wait(&self) -> Duration {
        self.scheduled.as_ref().and_then(blocking::cpu_wait).unwrap_or_default()
    }

    fn wall_clock_ms(&self) -> i64 {
        blocking::wall_clock_ms()
    }

    fn random(&self) -> u64 {
        self.entropy.borrow_mut().next()
    }

    fn doorbell(&self) -> Arc<dyn Doorbell> {
        Arc::clone(&self.doorbell) as Arc<dyn Doorbell>
    }

    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<(ListenerId, SocketAddr)> {
        blocking::listen(address, options)
    }

    fn close_listener(&self, listener: ListenerId) {
        self.inner.borrow_mut().cancel_accepts(listener);
        blocking::shut_down(listener.0);
        blocking::close(listener.0);
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        blocking::list_dir(path)
    }

    fn file_len(&self, file: FileId) -> io::Result<u64> {
        blocking::file_len(file)
    }

    fn lock_file(&self, path: &Path) -> io::Result<bool> {
        let lock = blocking::lock_file(path)?;
        let locked = lock.is_some();
        self.locks.borrow_mut().extend(lock);
        Ok(locked)
    }

    fn disk_space(&self, path: &Path) -> io::Result<(u64, u64)> {
        blocking::disk_space(path)
    }
}

#[cfg(test)]
mod tests;
