//! RecordBatch v2 against the `kafka-protocol` crate's records codec.

use crate::{any_bytes, any_name, string};
use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression, Record as PeerRecord, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
    TimestampType,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;
use thalweg_protocol::batch::*;

#[derive(Debug, Clone)]
struct Input {
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: BTreeMap<String, Option<Bytes>>,
}

#[derive(Debug, Clone)]
struct Producer {
    id: i64,
    epoch: i16,
    base_sequence: i32,
    transactional: bool,
}

fn any_inputs() -> impl Strategy<Value = Vec<Input>> {
    let timestamp = prop_oneof![Just(-1i64), 1_600_000_000_000i64..1_900_000_000_000];
    let headers = btree_map(any_name(), option::of(any_bytes()), 0..3);
    let input = (timestamp, option::of(any_bytes()), option::of(any_bytes()), headers)
        .prop_map(|(timestamp, key, value, headers)| Input { timestamp, key, value, headers });
    vec(input, 1..20)
}

fn any_producer() -> impl Strategy<Value = Producer> {
    prop_oneof![
        Just(Producer { id: -1, epoch: -1, base_sequence: -1, transactional: false }),
        (0i64.., 0i16.., 0i32..1 << 30, any::<bool>()).prop_map(
            |(id, epoch, base_sequence, transactional)| {
                Producer { id, epoch, base_sequence, transactional }
            }
        ),
    ]
}

fn ours(inputs: &[Input], producer: &Producer) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(producer.id, producer.epoch, producer.base_sequence);
    if producer.transactional {
        builder = builder.transactional();
    }
    for input in inputs {
        let headers: Vec<_> = input
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() })
            .collect();
        builder.push(input.timestamp, input.key.as_deref(), input.value.as_deref(), &headers);
    }
    assert_eq!((builder.count() as usize, builder.total_bytes() > HEADER_BYTES), (inputs.len(), true));
    builder.build()
}

fn peer_records(inputs: &[Input], producer: &Producer) -> Vec<PeerRecord> {
    let record = |(position, input): (usize, &Input)| PeerRecord {
        transactional: producer.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        timestamp_type: TimestampType::Creation,
        offset: position as i64,
        sequence: producer.base_sequence.wrapping_add(position as i32),
        timestamp: input.timestamp,
        key: input.key.clone(),
        value: input.value.clone(),
        headers: input.headers.iter().map(|(key, value)| (string(key), value.clone())).collect(),
    };
    inputs.iter().enumerate().map(record).collect()
}

fn peer_batch(records: &[PeerRecord]) -> Bytes {
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, records, &options).unwrap();
    out.freeze()
}

const LIMITS: ProduceLimits = ProduceLimits { message_bytes_max: 1 << 20, zstd: true, timestamps: None };

proptest! {
    /// The peer takes the smallest timestamp as base, Kafka's own client the first: the same once they are in order.
    #[test]
    fn built_batches_equal_the_peers(mut inputs in any_inputs(), producer in any_producer()) {
        inputs.sort_by_key(|input| input.timestamp);
        prop_assert_eq!(ours(&inputs, &producer), peer_batch(&peer_records(&inputs, &producer)));
    }

    #[test]
    fn built_batches_are_read_by_the_peer(inputs in any_inputs(), producer in any_producer()) {
        let mut batch = Bytes::from(ours(&inputs, &producer));
        let set = RecordBatchDecoder::decode(&mut batch).unwrap();
        prop_assert_eq!(set.records, peer_records(&inputs, &producer));
    }

    #[test]
    fn the_peers_batches_validate_and_give_back_their_records(inputs in any_inputs(), producer in any_producer()) {
        let batch = peer_batch(&peer_records(&inputs, &producer));
        let view = validate_produced(&batch, &LIMITS).unwrap();
        prop_assert_eq!(view.count() as usize, inputs.len());
        prop_assert_eq!(view.last_offset(), inputs.len() as i64 - 1);
        prop_assert_eq!(view.max_timestamp(), inputs.iter().map(|input| input.timestamp).max().unwrap());
        prop_assert_eq!((view.producer_id(), view.producer_epoch()), (producer.id, producer.epoch));
        prop_assert_eq!(view.base_sequence(), producer.base_sequence);
        prop_assert_eq!(view.is_transactional(), producer.transactional);
        prop_assert_eq!(view.codec(), Some(Codec::None));
        let records: Vec<_> = view.records().unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(records.len(), inputs.len());
        for (position, (record, input)) in records.iter().zip(&inputs).enumerate() {
            prop_assert_eq!(record.offset_delta as usize, position);
            prop_assert_eq!(view.base_timestamp() + record.timestamp_delta, input.timestamp);
            prop_assert_eq!((record.key, record.value), (input.key.as_deref(), input.value.as_deref()));
            let headers: Vec<_> = record.headers.map(|header| (header.key, header.value)).collect();
            let expected: Vec<_> = input.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
            prop_assert_eq!(headers, expected);
        }
    }

    #[test]
    fn a_changed_body_never_panics_and_never_gives_more_records(
        inputs in any_inputs(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        count in any::<i32>(),
    ) {
        let batch = ours(&inputs, &Producer { id: -1, epoch: -1, base_sequence: -1, transactional: false });
        let mut body = batch[HEADER_BYTES..].to_vec();
        let at = at.index(body.len());
        body[at] ^= flip;
        for count in [inputs.len() as i32, count] {
            let found = Records::new(&body, count).filter(Result::is_ok).count();
            prop_assert!(found <= body.len() && found as i64 <= i64::from(count.max(0)));
        }
    }

    #[test]
    fn records_of_a_truncated_body_end_in_an_error(inputs in any_inputs()) {
        let batch = ours(&inputs, &Producer { id: -1, epoch: -1, base_sequence: -1, transactional: false });
        let body = &batch[HEADER_BYTES..];
        for cut in 0..body.len() {
            prop_assert!(Records::new(&body[..cut], inputs.len() as i32).any(|record| record.is_err()));
        }
        prop_assert!(Records::new(body, inputs.len() as i32).all(|record| record.is_ok()));
        prop_assert!(Records::new(body, inputs.len() as i32 - 1).any(|record| record.is_err()));
        prop_assert!(Records::new(body, inputs.len() as i32 + 1).any(|record| record.is_err()));
    }
}

/// Space that a log allocates ahead holds zeroes; they are no batch, and no panic.
#[test]
fn zeroes_are_no_batch() {
    assert!(BatchView::parse(&[0; 4096]).is_err());
    assert!(validate_produced(&[0; 4096], &LIMITS).is_err());
    assert!(BatchHeaderWalker::headers(&[0; 4096]).next().unwrap().is_err());
}
