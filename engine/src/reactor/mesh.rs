//! Calls between shards: run this future over there and bring me its result.
//!
//! Each ordered pair of shards has a bounded queue of requests, and each shard a bounded queue of the replies to its
//! own. A request takes a credit of its sender for that target, returned when the reply has arrived, so both queues
//! always have room for what may be sent: no send waits, and two busy shards cannot block each other. Callers without
//! a credit wait in order, as tasks. The doorbell of a shard that may be parked rings once per turn of its caller.
//!
//! A caller that goes away leaves its slot and its credit until the reply comes; the future over there runs to its
//! end. A shard that ends answers what it was asked, and will be asked, with [`ShardGone`]. A call holds its credit
//! while it waits over there: long waits belong into registrations, not into calls.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::queue::Gate;
use super::sync::{OwnedPermit, Semaphore};
use super::turn::{Inbox, Io};
use crate::bounds::{MESH_CALLS_PER_PAIR_MAX, MESH_MESSAGES_PER_TURN_MAX};
use crate::id::ShardId;

/// The shard that was called has ended, before or during the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard that was called has ended")]
pub struct ShardGone;

type Request<C> = Box<dyn FnOnce(&Mesh<C>) + Send>;

/// A caller's slab index of the call that was answered.
type CallKey = usize;

/// What others need to reach a shard, besides its queues.
#[derive(Default)]
struct Mailbox {
    has_mail: AtomicBool,
    /// Set when the shard has started; mail sent before is found then.
    gate: OnceLock<Arc<Gate>>,
}

impl Mailbox {
    /// Says that something was queued for the shard; [`Mailbox::knock`] must follow before the caller parks.
    fn mark(&self) {
        self.has_mail.store(true, Ordering::Release);
    }

    fn knock(&self) {
        if let Some(gate) = self.gate.get() {
            gate.knock();
        }
    }
}

/// One shard's end of a mesh that has not started: goes to the shard's thread, which attaches it.
pub struct MeshEnd<C> {
    me: ShardId,
    mailboxes: Arc<[Mailbox]>,
    calls_per_pair: usize,
    requests_out: Vec<SyncSender<Request<C>>>,
    requests_in: Vec<Receiver<Request<C>>>,
    replies: (SyncSender<CallKey>, Receiver<CallKey>),
}

impl<C: 'static> MeshEnd<C> {
    /// The ends of a mesh of `shards`, by shard.
    pub fn wire(shards: u16) -> Vec<MeshEnd<C>> {
        MeshEnd::wire_bounded(shards, MESH_CALLS_PER_PAIR_MAX)
    }

    /// As [`MeshEnd::wire`], with `calls_per_pair` calls in flight from one shard to another.
    pub fn wire_bounded(shards: u16, calls_per_pair: usize) -> Vec<MeshEnd<C>> {
        let count = usize::from(shards);
        let mailboxes: Arc<[Mailbox]> = (0..count).map(|_| Mailbox::default()).collect();
        let mut ends: Vec<MeshEnd<C>> = (0..shards)
            .map(|me| MeshEnd {
                me: ShardId(me),
                mailboxes: Arc::clone(&mailboxes),
                calls_per_pair,
                requests_out: Vec::with_capacity(count),
                requests_in: Vec::with_capacity(count),
                replies: sync_channel(calls_per_pair * count),
            })
            .collect();
        for from in 0..count {
            for to in 0..count {
                let (requests_out, requests_in) = sync_channel(if from == to { 0 } else { calls_per_pair });
                ends[from].requests_out.push(requests_out);
                ends[to].requests_in.push(requests_in);
            }
        }
        ends
    }

    /// Which shard it belongs to.
    pub fn me(&self) -> ShardId {
        self.me
    }

    /// Starts taking calls on this reactor; they see `context`.
    pub fn attach(self, io: &Io, context: Rc<C>) -> Mesh<C> {
        let targets = self.requests_out.into_iter().map(|requests| Target {
            requests,
            credits: Semaphore::new(self.calls_per_pair),
            unannounced: Cell::new(false),
        });
        let mesh = Mesh(Rc::new(Attached {
            me: self.me,
            io: io.clone(),
            context,
            targets: targets.collect(),
            requests_in: self.requests_in,
            replies_out: self.replies.0,
            replies_in: self.replies.1,
            calls: RefCell::default(),
            mailboxes: self.mailboxes,
        }));
        let attached = mesh.0.mailboxes[usize::from(mesh.0.me.0)].gate.set(Arc::clone(io.gate()));
        assert!(attached.is_ok(), "a mesh end is attached once");
        mesh.0.mailbox().mark();
        io.add_inbox(Rc::clone(&mesh.0) as Rc<dyn Inbox>);
        mesh
    }
}

