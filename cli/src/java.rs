//! The two places where the output of Kafka's tools shows that they are Java: the order of a `HashMap` and the text of a
//! double.

/// Sorts as a `java.util.HashMap` with these keys, put in this order, is iterated: by bucket, then by age.
pub fn hash_map_order<T>(entries: &mut [T], key: impl Fn(&T) -> &str) {
    order(entries, 16, key);
}

/// The same for a map that was made for just so many entries.
pub fn sized_hash_map_order<T>(entries: &mut [T], key: impl Fn(&T) -> &str) {
    let capacity = entries.len().next_power_of_two();
    order(entries, capacity, key);
}

fn order<T>(entries: &mut [T], capacity: usize, key: impl Fn(&T) -> &str) {
    let mut buckets = capacity;
    while entries.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    entries.sort_by_key(|entry| {
        let hash = string_hash(key(entry));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}

/// `String.hashCode`, over UTF-16 units.
fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// `Double.toString`
pub fn double_text(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_doubles_are_java_s() {
        assert_eq!(
            string_hash("retention.ms"),
            "retention.ms".chars().fold(0u32, |h, c| h.wrapping_mul(31).wrapping_add(c as u32))
        );
        assert_eq!(string_hash("hello"), 99_162_322);
        for (value, text) in [(1024.0, "1024.0"), (9.5, "9.5"), (1.048576e7, "1.048576E7"), (1e7, "1.0E7")] {
            assert_eq!(double_text(value), text);
        }
    }

    #[test]
    fn a_hash_map_of_java_is_not_sorted() {
        // As `kafka-topics.sh --describe` of Kafka 3.2.0 prints the settings of __consumer_offsets.
        let mut names = ["cleanup.policy", "compression.type", "segment.bytes"];
        hash_map_order(&mut names, |name| name);
        assert_eq!(names, ["compression.type", "cleanup.policy", "segment.bytes"]);
    }
}
