//! The journal: group commit of everything that a shard appends to one directory.
//!
//! A commit gathers whatever arrived while the one before was being written, of all partitions, and is one aligned
//! write; so there is one sync per window however many partitions there are. Two commits may be in flight; they are
//! acknowledged in order, and each says up to which one all before it were durable when it was made.
//!
//! Owned by one shard. It does not know what a log is: an entry carries an observer that is told when it is durable.
//! Bytes on disk: `commit`, `file`; queueing: `appender`, `group`; the writing task: `writer`, `window`; which file is written next: `space`; reading back
//! after a crash: `scan`.

mod appender;
pub mod commit;
pub mod file;
mod group;
pub mod scan;
mod space;
mod window;
mod writer;

pub use appender::{Journal, JournalSettings, Submitted};
pub use commit::CommitId;
pub use file::{JournalFileId, Lane};
pub use group::{CommitObserver, CommitTicket};
