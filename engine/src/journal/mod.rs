//! The journal: group commit of everything that a shard appends to one directory.
//!
//! A commit gathers whatever arrived while the one before was being written, of all partitions, and is one aligned
//! write; so there is one sync per window however many partitions there are. At most one write is in flight per
//! journal, therefore a commit that is on the medium attests that all commits before it are.
//!
//! Owned by one shard. It does not know what a log is: an entry carries an observer that is told when it is durable.
//! Bytes on disk: `commit`, `file`; the writing task: `writer`; which file is written next: `space`; reading back
//! after a crash: `scan`.

pub mod commit;
pub mod file;
pub mod scan;
mod space;
mod writer;

pub use commit::CommitId;
pub use file::{JournalFileId, Lane};
pub use writer::{CommitObserver, CommitTicket, Journal, JournalSettings, Submitted};
