//! Checked reading of Kafka's primitive types from a byte slice.

use super::WireError;

/// A cursor over received bytes. Every read is bounds-checked; lengths are only trusted once the bytes are there.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        if n > self.bytes.len() {
            return Err(WireError::Truncated(field));
        }
        let (head, tail) = self.bytes.split_at(n);
        self.bytes = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, field)?);
        Ok(out)
    }

    pub fn i8(&mut self, field: &'static str) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array(field)?))
    }

    pub fn bool(&mut self, field: &'static str) -> Result<bool, WireError> {
        Ok(self.i8(field)? != 0)
    }

    pub fn i16(&mut self, field: &'static str) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array(field)?))
    }

    pub fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array(field)?))
    }

    pub fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    pub fn i64(&mut self, field: &'static str) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    /// A zigzag varint of at most 64 bits (record fields).
    pub fn varint(&mut self, field: &'static str) -> Result<i64, WireError> {
        let mut raw = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1, field)?[0];
            raw |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(((raw >> 1) as i64) ^ -((raw & 1) as i64));
            }
        }
        Err(WireError::Invalid { field, value: -1 })
    }

    /// Element count of an array; null counts as empty. An element takes at least one byte, so a count above the
    /// bytes left is refused.
    pub fn count(&mut self, field: &'static str) -> Result<usize, WireError> {
        let n = self.i32(field)?;
        match usize::try_from(n) {
            Ok(n) if n <= self.bytes.len() => Ok(n),
            Ok(_) => Err(WireError::Truncated(field)),
            Err(_) if n == -1 => Ok(0),
            Err(_) => Err(WireError::Invalid { field, value: n.into() }),
        }
    }

    pub fn string(&mut self, field: &'static str) -> Result<&'a str, WireError> {
        self.nullable_string(field)?.ok_or(WireError::Invalid { field, value: -1 })
    }

    pub fn nullable_string(&mut self, field: &'static str) -> Result<Option<&'a str>, WireError> {
        let n = self.i16(field)?;
        if n == -1 {
            return Ok(None);
        }
        let n = usize::try_from(n).map_err(|_e| WireError::Invalid { field, value: n.into() })?;
        std::str::from_utf8(self.take(n, field)?).map(Some).map_err(|_e| WireError::Utf8(field))
    }

    /// A byte string with a 32-bit length; null reads as empty.
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        let n = self.i32(field)?;
        if n == -1 {
            return Ok(&[]);
        }
        let n = usize::try_from(n).map_err(|_e| WireError::Invalid { field, value: n.into() })?;
        self.take(n, field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_larger_than_the_frame_is_refused() {
        let frame = i32::MAX.to_be_bytes();
        assert_eq!(Decoder::new(&frame).count("topics"), Err(WireError::Truncated("topics")));
    }

    #[test]
    fn varints_are_zigzag_and_bounded() {
        assert_eq!(Decoder::new(&[0x01]).varint("d"), Ok(-1));
        assert_eq!(Decoder::new(&[0x80, 0x01]).varint("d"), Ok(64));
        assert!(Decoder::new(&[0xff; 11]).varint("d").is_err());
        assert_eq!(Decoder::new(&[0x80]).varint("d"), Err(WireError::Truncated("d")));
    }
}
