//! One worker thread: an `io_uring` runtime of its own, and its share of the producers and consumers as tasks on it.
//! Workers share nothing on the hot path but progress counters that each writes alone.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use nix::time::ClockId;

use crate::audit::Seen;
use crate::connection::Connection;
use crate::consumer::{Consumer, Share};
use crate::ledger::Acked;
use crate::plan::{Plan, Window};
use crate::producer::{Assignment, Producer};
use crate::stats::Stats;

const RING_ENTRIES: u32 = 1024;
const TICK: Duration = Duration::from_millis(100);

/// A producer's share of the partitions, before it is bound to a thread.
#[derive(Debug, Clone)]
pub struct ProducerJob {
    pub number: u32,
    pub of: u32,
    pub partitions: Vec<u32>,
}

/// What one worker is to do.
#[derive(Debug, Clone, Default)]
pub struct Jobs {
    pub producers: Vec<ProducerJob>,
    pub consumers: Vec<Vec<u32>>,
    pub cpu: Option<usize>,
}

/// What one worker measured.
#[derive(Debug, Default)]
pub struct Outcome {
    pub stats: Stats,
    pub acked: Vec<Acked>,
    pub seen: Seen,
    /// Share of the window that this thread was on a CPU, less its spinning: 0 to 1.
    pub busy: f64,
    /// Share of the window that this thread was ready to run and other work had the CPU: 0 to 1.
    pub starved: f64,
    pub errors: Vec<String>,
}

/// Starts worker `number`. It connects, waits at `connected`, then at `go`, after which the window is set.
pub fn spawn(
    plan: Arc<Plan>,
    number: usize,
    jobs: Jobs,
    gates: Arc<(Barrier, Barrier)>,
) -> io::Result<thread::JoinHandle<io::Result<Outcome>>> {
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let result = pin(jobs.cpu).and_then(|()| prepare());
        match result {
            Ok(runtime) => runtime.block_on(work(plan, number, jobs, &gates)),
            Err(e) => {
                plan.failed.store(true, Ordering::Release);
                gates.0.wait();
                gates.1.wait();
                Err(e)
            }
        }
    })
}

fn pin(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu)?;
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).map_err(|e| {
        io::Error::other(format!("cannot pin to CPU {cpu}: {e}; give --cpus CPUs of this machine"))
    })
}

fn prepare() -> io::Result<tokio_uring::Runtime> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_taskrun_flag();
    let mut builder = tokio_uring::builder();
    builder.entries(RING_ENTRIES).uring_builder(&ring);
    tokio_uring::Runtime::new(&builder).map_err(|e| {
        io::Error::other(format!(
            "io_uring is not available ({e}): it needs Linux 5.19 or newer, sysctl kernel.io_uring_disabled=0, \
             a seccomp profile that allows it, and some memlock (ulimit -l)"
        ))
    })
}

struct Cells {
    stats: Rc<RefCell<Stats>>,
    acked: Rc<RefCell<Vec<Acked>>>,
    seen: Rc<RefCell<Seen>>,
    spun_ns: Rc<Cell<u64>>,
    errors: Rc<RefCell<Vec<String>>>,
}

struct Lanes {
    producers: Vec<(Producer, Connection)>,
    consumers: Vec<(Consumer, Connection)>,
}

async fn work(plan: Arc<Plan>, number: usize, jobs: Jobs, gates: &(Barrier, Barrier)) -> io::Result<Outcome> {
    let cells = Cells {
        stats: Rc::default(),
        acked: Rc::default(),
        seen: Rc::default(),
        spun_ns: Rc::default(),
        errors: Rc::default(),
    };
    let lanes = open_all(&plan, number, &jobs, &cells).await;
    if lanes.is_err() {
        plan.failed.store(true, Ordering::Release);
    }
    // Blocks the thread, which has nothing else to do yet.
    gates.0.wait();
    gates.1.wait();
    let lanes = lanes?;
    if plan.failed.load(Ordering::Acquire) {
        return Ok(Outcome::default());
    }
    let Some(window) = plan.window.get() else { return Ok(Outcome::default()) };
    let settlements: Vec<_> = lanes.producers.iter().map(|(p, _)| p.settlement()).collect();
    let (busy, starved) = run_lanes(&plan, number, lanes, &cells, window).await;
    settlements.into_iter().for_each(|s| s.settle());
    Ok(Outcome {
        stats: cells.stats.take(),
        acked: cells.acked.take(),
        seen: cells.seen.take(),
        busy,
        starved,
        errors: cells.errors.take(),
    })
}

