//! Bytes as a produced batch, as a log, and as records: the checks agree with each other and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_protocol::batch::*;

const LIMITS: ProduceLimits = ProduceLimits { message_bytes_max: 1 << 20, zstd: true, timestamps: None };

fuzz_target!(|data: &[u8]| {
    walk(data);
    records(data, i32::from_be_bytes([0, 0, 0, data.first().copied().unwrap_or(0)]));
    produced(data);
    // Nothing that is random has a right CRC: mend it, to get behind that check.
    if let Ok(view) = BatchView::parse(data) {
        let mut mended = data.to_vec();
        mended[CRC_AT..CRC_AT + 4].copy_from_slice(&view.computed_crc().to_be_bytes());
        produced(&mended);
        walk(&mended);
    }
});

fn walk(data: &[u8]) {
    let mut headers = BatchHeaderWalker::headers(data);
    let mut end = 0;
    for info in headers.by_ref().map_while(Result::ok) {
        assert_eq!(info.position, end);
        assert!(
            info.base_offset >= 0 && info.last_offset >= info.base_offset && info.last_sequence() >= -1 << 31
        );
        end = info.end();
    }
    assert!(headers.position() == end && end <= data.len());
    let mut checked = BatchHeaderWalker::checked(data);
    while let Some(Ok((info, view))) = checked.next_view() {
        assert!(view.crc_ok() && view.bytes() == &data[info.position..info.end()]);
    }
    assert!(checked.position() <= end);
}

fn produced(data: &[u8]) {
    let Ok(view) = validate_produced(data, &LIMITS) else { return };
    assert_eq!(view.total_bytes(), data.len());
    assert!(view.crc_ok() && view.count() >= 1 && !view.is_control());
    if let Ok(found) = view.records() {
        assert!(found.filter(Result::is_ok).count() <= view.count() as usize);
    }
    let mut stamped = data.to_vec();
    stamp(&mut stamped, 1 << 40, 7);
    let info = BatchHeaderWalker::checked(&stamped).next().expect("it is not empty").expect("it was valid");
    assert_eq!((info.base_offset, info.leader_epoch), (1 << 40, 7));
    stamp_log_append_time(&mut stamped, 99);
    let view = BatchView::parse(&stamped).expect("it was valid");
    assert!(view.crc_ok() && view.max_timestamp() == 99);
}

fn records(body: &[u8], count: i32) {
    for record in Records::new(body, count).map_while(Result::ok) {
        assert_eq!(record.headers.len(), record.headers.count());
    }
}
