//! Requests of one connection that run, and their replies in the order of the requests.
//!
//! Requests of an overlapping API (Produce, OffsetCommit) run at the same time as others of that API, within bounds; any
//! other is a barrier: it starts when all before it have been answered, and nothing starts before it has been. Replies leave in request order, always.
//! The futures are polled by the connection's own task; dropping the pipeline cancels them. Does no I/O.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::api::{Api, HandlerFuture, Reply, RequestError};
use crate::bounds::{OVERLAPPING_BYTES_MAX, OVERLAPPING_REQUESTS_MAX};

/// The requests that run on one connection.
#[derive(Default)]
pub struct Pipeline {
    slots: VecDeque<Slot>,
    running: usize,
    running_bytes: usize,
    barrier: bool,
}

struct Slot {
    api: &'static Api,
    request_bytes: usize,
    state: State,
}

enum State {
    Running(HandlerFuture),
    Done(Reply),
}

/// A request that ended its connection.
#[derive(Debug, thiserror::Error)]
#[error("{api}: {source}")]
pub struct Failed {
    pub api: &'static str,
    pub source: RequestError,
}

impl Pipeline {
    /// Whether a request of `api` and that size may start now.
    pub fn admits(&self, api: &Api, request_bytes: usize) -> bool {
        if self.running == 0 {
            return true;
        }
        api.overlaps
            && !self.barrier
            && self.slots.back().is_some_and(|last| last.api.key == api.key)
            && self.running < OVERLAPPING_REQUESTS_MAX
            && self.running_bytes + request_bytes <= OVERLAPPING_BYTES_MAX
    }

    /// Adds a request that [`admits`](Self::admits) allowed; it starts with the next [`poll`](Self::poll).
    pub fn start(&mut self, api: &'static Api, request_bytes: usize, handler: HandlerFuture) {
        debug_assert!(self.admits(api, request_bytes));
        self.barrier = !api.overlaps;
        self.running += 1;
        self.running_bytes += request_bytes;
        self.slots.push_back(Slot { api, request_bytes, state: State::Running(handler) });
    }

