//! The deterministic driver: virtual time, a disk that forgets what was not synced, sockets in memory.
//!
//! One [`SimWorld`] per machine, one [`SimDriver`] per shard, all on one thread, everything from one seed. Data flows
//! submit -> (clock) -> perform -> completion. Who owns what: the world owns disk, network, clock and faults; drivers
//! and clients are handles into it.
//!
//! A test makes a world, puts a [`SimRunner`] over it for the shards' reactors (or takes bare drivers), and plays the
//! clients through [`SimClient`]. A failure names the seed that replays it.
//!
//! It is a model of what may happen, not of how fast: delays are random, bandwidth is unlimited, and a disk sector
//! that was written reads back right unless a test corrupts it.

mod client;
mod clock;
mod directory;
mod disk;
mod driver;
mod fault;
mod file;
mod image;
mod network;
mod options;
mod perform;
mod prng;
mod runner;
#[cfg(test)]
mod scenario;
mod stream;
mod submit;
mod trace;
mod world;

pub use client::SimClient;
pub use disk::DiskImage;
pub use driver::SimDriver;
pub use fault::{Fault, FaultId, OpKind};
pub use options::{Delay, OnViolation, SimOptions, SimViolation};
pub use prng::Prng;
pub use runner::{RunError, SimRunner};
pub use world::{CrashPoint, SimWorld};
