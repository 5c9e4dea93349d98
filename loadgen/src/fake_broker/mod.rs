//! A broker that only acknowledges: the instrument's own test bench.
//!
//! It answers the requests of `run`, on a thread per connection, with the delays and faults that a [`Script`] asks
//! for. As a sink it throws record bytes away inside the kernel (MSG_TRUNC), so that the load generator is what is
//! measured. With `store` it keeps batches in memory, can be read back, and damages them on demand: the canaries of
//! `--verify`. It checks nothing and persists nothing; it is no Kafka broker.

mod answer;
mod log;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv};

use log::Log;
pub use log::{Fault, FaultKind};

/// Bytes of a request read before its kind is known; holds a Produce up to its batch for usual topic names.
const HEAD_BYTES: usize = 192;
const FRAME_BYTES_MAX: usize = 256 << 20;

/// How the broker behaves.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Partitions of every topic.
    pub partitions: u32,
    /// Keep batches for Fetch.
    pub store: bool,
    /// Once, this long after the first Produce, answer nothing for the second duration.
    pub stall: Option<(Duration, Duration)>,
    /// Delay of each Produce, taken in turn over all connections; empty for none.
    pub delays: Vec<Duration>,
    /// What to do to the stored batches.
    pub fault: Option<Fault>,
    /// Break the connection instead of answering every n-th Produce, which is stored all the same; 0 for never.
    pub drop_every: u64,
}

/// A running broker; dropping the handle stops it accepting.
#[derive(Debug)]
pub struct FakeBroker {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

type SharedLog = Arc<Mutex<Log>>;

#[derive(Debug)]
struct Shared {
    script: Script,
    address: SocketAddr,
    logs: Mutex<HashMap<(String, i32), SharedLog>>,
    first_produce: OnceLock<Instant>,
    produced: AtomicU64,
    producer_ids: AtomicI64,
    stopped: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeBroker {
    pub fn start(listen: SocketAddr, script: Script, cpu: Option<usize>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script,
            address,
            logs: Mutex::default(),
            first_produce: OnceLock::new(),
            produced: AtomicU64::new(0),
            producer_ids: AtomicI64::new(1),
            stopped: AtomicBool::new(false),
        });
        let server = shared.clone();
        thread::Builder::new().name("fake-broker".into()).spawn(move || accept(&listener, &server, cpu))?;
        Ok(Self { address, shared })
    }

    /// Produce requests received so far.
    pub fn produced(&self) -> u64 {
        self.shared.produced.load(Ordering::Relaxed)
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the accept loop; if it cannot be reached it has ended already.
        let _woken = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = nix::sched::CpuSet::new();
        let pinned =
            set.set(cpu).and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
        if let Err(e) = pinned {
            eprintln!("fake broker: not pinned to CPU {cpu}: {e}");
        }
    }
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = shared.clone();
        thread::spawn(move || {
            // A client that goes away ends its thread, as it should.
            let _gone = Session { stream, shared: &shared }.serve();
        });
    }
}

struct Session<'a> {
    stream: TcpStream,
    shared: &'a Shared,
}

impl Session<'_> {
    fn serve(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut length = [0; 4];
        loop {
            self.stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            if length > FRAME_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut frame = Vec::with_capacity(HEAD_BYTES);
            self.read_to(&mut frame, length.min(HEAD_BYTES))?;
            let received = Instant::now();
            let is_produce = frame.starts_with(&[0, 0]);
            if !is_produce || self.shared.script.store {
                self.read_to(&mut frame, length)?;
            }
            let reply = if is_produce {
                self.produce(frame, length, received)?
            } else {
                Some(answer::answer(self.shared, &frame).map_err(invalid)?)
            };
            if let Some(reply) = reply {
                self.stream.write_all(&reply)?;
            }
        }
    }

    /// Grows `frame` to `target` bytes, as they come.
    fn read_to(&mut self, frame: &mut Vec<u8>, target: usize) -> io::Result<()> {
        let missing = target.saturating_sub(frame.len()) as u64;
        let got = (&mut self.stream).take(missing).read_to_end(frame)?;
        if got as u64 == missing { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn produce(
        &mut self,
        mut frame: Vec<u8>,
        length: usize,
        received: Instant,
    ) -> io::Result<Option<Vec<u8>>> {
        let parsed = match answer::produce(&frame) {
            Err(crate::wire::WireError::Truncated(_)) if frame.len() < length => {
                self.read_to(&mut frame, length)?;
                answer::produce(&frame).map_err(invalid)?
            }
            other => other.map_err(invalid)?,
        };
        self.discard(length - frame.len())?;
        let number = self.shared.produced.fetch_add(1, Ordering::Relaxed);
        let batch = if self.shared.script.store { &frame[parsed.batch_at..] } else { &[] };
        let base_offset = self.shared.append(&parsed, batch, number);
        let every = self.shared.script.drop_every;
        if every > 0 && number % every == every - 1 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.shared.wait(number, received);
        Ok((parsed.acks != 0).then(|| answer::produced(&parsed, base_offset)))
    }

    /// Drops bytes inside the kernel: TCP does not copy what MSG_TRUNC asks for (tcp(7)).
    fn discard(&mut self, mut left: usize) -> io::Result<()> {
        let mut window = vec![0; left.min(1 << 20)];
        while left > 0 {
            let n = left.min(window.len());
            match recv(self.stream.as_raw_fd(), &mut window[..n], MsgFlags::MSG_TRUNC)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => left -= got,
            }
        }
        Ok(())
    }
}

fn invalid(e: crate::wire::WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

impl Shared {
    fn log(&self, topic: &str, partition: i32) -> SharedLog {
        let mut logs = locked(&self.logs);
        if let Some(log) = logs.get(&(topic.to_string(), partition)) {
            return log.clone();
        }
        logs.entry((topic.to_string(), partition)).or_default().clone()
    }

    fn append(&self, p: &answer::Produce<'_>, batch: &[u8], number: u64) -> i64 {
        let fault = self.script.fault.filter(|f| f.at == number || f.at + 1 == number);
        let partition = match fault {
            Some(f) => f.partition_for(number, p.partition, self.script.partitions as i32),
            None => p.partition,
        };
        let log = self.log(p.topic, partition);
        locked(&log).append(p, batch, fault, number)
    }

    /// Holds the answer back as the script says.
    fn wait(&self, number: u64, received: Instant) {
        let start = *self.first_produce.get_or_init(|| received);
        let mut due = received;
        if !self.script.delays.is_empty() {
            due += self.script.delays[(number % self.script.delays.len() as u64) as usize];
        }
        if let Some((after, length)) = self.script.stall {
            let (from, to) = (start + after, start + after + length);
            if received >= from && received < to {
                due = due.max(to);
            }
        }
        let ahead = due.saturating_duration_since(Instant::now());
        if !ahead.is_zero() {
            thread::sleep(ahead);
        }
    }
}
