//! Copying past the caches, with the stores that x86-64 has for it. Elsewhere an ordinary copy.

/// Shorter copies are ordinary ones: the fence at the end would cost more than the stores save.
const STREAMED_BYTES_MIN: usize = 4 << 10;

/// Copies `source` to `target`, which are of the same length; long ones past this core's caches.
///
/// # Panics
/// If the lengths differ.
pub(super) fn copy(target: &mut [u8], source: &[u8]) {
    assert_eq!(target.len(), source.len(), "a copy between different lengths");
    if cfg!(target_arch = "x86_64") && source.len() >= STREAMED_BYTES_MIN {
        stream(target, source);
    } else {
        target.copy_from_slice(source);
    }
}

#[cfg(target_arch = "x86_64")]
fn stream(target: &mut [u8], source: &[u8]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};

    const LINE_BYTES: usize = 64;
    let head = target.as_ptr().align_offset(LINE_BYTES).min(target.len());
    target[..head].copy_from_slice(&source[..head]);
    let (lines, _) = target[head..].as_chunks_mut::<LINE_BYTES>();
    let copied = head + lines.len() * LINE_BYTES;
    for (to, from) in lines.iter_mut().zip(source[head..].as_chunks::<LINE_BYTES>().0) {
        let (to, from) = (to.as_mut_ptr().cast::<__m128i>(), from.as_ptr().cast::<__m128i>());
        for part in 0..LINE_BYTES / size_of::<__m128i>() {
            // SAFETY: both lines are 64 bytes long; `to` is aligned to its line; SSE2 belongs to every x86-64.
            unsafe { _mm_stream_si128(to.add(part), _mm_loadu_si128(from.add(part))) };
        }
    }
    // Streamed stores are ordered with nothing else: whoever is told of the buffer next must see them.
    // SAFETY: SSE belongs to every x86-64.
    unsafe { _mm_sfence() };
    target[copied..].copy_from_slice(&source[copied..]);
}

#[cfg(not(target_arch = "x86_64"))]
fn stream(target: &mut [u8], source: &[u8]) {
    target.copy_from_slice(source);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_wherever_the_copy_begins_and_ends() {
        let source: Vec<u8> = (0..3 * STREAMED_BYTES_MIN).map(|n| (n * 7 % 251) as u8).collect();
        for start in 0..70 {
            for length in [0, 1, 63, STREAMED_BYTES_MIN - 1, STREAMED_BYTES_MIN, STREAMED_BYTES_MIN + 65] {
                let mut target = vec![0xAA; source.len()];
                copy(&mut target[start..start + length], &source[3..3 + length]);
                assert_eq!(target[start..start + length], source[3..3 + length]);
                assert!(target[..start].iter().chain(&target[start + length..]).all(|byte| *byte == 0xAA));
            }
        }
    }
}
