//! Faults on demand: which operations fail or stall, when, and how.
//!
//! Owned by the world, consulted once for every operation as it is submitted. The first rule that matches and
//! fires decides; rules after it do not count the operation.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::prng::Prng;
use crate::io::Op;

/// What an operation does, without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    Open,
    CloseFile,
    Read,
    Write,
    Sync,
    Allocate,
    Truncate,
    Rename,
    Unlink,
    MakeDir,
    RemoveDir,
    SyncDir,
    Accept,
    Recv,
    Send,
    CloseSocket,
}

impl OpKind {
    /// The kind of this operation.
    pub fn of(op: &Op) -> OpKind {
        match op {
            Op::Open { .. } => OpKind::Open,
            Op::CloseFile { .. } => OpKind::CloseFile,
            Op::Read { .. } => OpKind::Read,
            Op::Write { .. } => OpKind::Write,
            Op::Sync { .. } => OpKind::Sync,
            Op::Allocate { .. } => OpKind::Allocate,
            Op::Truncate { .. } => OpKind::Truncate,
            Op::Rename { .. } => OpKind::Rename,
            Op::Unlink { .. } => OpKind::Unlink,
            Op::MakeDir { .. } => OpKind::MakeDir,
            Op::RemoveDir { .. } => OpKind::RemoveDir,
            Op::SyncDir { .. } => OpKind::SyncDir,
            Op::Accept { .. } => OpKind::Accept,
            Op::Recv { .. } => OpKind::Recv,
            Op::Send { .. } => OpKind::Send,
            Op::CloseSocket { .. } => OpKind::CloseSocket,
        }
    }

    pub(super) fn is_socket(self) -> bool {
        matches!(self, OpKind::Accept | OpKind::Recv | OpKind::Send | OpKind::CloseSocket)
    }
}

#[derive(Clone, Copy, Debug)]
enum Trigger {
    Always,
    /// The n-th matching operation, from 1, and that one only.
    Nth(u64),
    /// The n-th matching operation, from 1, and every one after it.
    From(u64),
    Probability(f64),
}

/// What a fault does to the operation it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// It fails with this error. A write may leave any of its sectors behind, a sync may drop what it should keep.
    Error(Errno),
    /// It takes this much longer.
    Stall(Duration),
}

/// Names a fault that was injected, to lift it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

/// A rule: operations of these kinds, on these paths, at these moments, fail or stall.
///
/// Without kinds it meets every operation; without a path every file; without a moment every time.
#[derive(Clone, Debug)]
pub struct Fault {
    kinds: Vec<OpKind>,
    path_part: Option<String>,
    trigger: Trigger,
    hit: Hit,
    seen: u64,
}

impl Fault {
    fn new(hit: Hit) -> Fault {
        Fault { kinds: Vec::new(), path_part: None, trigger: Trigger::Always, hit, seen: 0 }
    }

    /// The operation fails with `errno`. On a socket operation the connection is torn down as well.
    pub fn error(errno: Errno) -> Fault {
        Fault::new(Hit::Error(errno))
    }

    /// The operation takes `time` of virtual time longer than it would have.
    pub fn stall(time: Duration) -> Fault {
        Fault::new(Hit::Stall(time))
    }

    /// Only operations of this kind; may be called several times.
    pub fn on(mut self, kind: OpKind) -> Fault {
        self.kinds.push(kind);
        self
    }

    /// Only operations on paths that contain `part`. A rename is known by its source. Sockets never match.
    pub fn path(mut self, part: &str) -> Fault {
        self.path_part = Some(part.to_owned());
        self
    }

    /// Only the `n`-th matching operation after injection, from 1.
    pub fn nth(mut self, n: u64) -> Fault {
        self.trigger = Trigger::Nth(n);
        self
    }

    /// The `n`-th matching operation after injection, from 1, and every one after it: a disk that falls out.
    pub fn from(mut self, n: u64) -> Fault {
        self.trigger = Trigger::From(n);
        self
    }

    /// Each matching operation with this probability.
    pub fn probability(mut self, probability: f64) -> Fault {
        self.trigger = Trigger::Probability(probability);
        self
    }

    fn matches(&self, kind: OpKind, path: Option<&Path>) -> bool {
        let path_fits =
            |part: &String| path.is_some_and(|path| path.to_string_lossy().contains(part.as_str()));
        (self.kinds.is_empty() || self.kinds.contains(&kind)) && self.path_part.as_ref().is_none_or(path_fits)
    }

    fn fires(&mut self, prng: &mut Prng) -> bool {
        self.seen += 1;
        match self.trigger {
            Trigger::Always => true,
            Trigger::Nth(n) => self.seen == n,
            Trigger::From(n) => self.seen >= n,
            Trigger::Probability(probability) => prng.chance(probability),
        }
    }
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultPlan {
    rules: Vec<(FaultId, Fault)>,
    next: u64,
}

impl FaultPlan {
    pub(super) fn add(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(self.next);
        self.next += 1;
        self.rules.push((id, fault));
        id
    }

    pub(super) fn lift(&mut self, id: FaultId) {
        self.rules.retain(|rule| rule.0 != id);
    }

    pub(super) fn lift_all(&mut self) {
        self.rules.clear();
    }

    pub(super) fn strike(&mut self, kind: OpKind, path: Option<&Path>, prng: &mut Prng) -> Option<Hit> {
        let rules = self.rules.iter_mut().map(|rule| &mut rule.1);
        rules.filter(|rule| rule.matches(kind, path)).find_map(|rule| rule.fires(prng).then_some(rule.hit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_hits_its_kind_path_and_moment_only() {
        let (mut plan, mut prng) = (FaultPlan::default(), Prng::new(1));
        let id = plan.add(Fault::error(Errno::EIO).on(OpKind::Sync).path("journal").nth(2));
        let journal = Some(Path::new("/data/journal-0"));
        let mut strike = |kind, path| plan.strike(kind, path, &mut prng);
        assert_eq!(strike(OpKind::Write, journal), None);
        assert_eq!(strike(OpKind::Sync, Some(Path::new("/data/a.log"))), None);
        assert_eq!(strike(OpKind::Sync, journal), None);
        assert_eq!(strike(OpKind::Sync, journal), Some(Hit::Error(Errno::EIO)));
        assert_eq!(strike(OpKind::Sync, journal), None);
        plan.add(Fault::stall(Duration::from_secs(1)));
        plan.lift(id);
        assert_eq!(plan.strike(OpKind::Recv, None, &mut prng), Some(Hit::Stall(Duration::from_secs(1))));
    }
}