async fn open_all(plan: &Arc<Plan>, number: usize, jobs: &Jobs, cells: &Cells) -> io::Result<Lanes> {
    let mut lanes = Lanes { producers: Vec::new(), consumers: Vec::new() };
    for job in &jobs.producers {
        let producer = Producer::new(Assignment {
            plan: plan.clone(),
            number: job.number,
            of: job.of,
            partitions: job.partitions.clone(),
            worker: number,
            stats: cells.stats.clone(),
            acked: cells.acked.clone(),
            spun_ns: cells.spun_ns.clone(),
        })?;
        let connection = Connection::open(producer.address()).await?;
        lanes.producers.push((producer, connection));
    }
    for partitions in &jobs.consumers {
        let consumer = Consumer::new(Share {
            plan: plan.clone(),
            partitions: partitions.clone(),
            worker: number,
            stats: cells.stats.clone(),
            seen: cells.seen.clone(),
        });
        let connection = Connection::open(consumer.address()).await?;
        lanes.consumers.push((consumer, connection));
    }
    Ok(lanes)
}

/// Runs every lane to its end, or to the end of the drain time. Returns the busy and starved shares of the window.
async fn run_lanes(
    plan: &Arc<Plan>,
    number: usize,
    lanes: Lanes,
    cells: &Cells,
    window: &Window,
) -> (f64, f64) {
    let mut tasks = Vec::new();
    for (producer, connection) in lanes.producers {
        let (plan, errors) = (plan.clone(), cells.errors.clone());
        tasks.push(tokio_uring::spawn(async move {
            if let Some(window) = plan.window.get() {
                let result = producer.run(connection, window).await;
                finish(&plan, window, &errors, "producer", result);
            }
            plan.producers_left.fetch_sub(1, Ordering::AcqRel);
        }));
    }
    let reading = Rc::new(Cell::new(lanes.consumers.len()));
    for (consumer, connection) in lanes.consumers {
        let (plan, errors, reading) = (plan.clone(), cells.errors.clone(), reading.clone());
        tasks.push(tokio_uring::spawn(async move {
            if let Some(window) = plan.window.get() {
                let result = consumer.run(connection, window).await;
                finish(&plan, window, &errors, "consumer", result);
            }
            reading.set(reading.get() - 1);
        }));
    }
    let aborts: Vec<_> = tasks.iter().map(|t| t.abort_handle()).collect();
    let meter = Cell::new(Meter::default());
    let all = async {
        for task in tasks {
            // A lane reports its own errors; an aborted one has none.
            let _aborted = task.await;
        }
    };
    tokio::select! {
        () = all => {}
        () = watch(plan, number, cells, window, &meter) => aborts.iter().for_each(|a| a.abort()),
    }
    if reading.get() > 0 && plan.traffic.producers > 0 {
        let text = format!("{} consumers had not read to the end within --drain; raise it", reading.get());
        cells.errors.borrow_mut().push(text);
    }
    tokio::task::yield_now().await;
    meter.get().shares()
}

fn finish(plan: &Plan, window: &Window, errors: &RefCell<Vec<String>>, who: &str, result: io::Result<()>) {
    if let Err(e) = result {
        errors.borrow_mut().push(format!("{who}: {e}"));
        plan.failed.store(true, Ordering::Release);
        window.cut(plan.clock.now());
    }
}

/// What the scheduler gave the thread between the first and last tick inside the window.
#[derive(Debug, Default, Clone, Copy)]
struct Meter {
    first: Option<Tick>,
    last: Tick,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tick {
    at_ns: u64,
    cpu_ns: u64,
    waited_ns: u64,
}

impl Meter {
    fn shares(&self) -> (f64, f64) {
        let Some(first) = self.first else { return (0.0, 0.0) };
        let share = |from: u64, to: u64| {
            to.saturating_sub(from) as f64 / self.last.at_ns.saturating_sub(first.at_ns).max(1) as f64
        };
        (share(first.cpu_ns, self.last.cpu_ns), share(first.waited_ns, self.last.waited_ns))
    }
}

/// Ticks until time is up: the window, then the drain.
async fn watch(plan: &Plan, number: usize, cells: &Cells, window: &Window, meter: &Cell<Meter>) {
    let drain_ns = plan.traffic.drain.as_nanos() as u64;
    loop {
        tokio::time::sleep(TICK).await;
        let now = plan.clock.now();
        let cpu = thread_cpu_ns();
        let spun = cells.spun_ns.get();
        let live = &plan.progress[number];
        live.cpu_ns.store(cpu as i64, Ordering::Relaxed);
        live.spin_ns.store(spun, Ordering::Relaxed);
        if window.contains(now) {
            let mut m = meter.get();
            m.last = Tick { at_ns: now, cpu_ns: cpu.saturating_sub(spun), waited_ns: thread_waited_ns() };
            m.first = m.first.or(Some(m.last));
            meter.set(m);
        }
        if now > window.end_ns().saturating_add(drain_ns) {
            return;
        }
    }
}

fn thread_cpu_ns() -> u64 {
    ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

/// Nanoseconds that this thread waited on a run queue (second field of schedstat, Documentation/scheduler); 0 where
/// the kernel does not keep it.
fn thread_waited_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0)
}
