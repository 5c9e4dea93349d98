//! Kafka's protocol on the Thalweg engine: `server.properties` in, a broker out.
//!
//! ```text
//! broker (start, stop) -> config, metadata
//! connection -> dispatch -> api (one file per request) -> shard -> engine
//! ```
//!
//! Invariants: Kafka's error codes are chosen at this crate's edge, never in the engine; a shard's state is never shared
//! with another, only configuration and the metadata image are.

#![forbid(unsafe_code)]

pub mod api;
pub mod bounds;
pub mod broker;
pub mod config;
pub mod connection;
pub mod dispatch;
pub mod errors;
pub mod group;
pub mod metadata;
pub mod scatter;
pub mod shard;
