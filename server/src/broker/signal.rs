//! SIGTERM and SIGINT end the server in good order.
//!
//! The signals are blocked in every thread, and one thread waits for them: so none interrupts a shard. They reach the
//! first shard as a future that becomes ready.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use nix::sys::signal::{SigSet, Signal};

/// Ready once the server has been told to stop. Cheap to clone, and may cross threads.
#[derive(Clone, Default)]
pub struct StopRequest(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What asked for it.
    reason: Option<&'static str>,
    waiting: Option<Waker>,
}

impl StopRequest {
    /// Asks for the stop. The first reason counts.
    pub fn request(&self, reason: &'static str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.reason.get_or_insert(reason);
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Waits for it; one task at a time. Returns what asked for it.
    pub async fn requested(&self) -> &'static str {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.reason {
                Some(reason) => Poll::Ready(reason),
                None => {
                    state.waiting = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Blocks the signals in the calling thread and those that it starts from now on, and starts the one that waits for
/// them. To be called first thing.
///
/// # Errors
/// As pthread_sigmask(3) and pthread_create(3).
pub fn listen() -> std::io::Result<StopRequest> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block()?;
    let stop = StopRequest::default();
    let requested = stop.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // Those after the first change nothing: the stop is bounded in time.
        while let Ok(signal) = signals.wait() {
            requested.request(signal.as_str());
        }
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake};

    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_request_from_another_thread_wakes_the_waiter() {
        let stop = StopRequest::default();
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut waiting = pin!(stop.requested());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let other = stop.clone();
        std::thread::spawn(move || other.request("SIGTERM")).join().unwrap();
        assert!(flag.0.load(Ordering::SeqCst));
        assert_eq!(waiting.poll(&mut Context::from_waker(&waker)), Poll::Ready("SIGTERM"));
    }
}
