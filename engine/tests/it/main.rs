//! The engine as a whole: a model test, crash simulations, a corruption sweep, faults, and the real ring.

// A test may panic; the lint's exception for tests does not reach functions that tests call.
#![allow(clippy::unwrap_used)]

mod batch;
mod compaction;
mod corruption;
mod crash;
mod crash_points;
mod durability;
mod failing_disks;
mod faults;
mod harness;
mod kafka_in_between;
mod model;
mod options;
mod oracle;
mod seeds;
mod shard_panic;
mod workload;
