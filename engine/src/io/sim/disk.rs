//! The disk of a world: files, names, space, and who holds which lock.
//!
//! Operations take effect here at once; when that is, relative to submission and completion, is the world's matter.
//! Space counts the files that have a name or are open.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::errno::Errno;

use super::directory::{InodeId, Namespace, Node};
use super::file::SimFile;
use super::image::SparseImage;
use super::prng::Prng;
use crate::io::{DirEntry, PAGE_BYTES};

/// Contents of every file on stable storage, by path: what a disk holds after the power is gone.
pub type DiskImage = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Clone, Debug)]
pub(super) struct Disk {
    files: BTreeMap<InodeId, SimFile>,
    names: Namespace,
    next_inode: InodeId,
    capacity_pages: u64,
    used_pages: u64,
    open: BTreeMap<InodeId, u32>,
    /// Lock holders: the number of the process.
    locks: BTreeMap<InodeId, u32>,
}

fn pages_of(bytes: u64) -> u64 {
    bytes / PAGE_BYTES as u64
}

impl Disk {
    pub(super) fn new(capacity_bytes: u64) -> Disk {
        Disk {
            files: BTreeMap::new(),
            names: Namespace::empty(),
            next_inode: 1,
            capacity_pages: pages_of(capacity_bytes),
            used_pages: 0,
            open: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    pub(super) fn set_capacity(&mut self, bytes: u64) {
        self.capacity_pages = pages_of(bytes);
    }

    /// Free and total bytes.
    pub(super) fn space(&self) -> (u64, u64) {
        let free = self.capacity_pages.saturating_sub(self.used_pages);
        (free * PAGE_BYTES as u64, self.capacity_pages * PAGE_BYTES as u64)
    }

    pub(super) fn names(&self) -> &Namespace {
        &self.names
    }

    pub(super) fn names_mut(&mut self) -> &mut Namespace {
        &mut self.names
    }

    /// # Panics
    /// If there is no such file: files stay while anything refers to them.
    pub(super) fn file(&self, inode: InodeId) -> &SimFile {
        &self.files[&inode]
    }

    /// Changes a file and keeps the books on space.
    pub(super) fn change<T>(&mut self, inode: InodeId, change: impl FnOnce(&mut SimFile) -> T) -> T {
        let Some(file) = self.files.get_mut(&inode) else { panic!("no inode {inode}") };
        let before = file.pages();
        let result = change(file);
        self.used_pages = self.used_pages + file.pages() - before;
        result
    }

    /// Whether the range fits on the disk in addition to what is there.
    pub(super) fn has_room(&self, inode: InodeId, offset: u64, len: u64) -> bool {
        let missing = self.file(inode).missing_pages(offset, len);
        missing == 0 || self.used_pages.saturating_add(missing) <= self.capacity_pages
    }

    /// Opens the file at `path`; when `create`, makes it or truncates it to nothing.
    pub(super) fn open(&mut self, path: &Path, create: bool) -> io::Result<InodeId> {
        let inode = match self.names.lookup(path) {
            Ok(Node::Dir(_)) => return Err(Errno::EISDIR.into()),
            Ok(Node::File(inode)) => inode,
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => self.create(path)?,
            Err(error) => return Err(error),
        };
        if create && self.file(inode).len() > 0 {
            self.change(inode, |file| file.truncate(0));
        }
        *self.open.entry(inode).or_default() += 1;
        Ok(inode)
    }

    fn create(&mut self, path: &Path) -> io::Result<InodeId> {
        let inode = self.next_inode;
        self.names.create(path, inode)?;
        self.next_inode += 1;
        self.files.insert(inode, SimFile::default());
        Ok(inode)
    }

    /// Another operation or descriptor refers to the file.
    pub(super) fn hold(&mut self, inode: InodeId) {
        *self.open.entry(inode).or_default() += 1;
    }

    /// Undoes one [`Disk::open`] or [`Disk::hold`].
    pub(super) fn release(&mut self, inode: InodeId) {
        let Some(count) = self.open.get_mut(&inode) else { return };
        *count -= 1;
        if *count == 0 {
            self.open.remove(&inode);
            self.free_if_unused(inode);
        }
    }

    fn is_named(&self, inode: InodeId) -> bool {
        self.names.live_files().iter().any(|file| file.1 == inode)
    }

    /// Gives back the space of a file that has neither name nor descriptor. Its contents stay: a power loss may
    /// bring the name back.
    fn free_if_unused(&mut self, inode: InodeId) {
        if !self.open.contains_key(&inode) && !self.is_named(inode) {
            self.used_pages -= self.file(inode).pages();
        }
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.names.unlink(path)?;
        self.free_if_unused(inode);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(replaced) = self.names.rename(from, to)? {
            self.free_if_unused(replaced);
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let entry = |(name, node)| match node {
            Node::File(inode) => DirEntry { name, is_dir: false, len: self.file(inode).len() },
            Node::Dir(_) => DirEntry { name, is_dir: true, len: 0 },
        };
        Ok(self.names.list(path)?.into_iter().map(entry).collect())
    }

    /// Takes the lock on the file at `path`, created if missing, for a process.
    pub(super) fn lock(&mut self, path: &Path, process: u32) -> io::Result<bool> {
        let inode = match self.names.lookup(path) {
            Ok(Node::Dir(_)) => return Err(Errno::EISDIR.into()),
            Ok(Node::File(inode)) => inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path)?,
            Err(error) => return Err(error),
        };
        Ok(*self.locks.entry(inode).or_insert(process) == process)
    }

    /// All descriptors are gone; what was written stays.
    pub(super) fn after_process_kill(mut self) -> Disk {
        self.locks.clear();
        for inode in std::mem::take(&mut self.open).into_keys() {
            self.free_if_unused(inode);
        }
        self
    }

    /// The disk as a power loss leaves it.
    pub(super) fn after_power_loss(self, tear: bool, prng: &mut Prng) -> Disk {
        let names = self.names.after_power_loss(prng);
        let mut files = self.files;
        let reachable: BTreeMap<InodeId, SimFile> = names
            .stable_files()
            .into_iter()
            .filter_map(|(_, inode)| Some((inode, files.remove(&inode)?.after_power_loss(tear, prng))))
            .collect();
        let used_pages = reachable.values().map(SimFile::pages).sum();
        Disk { files: reachable, names, used_pages, open: BTreeMap::new(), locks: BTreeMap::new(), ..self }
    }

    /// Makes a directory and those above it, durably; for set-up.
    pub(super) fn make_dirs(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for dir in above.into_iter().rev() {
            match self.names.lookup(dir) {
                Ok(Node::Dir(_)) => (),
                Ok(Node::File(_)) => return Err(Errno::ENOTDIR.into()),
                Err(_) => self.names.make_dir(dir)?,
            }
        }
        self.names.sync_all();
        Ok(())
    }

    /// Puts a file on stable storage, in place of one of that name; for set-up.
    pub(super) fn put_file(&mut self, path: &Path, contents: &[u8]) -> io::Result<()> {
        if let Some(dir) = path.parent() {
            self.make_dirs(dir)?;
        }
        if self.names.lookup(path).is_ok() {
            self.unlink(path)?;
        }
        let inode = self.create(path)?;
        self.files.insert(inode, SimFile::stable_from(SparseImage::from_bytes(contents)));
        self.used_pages += self.file(inode).pages();
        self.names.sync_all();
        Ok(())
    }

    /// Flips bits of one byte of a file.
    pub(super) fn corrupt(&mut self, path: &Path, offset: u64, bits: u8) -> io::Result<()> {
        match self.names.lookup(path)? {
            Node::Dir(_) => Err(Errno::EISDIR.into()),
            Node::File(inode) if self.change(inode, |file| file.corrupt(offset, bits)) => Ok(()),
            Node::File(_) => Err(Errno::ERANGE.into()),
        }
    }

    /// What survives if nothing unsynced does.
    pub(super) fn stable_image(&self) -> DiskImage {
        let contents = |(path, inode)| (path, self.file(inode).stable_image().to_vec());
        self.names.stable_files().into_iter().map(contents).collect()
    }

    /// What the process sees now.
    pub(super) fn live_image(&self) -> DiskImage {
        let contents = |(path, inode)| {
            let file = self.file(inode);
            let mut bytes = vec![0; file.len() as usize];
            file.read(0, &mut bytes);
            (path, bytes)
        };
        self.names.live_files().into_iter().map(contents).collect()
    }

    /// A completed write.
    pub(super) fn write(&mut self, inode: InodeId, offset: u64, data: Bytes, durable: bool) {
        self.change(inode, |file| file.write(offset, data, durable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_comes_back_when_the_last_name_and_descriptor_are_gone() {
        let mut disk = Disk::new(10 * PAGE_BYTES as u64);
        let inode = disk.open(Path::new("/a"), true).unwrap();
        assert!(disk.has_room(inode, 0, 10 * 4096) && !disk.has_room(inode, 0, 10 * 4096 + 1));
        disk.write(inode, 0, Bytes::from(vec![1; 3 * 4096]), false);
        assert_eq!(disk.space(), (7 * 4096, 10 * 4096));
        disk.unlink(Path::new("/a")).unwrap();
        assert_eq!(disk.space().0, 7 * 4096);
        disk.release(inode);
        assert_eq!(disk.space().0, 10 * 4096);
    }

    #[test]
    fn an_unlinked_file_comes_back_if_its_removal_was_not_synced() {
        let mut disk = Disk::new(1 << 20);
        disk.put_file(Path::new("/d/a"), b"abc").unwrap();
        disk.unlink(Path::new("/d/a")).unwrap();
        let back = (0..50).filter(|seed| {
            let image = disk.clone().after_power_loss(false, &mut Prng::new(*seed)).stable_image();
            image.get(Path::new("/d/a")).is_some_and(|bytes| bytes == b"abc")
        });
        assert!((5..45).contains(&back.count()));
    }

    #[test]
    fn a_lock_excludes_other_processes_until_its_holder_ends() {
        let mut disk = Disk::new(1 << 20);
        let lock = Path::new("/.lock");
        assert!(disk.lock(lock, 0).unwrap() && disk.lock(lock, 0).unwrap() && !disk.lock(lock, 1).unwrap());
        assert!(disk.after_process_kill().lock(lock, 1).unwrap());
    }
}
