//! Waiting until one of many partitions grows, on all shards that they live on.
//!
//! Partitions at home here are waited for in place. For the others, a task on their shard waits and sends one message
//! back; registering does not hold a mesh credit while it waits. Dropping a [`Watch`] ends those tasks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::reactor::Task;
use thalweg_engine::reactor::sync::Latch;

use super::entry::Place;
use super::read::{Found, home};
use crate::shard::ServerShard;

/// One shard's share of all watches.
#[derive(Default)]
pub struct FetchWatches {
    next: Cell<u64>,
    /// Watches that were started here.
    own: RefCell<HashMap<u64, Latch>>,
    /// Tasks that wait here on behalf of another shard's watch.
    foreign: RefCell<HashMap<(ShardId, u64), Task<()>>>,
}

/// A partition, and the offset that its high watermark must pass.
type Mark = (PartitionId, i64);

/// Waits for growth.
pub struct Watch {
    shard: Rc<ServerShard>,
    number: u64,
    here: Vec<Mark>,
    elsewhere: Vec<ShardId>,
    grown: Latch,
}

impl Watch {
    /// Watches every place that was probed without an error, beyond the high watermark that was seen.
    pub fn start(shard: &Rc<ServerShard>, places: &[Place], found: &[Found]) -> Watch {
        let number = shard.fetch_watches.next.get();
        shard.fetch_watches.next.set(number + 1);
        let mut watch = Watch {
            shard: Rc::clone(shard),
            number,
            here: Vec::new(),
            elsewhere: Vec::new(),
            grown: Latch::new(),
        };
        let mut marks: HashMap<ShardId, Vec<Mark>> = HashMap::new();
        for (place, found) in places.iter().zip(found) {
            let (Some((home, partition)), Ok(bounds)) = (home(shard, place), &found.bounds) else { continue };
            let mark = (partition, bounds.high_watermark);
            if home == shard.id { watch.here.push(mark) } else { marks.entry(home).or_default().push(mark) }
        }
        for (target, marks) in marks {
            watch.register(target, marks);
        }
        watch
    }

    fn register(&mut self, target: ShardId, marks: Vec<Mark>) {
        if self.elsewhere.is_empty() {
            self.shard.fetch_watches.own.borrow_mut().insert(self.number, self.grown.clone());
        }
        self.elsewhere.push(target);
        let (origin, number) = (self.shard.id, self.number);
        let mesh = self.shard.mesh().clone();
        let grown = self.grown.clone();
        let call = async move {
            let registered =
                mesh.call(target, move |there| async move { wait_there(&there, origin, number, marks) });
            if registered.await.is_err() {
                // The shard has ended: looking again tells what that means.
                grown.set();
            }
        };
        self.shard.io.spawn("fetch watch", call).detach();
    }

    /// Resolves when one of the partitions grew, or is gone.
    pub async fn grown(self) {
        let mut here = pin_all(waits(&self.shard, &self.here));
        let mut elsewhere = std::pin::pin!(self.grown.wait());
        std::future::poll_fn(|cx| {
            let any = here.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
            if any { Poll::Ready(()) } else { elsewhere.as_mut().poll(cx) }
        })
        .await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.elsewhere.is_empty() {
            return;
        }
        self.shard.fetch_watches.own.borrow_mut().remove(&self.number);
        for target in self.elsewhere.drain(..) {
            let (origin, number, mesh) = (self.shard.id, self.number, self.shard.mesh().clone());
            let call = async move {
                let forgotten = mesh.call(target, move |there| async move {
                    let task = there.fetch_watches.foreign.borrow_mut().remove(&(origin, number));
                    drop(task);
                });
                if forgotten.await.is_err() {
                    tracing::debug!(?target, "a fetch watch ended with its shard");
                }
            };
            self.shard.io.spawn("fetch watch", call).detach();
        }
    }
}

/// Starts the task that waits on behalf of `origin`. Calls between two shards start in order, so the call that ends it
/// comes later.
fn wait_there(shard: &Rc<ServerShard>, origin: ShardId, number: u64, marks: Vec<Mark>) {
    let here = Rc::clone(shard);
    let task = shard.io.spawn("fetch watch", async move {
        any_of(waits(&here, &marks)).await;
        let told = here.mesh().call(origin, move |there| async move {
            if let Some(grown) = there.fetch_watches.own.borrow().get(&number) {
                grown.set();
            }
        });
        if told.await.is_err() {
            tracing::debug!(?origin, "a fetch ended with its shard");
        }
    });
    let replaced = shard.fetch_watches.foreign.borrow_mut().insert((origin, number), task);
    drop(replaced);
}

fn waits(shard: &ServerShard, marks: &[Mark]) -> Vec<impl Future<Output = ()> + use<>> {
    let logs = marks.iter().map(|(partition, offset)| (shard.storage.log(*partition), *offset));
    logs.map(|(log, offset)| async move {
        // Without a log there is nothing to wait for, and something to tell.
        if let Some(log) = log {
            log.wait_past(offset).await;
        }
    })
    .collect()
}

fn pin_all<F: Future>(futures: Vec<F>) -> Vec<Pin<Box<F>>> {
    futures.into_iter().map(Box::pin).collect()
}

async fn any_of<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut waiting = pin_all(futures);
    std::future::poll_fn(|cx| {
        let any = waiting.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if any { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
