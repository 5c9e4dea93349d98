//! Names: the tree that the process sees, the tree on stable storage, and the unsynced operations between them.
//!
//! A name operation is durable after a sync of its directory, and no sooner; nothing else (syncing the file, syncing
//! the parent of the directory) implies it. At a power loss each directory keeps a prefix or any subset of its
//! pending operations, applied in order; of those on one name always a prefix, so that a file whose rename was lost
//! still has its old name. A rename happens wholly or not at all. A directory's own name lives in its
//! parent, so a directory whose creation was lost takes everything in it along.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use super::prng::Prng;

pub(super) type InodeId = u64;
pub(super) type DirId = u64;

const ROOT: DirId = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(InodeId),
    Dir(DirId),
}

type Tree = BTreeMap<DirId, BTreeMap<String, Node>>;

/// A name in a directory: the directory, then the name.
type Place = (DirId, String);

#[derive(Clone, Debug)]
enum Change {
    Link { at: Place, node: Node },
    Unlink { at: Place, node: Node },
    Rename { from: Place, to: Place, node: Node },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Namespace {
    live: Tree,
    stable: Tree,
    pending: Vec<(u64, Change)>,
    next_seq: u64,
    next_dir: DirId,
}

fn fail<T>(errno: Errno) -> io::Result<T> {
    Err(errno.into())
}

impl Namespace {
    pub(super) fn empty() -> Namespace {
        Namespace { next_dir: ROOT + 1, ..Namespace::default() }
    }

    fn get(&self, at: &Place) -> Option<Node> {
        self.live.get(&at.0)?.get(&at.1).copied()
    }

    fn names(path: &Path) -> io::Result<Vec<&str>> {
        let mut names = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => match name.to_str() {
                    Some(name) => names.push(name),
                    None => return fail(Errno::EILSEQ),
                },
                Component::RootDir | Component::CurDir => (),
                Component::ParentDir | Component::Prefix(_) => return fail(Errno::EINVAL),
            }
        }
        Ok(names)
    }

    fn descend(&self, names: &[&str]) -> io::Result<Node> {
        let mut node = Node::Dir(ROOT);
        for name in names {
            let Node::Dir(dir) = node else { return fail(Errno::ENOTDIR) };
            let Some(next) = self.get(&(dir, (*name).to_owned())) else { return fail(Errno::ENOENT) };
            node = next;
        }
        Ok(node)
    }

    pub(super) fn lookup(&self, path: &Path) -> io::Result<Node> {
        self.descend(&Namespace::names(path)?)
    }

    pub(super) fn lookup_dir(&self, path: &Path) -> io::Result<DirId> {
        match self.lookup(path)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => fail(Errno::ENOTDIR),
        }
    }

    /// Where a name lives or would live; its directory must exist.
    fn place(&self, path: &Path) -> io::Result<Place> {
        let names = Namespace::names(path)?;
        let Some((last, parents)) = names.split_last() else { return fail(Errno::EBUSY) };
        match self.descend(parents)? {
            Node::Dir(dir) => Ok((dir, (*last).to_owned())),
            Node::File(_) => fail(Errno::ENOTDIR),
        }
    }

    fn record(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push((self.next_seq, change));
        self.next_seq += 1;
    }

    /// Gives a file that does not exist yet its name.
    pub(super) fn create(&mut self, path: &Path, inode: InodeId) -> io::Result<()> {
        let at = self.place(path)?;
        if self.get(&at).is_some() {
            return fail(Errno::EEXIST);
        }
        self.record(Change::Link { at, node: Node::File(inode) });
        Ok(())
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        let at = self.place(path).or_else(|error| match error.raw_os_error() {
            Some(busy) if busy == Errno::EBUSY as i32 => fail(Errno::EEXIST),
            _ => Err(error),
        })?;
        if self.get(&at).is_some() {
            return fail(Errno::EEXIST);
        }
        let node = Node::Dir(self.next_dir);
        self.next_dir += 1;
        self.record(Change::Link { at, node });
        Ok(())
    }

    /// Removes the name of a file and returns what it named.
    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<InodeId> {
        let at = self.place(path)?;
        match self.get(&at) {
            None => fail(Errno::ENOENT),
            Some(Node::Dir(_)) => fail(Errno::EISDIR),
            Some(node @ Node::File(inode)) => {
                self.record(Change::Unlink { at, node });
                Ok(inode)
            }
        }
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let at = self.place(path)?;
        match self.get(&at) {
            None => fail(Errno::ENOENT),
            Some(Node::File(_)) => fail(Errno::ENOTDIR),
            Some(Node::Dir(dir)) if !self.is_empty(dir) => fail(Errno::ENOTEMPTY),
            Some(node @ Node::Dir(_)) => {
                self.record(Change::Unlink { at, node });
                Ok(())
            }
        }
    }

    fn is_empty(&self, dir: DirId) -> bool {
        self.live.get(&dir).is_none_or(BTreeMap::is_empty)
    }

    /// Renames as rename(2); returns the file that lost its name to it.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Option<InodeId>> {
        let (source, target) = (self.place(from)?, self.place(to)?);
        let Some(node) = self.get(&source) else { return fail(Errno::ENOENT) };
        let replaced = self.get(&target);
        match (node, replaced) {
            _ if source == target => return Ok(None),
            (Node::Dir(_), _) if to.starts_with(from) => return fail(Errno::EINVAL),
            (Node::Dir(_), Some(Node::File(_))) => return fail(Errno::ENOTDIR),
            (Node::Dir(_), Some(Node::Dir(dir))) if !self.is_empty(dir) => return fail(Errno::ENOTEMPTY),
            (Node::File(_), Some(Node::Dir(_))) => return fail(Errno::EISDIR),
            _ => (),
        }
        self.record(Change::Rename { from: source, to: target, node });
        Ok(match replaced {
            Some(Node::File(inode)) => Some(inode),
            _ => None,
        })
    }

    /// The names in a directory, in order.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, Node)>> {
        let dir = self.lookup_dir(path)?;
        let names = self.live.get(&dir).into_iter().flatten();
        Ok(names.map(|(name, node)| (name.clone(), *node)).collect())
    }

    /// What a directory sync that starts now has to make durable: every operation before this mark.
    pub(super) fn mark(&self) -> u64 {
        self.next_seq
    }

    /// Makes the operations of this directory before `mark` durable, with those that share a rename with it.
    pub(super) fn sync(&mut self, dir: DirId, mark: u64) {
        let mut dirs = BTreeSet::from([dir]);
        loop {
            let before = dirs.len();
            for (_, change) in self.pending.iter().filter(|(seq, _)| *seq < mark) {
                let touched = change.dirs();
                if touched.iter().any(|touched| dirs.contains(touched)) {
                    dirs.extend(touched);
                }
            }
            if dirs.len() == before {
                break;
            }
        }
        let stable = &mut self.stable;
        self.pending.retain(|(seq, change)| {
            let synced = *seq < mark && dirs.contains(&change.dirs()[0]);
            if synced {
                change.apply(stable);
            }
            !synced
        });
    }

    /// Makes everything durable; for set-up.
    pub(super) fn sync_all(&mut self) {
        self.stable = self.live.clone();
        self.pending.clear();
    }

    /// The tree as a power loss leaves it.
    pub(super) fn after_power_loss(mut self, prng: &mut Prng) -> Namespace {
        let mut survival = BTreeMap::new();
        let mut lost = BTreeSet::new();
        for (_, change) in &self.pending {
            let kept = change.places().map(|place| {
                let fate = survival.entry(place.0).or_insert_with(|| Survival::choose(prng));
                fate.keeps(prng) && !lost.contains(place)
            });
            if kept == [true, true] {
                change.apply(&mut self.stable);
            } else {
                lost.extend(change.places());
            }
        }
        Namespace { live: self.stable.clone(), stable: self.stable, pending: Vec::new(), ..self }
    }

    /// Every file that can be reached on stable storage, with its path.
    pub(super) fn stable_files(&self) -> Vec<(PathBuf, InodeId)> {
        files_of(&self.stable)
    }

    /// Every file that can be reached now.
    pub(super) fn live_files(&self) -> Vec<(PathBuf, InodeId)> {
        files_of(&self.live)
    }
}

