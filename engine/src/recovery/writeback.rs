//! Writing what is replayed to segments, many logs at a time and while the journals are still being read.
//!
//! Every log fills chunks of one size, such that an open one of each takes half of the memory that recovery may have; a full one is
//! written in the background and let go. Where the smallest chunks of so many logs do not fit, everything is written as soon as the
//! bound is reached.

use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;

use crate::bounds::RECOVERY_LOGS_MAX;
use crate::error::IoFailure;
use crate::log::{Log, TailCache};
use crate::reactor::{Io, Task};

/// Work on single logs, oldest first.
pub(super) struct Writeback {
    io: Io,
    tails: Rc<TailCache>,
    running: VecDeque<Task<Result<(), IoFailure>>>,
}

impl Writeback {
    pub fn new(io: &Io, tails: Rc<TailCache>) -> Writeback {
        Writeback { io: io.clone(), tails, running: VecDeque::new() }
    }

    /// Has the full chunks of a log written, without waiting for it: the memory of what is to be written bounds that.
    ///
    /// # Errors
    /// What earlier work failed with.
    pub async fn write_full_chunks(&mut self, log: Rc<Log>) -> Result<(), IoFailure> {
        while self.running.front().is_some_and(Task::is_finished) {
            self.finish_oldest().await?;
        }
        let work = async move { log.write_full_chunks().await };
        self.running.push_back(self.io.spawn("recovery of a log", work));
        Ok(())
    }

    /// Starts work on a log, once one of those that run is done if they are many.
    ///
    /// # Errors
    /// What earlier work failed with.
    pub async fn start(
        &mut self,
        work: impl Future<Output = Result<(), IoFailure>> + 'static,
    ) -> Result<(), IoFailure> {
        if self.running.len() >= RECOVERY_LOGS_MAX {
            self.finish_oldest().await?;
        }
        self.running.push_back(self.io.spawn("recovery of a log", work));
        Ok(())
    }

    /// Waits for all that was started.
    ///
    /// # Errors
    /// The first failure.
    pub async fn finish(&mut self) -> Result<(), IoFailure> {
        while self.finish_oldest().await? {}
        Ok(())
    }

    /// Brings the memory of the logs' tails below its bound.
    ///
    /// # Errors
    /// The first failed write.
    pub async fn bound_memory(&mut self, logs: impl Iterator<Item = &Rc<Log>>) -> Result<(), IoFailure> {
        while self.tails.is_over() && self.finish_oldest().await? {}
        if !self.tails.is_over() {
            return Ok(());
        }
        for log in logs.filter(|log| log.has_tail()) {
            let log = Rc::clone(log);
            self.start(async move { log.write_tail().await }).await?;
        }
        self.finish().await
    }

    async fn finish_oldest(&mut self) -> Result<bool, IoFailure> {
        match self.running.pop_front() {
            Some(oldest) => oldest.await.map(|()| true),
            None => Ok(false),
        }
    }
}
