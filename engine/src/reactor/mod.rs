//! The shard's executor: tasks, timers and operations of one thread, over one [`Driver`].
//!
//! A loop turn is: run ready tasks (bounded), run the turn-end hooks, run what those woke, let the driver submit and
//! wait, deliver completions, fire timers. Tasks start in the order in which they were woken. Everything here belongs
//! to the thread that made it; only wakers and the mesh's queues are used from others.
//!
//! A panic in a task is not caught: it unwinds out of [`Io::step`] and ends the shard, because state shared by tasks
//! may be half changed.
//!
//! It deliberately does not steal work, prioritise tasks or know what they are for.

mod file;
mod mesh;
mod op;
mod queue;
mod socket;
mod stall;
pub mod sync;
mod task;
mod thread;
mod timer;
mod turn;

pub use file::File;
pub use mesh::{Mesh, MeshEnd, ShardGone};
pub use socket::Socket;
pub use stall::Stalls;
pub use task::{Task, TaskName};
pub use thread::{allowed_cpus, spawn_shard};
pub use timer::{Elapsed, Sleep};
pub use turn::Io;

#[cfg(test)]
mod tests;
