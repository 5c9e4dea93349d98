//! The loop: [`Io`], the handle through which a shard's code spawns, waits and does I/O.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_task::Runnable;

use super::op::Operations;
use super::queue::{Gate, Root, RunQueue};
use super::stall::{StallDetector, Stalls};
use super::task::{Task, TaskName, Tasks};
use super::timer::{Elapsed, Sleep, Timers};
use crate::bounds::{TASK_POLLS_PER_TURN_MAX, TURN_TIME_MAX};
use crate::io::{Completion, Driver, Monotonic, Park};

/// Handle of this shard's reactor. Cheap to clone; every clone names the same reactor.
#[derive(Clone)]
pub struct Io(Rc<Reactor>);

type Hook = Box<dyn FnMut()>;

/// The messages between this shard and others.
pub(super) trait Inbox {
    /// Takes some messages; whether there were any.
    fn drain(self: Rc<Self>) -> bool;
    /// Whether no message is known to wait.
    fn is_empty(&self) -> bool;
    /// Wakes those to whom something was sent since the last call. Called before each driver turn.
    fn announce(&self);
}

struct Reactor {
    driver: Rc<dyn Driver>,
    gate: Arc<Gate>,
    queue: Arc<RunQueue>,
    /// Ready tasks that were taken from the queue; those over a turn's budget stay for the next.
    batch: RefCell<VecDeque<Runnable<TaskName>>>,
    tasks: Rc<Tasks>,
    operations: Operations,
    timers: Timers,
    hooks: RefCell<Vec<Hook>>,
    inboxes: RefCell<Vec<Rc<dyn Inbox>>>,
    /// Tasks in `yield_now`, woken after the next driver turn.
    yielded: RefCell<Vec<Waker>>,
    completions: RefCell<Vec<Completion>>,
    stalls: StallDetector,
    stepping: Cell<bool>,
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.tasks.end_all(&self.queue, &self.batch);
    }
}

/// Marks that the loop runs; it must not be entered again from inside a task.
struct Stepping<'a>(&'a Cell<bool>);

impl<'a> Stepping<'a> {
    fn enter(stepping: &'a Cell<bool>) -> Stepping<'a> {
        assert!(!stepping.replace(true), "the loop is entered from inside a task");
        Stepping(stepping)
    }
}

impl Drop for Stepping<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Io {
    /// A reactor over `driver`, on the calling thread.
    pub fn new(driver: Rc<dyn Driver>) -> Io {
        let gate = Arc::new(Gate::new(driver.doorbell()));
        Io(Rc::new(Reactor {
            queue: Arc::new(RunQueue::new(Arc::clone(&gate))),
            gate,
            driver,
            batch: RefCell::default(),
            tasks: Rc::default(),
            operations: Operations::new(),
            timers: Timers::default(),
            hooks: RefCell::default(),
            inboxes: RefCell::default(),
            yielded: RefCell::default(),
            completions: RefCell::default(),
            stalls: StallDetector::default(),
            stepping: Cell::new(false),
        }))
    }

    /// Starts a task. `name` is what the stall detector calls it. Await the handle for the output, `detach()` it, or
    /// drop it to cancel the task.
    pub fn spawn<T: 'static>(&self, name: &'static str, f: impl Future<Output = T> + 'static) -> Task<T> {
        self.0.tasks.spawn(&self.0.queue, name, f)
    }

    /// Runs the loop until `f` is ready. Other tasks stay where they are then.
    ///
    /// # Errors
    /// If the driver breaks.
    pub fn block_on<T>(&self, f: impl Future<Output = T>) -> io::Result<T> {
        let mut f = pin!(f);
        let waker = Waker::from(Arc::new(Root(Arc::clone(&self.0.queue))));
        let mut cx = Context::from_waker(&waker);
        waker.wake_by_ref();
        loop {
            if self.0.queue.take_root_woken() {
                let started = self.now();
                let polled = f.as_mut().poll(&mut cx);
                self.0.stalls.observe("main", self.now().since(started), &*self.0.driver);
                if let Poll::Ready(output) = polled {
                    return Ok(output);
                }
            }
            self.step(Park::Forever)?;
        }
    }

