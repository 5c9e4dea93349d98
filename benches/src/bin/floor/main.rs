//! The honest floor: what a raw ring does with the same bytes, without an engine.
//!
//! ```text
//! receive -> copy into a group -> one direct write to the journal -> answer
//!         -> copy into a chunk -> segment writes of 1 MiB -> sync -> checkpoint -> the journal's quarter is free again
//! ```
//! One thread, one ring, no executor, no allocation per request. So it writes every byte twice, allocates, rolls, syncs
//! and removes as a server must that runs for longer than its journal lasts; what it leaves out is named in the crate's
//! documentation. A figure of the engine is read against this one.

mod checkpoint;
mod connection;
mod log;
mod ring;
mod segment;

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;

use clap::{ArgAction, Parser};
use thalweg_benches::options::Options;
use thalweg_benches::wire::{self, Request};
use thalweg_benches::{journal, report};

use connection::Connections;
use log::Log;
use ring::{Finished, Purpose, Ring};
use segment::ALLOCATE_BYTES;

/// The bare-ring floor, driven by thalweg-loadgen
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Write segments and checkpoints behind the journal; false: the journal alone
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    segments: bool,
    /// Size at which a segment is full
    #[arg(long, default_value_t = 1 << 30, value_parser = segment_bytes)]
    segment_bytes: u64,
}

fn segment_bytes(text: &str) -> Result<u64, String> {
    let bytes: u64 = text.parse().map_err(|error| format!("{error}; give bytes"))?;
    if bytes == 0 || !bytes.is_multiple_of(ALLOCATE_BYTES) {
        return Err(format!("a multiple of {ALLOCATE_BYTES}"));
    }
    Ok(bytes)
}

struct Floor {
    listener: TcpListener,
    port: u16,
    ring: Ring,
    connections: Connections,
    parked: Vec<usize>,
    log: Log,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Cli { options, segments, segment_bytes } = Cli::parse();
    options.pin()?;
    report::print_on_signal()?;
    let path = journal::prepare(&options.dir, options.journal_bytes)?;
    let mut ring = Ring::new()?;
    let log = Log::new(&mut ring, &options, &path, segments.then_some(segment_bytes))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
    let address = listener.local_addr()?;
    let floor = Floor {
        listener,
        port: address.port(),
        ring,
        connections: Connections::default(),
        parked: Vec::new(),
        log,
    };
    report::print_listening(address);
    Ok(floor.run()?)
}

impl Floor {
    fn run(mut self) -> io::Result<()> {
        let mut finished = Vec::new();
        self.ring.accept(self.listener.as_raw_fd());
        loop {
            self.retry_parked();
            self.log.pump(&mut self.ring)?;
            self.ring.turn(&mut finished)?;
            for entry in finished.drain(..) {
                self.finish(entry)?;
            }
        }
    }

    /// An error here is one of the disk: the floor ends. A connection's errors end the connection.
    fn finish(&mut self, finished: Finished) -> io::Result<()> {
        let index = finished.index;
        match finished.purpose {
            Purpose::Accept => {
                let opened =
                    finished.result().and_then(|socket| self.connections.open(&mut self.ring, socket));
                if let Err(error) = opened {
                    eprintln!("accept: {error}");
                }
                self.ring.accept(self.listener.as_raw_fd());
            }
            Purpose::Receive => match finished.result() {
                Ok(count @ 1..) => {
                    self.connections.all[index].inbox.filled += count as usize;
                    self.advance(index);
                }
                _ => self.connections.close(index),
            },
            Purpose::Send => match finished.result() {
                Ok(count @ 1..) => {
                    self.connections.sent(index, count as usize);
                    self.rest(index);
                }
                _ => self.connections.close(index),
            },
            Purpose::Commit => {
                for member in self.log.committed(finished)? {
                    self.connections.all[member].uncommitted -= 1;
                    self.rest(member);
                }
            }
            _ => self.log.finish(&mut self.ring, finished)?,
        }
        Ok(())
    }

    fn retry_parked(&mut self) {
        for index in std::mem::take(&mut self.parked) {
            self.connections.all[index].is_parked = false;
            self.advance(index);
        }
    }

    /// Takes the whole frames off a connection's inbox, then lets it rest.
    fn advance(&mut self, index: usize) {
        if let Err(error) = self.take_frames(index) {
            eprintln!("connection: {error}");
            self.connections.all[index].is_broken = true;
        }
        self.rest(index);
    }

    fn take_frames(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections.all[index];
        while let Some(end) = connection.inbox.whole_frame()? {
            match wire::read(&connection.inbox.bytes[..end])? {
                Request::Other(other) => {
                    other.answer(self.port, self.log.end_offset(), &mut connection.replies)?;
                }
                Request::Produce(produce) => match self.log.append(&produce, index)? {
                    Some(base_offset) => {
                        connection.uncommitted += 1;
                        produce.acknowledge(base_offset, &mut connection.replies);
                    }
                    None => {
                        report::APPEND_STALLS.add(1);
                        connection.is_parked = true;
                        self.parked.push(index);
                        return Ok(());
                    }
                },
            }
            connection.inbox.consume(end);
        }
        Ok(())
    }

    /// A connection with nothing in flight: what it does next, if it may.
    fn rest(&mut self, index: usize) {
        let connection = &self.connections.all[index];
        if connection.uncommitted > 0 || connection.is_parked {
            return;
        }
        if connection.is_broken {
            self.connections.close(index);
        } else if !connection.replies.is_empty() {
            self.connections.send(&mut self.ring, index);
        } else if let Err(error) = self.connections.receive(&mut self.ring, index) {
            eprintln!("connection: {error}");
            self.connections.close(index);
        }
    }
}
