//! Which partition of the offsets topic a group belongs to: Kafka's hash, so that both find what the other wrote.

/// The topic that holds all groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Index of the group's partition among `partitions`.
pub fn partition_of(group: &str, partitions: usize) -> i32 {
    let hash = java_hash(group);
    // As `Utils.abs`: the absolute value, but 0 for the one that has none.
    let magnitude = i64::from(hash.checked_abs().unwrap_or(0));
    let count = i64::try_from(partitions.max(1)).unwrap_or(i64::MAX);
    i32::try_from(magnitude % count).unwrap_or(0)
}

/// `String.hashCode`: over UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("hello", 50), 22);
    }
}
