//! The commits that are being written, in order of their sequence.
//!
//! Their writes end in any order; they leave the window in order only, and once one has failed none behind it leaves
//! as written. So what is acknowledged is always a contiguous prefix of the journal.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::group::Group;
use crate::error::IoFailure;

type Write = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A commit on its way to the disk.
struct InFlight {
    group: Group,
    path: Rc<Path>,
    /// What the commit's header says is durable: see `commit`.
    attests: u64,
    state: State,
}

enum State {
    Writing(Write),
    Ended(io::Result<()>),
}

/// A commit that has ended, and all before it too.
pub(super) struct Ended {
    pub group: Group,
    pub attests: u64,
    pub outcome: Result<(), IoFailure>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Window {
    commits: VecDeque<InFlight>,
}

impl Window {
    pub fn len(&self) -> usize {
        self.commits.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// Adds the next commit; its write starts when the window is polled.
    pub fn push(
        &mut self,
        group: Group,
        attests: u64,
        path: Rc<Path>,
        write: impl Future<Output = io::Result<()>> + 'static,
    ) {
        let state = State::Writing(Box::pin(write));
        self.commits.push_back(InFlight { group, path, attests, state });
    }

    /// Looks after all writes; ready with the oldest commit once it has ended.
    pub fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        for commit in &mut self.commits {
            if let State::Writing(write) = &mut commit.state
                && let Poll::Ready(outcome) = write.as_mut().poll(cx)
            {
                commit.state = State::Ended(outcome);
            }
        }
        let ended = self.commits.pop_front_if(|commit| matches!(commit.state, State::Ended(_)));
        let Some(InFlight { group, path, attests, state: State::Ended(outcome) }) = ended else {
            return Poll::Pending;
        };
        let outcome = outcome.map_err(|error| IoFailure::new("commit to", &*path, error));
        Poll::Ready(Ended { group, attests, outcome })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::PathBuf;
    use std::task::Waker;

    use super::*;

    fn write(ended: &Rc<Cell<bool>>) -> impl Future<Output = io::Result<()>> + use<> {
        let ended = Rc::clone(ended);
        std::future::poll_fn(move |_| if ended.get() { Poll::Ready(Ok(())) } else { Poll::Pending })
    }

    #[test]
    fn commits_leave_in_order_whatever_order_their_writes_end_in() {
        let ended = [Rc::new(Cell::new(false)), Rc::new(Cell::new(false))];
        let path: Rc<Path> = PathBuf::from("journal").into();
        let mut window = Window::default();
        for (sequence, ended) in (1..).zip(&ended) {
            window.push(Group::new(sequence), 0, Rc::clone(&path), write(ended));
        }
        let mut cx = Context::from_waker(Waker::noop());
        ended[1].set(true);
        assert!(window.poll_oldest(&mut cx).is_pending());
        ended[0].set(true);
        for sequence in 1..=2 {
            let Poll::Ready(oldest) = window.poll_oldest(&mut cx) else {
                panic!("commit {sequence} has ended")
            };
            assert_eq!(oldest.group.sequence, sequence);
        }
        assert!(window.is_empty());
    }
}
