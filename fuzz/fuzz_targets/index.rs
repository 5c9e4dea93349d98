//! Bytes as both indexes of a segment: every lookup is survived, and what passes the check is encoded to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_engine::format::index::{OffsetIndexAppender, OffsetIndexView};
use thalweg_engine::format::time_index::{TimeIndexAppender, TimeIndexView};

fuzz_target!(|input: (i64, i64, &[u8])| {
    let (base, target, bytes) = input;
    offset_index(base, target, bytes);
    time_index(base, target, bytes);
});

fn offset_index(base: i64, target: i64, bytes: &[u8]) {
    let view = OffsetIndexView::new(base, bytes);
    let _ = (view.lookup(target), view.entries_below(target), view.upper_bound(target as u32));
    let _ = view.iter().count();
    let base = base & (i64::MAX >> 1);
    if let Ok(view) = OffsetIndexView::check(base, bytes) {
        let found = view.lookup(target);
        assert!(found.offset <= target || found.position == 0);
        let (mut appender, mut again) = (OffsetIndexAppender::new(base, bytes.len()), Vec::new());
        view.iter().for_each(|entry| appender.append(entry, &mut again).expect("a checked index ascends"));
        assert_eq!(again, view.trimmed());
    }
}

fn time_index(base: i64, target: i64, bytes: &[u8]) {
    let view = TimeIndexView::new(base, bytes);
    let _ = (view.lookup(target), view.entries_below(target), view.iter().count());
    let base = base & (i64::MAX >> 1);
    if let Ok(view) = TimeIndexView::check(base, bytes) {
        assert!(view.lookup(target).timestamp <= target.max(-1));
        let (mut appender, mut again) = (TimeIndexAppender::new(base, bytes.len()), Vec::new());
        view.iter()
            .for_each(|entry| assert!(appender.finish(entry, &mut again).expect("a checked index ascends")));
        assert_eq!(again, view.trimmed());
    }
}