/// This shard's way to the others. Cheap to clone.
pub struct Mesh<C>(Rc<Attached<C>>);

impl<C> Clone for Mesh<C> {
    fn clone(&self) -> Self {
        Mesh(Rc::clone(&self.0))
    }
}

struct Target<C> {
    requests: SyncSender<Request<C>>,
    credits: Semaphore,
    /// Something was sent since the last knock.
    unannounced: Cell<bool>,
}

struct Attached<C> {
    me: ShardId,
    io: Io,
    context: Rc<C>,
    targets: Vec<Target<C>>,
    requests_in: Vec<Receiver<Request<C>>>,
    replies_out: SyncSender<CallKey>,
    replies_in: Receiver<CallKey>,
    calls: RefCell<Slab<Call>>,
    mailboxes: Arc<[Mailbox]>,
}

/// A call in flight, at its caller.
struct Call {
    state: CallState,
    /// Comes back with the slot.
    _credit: OwnedPermit,
}

enum CallState {
    Waiting(Option<Waker>),
    Answered,
    Abandoned,
}

/// Where the future over there leaves its result. Filled before the reply is queued, emptied after it arrived.
type Answer<R> = Arc<Mutex<Option<R>>>;

fn lock<R>(answer: &Answer<R>) -> std::sync::MutexGuard<'_, Option<R>> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the reply when it is dropped, so that every request that left is answered once, whatever becomes of it.
struct Reply {
    call: CallKey,
    caller: ShardId,
    replies: SyncSender<CallKey>,
    mailboxes: Arc<[Mailbox]>,
}

impl Reply {
    fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[usize::from(self.caller.0)]
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Room is reserved by the call's credit; the queue is gone only when the caller is.
        if self.replies.try_send(self.call).is_ok() {
            self.mailbox().mark();
            self.mailbox().knock();
        }
    }
}

impl<C: 'static> Mesh<C> {
    /// Which shard this is.
    pub fn me(&self) -> ShardId {
        self.0.me
    }

    /// How many shards the mesh has.
    pub fn shards(&self) -> u16 {
        self.0.targets.len() as u16
    }

    /// Runs the future that `f` makes from the target's context, on the target, and returns its output. Calls from
    /// one shard to another start in the order in which they got their credit. On this very shard the future runs in
    /// place, as part of the caller.
    ///
    /// # Errors
    /// [`ShardGone`].
    pub async fn call<R, Fut>(
        &self,
        target: ShardId,
        f: impl FnOnce(Rc<C>) -> Fut + Send + 'static,
    ) -> Result<R, ShardGone>
    where
        R: Send + 'static,
        Fut: Future<Output = R> + 'static,
    {
        if target == self.0.me {
            return Ok(f(Rc::clone(&self.0.context)).await);
        }
        let credit = self.0.target(target).credits.acquire(1).await;
        let answer = Answer::<R>::default();
        let arrival = self.send(target, credit, Arc::clone(&answer), f);
        arrival.await;
        let result = lock(&answer).take();
        result.ok_or(ShardGone)
    }

    fn send<R, Fut>(
        &self,
        target: ShardId,
        credit: OwnedPermit,
        answer: Answer<R>,
        f: impl FnOnce(Rc<C>) -> Fut + Send + 'static,
    ) -> Arrival<C>
    where
        R: Send + 'static,
        Fut: Future<Output = R> + 'static,
    {
        let attached = &self.0;
        let call =
            attached.calls.borrow_mut().insert(Call { state: CallState::Waiting(None), _credit: credit });
        let reply = Reply {
            call,
            caller: attached.me,
            replies: attached.replies_out.clone(),
            mailboxes: Arc::clone(&attached.mailboxes),
        };
        let request: Request<C> = Box::new(move |there: &Mesh<C>| {
            let context = Rc::clone(&there.0.context);
            let serve = async move {
                let reply = reply;
                let output = f(context).await;
                *lock(&answer) = Some(output);
                drop(reply);
            };
            there.0.io.spawn("mesh call", serve).detach();
        });
        // If the target has ended, dropping the request sends the empty reply.
        let sent = attached.target(target).requests.try_send(request);
        if sent.is_ok() {
            attached.mailboxes[usize::from(target.0)].mark();
            attached.target(target).unannounced.set(true);
        }
        Arrival { mesh: self.clone(), call, arrived: false }
    }
}