    /// One loop turn, which waits no longer than `park` and not at all when a task is ready. Returns whether anything
    /// happened. For a simulation, which steps several reactors on one thread; a shard uses [`Io::block_on`].
    ///
    /// # Errors
    /// If the driver breaks.
    pub fn step(&self, park: Park) -> io::Result<bool> {
        let _stepping = Stepping::enter(&self.0.stepping);
        let started = self.now();
        self.0.stalls.begin_turn(started, &*self.0.driver);
        let mut progress = self.drain_inboxes();
        let ran = Ran { started, at: started, polls: 0 };
        let ran = self.run_ready(ran, TASK_POLLS_PER_TURN_MAX);
        let ran = self.run_hooks(ran);
        // What the hooks woke belongs to this turn: a commit that they start is submitted with it.
        let ran = self.run_ready(ran, TASK_POLLS_PER_TURN_MAX + TASK_POLLS_PER_TURN_MAX / 4);
        progress |= ran.polls > 0;
        self.0.stalls.observe("turn", ran.at.since(started), &*self.0.driver);
        progress |= self.drive(park)?;
        Ok(progress)
    }

    /// The driver's part of a turn, and what it brings.
    fn drive(&self, park: Park) -> io::Result<bool> {
        self.0.inboxes.borrow().iter().for_each(|inbox| inbox.announce());
        let park = self.park_for(park);
        let mut completions = self.0.completions.take();
        let turned = self.0.driver.turn(park, &mut completions);
        self.0.gate.awake();
        let mut progress = !completions.is_empty();
        for completion in completions.drain(..) {
            if let Some(orphan) = self.0.operations.complete(completion) {
                self.reclaim(orphan);
            }
        }
        *self.0.completions.borrow_mut() = completions;
        turned?;
        if self.0.timers.next().is_some() {
            progress |= self.0.timers.fire(self.now()) > 0;
        }
        let mut yielded = self.0.yielded.take();
        progress |= !yielded.is_empty();
        yielded.drain(..).for_each(Waker::wake);
        Ok(progress)
    }

    /// How long the driver may really wait.
    fn park_for(&self, park: Park) -> Park {
        let busy = |reactor: &Reactor| {
            !reactor.batch.borrow().is_empty()
                || !reactor.yielded.borrow().is_empty()
                || !reactor.queue.is_empty()
                || reactor.inboxes.borrow().iter().any(|inbox| !inbox.is_empty())
        };
        if park == Park::Poll {
            return Park::Poll;
        }
        self.0.gate.announce_park();
        if busy(&self.0) {
            self.0.gate.awake();
            return Park::Poll;
        }
        match (park, self.0.timers.next()) {
            (Park::Until(limit), Some(next)) => Park::Until(limit.min(next)),
            (Park::Forever, Some(next)) => Park::Until(next),
            (park, _) => park,
        }
    }

    fn drain_inboxes(&self) -> bool {
        let inboxes = self.0.inboxes.borrow();
        inboxes.iter().fold(false, |any, inbox| Rc::clone(inbox).drain() | any)
    }

    /// Polls ready tasks until there is none, or the turn has polled `polls_max` or taken its time. One task at least is
    /// polled.
    fn run_ready(&self, mut ran: Ran, polls_max: usize) -> Ran {
        while ran.polls < polls_max && (ran.polls == 0 || ran.at.since(ran.started) < TURN_TIME_MAX) {
            let Some(task) = self.next_ready() else { break };
            let TaskName(name) = *task.metadata();
            task.run();
            let now = self.now();
            self.0.stalls.observe(name, now.since(ran.at), &*self.0.driver);
            ran = Ran { at: now, polls: ran.polls + 1, ..ran };
        }
        ran
    }

