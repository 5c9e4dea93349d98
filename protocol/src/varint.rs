//! Base-128 variable-length integers: the zigzag form of record fields and the unsigned form of flexible messages.
//!
//! Source: Protocol Buffers encoding, as adopted by KIP-98 (records) and KIP-482 (flexible versions). Decoding reads at
//! most 5 bytes for 32-bit and 10 bytes for 64-bit values; a longer run is malformed, not truncated. Like Kafka's own
//! decoder, an encoding longer than necessary is accepted, as long as its value fits.

/// Longest encoding of a 32-bit value, in bytes.
pub const VARINT_BYTES_MAX: usize = 5;
/// Longest encoding of a 64-bit value, in bytes.
pub const VARLONG_BYTES_MAX: usize = 10;

/// Why a variable-length integer could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The input ended before the last byte of the value.
    #[error("input ends inside a variable-length integer")]
    Truncated,
    /// The value does not fit its type.
    #[error("variable-length integer does not fit its type")]
    TooLong,
}

/// Reads an unsigned 64-bit value; returns it with the number of bytes used.
#[inline]
pub fn read_unsigned_long(input: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    for (index, &byte) in input.iter().take(VARLONG_BYTES_MAX).enumerate() {
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if index == VARLONG_BYTES_MAX - 1 && part > 1 {
            return Err(VarintError::TooLong);
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, index + 1));
        }
    }
    Err(if input.len() < VARLONG_BYTES_MAX { VarintError::Truncated } else { VarintError::TooLong })
}

/// Reads an unsigned 32-bit value; returns it with the number of bytes used.
#[inline]
pub fn read_unsigned(input: &[u8]) -> Result<(u32, usize), VarintError> {
    if let Some(&byte) = input.first()
        && byte & 0x80 == 0
    {
        return Ok((u32::from(byte), 1));
    }
    let head = &input[..input.len().min(VARINT_BYTES_MAX)];
    match read_unsigned_long(head) {
        Ok((value, used)) => match u32::try_from(value) {
            Ok(value) => Ok((value, used)),
            Err(_) => Err(VarintError::TooLong),
        },
        Err(VarintError::Truncated) if head.len() == VARINT_BYTES_MAX => Err(VarintError::TooLong),
        Err(error) => Err(error),
    }
}

/// Reads a zigzag 32-bit value; returns it with the number of bytes used.
#[inline]
pub fn read_zigzag(input: &[u8]) -> Result<(i32, usize), VarintError> {
    let (raw, used) = read_unsigned(input)?;
    Ok(((raw >> 1) as i32 ^ -((raw & 1) as i32), used))
}

/// Reads a zigzag 64-bit value; returns it with the number of bytes used.
#[inline]
pub fn read_zigzag_long(input: &[u8]) -> Result<(i64, usize), VarintError> {
    let (raw, used) = read_unsigned_long(input)?;
    Ok(((raw >> 1) as i64 ^ -((raw & 1) as i64), used))
}

/// Bytes that `value` takes, 1 to 5.
#[inline]
pub const fn unsigned_bytes(value: u32) -> usize {
    unsigned_long_bytes(value as u64)
}

/// Bytes that `value` takes, 1 to 10.
#[inline]
pub const fn unsigned_long_bytes(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that `value` takes in zigzag form, 1 to 5.
#[inline]
pub const fn zigzag_bytes(value: i32) -> usize {
    unsigned_bytes(zigzag(value))
}

/// Bytes that `value` takes in zigzag form, 1 to 10.
#[inline]
pub const fn zigzag_long_bytes(value: i64) -> usize {
    unsigned_long_bytes(zigzag_long(value))
}

/// Appends `value` in unsigned form.
pub fn put_unsigned(out: &mut impl bytes::BufMut, value: u32) {
    put_unsigned_long(out, u64::from(value));
}

/// Appends `value` in unsigned form.
pub fn put_unsigned_long(out: &mut impl bytes::BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends `value` in zigzag form.
pub fn put_zigzag(out: &mut impl bytes::BufMut, value: i32) {
    put_unsigned(out, zigzag(value));
}

/// Appends `value` in zigzag form.
pub fn put_zigzag_long(out: &mut impl bytes::BufMut, value: i64) {
    put_unsigned_long(out, zigzag_long(value));
}

const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

const fn zigzag_long(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_come_back_and_sizes_agree(short in any::<i32>(), long in any::<i64>(), shift in 0u32..63) {
            for short in [short, short >> (shift % 31), i32::MIN, i32::MAX, 0, -1] {
                let mut out = Vec::new();
                put_zigzag(&mut out, short);
                prop_assert_eq!(out.len(), zigzag_bytes(short));
                prop_assert_eq!(read_zigzag(&out), Ok((short, out.len())));
                prop_assert_eq!(read_zigzag(&out[..out.len() - 1]), Err(VarintError::Truncated));
                out.clear();
                put_unsigned(&mut out, short as u32);
                prop_assert_eq!(out.len(), unsigned_bytes(short as u32));
                prop_assert_eq!(read_unsigned(&out), Ok((short as u32, out.len())));
            }
            for long in [long, long >> shift, i64::MIN, i64::MAX, 0, -1] {
                let mut out = Vec::new();
                put_zigzag_long(&mut out, long);
                prop_assert_eq!(out.len(), zigzag_long_bytes(long));
                prop_assert_eq!(read_zigzag_long(&out), Ok((long, out.len())));
                prop_assert_eq!(read_zigzag_long(&out[..out.len() - 1]), Err(VarintError::Truncated));
            }
        }
    }

    #[test]
    fn a_run_without_end_is_refused() {
        assert_eq!(read_unsigned(&[0x80; 16]), Err(VarintError::TooLong));
        assert_eq!(read_unsigned(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(VarintError::TooLong));
        assert_eq!(read_unsigned(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((u32::MAX, 5)));
        assert_eq!(read_unsigned_long(&[0xff; 16]), Err(VarintError::TooLong));
        assert_eq!(read_unsigned(&[]), Err(VarintError::Truncated));
    }
}