    /// Polls what runs. Returns whether anything ended.
    ///
    /// # Errors
    /// The first request that asks for the end of the connection. It gets no reply and neither do those behind it, which
    /// are dropped: a client must not take a later reply for this one's. Those before it go on.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Result<bool, Failed> {
        let mut progressed = false;
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let State::Running(handler) = &mut slot.state else { continue };
            let Poll::Ready(result) = handler.as_mut().poll(cx) else { continue };
            self.running -= 1;
            self.running_bytes -= slot.request_bytes;
            progressed = true;
            match result {
                Ok(reply) => slot.state = State::Done(reply),
                Err(source) => {
                    let failed = Failed { api: slot.api.name, source };
                    slot.state = State::Done(Reply::Silent);
                    self.truncate(at);
                    return Err(failed);
                }
            }
        }
        Ok(progressed)
    }

    /// Drops the requests from the one at `at` on.
    fn truncate(&mut self, at: usize) {
        for slot in self.slots.drain(at..) {
            if matches!(slot.state, State::Running(_)) {
                self.running -= 1;
                self.running_bytes -= slot.request_bytes;
            }
        }
    }

    /// Moves the replies that may leave now behind `out`; returns their bytes.
    pub fn drain(&mut self, out: &mut Vec<Bytes>) -> usize {
        let mut bytes = 0;
        while let Some(Slot { state: State::Done(_), .. }) = self.slots.front() {
            let Some(Slot { state: State::Done(Reply::Frame(frame)), .. }) = self.slots.pop_front() else {
                continue;
            };
            bytes += frame.len();
            out.extend(frame.pieces);
        }
        bytes
    }

    /// Whether nothing runs and nothing waits to be drained.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of the requests that run.
    pub fn running_bytes(&self) -> usize {
        self.running_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;
    use crate::api::{Frame, k00_produce, k03_metadata};

    /// A handler that answers `byte` once its gate is open.
    fn gated(byte: u8) -> (Rc<Cell<bool>>, HandlerFuture) {
        let gate = Rc::new(Cell::new(false));
        let open = Rc::clone(&gate);
        let handler = async move {
            std::future::poll_fn(|_| if open.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            Ok(Reply::Frame(Frame { pieces: vec![Bytes::copy_from_slice(&[byte])] }))
        };
        (gate, Box::pin(handler))
    }

    fn run(pipeline: &mut Pipeline) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        pipeline.poll(&mut cx).unwrap();
        let mut out = Vec::new();
        pipeline.drain(&mut out);
        out.concat()
    }

    #[test]
    fn replies_leave_in_request_order() {
        let mut pipeline = Pipeline::default();
        let gates: Vec<_> = (0..4)
            .map(|byte| {
                let (gate, handler) = gated(byte);
                assert!(pipeline.admits(&k00_produce::API, 10));
                pipeline.start(&k00_produce::API, 10, handler);
                gate
            })
            .collect();
        gates[2].set(true);
        gates[1].set(true);
        assert_eq!(run(&mut pipeline), Vec::<u8>::new());
        gates[0].set(true);
        assert_eq!(run(&mut pipeline), [0, 1, 2]);
        gates[3].set(true);
        assert_eq!(run(&mut pipeline), [3]);
        assert!(pipeline.is_empty() && pipeline.running_bytes() == 0);
    }

    #[test]
    fn a_barrier_waits_for_all_before_it_and_holds_up_all_after_it() {
        let mut pipeline = Pipeline::default();
        let (first, handler) = gated(0);
        pipeline.start(&k00_produce::API, 10, handler);
        assert!(pipeline.admits(&k00_produce::API, 10) && !pipeline.admits(&k03_metadata::API, 10));
        first.set(true);
        assert_eq!(run(&mut pipeline), [0]);
        assert!(pipeline.admits(&k03_metadata::API, 10));
        let (second, handler) = gated(1);
        pipeline.start(&k03_metadata::API, 10, handler);
        assert!(!pipeline.admits(&k00_produce::API, 10) && !pipeline.admits(&k03_metadata::API, 10));
        second.set(true);
        assert_eq!(run(&mut pipeline), [1]);
        assert!(pipeline.admits(&k00_produce::API, 10));
    }

    #[test]
    fn overlap_is_bounded_in_number_and_bytes_but_a_single_large_request_runs() {
        let mut pipeline = Pipeline::default();
        assert!(pipeline.admits(&k00_produce::API, 10 * OVERLAPPING_BYTES_MAX));
        pipeline.start(&k00_produce::API, 10 * OVERLAPPING_BYTES_MAX, gated(0).1);
        assert!(!pipeline.admits(&k00_produce::API, 1));
        let mut pipeline = Pipeline::default();
        for _ in 0..OVERLAPPING_REQUESTS_MAX {
            assert!(pipeline.admits(&k00_produce::API, 1));
            pipeline.start(&k00_produce::API, 1, gated(0).1);
        }
        assert!(!pipeline.admits(&k00_produce::API, 1));
    }

    #[test]
    fn nothing_leaves_from_behind_a_request_that_ends_the_connection() {
        let mut pipeline = Pipeline::default();
        let (first, handler) = gated(0);
        pipeline.start(&k00_produce::API, 1, handler);
        let malformed = async { Err(RequestError::Malformed("cut short".into())) };
        pipeline.start(&k00_produce::API, 2, Box::pin(malformed));
        let (later, handler) = gated(2);
        later.set(true);
        pipeline.start(&k00_produce::API, 4, handler);
        assert!(pipeline.poll(&mut Context::from_waker(Waker::noop())).is_err());
        assert_eq!((run(&mut pipeline), pipeline.running_bytes()), (vec![], 1));
        first.set(true);
        assert_eq!(run(&mut pipeline), [0]);
        assert!(pipeline.is_empty());
    }

    #[test]
    fn a_silent_reply_lets_the_next_one_through() {
        let mut pipeline = Pipeline::default();
        pipeline.start(&k00_produce::API, 1, Box::pin(async { Ok(Reply::Silent) }));
        let (gate, handler) = gated(7);
        pipeline.start(&k00_produce::API, 1, handler);
        gate.set(true);
        assert_eq!(run(&mut pipeline), [7]);
    }
}
