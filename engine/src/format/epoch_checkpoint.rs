//! `leader-epoch-checkpoint`, one per partition: at which offset each leader epoch began (KIP-101).

use super::{Malformed, checkpoint};

const FORMAT: &str = "leader epoch checkpoint";

/// Name of the file in a partition's directory.
pub const FILE_NAME: &str = "leader-epoch-checkpoint";

/// A leader epoch and the offset of its first record; both at least 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    pub epoch: i32,
    pub start_offset: i64,
}

/// The file for `epochs`, which ascend.
pub fn encode(epochs: &[EpochStart]) -> Vec<u8> {
    checkpoint::encode(
        epochs.iter().map(|EpochStart { epoch, start_offset }| format!("{epoch} {start_offset}")),
    )
}

/// The epochs in order. Epochs must ascend strictly, offsets must not descend.
pub fn decode(bytes: &[u8]) -> Result<Vec<EpochStart>, Malformed> {
    let mut last: Option<EpochStart> = None;
    checkpoint::decode(FORMAT, bytes, |line| {
        let next =
            EpochStart { epoch: line.count("leader epoch")?, start_offset: line.count("start offset")? };
        if let Some(last) =
            last.filter(|last| next.epoch <= last.epoch || next.start_offset < last.start_offset)
        {
            let (epoch, offset) = (last.epoch, last.start_offset);
            return Err(line.expected(format!("an epoch above {epoch} from offset {offset} on")));
        }
        last = Some(next);
        Ok(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KAFKAS: &[u8] = include_bytes!("../../tests/fixtures/kafka-3.2.0/log-dir/leader-epoch-checkpoint");

    #[test]
    fn reads_and_writes_what_kafka_wrote() {
        let epochs = decode(KAFKAS).unwrap();
        assert_eq!(epochs, [EpochStart { epoch: 0, start_offset: 0 }]);
        assert_eq!(encode(&epochs), KAFKAS);
    }

    #[test]
    fn files_without_entries() {
        for bytes in [b"".as_slice(), b"0", b"0\n", b"0\n0\n", b"0\r\n0\r\n"] {
            assert_eq!(decode(bytes), Ok(vec![]));
        }
    }

    #[test]
    fn errors_name_line_and_expectation() {
        let error = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        let prefix = "malformed leader epoch checkpoint at line";
        assert_eq!(error(b"1\n0\n"), format!("{prefix} 1: expected version 0, found \"1\""));
        assert_eq!(error(b"0\nx\n"), format!("{prefix} 2: expected the number of entries, found \"x\""));
        assert_eq!(
            error(b"0\n2\n0 0\n"),
            format!("{prefix} 2: expected 1, the number of entries that follow, found \"2\"")
        );
        assert_eq!(error(b"0\n1\n0 x\n"), format!("{prefix} 3: expected start offset, found \"0 x\""));
        assert_eq!(error(b"0\n1\n0 -1\n"), format!("{prefix} 3: expected start offset, found \"0 -1\""));
        assert_eq!(error(b"0\n1\n0\n"), format!("{prefix} 3: expected start offset, found \"0\""));
        assert_eq!(
            error(b"0\n1\n0 1 2\n"),
            format!("{prefix} 3: expected the end of the line, found \"0 1 2\"")
        );
        assert!(error(b"0\n2\n1 5\n1 6\n").starts_with(&format!("{prefix} 4: expected an epoch above 1")));
        assert!(error(b"0\n2\n1 5\n2 4\n").starts_with(&format!("{prefix} 4: expected an epoch above 1")));
        assert!(decode(b"0\n99999999999\n").is_err());
    }

    proptest! {
        #[test]
        fn round_trip(steps in prop::collection::vec((1i32..1000, 0i64..1 << 40), 0..50)) {
            let mut last = EpochStart { epoch: -1, start_offset: 0 };
            let epochs: Vec<_> = steps.into_iter().map(|(epochs, offsets)| {
                last = EpochStart { epoch: last.epoch + epochs, start_offset: last.start_offset + offsets };
                last
            }).collect();
            prop_assert_eq!(decode(&encode(&epochs)).unwrap(), epochs);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
