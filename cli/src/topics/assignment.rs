//! `--replica-assignment 1:2,2:1`: the brokers of each partition, replicas by colons, partitions by commas.

use crate::failure::Failure;

/// # Errors
/// When a broker is no number, stands twice in a partition, or the partitions have unequal numbers of replicas.
pub fn parse(text: &str) -> Result<Vec<Vec<i32>>, Failure> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, replicas) in text.split(',').enumerate() {
        let brokers: Result<Vec<i32>, Failure> = replicas.split(':').map(broker).collect();
        let brokers = brokers?;
        let mut twice: Vec<i32> = Vec::new();
        for (position, id) in brokers.iter().enumerate() {
            if brokers[..position].contains(id) && !twice.contains(id) {
                twice.push(*id);
            }
        }
        if !twice.is_empty() {
            let twice = comma_separated(&twice);
            return Err(Failure::message(format!(
                "Partition replica lists may not contain duplicate entries: {twice}"
            )));
        }
        if partitions.first().is_some_and(|first| first.len() != brokers.len()) {
            let brokers = comma_separated(&brokers);
            return Err(Failure::message(format!(
                "Partition {index} has different replication factor: {brokers}"
            )));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

fn broker(text: &str) -> Result<i32, Failure> {
    let text = text.trim();
    text.parse().ok().ok_or_else(|| Failure::message(format!("For input string: \"{text}\"")))
}

pub fn comma_separated(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_by_colons_and_partitions_by_commas() {
        assert_eq!(parse("0:1, 1:2").unwrap(), [[0, 1], [1, 2]]);
    }

    #[test]
    fn what_is_no_assignment_is_named() {
        let refused = |text: &str| parse(text).unwrap_err().text();
        assert!(refused("0:0").ends_with("duplicate entries: 0"));
        assert!(refused("0,0:1").starts_with("Partition 1 has different replication factor"));
        assert_eq!(refused("0,x"), "For input string: \"x\"");
    }
}