fn files_of(tree: &Tree) -> Vec<(PathBuf, InodeId)> {
    let mut found = Vec::new();
    walk(tree, ROOT, Path::new("/"), &mut |path, node| {
        if let Node::File(inode) = node {
            found.push((path, inode));
        }
    });
    found
}

fn walk(tree: &Tree, dir: DirId, path: &Path, visit: &mut impl FnMut(PathBuf, Node)) {
    for (name, node) in tree.get(&dir).into_iter().flatten() {
        let path = path.join(OsStr::new(name));
        visit(path.clone(), *node);
        if let Node::Dir(child) = node {
            walk(tree, *child, &path, visit);
        }
    }
}

impl Change {
    /// The names it changes; a change of one name gives it twice.
    fn places(&self) -> [&Place; 2] {
        match self {
            Change::Link { at, .. } | Change::Unlink { at, .. } => [at, at],
            Change::Rename { from, to, .. } => [from, to],
        }
    }

    fn dirs(&self) -> [DirId; 2] {
        self.places().map(|place| place.0)
    }

    /// Applies it to a tree in which operations before it may be missing.
    fn apply(&self, tree: &mut Tree) {
        match self {
            Change::Link { at, node } => put(tree, at, *node),
            Change::Unlink { at, node } => {
                take(tree, at, *node);
            }
            Change::Rename { from, to, node } => {
                if take(tree, from, *node) {
                    put(tree, to, *node);
                }
            }
        }
    }
}

fn put(tree: &mut Tree, at: &Place, node: Node) {
    tree.entry(at.0).or_default().insert(at.1.clone(), node);
}

fn take(tree: &mut Tree, at: &Place, node: Node) -> bool {
    let Some(names) = tree.get_mut(&at.0) else { return false };
    let there = names.get(&at.1) == Some(&node);
    if there {
        names.remove(&at.1);
    }
    there
}

