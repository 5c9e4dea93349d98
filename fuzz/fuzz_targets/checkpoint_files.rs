//! Bytes as each of the text files of a log directory, and as names in it: what decodes survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_engine::format::names::{PartitionDirectory, SegmentFile, check_topic_name};
use thalweg_engine::format::{
    epoch_checkpoint, meta_properties, offset_checkpoint, partition_metadata, topic_id,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(epochs) = epoch_checkpoint::decode(bytes) {
        assert_eq!(epoch_checkpoint::decode(&epoch_checkpoint::encode(&epochs)), Ok(epochs));
    }
    if let Ok(offsets) = offset_checkpoint::decode(bytes) {
        assert_eq!(offset_checkpoint::decode(&offset_checkpoint::encode(&offsets)), Ok(offsets));
    }
    if let Ok(id) = partition_metadata::decode(bytes) {
        assert_eq!(partition_metadata::decode(&partition_metadata::encode(id)), Ok(id));
    }
    if let Ok(properties) = meta_properties::decode(bytes) {
        assert_eq!(meta_properties::decode(&meta_properties::encode(&properties)), Ok(properties));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        names(text);
    }
});

fn names(text: &str) {
    if let Ok(id) = topic_id::parse(text) {
        assert_eq!(topic_id::parse(&topic_id::format(id)), Ok(id));
    }
    if let Some(file) = SegmentFile::parse(text) {
        assert_eq!(file.file_name(), text);
    }
    if let Some(directory) = PartitionDirectory::parse(text) {
        assert!(check_topic_name(&directory.topic).is_ok() && directory.partition >= 0);
        assert_eq!(PartitionDirectory::parse(&directory.directory_name()), Some(directory));
    }
}
