//! What topics exist, where their partitions live, and who this broker is.
//!
//! ```text
//! source (embedded log of KRaft records) -> Controller (shard 0, one change at a time) -> MetadataImage, swapped whole
//!                                                                                       -> read by every shard
//! ```
//!
//! Invariants: an image never changes; a change is durable in the source before any image shows it; only [`source`]
//! knows where images come from.

mod alteration;
mod amend;
mod batch;
mod changes;
mod controller;
mod creation;
mod expansion;
mod image;
mod name;
mod reconcile;
mod replay;
mod snapshot;
mod source;
mod start;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

pub use alteration::{Alteration, AlterationError, ConfigEdit, ConfigResource, EditKind, check_edits};
pub use changes::{
    CONTROLLER_SHARD, ControllerSlot, alter_configs, create_partitions, create_topics, delete_topics,
    next_producer_id,
};
pub use controller::{ChangeError, DeletionError, TopicRef};
pub use creation::{Creation, CreationError, CreationFault, TopicSpec};
pub use expansion::{Expansion, ExpansionError};
pub use image::{BrokerInfo, Endpoint, MetadataImage, Partition, Topic};
pub use name::check_topic_name;
pub use start::{MetadataStart, MetadataStartError, start};

/// The current image, shared by all shards.
pub struct Metadata {
    image: ArcSwap<MetadataImage>,
}

impl Metadata {
    pub fn new(image: MetadataImage) -> Metadata {
        Metadata { image: ArcSwap::from_pointee(image) }
    }

    /// The current image, without a lock. Hold it for one request and not across an `.await` that may be long; take
    /// [`snapshot`](Self::snapshot) for that.
    pub fn image(&self) -> Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    /// The current image, to keep.
    pub fn snapshot(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// Sets what clients are told to connect to. At start, before anybody is accepted and before any change.
    pub fn advertise(&self, endpoints: Vec<Endpoint>) {
        let mut image = (*self.snapshot()).clone();
        image.broker.endpoints = endpoints;
        self.publish(image);
    }

    /// Replaces the image. The controller alone calls this, so no change is ever lost.
    fn publish(&self, image: MetadataImage) {
        self.image.store(Arc::new(image));
    }
}
