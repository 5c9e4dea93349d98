//! The order in which Scala 2.13's mutable hash collections list their elements, since Kafka prints them as they are.
//!
//! A table whose size is a power of two, at least 16, that doubles beyond three quarters full; an element stands at
//! its mixed hash modulo that size, and what shares a place stands by ascending hash.

/// `String.hashCode` of Java: over UTF-16 units.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// `TopicPartition.hashCode`.
pub fn topic_partition_hash(topic: &str, partition: i32) -> i32 {
    31i32.wrapping_add(partition).wrapping_mul(31).wrapping_add(java_hash(topic))
}

/// Sorts elements as Scala would list them, given the hash of each.
pub fn sort_by_hash<T>(elements: &mut [T], hash: impl Fn(&T) -> i32) {
    let mut size = 16usize;
    while elements.len() + 1 > size * 3 / 4 {
        size *= 2;
    }
    elements.sort_by_key(|element| {
        let hash = hash(element);
        let mixed = hash ^ ((hash as u32) >> 16) as i32;
        (mixed as u32 as usize & (size - 1), mixed)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        assert_eq!(java_hash("consumer"), -567_770_122);
        assert_eq!(java_hash(""), 0);
        assert_eq!(topic_partition_hash("", 0), 961);
    }

    #[test]
    fn elements_stand_by_place_and_then_by_hash() {
        let mut elements = vec![33, 1, 2, 17];
        sort_by_hash(&mut elements, |&element| element);
        assert_eq!(elements, [1, 17, 33, 2]);
    }
}
