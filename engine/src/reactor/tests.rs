//! The loop over the real driver: order, timers, cancellation, wakes from other threads, hooks, stalls.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use super::sync::{Notify, oneshot};
use super::*;
use crate::bounds::{STALL_FAIL, TASK_POLLS_PER_TURN_MAX};
use crate::io::{Park, Probe, UringDriver};

pub(super) fn reactor() -> Io {
    let nowhere: [&str; 0] = [];
    Io::new(Rc::new(UringDriver::new(&Probe::run(&nowhere).unwrap()).unwrap()))
}

#[test]
fn tasks_start_in_order_and_return_their_output() {
    let io = reactor();
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|number| {
            let order = Rc::clone(&order);
            io.spawn("count", async move {
                order.borrow_mut().push(number);
                number * 2
            })
        })
        .collect();
    let doubled = io.block_on(async move {
        let mut doubled = Vec::new();
        for task in tasks {
            doubled.push(task.await);
        }
        doubled
    });
    assert_eq!(doubled.unwrap(), [0, 2, 4]);
    assert_eq!(*order.borrow(), [0, 1, 2]);
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    let io = reactor();
    let order = Rc::new(RefCell::new(Vec::new()));
    for millis in [30u64, 10, 20] {
        let (io2, order) = (io.clone(), Rc::clone(&order));
        let nap = async move {
            io2.sleep(Duration::from_millis(millis)).await;
            order.borrow_mut().push(millis);
        };
        io.spawn("nap", nap).detach();
    }
    io.block_on(io.sleep(Duration::from_millis(60))).unwrap();
    assert_eq!(*order.borrow(), [10, 20, 30]);
    assert!(io.next_deadline().is_none());
}

#[test]
fn a_time_limit_drops_what_it_limits() {
    let io = reactor();
    let held = Rc::new(());
    let kept = Rc::clone(&held);
    let endless = async move {
        let _kept = kept;
        std::future::pending::<()>().await;
    };
    let result = io.block_on(io.timeout(Duration::from_millis(5), endless)).unwrap();
    assert_eq!(result, Err(Elapsed));
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(io.block_on(io.timeout(Duration::from_secs(5), async { 7 })).unwrap(), Ok(7));
    assert!(io.next_deadline().is_none(), "a timer that was not needed is cleared");
}

#[test]
fn dropping_the_handle_or_the_reactor_drops_the_future() {
    let io = reactor();
    let held = Rc::new(());
    let spawn = |io: &Io| {
        let (kept, inner) = (Rc::clone(&held), io.clone());
        io.spawn("held", async move {
            let _kept = (kept, inner);
            std::future::pending::<()>().await;
        })
    };
    let task = spawn(&io);
    io.step(Park::Poll).unwrap();
    drop(task);
    io.step(Park::Poll).unwrap();
    assert_eq!(Rc::strong_count(&held), 1);
    spawn(&io).detach();
    io.step(Park::Poll).unwrap();
    spawn(&io).detach();
    assert_eq!(Rc::strong_count(&held), 3);
    io.shutdown();
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_waker_used_on_another_thread_wakes_a_parked_shard() {
    let io = reactor();
    for _ in 0..200 {
        let mut spawned = None;
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let wait = std::future::poll_fn(|cx| {
            if done.load(std::sync::atomic::Ordering::Acquire) {
                return Poll::Ready(());
            }
            let (waker, done) = (cx.waker().clone(), std::sync::Arc::clone(&done));
            spawned.get_or_insert_with(|| {
                thread::spawn(move || {
                    done.store(true, std::sync::atomic::Ordering::Release);
                    waker.wake();
                })
            });
            Poll::Pending
        });
        io.block_on(wait).unwrap();
        spawned.unwrap().join().unwrap();
    }
}

#[test]
fn what_a_hook_wakes_runs_in_the_same_turn() {
    let io = reactor();
    let commit = Notify::new();
    let commits = Rc::new(Cell::new(0));
    let (woken, counted) = (commit.clone(), Rc::clone(&commits));
    io.spawn("journal", async move {
        loop {
            woken.notified().await;
            counted.set(counted.get() + 1);
        }
    })
    .detach();
    io.step(Park::Poll).unwrap();
    io.on_turn_end(move || commit.notify_one());
    assert!(io.step(Park::Poll).unwrap());
    assert_eq!(commits.get(), 1);
    io.shutdown();
}

#[test]
fn a_task_that_always_wakes_itself_does_not_keep_completions_waiting() {
    let io = reactor();
    let polls = Rc::new(Cell::new(0usize));
    let counted = Rc::clone(&polls);
    io.spawn(
        "busy",
        std::future::poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }),
    )
    .detach();
    io.step(Park::Forever).unwrap();
    assert!(polls.get() >= TASK_POLLS_PER_TURN_MAX && polls.get() < 2 * TASK_POLLS_PER_TURN_MAX);
    io.block_on(io.sleep(Duration::from_millis(2))).unwrap();
    io.shutdown();
}

#[test]
fn yielding_gives_way_for_a_whole_turn() {
    let io = reactor();
    let started = Instant::now();
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    io.on_turn_end(move || counted.set(counted.get() + 1));
    io.block_on(async {
        for _ in 0..10 {
            io.yield_now().await;
        }
    })
    .unwrap();
    assert!(turns.get() >= 10 && started.elapsed() < Duration::from_secs(1));
    io.shutdown();
}

#[test]
fn a_task_that_holds_the_thread_is_named() {
    let io = reactor();
    let task = io.spawn("sluggard", async { thread::sleep(STALL_FAIL + Duration::from_millis(5)) });
    io.block_on(task).unwrap();
    let seen = io.stalls();
    assert!(seen.over_fail >= 1 && seen.longest > STALL_FAIL);
    assert!(["sluggard", "turn"].contains(&seen.longest_name));
}

#[test]
fn a_oneshot_between_tasks_arrives() {
    let io = reactor();
    let (sender, receiver) = oneshot();
    let later = io.clone();
    io.spawn("send", async move {
        later.sleep(Duration::from_millis(1)).await;
        sender.send("value");
    })
    .detach();
    assert_eq!(io.block_on(receiver).unwrap(), Ok("value"));
}
