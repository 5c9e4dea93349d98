//! The end of a log: its directory is renamed away durably, then its files go in the background.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use uuid::Uuid;

use super::{Log, Status};
use crate::error::IoFailure;
use crate::reactor::Io;

impl Log {
    /// Removes the partition. When it returns, no start will find it again. Its readers and writers get `Removed`.
    ///
    /// # Errors
    /// When the directory cannot be renamed; the log is closed all the same.
    pub(crate) async fn remove(self: &Rc<Self>) -> Result<(), IoFailure> {
        self.state.borrow_mut().status = Status::Removed;
        self.progress.notify_all();
        let _one = self.materialising.acquire(1).await;
        let unwritten = {
            let mut state = self.state.borrow_mut();
            let unwritten = state.tail.unwritten_bytes();
            while self.drop_front(&mut state) {}
            state.retired.clear();
            unwritten
        };
        self.volume.room.written(unwritten);
        // Its files go: whether there is room now shows with the next write.
        self.volume.room.set_full(false);
        self.volume.files.forget(&self.directory);
        self.cold.forget(self.content.get(), None);
        let away = removed_directory(&self.directory, self.id.topic);
        let io = self.volume.io().clone();
        io.rename(&self.directory, &away)
            .await
            .map_err(|error| IoFailure::new("rename", &self.directory, error))?;
        let parent = self.volume.dir();
        io.sync_dir(parent).await.map_err(|error| IoFailure::new("sync", parent, error))?;
        let background = io.clone();
        io.spawn("partition removal", async move { purge(&background, &away).await }).detach();
        Ok(())
    }
}

/// `topic-N.<id>-delete`, as Kafka names a partition on its way out. Long topic names are cut so that it stays a
/// legal file name.
fn removed_directory(directory: &Path, topic: Uuid) -> PathBuf {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let suffix = format!(".{}-delete", topic.simple());
    let kept = name.len().min(255 - suffix.len());
    directory.with_file_name(format!("{}{suffix}", &name[..kept]))
}

/// Deletes a removed partition's files and its directory.
pub(crate) async fn purge(io: &Io, directory: &Path) {
    let entries = match io.driver().list_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!("cannot list {}: {error}", directory.display());
            return;
        }
    };
    for entry in entries {
        let path = directory.join(&entry.name);
        if let Err(error) = io.unlink(&path).await {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
    if let Err(error) = io.remove_dir(directory).await {
        tracing::warn!("cannot remove {}: {error}", directory.display());
    }
}
