//! RecordBatch v2 (magic 2), the unit that producers send, the log stores and consumers fetch, byte for byte.
//!
//! ```text
//! bytes -> BatchView::parse        one batch at the head of a slice, header fields, CRC, records
//!       -> validate_produced       everything that a broker checks before it appends
//!       -> stamp                   base offset and leader epoch patched in place, outside the CRC
//!       -> BatchHeaderWalker       consecutive batches of a log or a response
//! BatchBuilder -> bytes            for internal logs and tests
//! ```
//!
//! Invariants: a view never reaches outside its slice; every header field may hold any value until it has been checked;
//! compressed bodies are opaque. Records are not decoded on the append path.
//!
//! Deliberately absent: magic 0 and 1 beyond recognising them, and decompression.

mod builder;
mod layout;
mod produced;
mod record;
mod stamp;
mod view;
mod walker;

pub use builder::BatchBuilder;
pub use layout::*;
pub use produced::{ProduceLimits, Reject, TimestampBounds, validate_produced};
pub use record::{Header, Headers, Record, RecordError, Records};
pub use stamp::{stamp, stamp_log_append_time};
pub use view::{BatchError, BatchView};
pub use walker::{BatchHeaderWalker, BatchInfo, WalkStop, is_blank};
