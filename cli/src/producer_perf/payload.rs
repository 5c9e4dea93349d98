//! What is written: random letters or records from a file, chosen as the Java tool chooses them.

use std::io::Write;
use std::path::Path;

use crate::bounds::PAYLOAD_FILE_BYTES_MAX;
use crate::failure::Failure;

/// Java's `Random`, so that a run writes the same bytes as the Java tool.
#[derive(Debug)]
pub struct JavaRandom(u64);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    pub fn new(seed: u64) -> JavaRandom {
        JavaRandom((seed ^ MULTIPLIER) & MASK)
    }

    fn next(&mut self, bits: u32) -> i32 {
        self.0 = (self.0.wrapping_mul(MULTIPLIER).wrapping_add(0xB)) & MASK;
        (self.0 >> (48 - bits)) as i32
    }

    /// A number below `bound`, which must be above zero.
    pub fn below(&mut self, bound: i32) -> i32 {
        if bound & (bound - 1) == 0 {
            return ((i64::from(bound) * i64::from(self.next(31))) >> 31) as i32;
        }
        loop {
            let bits = self.next(31);
            let value = bits % bound;
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
        }
    }
}

/// A source of records.
#[derive(Debug)]
pub struct Payload {
    random: JavaRandom,
    choices: Vec<Vec<u8>>,
    letters: Vec<u8>,
}

impl Payload {
    pub fn letters(bytes: usize) -> Payload {
        Payload { random: JavaRandom::new(0), choices: Vec::new(), letters: vec![0; bytes] }
    }

    /// # Errors
    /// When the file is missing, empty or too large, or the delimiter is no regular expression.
    pub fn of_file(path: &str, delimiter: &str, out: &mut dyn Write) -> Result<Payload, Failure> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_path_buf());
        writeln!(out, "Reading payloads from: {}", absolute.display())?;
        let bytes = std::fs::metadata(path).map(|file| file.len()).unwrap_or(0);
        if bytes == 0 {
            return Err(illegal("File does not exist or empty file provided."));
        }
        if bytes > PAYLOAD_FILE_BYTES_MAX {
            return Err(illegal(&format!("the payload file is larger than {PAYLOAD_FILE_BYTES_MAX} bytes")));
        }
        let text =
            std::fs::read(path).map_err(|error| Failure::message(format!("cannot read {path}: {error}")))?;
        let text = String::from_utf8_lossy(&text);
        let delimiter = if delimiter == "\\n" { "\n" } else { delimiter };
        let delimiter = regex::Regex::new(delimiter)
            .map_err(|error| Failure::message(format!("java.util.regex.PatternSyntaxException: {error}")))?;
        let mut choices: Vec<Vec<u8>> = delimiter.split(&text).map(|part| part.as_bytes().to_vec()).collect();
        // Java's split gives no empty strings at the end.
        while choices.len() > 1 && choices.last().is_some_and(Vec::is_empty) {
            choices.pop();
        }
        writeln!(out, "Number of messages read: {}", choices.len())?;
        Ok(Payload { random: JavaRandom::new(0), choices, letters: Vec::new() })
    }

    /// The next record's value.
    pub fn next(&mut self) -> &[u8] {
        if !self.choices.is_empty() {
            let count = i32::try_from(self.choices.len()).unwrap_or(i32::MAX);
            let choice = self.random.below(count);
            return &self.choices[usize::try_from(choice).unwrap_or(0)];
        }
        for letter in &mut self.letters {
            *letter = b'A' + self.random.below(26) as u8;
        }
        &self.letters
    }
}

fn illegal(why: &str) -> Failure {
    Failure::message(format!("java.lang.IllegalArgumentException: {why}")).uncaught()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_javas_random() {
        let mut random = JavaRandom::new(0);
        let drawn: Vec<i32> = (0..6).map(|_| random.below(26)).collect();
        assert_eq!(drawn, [18, 18, 23, 21, 13, 9]);
        let mut power = JavaRandom::new(42);
        assert_eq!([power.below(8), power.below(8)], [5, 0]);
    }

    #[test]
    fn a_file_is_cut_at_the_delimiter() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\nb\n\n").unwrap();
        let mut out = Vec::new();
        let payload = Payload::of_file(file.path().to_str().unwrap(), "\\n", &mut out).unwrap();
        assert_eq!(payload.choices, [b"a", b"b"]);
        assert!(String::from_utf8(out).unwrap().ends_with("Number of messages read: 2\n"));
    }
}