impl<C> Attached<C> {
    fn target(&self, shard: ShardId) -> &Target<C> {
        &self.targets[usize::from(shard.0)]
    }

    fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[usize::from(self.me.0)]
    }

    fn arrived(&self, key: CallKey) {
        let mut calls = self.calls.borrow_mut();
        let call = &mut calls[key];
        let ended = match std::mem::replace(&mut call.state, CallState::Answered) {
            CallState::Waiting(waker) => Err(waker),
            CallState::Abandoned => Ok(calls.remove(key)),
            CallState::Answered => panic!("a call was answered twice"),
        };
        drop(calls);
        match ended {
            Ok(call) => drop(call),
            Err(waker) => waker.into_iter().for_each(Waker::wake),
        }
    }
}

impl<C: 'static> Inbox for Attached<C> {
    fn drain(self: Rc<Self>) -> bool {
        if !self.mailbox().has_mail.load(Ordering::Relaxed) {
            return false;
        }
        // Cleared before looking: what is queued while we look sets it again.
        self.mailbox().has_mail.swap(false, Ordering::AcqRel);
        let mesh = Mesh(self);
        let mut any = false;
        let mut all = true;
        let replies = MESH_MESSAGES_PER_TURN_MAX * mesh.0.targets.len();
        let taken = mesh.0.replies_in.try_iter().take(replies).map(|call| mesh.0.arrived(call)).count();
        any |= taken > 0;
        all &= taken < replies;
        for requests in &mesh.0.requests_in {
            let limit = MESH_MESSAGES_PER_TURN_MAX;
            let taken = requests.try_iter().take(limit).map(|request| request(&mesh)).count();
            any |= taken > 0;
            all &= taken < limit;
        }
        if !all {
            mesh.0.mailbox().mark();
        }
        any
    }

    fn is_empty(&self) -> bool {
        !self.mailbox().has_mail.load(Ordering::Acquire)
    }

    fn announce(&self) {
        for (target, mailbox) in self.targets.iter().zip(self.mailboxes.iter()) {
            if target.unannounced.replace(false) {
                mailbox.knock();
            }
        }
    }
}

/// Ready when the reply to a call has arrived.
struct Arrival<C> {
    mesh: Mesh<C>,
    call: CallKey,
    arrived: bool,
}

impl<C> Future for Arrival<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut calls = self.mesh.0.calls.borrow_mut();
        let state = &mut calls[self.call].state;
        if let CallState::Waiting(waker) = state {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let call = calls.remove(self.call);
        drop(calls);
        drop(call);
        self.arrived = true;
        Poll::Ready(())
    }
}

