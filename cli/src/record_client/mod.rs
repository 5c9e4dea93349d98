//! What the tools on the data path share: librdkafka under the names, defaults and words of Kafka's Java clients.
//!
//! A user's properties are the Java client's; [`property`] holds each against what librdkafka can do for it, and nothing is
//! passed over in silence: a key is translated, honoured by the tool itself, or refused by name. What goes wrong is told
//! in the words of the Java client ([`exception`]) and in its log format ([`log`]).
//!
//! Deliberately absent: TLS and SASL, of which the server has none either.

pub mod consumer;
pub mod exception;
pub mod log;
pub mod metrics;
pub mod number;
pub mod producer;
pub mod property;
pub mod signal;
pub mod throttle;

pub use property::Properties;
