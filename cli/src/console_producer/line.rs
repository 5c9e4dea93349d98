//! Lines of stdin, as Java's `BufferedReader` cuts them: at `\n`, at `\r`, and at both together; the last one without an end.
//!
//! Input arrives in pieces from a descriptor that is read when it is readable, so that signals and deliveries are seen to
//! while a terminal is silent. One line is bounded, since no record may be larger.

use std::io::{self, Read};

use crate::bounds::{LINE_BYTES_MAX, READ_BYTES};

/// Cuts what it is fed into lines.
#[derive(Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
    /// Bytes of `pending` that belong to lines already taken.
    taken: usize,
    /// Bytes behind `taken` in which no end of line is.
    searched: usize,
    /// The last line ended with `\r`: a `\n` that follows belongs to it.
    skip_newline: bool,
    ended: bool,
}

impl LineSplitter {
    /// Reads once from `input`; nothing read is its end.
    ///
    /// # Errors
    /// Those of the input, and a line beyond the bound.
    pub fn fill(&mut self, input: &mut dyn Read) -> io::Result<()> {
        self.pending.drain(..self.taken);
        self.taken = 0;
        if self.pending.len() > LINE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a line is longer than {LINE_BYTES_MAX} bytes, and so than any record may be"
            )));
        }
        let start = self.pending.len();
        self.pending.resize(start + READ_BYTES, 0);
        let read = input.read(&mut self.pending[start..]);
        self.pending.truncate(start + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }

    /// The next whole line without its end.
    pub fn take(&mut self) -> Option<&[u8]> {
        if self.skip_newline && self.pending.get(self.taken) == Some(&b'\n') {
            self.taken += 1;
            self.skip_newline = false;
        }
        let start = self.taken;
        let from = start + self.searched;
        let end = memchr::memchr2(b'\n', b'\r', &self.pending[from..]).map(|at| from + at);
        let Some(end) = end else {
            self.searched = self.pending.len() - start;
            return self.take_last(start);
        };
        self.skip_newline = self.pending[end] == b'\r';
        self.taken = end + 1;
        self.searched = 0;
        Some(&self.pending[start..end])
    }

    fn take_last(&mut self, start: usize) -> Option<&[u8]> {
        if !self.ended || start == self.pending.len() {
            return None;
        }
        self.taken = self.pending.len();
        self.searched = 0;
        Some(&self.pending[start..])
    }

    /// Whether the input has ended and every line has been taken.
    pub fn is_done(&self) -> bool {
        self.ended && self.taken == self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of `input`, fed `piece` bytes at a time.
    fn lines(input: &[u8], piece: usize) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        let mut pieces = input.chunks(piece);
        while !splitter.is_done() {
            splitter.fill(&mut pieces.next().unwrap_or_default()).unwrap();
            while let Some(line) = splitter.take() {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        lines
    }

    #[test]
    fn lines_end_as_in_java_wherever_the_input_is_cut() {
        for piece in 1..12 {
            assert_eq!(
                lines(b"a\nbc\r\nd\re\n\n\r\n\rlast", piece),
                ["a", "bc", "d", "e", "", "", "", "last"]
            );
            assert_eq!(lines(b"one\n", piece), ["one"]);
            assert_eq!(lines(b"\r\n", piece), [""]);
        }
        assert!(lines(b"", 1).is_empty());
    }
}
