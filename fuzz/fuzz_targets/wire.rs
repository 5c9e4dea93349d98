//! A script of reads over a message: none goes past the end, none panics, and what was read is written back the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use thalweg_protocol::wire::{Items, Reader, Writer};

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let flexible = mode & 1 != 0;
    let script_bytes = data.len().min(usize::from(mode >> 1));
    let (script, input) = data.split_at(script_bytes);
    let mut reader = Reader::new(input, flexible);
    for &step in script {
        let before = reader.clone();
        if run(&mut reader, step).is_none() {
            break;
        }
        assert!(reader.position() >= before.position() && reader.position() <= input.len());
        assert_eq!(reader.position() + reader.left(), input.len());
        write_back(before, step, flexible);
    }
});

fn run(reader: &mut Reader<'_>, step: u8) -> Option<()> {
    match step % 16 {
        0 => reader.i8().map(drop),
        1 => reader.i16().map(drop),
        2 => reader.i32().map(drop),
        3 => reader.i64().map(drop),
        4 => reader.u32().map(drop),
        5 => reader.bool().map(drop),
        6 => reader.uuid().map(drop),
        7 => reader.unsigned_varint().map(drop),
        8 => reader.string().map(drop),
        9 => reader.nullable_string().map(drop),
        10 => reader.bytes().map(drop),
        11 => reader.nullable_bytes().map(drop),
        12 => Items::<i32>::read(reader, 0).map(|items| assert_eq!(items.len(), items.count())),
        13 => reader.skip_tags(),
        14 => reader.tags(|_, field| {
            let left = field.left();
            assert!(field.take(left).is_ok() && field.i8().is_err());
            Ok(())
        }),
        _ => reader.nullable_count().map(drop),
    }
    .ok()
}

/// Fields that have a writer come back as they were read.
fn write_back(mut reader: Reader<'_>, step: u8, flexible: bool) {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out, flexible);
    match step % 16 {
        2 => {
            let value = reader.i32().expect("it was read before");
            writer.i32(value);
            assert_eq!(Reader::new(&out, flexible).i32(), Ok(value));
        }
        7 => {
            let value = reader.unsigned_varint().expect("it was read before");
            writer.unsigned_varint(value);
            assert_eq!(Reader::new(&out, flexible).unsigned_varint(), Ok(value));
        }
        9 => {
            let value = reader.nullable_string().expect("it was read before");
            writer.nullable_string(value).expect("it fitted its length field");
            assert_eq!(Reader::new(&out, flexible).nullable_string(), Ok(value));
        }
        _ => {}
    }
}
