//! What happened in a world: a hash always, readable lines on request.

use crate::io::Monotonic;

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(keep_lines: bool) -> Trace {
        Trace { hash: 0xCBF2_9CE4_8422_2325, lines: keep_lines.then(Vec::new) }
    }

    pub(super) fn record(&mut self, now: Monotonic, event: std::fmt::Arguments<'_>) {
        let line = format!("{:>12} {event}", now.0);
        for byte in line.bytes() {
            // FNV-1a
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// Equal for two runs only if they saw the same events at the same times.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
