//! One value from one task to another.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The sender was dropped without sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task that was to answer has ended")]
pub struct SenderGone;

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// Sends the value.
pub struct OneshotSender<T> {
    slot: Rc<RefCell<Slot<T>>>,
}

/// Awaits the value.
pub struct OneshotReceiver<T> {
    slot: Rc<RefCell<Slot<T>>>,
}

/// A channel for one value.
pub fn oneshot<T>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    let slot = Rc::new(RefCell::new(Slot { value: None, waker: None }));
    (OneshotSender { slot: Rc::clone(&slot) }, OneshotReceiver { slot })
}

impl<T> OneshotSender<T> {
    /// Hands the value over. If the receiver is gone, the value is dropped.
    pub fn send(self, value: T) {
        self.slot.borrow_mut().value = Some(value);
    }

    /// Whether nobody waits for the value any more.
    pub fn is_closed(&self) -> bool {
        Rc::strong_count(&self.slot) == 1
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        let waker = self.slot.borrow_mut().waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, SenderGone>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.slot.borrow_mut();
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Ok(value));
        }
        if Rc::strong_count(&self.slot) == 1 {
            return Poll::Ready(Err(SenderGone));
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<T>(receiver: &mut OneshotReceiver<T>) -> Poll<Result<T, SenderGone>> {
        Pin::new(receiver).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_value_or_the_end_of_the_sender_arrives() {
        let (sender, mut receiver) = oneshot();
        assert!(poll(&mut receiver).is_pending());
        sender.send(7);
        assert_eq!(poll(&mut receiver), Poll::Ready(Ok(7)));

        let (sender, mut receiver) = oneshot::<u8>();
        assert!(poll(&mut receiver).is_pending());
        drop(sender);
        assert_eq!(poll(&mut receiver), Poll::Ready(Err(SenderGone)));

        let (sender, receiver) = oneshot::<u8>();
        drop(receiver);
        assert!(sender.is_closed());
        sender.send(1);
    }
}
