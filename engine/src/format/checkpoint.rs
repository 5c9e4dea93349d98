//! The frame that Kafka's checkpoint files share: a version line (`0`), a line with the number of entries, one line per entry.
//!
//! An empty file, or one that ends behind the version, holds no entries: Kafka creates such files. Lines end with `\n`; `\r\n`
//! is taken too. These files are written anew as a whole beside the old one and renamed over it; that is the caller's part.

use super::Malformed;
use std::fmt;
use std::str::FromStr;

const VERSION: i32 = 0;

/// One line of a checkpoint file, to be taken apart field by field.
pub(super) struct EntryLine<'a> {
    format: &'static str,
    number: usize,
    text: &'a str,
    fields: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> EntryLine<'a> {
    /// The next field, which is `name`.
    pub(super) fn text(&mut self, name: &'static str) -> Result<&'a str, Malformed> {
        self.fields.next().ok_or_else(|| self.expected(name))
    }

    /// The next field, a number that is at least 0.
    pub(super) fn count<T: FromStr + PartialOrd + Default>(
        &mut self,
        name: &'static str,
    ) -> Result<T, Malformed> {
        let number = self.text(name)?.parse().ok().filter(|number| *number >= T::default());
        number.ok_or_else(|| self.expected(name))
    }

    /// An error of this line.
    pub(super) fn expected(&self, what: impl fmt::Display) -> Malformed {
        Malformed::line(self.format, self.number, what.to_string(), excerpt(self.text))
    }

    fn end(mut self) -> Result<(), Malformed> {
        match self.fields.next() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }
}

/// Decodes the frame and, with `entry`, each entry line.
pub(super) fn decode<T>(
    format: &'static str,
    bytes: &[u8],
    mut entry: impl FnMut(&mut EntryLine<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Malformed::byte(format, error.valid_up_to(), "UTF-8", error.to_string()))?;
    let mut lines = text.lines().zip(1..).map(|(text, number)| EntryLine {
        format,
        number,
        text,
        fields: text.split_ascii_whitespace(),
    });
    let (Some(version), count) = (lines.next(), lines.next()) else { return Ok(Vec::new()) };
    if version.text.parse() != Ok(VERSION) {
        return Err(version.expected(format!("version {VERSION}")));
    }
    let Some(count) = count else { return Ok(Vec::new()) };
    let announced: usize = count.text.parse().ok().ok_or_else(|| count.expected("the number of entries"))?;
    let mut entries = Vec::new();
    for mut line in lines {
        entries.push(entry(&mut line)?);
        line.end()?;
    }
    if entries.len() != announced {
        return Err(count.expected(format!("{}, the number of entries that follow", entries.len())));
    }
    Ok(entries)
}

/// The frame around the lines of `entries`.
pub(super) fn encode<T: fmt::Display>(entries: impl ExactSizeIterator<Item = T>) -> Vec<u8> {
    let mut out = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        out.push_str(&entry.to_string());
        out.push('\n');
    }
    out.into_bytes()
}

/// The start of a line, for an error.
pub(super) fn excerpt(line: &str) -> String {
    const CHARS_MAX: usize = 80;
    match line.char_indices().nth(CHARS_MAX) {
        None => format!("{line:?}"),
        Some((at, _)) => format!("{:?}...", line.get(..at).unwrap_or_default()),
    }
}
