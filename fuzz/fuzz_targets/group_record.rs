//! Records of the offsets topic: no bytes panic, and what is read and written again is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_server::group::{record, subscribed_topics};

fuzz_target!(|data: &[u8]| {
    let mut written = Vec::new();
    if let Ok(record::Key::Offset { group, topic, partition }) = record::decode_key(data) {
        record::encode_offset_key(&mut written, group, topic, partition);
        assert_eq!(record::decode_key(&written), Ok(record::Key::Offset { group, topic, partition }));
    }
    if let Ok(offset) = record::decode_offset(data) {
        written.clear();
        record::encode_offset(&mut written, &offset);
        let again = record::decode_offset(&written).expect("it was just written");
        assert_eq!((again.offset, &again.metadata, again.expire_ms), (offset.offset, &offset.metadata, offset.expire_ms));
    }
    if let Ok(group) = record::decode_group(data) {
        written.clear();
        record::encode_group(&mut written, &group);
        assert_eq!(record::decode_group(&written), Ok(group));
    }
    if let Some(topics) = subscribed_topics(data) {
        assert!(topics.iter().map(String::len).sum::<usize>() <= data.len());
    }
});
