//! Spawning: a future becomes a task with a name, known to its reactor until it ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use async_task::{Builder, Runnable};
use slab::Slab;

use super::queue::RunQueue;

/// What the stall detector calls a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskName(pub &'static str);

/// A spawned task: await it for its output, `detach()` it to let it run alone, drop it to cancel it.
pub type Task<T> = async_task::Task<T, TaskName>;

/// The live tasks of one reactor, so that all can be ended.
#[derive(Default)]
pub(super) struct Tasks {
    live: RefCell<Slab<Waker>>,
}

/// Forgets a task when its future is dropped, however it ended.
struct Membership {
    tasks: Rc<Tasks>,
    key: usize,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let waker = self.tasks.live.borrow_mut().try_remove(self.key);
        drop(waker);
    }
}

impl Tasks {
    pub(super) fn spawn<T: 'static>(
        self: &Rc<Self>,
        queue: &Arc<RunQueue>,
        name: &'static str,
        future: impl Future<Output = T> + 'static,
    ) -> Task<T> {
        let mut live = self.live.borrow_mut();
        let entry = live.vacant_entry();
        let membership = Membership { tasks: Rc::clone(self), key: entry.key() };
        let member = async move {
            let _membership = membership;
            future.await
        };
        let queue = Arc::clone(queue);
        let schedule = move |runnable| queue.push(runnable);
        let (runnable, task) = Builder::new().metadata(TaskName(name)).spawn_local(|_| member, schedule);
        entry.insert(runnable.waker());
        drop(live);
        runnable.schedule();
        task
    }

    /// Drops the futures of all tasks, also of those that dropping them spawns.
    pub(super) fn end_all(&self, queue: &RunQueue, batch: &RefCell<VecDeque<Runnable<TaskName>>>) {
        loop {
            let wakers: Vec<Waker> = self.live.borrow().iter().map(|(_, waker)| waker.clone()).collect();
            if wakers.is_empty() {
                return;
            }
            wakers.into_iter().for_each(Waker::wake);
            let mut doomed = std::mem::take(&mut *batch.borrow_mut());
            queue.take(&mut doomed);
            drop(doomed);
        }
    }
}