    fn next_ready(&self) -> Option<Runnable<TaskName>> {
        let mut batch = self.0.batch.borrow_mut();
        if batch.is_empty() {
            self.0.queue.take(&mut batch);
        }
        batch.pop_front()
    }

    fn run_hooks(&self, since: Ran) -> Ran {
        let mut hooks = self.0.hooks.take();
        if hooks.is_empty() {
            return since;
        }
        hooks.iter_mut().for_each(|hook| hook());
        let mut added = self.0.hooks.borrow_mut();
        hooks.append(&mut added);
        *added = hooks;
        drop(added);
        let at = self.now();
        self.0.stalls.observe("turn-end hooks", at.since(since.at), &*self.0.driver);
        Ran { at, ..since }
    }

    /// Calls `hook` once per loop turn, after the ready tasks ran and before the driver submits and waits. Tasks that
    /// it wakes still run in that turn. Hooks live as long as the reactor, and run in the order they were added.
    pub fn on_turn_end(&self, hook: impl FnMut() + 'static) {
        self.0.hooks.borrow_mut().push(Box::new(hook));
    }

    pub(super) fn add_inbox(&self, inbox: Rc<dyn Inbox>) {
        self.0.inboxes.borrow_mut().push(inbox);
    }

    /// Drops every task, hook and mailbox of the reactor. Operations in flight stay with the driver. Not from a task.
    pub fn shutdown(&self) {
        let _stepping = Stepping::enter(&self.0.stepping);
        self.0.tasks.end_all(&self.0.queue, &self.0.batch);
        let hooks = self.0.hooks.take();
        drop(hooks);
        let inboxes = self.0.inboxes.take();
        drop(inboxes);
        self.0.tasks.end_all(&self.0.queue, &self.0.batch);
    }

    /// The earliest timer that is set.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.0.timers.next()
    }

    /// The driver's monotonic clock.
    pub fn now(&self) -> Monotonic {
        self.0.driver.now()
    }

    /// Milliseconds since the Unix epoch. May jump.
    pub fn wall_clock_ms(&self) -> i64 {
        self.0.driver.wall_clock_ms()
    }

    /// 64 random bits.
    pub fn random(&self) -> u64 {
        self.0.driver.random()
    }

    /// The driver below.
    pub fn driver(&self) -> &Rc<dyn Driver> {
        &self.0.driver
    }

    /// What the stall detector has seen.
    pub fn stalls(&self) -> Stalls {
        self.0.stalls.seen()
    }

    /// Operations that the driver has not given back, or whose tasks have not looked yet.
    pub fn operations_in_flight(&self) -> usize {
        self.0.operations.in_flight()
    }

    /// Ready after `delay`.
    pub fn sleep(&self, delay: Duration) -> Sleep {
        self.sleep_until(self.now().after(delay))
    }

    /// Ready at `deadline`, at once if that has passed.
    pub fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        Sleep::new(self.clone(), deadline)
    }

    /// Drives `f` for at most `limit`; then it is dropped.
    ///
    /// # Errors
    /// [`Elapsed`] if `f` was not ready in time.
    pub async fn timeout<F: Future>(&self, limit: Duration, f: F) -> Result<F::Output, Elapsed> {
        let mut f = pin!(f);
        let mut sleep = pin!(self.sleep(limit));
        std::future::poll_fn(|cx| match f.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }

    /// Lets other tasks run and completions be reaped: continues in the next loop turn.
    pub async fn yield_now(&self) {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            self.0.yielded.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(super) fn operations(&self) -> &Operations {
        &self.0.operations
    }

    pub(super) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.0.gate
    }
}

/// How far a turn has come: when it began, the time of its last look at the clock, and its task polls.
#[derive(Clone, Copy)]
struct Ran {
    started: Monotonic,
    at: Monotonic,
    polls: usize,
}