/// How a power loss treats the pending operations of one directory.
struct Survival {
    keep: f64,
    /// After the first loss everything is lost.
    in_order: bool,
    lost_one: bool,
}

impl Survival {
    fn choose(prng: &mut Prng) -> Survival {
        Survival { keep: prng.pick(&[0.0, 0.5, 0.8, 1.0]), in_order: prng.chance(0.5), lost_one: false }
    }

    fn keeps(&mut self, prng: &mut Prng) -> bool {
        let keep = prng.chance(self.keep) && !(self.in_order && self.lost_one);
        self.lost_one |= !keep;
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        Path::new("/").join(name)
    }

    fn survivors(names: &Namespace) -> BTreeSet<Vec<(PathBuf, InodeId)>> {
        (0..300).map(|seed| names.clone().after_power_loss(&mut Prng::new(seed)).live_files()).collect()
    }

    #[test]
    fn a_name_is_durable_only_after_its_directory_was_synced() {
        let mut names = Namespace::empty();
        names.create(&path("a"), 1).unwrap();
        let mark = names.mark();
        names.create(&path("b"), 2).unwrap();
        assert!(survivors(&names).contains(&vec![]));
        names.sync(ROOT, mark);
        let a = (path("a"), 1);
        assert_eq!(survivors(&names), BTreeSet::from([vec![a.clone()], vec![a, (path("b"), 2)]]));
    }

    #[test]
    fn a_rename_over_a_file_leaves_the_old_or_the_new_one() {
        let mut names = Namespace::empty();
        names.create(&path("log"), 1).unwrap();
        names.create(&path("log.tmp"), 2).unwrap();
        names.sync(ROOT, names.mark());
        assert_eq!(names.rename(&path("log.tmp"), &path("log")).unwrap(), Some(1));
        let (old, new) = (vec![(path("log"), 1), (path("log.tmp"), 2)], vec![(path("log"), 2)]);
        assert_eq!(survivors(&names), BTreeSet::from([old, new.clone()]));
        names.sync(ROOT, names.mark());
        assert_eq!(survivors(&names), BTreeSet::from([new]));
    }

    #[test]
    fn a_rename_between_directories_never_shows_both_names_or_none() {
        let mut names = Namespace::empty();
        names.make_dir(&path("d")).unwrap();
        names.make_dir(&path("e")).unwrap();
        names.create(&path("d/a"), 1).unwrap();
        names.sync_all();
        names.rename(&path("d/a"), &path("e/a")).unwrap();
        let (old, new) = (vec![(path("d/a"), 1)], vec![(path("e/a"), 1)]);
        assert_eq!(survivors(&names), BTreeSet::from([old, new.clone()]));
        names.sync(names.lookup_dir(&path("e")).unwrap(), names.mark());
        assert_eq!(survivors(&names), BTreeSet::from([new]));
    }

    #[test]
    fn a_synced_directory_is_lost_with_its_own_unsynced_name() {
        let mut names = Namespace::empty();
        names.make_dir(&path("d")).unwrap();
        names.create(&path("d/a"), 1).unwrap();
        names.sync(names.lookup_dir(&path("d")).unwrap(), names.mark());
        assert_eq!(survivors(&names), BTreeSet::from([vec![], vec![(path("d/a"), 1)]]));
    }

    #[test]
    fn operations_of_one_directory_survive_in_any_combination() {
        let mut names = Namespace::empty();
        names.create(&path("a"), 1).unwrap();
        names.create(&path("b"), 2).unwrap();
        assert_eq!(survivors(&names).len(), 4);
    }

    #[test]
    fn a_file_never_vanishes_between_a_lost_rename_and_a_new_file_in_its_place() {
        let mut names = Namespace::empty();
        names.create(&path("log"), 1).unwrap();
        names.sync_all();
        names.rename(&path("log"), &path("old")).unwrap();
        names.create(&path("log"), 2).unwrap();
        for files in survivors(&names) {
            assert!(files.iter().any(|(_, inode)| *inode == 1), "{files:?}");
        }
    }

    #[test]
    fn mistakes_get_the_kernels_errors() {
        let mut names = Namespace::empty();
        names.make_dir(&path("d")).unwrap();
        names.create(&path("d/a"), 1).unwrap();
        let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap());
        assert_eq!(errno(names.remove_dir(&path("d")).unwrap_err()), Errno::ENOTEMPTY);
        assert_eq!(errno(names.unlink(&path("d")).unwrap_err()), Errno::EISDIR);
        assert_eq!(errno(names.make_dir(&path("d")).unwrap_err()), Errno::EEXIST);
        assert_eq!(errno(names.create(&path("no/a"), 2).unwrap_err()), Errno::ENOENT);
        assert_eq!(errno(names.create(&path("d/a/b"), 2).unwrap_err()), Errno::ENOTDIR);
        assert_eq!(errno(names.rename(&path("d"), &path("d/x")).unwrap_err()), Errno::EINVAL);
        assert_eq!(errno(names.lookup(&path("d/../d")).unwrap_err()), Errno::EINVAL);
    }
}
