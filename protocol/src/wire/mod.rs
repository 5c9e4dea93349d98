//! Primitive types of the Kafka protocol, read from and written to byte slices.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types", and KIP-482 for the compact forms and tagged fields. A
//! message version is either classic or *flexible*; reader and writer carry that as a mode, so that message code names
//! each field once.
//!
//! Invariants: no read goes past the slice; no length or count causes an allocation; every array element takes at least
//! one byte, so a count beyond the bytes left is refused before the first element is read.

mod items;
mod reader;
mod writer;

pub use items::{Element, Items};
pub use reader::{Reader, WireError};
pub use writer::{EncodeError, Writer};
