//! Baselines that the engine is measured against, driven by `thalweg-loadgen` as if they were brokers.
//!
//! | binary | what it is |
//! |---|---|
//! | `floor` | a raw ring and nothing else: journal, segments, checkpoint. What this machine can do. |
//! | `append-tokio-uring`, `append-glommio`, `append-reactor` | the same append path on three runtimes |
//!
//! All speak the part of Kafka's protocol that the load generator needs ([`wire`]), for any topic name, with one
//! partition behind all of them. All copy a batch into an aligned buffer ([`group`]), write what came together in one
//! `O_DIRECT|O_DSYNC` write to a pre-written, recycled file ([`journal`]), one in flight, and answer after it.
//!
//! They are instruments, no brokers: nothing is ever read back, a restart starts from nothing, and an error ends the
//! process. What the engine must do and they leave out is what the comparison shows: offsets in the batch, records
//! kept for consumers, recovery, placement.

pub mod append;
pub mod group;
pub mod inbox;
pub mod journal;
pub mod options;
pub mod report;
pub mod wire;
