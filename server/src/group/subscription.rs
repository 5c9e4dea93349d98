//! Which topics a consumer's metadata names: all that the coordinator ever looks at in there.
//!
//! ```text
//! version int16 | topics: count int32, string each | whatever the version has more
//! ```
//! Source: `ConsumerProtocolSubscription.json` of Kafka. It decides which offsets of a group that has members may expire or be
//! deleted, and nothing else: to the protocol the metadata is opaque.

use thalweg_protocol::wire::{Reader, WireError};

/// The topics, if the metadata is a consumer's. None: nothing can be told. Never panics, whatever the bytes are.
pub fn subscribed_topics(metadata: &[u8]) -> Option<Vec<String>> {
    read(metadata).ok().flatten()
}

fn read(metadata: &[u8]) -> Result<Option<Vec<String>>, WireError> {
    let mut reader = Reader::new(metadata, false);
    if reader.take(2)?[0] & 0x80 != 0 {
        return Ok(None);
    }
    let Some(count) = reader.nullable_count()? else { return Ok(None) };
    let mut topics = Vec::new();
    for _ in 0..count {
        let Some(topic) = reader.nullable_string()? else { return Ok(None) };
        topics.push(topic.to_owned());
    }
    Ok(Some(topics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_and_nonsense_is_unknown() {
        assert_eq!(
            subscribed_topics(b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff\0\0\0\0"),
            Some(vec!["a".to_owned(), "bc".to_owned()])
        );
        assert_eq!(subscribed_topics(b"\0\0\0\0\0\0\xff\xff\xff\xff"), Some(vec![]));
        for nonsense in
            [&b""[..], b"\0", b"\0\x01\x7f\xff\xff\xff", b"\xff\xff\0\0\0\0", b"\0\0\0\0\0\x01\0\x09a"]
        {
            assert_eq!(subscribed_topics(nonsense), None, "{nonsense:?}");
        }
    }
}