impl<C> Drop for Arrival<C> {
    fn drop(&mut self) {
        if self.arrived {
            return;
        }
        let mut calls = self.mesh.0.calls.borrow_mut();
        let state = std::mem::replace(&mut calls[self.call].state, CallState::Abandoned);
        let call = matches!(state, CallState::Answered).then(|| calls.remove(self.call));
        drop(calls);
        drop(call);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::super::tests::reactor;
    use super::*;

    struct Counter {
        me: ShardId,
        served: Cell<u64>,
    }

    /// Runs one shard that serves calls until `stop` of all shards is set.
    fn shard(end: MeshEnd<Counter>, stopped: Arc<AtomicBool>, calls: u64, at_once: u64) -> u64 {
        let io = reactor();
        let context = Rc::new(Counter { me: end.me(), served: Cell::new(0) });
        let mesh = end.attach(&io, Rc::clone(&context));
        let other = ShardId(1 - context.me.0);
        let callers: Vec<_> = (0..at_once)
            .map(|_| {
                let mesh = mesh.clone();
                io.spawn("caller", async move {
                    for number in 0..calls / at_once {
                        let answer = mesh.call(other, move |there: Rc<Counter>| async move {
                            there.served.set(there.served.get() + 1);
                            (there.me, number + 1)
                        });
                        assert_eq!(answer.await, Ok((other, number + 1)));
                    }
                })
            })
            .collect();
        let waiting = io.clone();
        io.block_on(async move {
            for caller in callers {
                caller.await;
            }
            // Both have called all they want when the one who is second sees the flag of the first.
            if !stopped.swap(true, Ordering::AcqRel) {
                while stopped.load(Ordering::Acquire) {
                    waiting.sleep(Duration::from_millis(1)).await;
                }
            } else {
                stopped.store(false, Ordering::Release);
            }
        })
        .unwrap();
        io.shutdown();
        context.served.get()
    }

    #[test]
    fn two_shards_with_tiny_queues_call_each_other_without_a_deadlock() {
        let calls: u64 = std::env::var("THALWEG_MESH_CALLS").map_or(20_000, |calls| calls.parse().unwrap());
        let stopped = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = MeshEnd::wire_bounded(2, 2)
            .into_iter()
            .map(|end| {
                let stopped = Arc::clone(&stopped);
                thread::spawn(move || shard(end, stopped, calls, 8))
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), calls);
        }
    }

    /// Two shards on this thread, stepped by hand.
    fn pair() -> (Io, Mesh<Counter>, Io, Mesh<Counter>) {
        let mut ends = MeshEnd::wire_bounded(2, 1).into_iter().map(|end| {
            let io = reactor();
            let context = Rc::new(Counter { me: end.me(), served: Cell::new(0) });
            let mesh = end.attach(&io, context);
            (io, mesh)
        });
        let (a, b) = (ends.next().unwrap(), ends.next().unwrap());
        (a.0, a.1, b.0, b.1)
    }

    fn step(ios: [&Io; 2]) {
        for _ in 0..4 {
            for io in ios {
                io.step(crate::io::Park::Poll).unwrap();
            }
        }
    }

    #[test]
    fn a_caller_that_goes_away_gets_its_credit_back_with_the_reply() {
        let (io_a, a, io_b, b) = pair();
        let call = |mesh: Mesh<Counter>| async move {
            mesh.call(ShardId(1), |there| async move { there.served.set(there.served.get() + 1) }).await
        };
        let abandoned = io_a.spawn("abandoned", call(a.clone()));
        io_a.step(crate::io::Park::Poll).unwrap();
        assert_eq!(a.0.targets[1].credits.available(), 0);
        drop(abandoned);
        step([&io_a, &io_b]);
        assert_eq!(b.0.context.served.get(), 1, "what was asked for is done");
        assert_eq!(a.0.targets[1].credits.available(), 1);
        assert!(a.0.calls.borrow().is_empty());
        [&io_a, &io_b].iter().for_each(|io| io.shutdown());
    }

    #[test]
    fn a_shard_that_ends_answers_with_its_end() {
        let (io_a, a, io_b, b) = pair();
        let results = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..3 {
            let (mesh, results) = (a.clone(), Rc::clone(&results));
            io_a.spawn("caller", async move {
                let endless = mesh.call(ShardId(1), |_| std::future::pending::<()>());
                let ended = endless.await;
                results.borrow_mut().push(ended);
            })
            .detach();
        }
        step([&io_a, &io_b]);
        assert!(results.borrow().is_empty());
        io_b.shutdown();
        drop((b, io_b));
        for _ in 0..8 {
            io_a.step(crate::io::Park::Poll).unwrap();
        }
        assert_eq!(*results.borrow(), [Err(ShardGone); 3]);
        io_a.shutdown();
    }

    #[test]
    fn a_call_to_the_own_shard_runs_in_place() {
        let (io_a, a, _io_b, _b) = pair();
        let me = io_a.block_on(a.call(ShardId(0), |here| async move { here.me })).unwrap();
        assert_eq!(me, Ok(ShardId(0)));
        io_a.shutdown();
    }
}
