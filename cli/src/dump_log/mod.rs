//! `kafka-dump-log.sh`: what a segment and the files beside it hold, as text.
//!
//! ```text
//! file name -> kind -> .log: batches, records, decoder    .index, .timeindex: entries, held against the .log
//!                      .snapshot: producers               .txnindex: aborted transactions
//! ```
//! It reads the files of a running or stopped broker, Kafka's or Thalweg's, and writes none. Bytes are read as they are
//! needed, at most a batch at once. What is corrupt ends the tool with an error, as it ends Kafka's; what merely does not
//! agree is told at the end on stderr, with exit code 0.

mod batch;
mod decoder;
mod index;
mod index_file;
mod legacy;
mod options;
mod record;
mod snapshot;
mod source;
mod time_index;
mod transaction_index;
mod unpack;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use self::batch::Segment;
use self::decoder::Decoder;
use self::source::Source;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "dump-log",
    summary: "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.",
    on_nothing: None,
    spec: &options::SPEC,
    run,
};

/// Why a dump ends early.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// What Kafka's tool dies of, in its words where a user may know them.
    #[error("{0}")]
    Corrupt(String),
    /// A file that is not there or cannot be read.
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl From<DumpError> for Failure {
    fn from(error: DumpError) -> Failure {
        match error {
            DumpError::Output(error) => Failure::Output(error),
            other => Failure::Message(other.to_string()),
        }
    }
}

fn corrupt(what: impl Into<String>) -> DumpError {
    DumpError::Corrupt(what.into())
}

/// What is shown, and how.
#[derive(Debug)]
struct Settings {
    deep: bool,
    contents: bool,
    record_metadata: bool,
    decoder: Decoder,
    sanity_only: bool,
    verify_only: bool,
    message_bytes_max: u64,
}

/// What does not agree, by file, for the end.
#[derive(Debug, Default)]
struct Findings {
    index: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    time_mismatch: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    time_order: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    time_missing: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    gaps: BTreeMap<PathBuf, Vec<(i64, i64)>>,
}

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options.require(&["files"])?;
    let settings = Settings::of(options)?;
    let mut findings = Findings::default();
    for file in options.value("files")?.unwrap_or_default().split(',') {
        let path = java_path(file);
        writeln!(out, "Dumping {}", path.display())?;
        dump(&path, &settings, &mut findings, out)?;
    }
    out.flush()?;
    findings.tell();
    Ok(())
}

impl Settings {
    fn of(options: &Parsed) -> Result<Settings, Failure> {
        let decoders = [
            "offsets-decoder",
            "transaction-log-decoder",
            "cluster-metadata-decoder",
            "value-decoder-class",
            "key-decoder-class",
        ];
        let contents = options.has("print-data-log") || decoders.iter().any(|option| options.has(option));
        Ok(Settings {
            deep: options.has("deep-iteration") || contents,
            contents,
            record_metadata: !options.has("skip-record-metadata"),
            decoder: Decoder::of(options)?,
            sanity_only: options.has("index-sanity-check"),
            verify_only: options.has("verify-index-only"),
            message_bytes_max: options
                .number::<i32>("max-message-size")?
                .map_or(0, |max| u64::try_from(max).unwrap_or(0)),
        })
    }
}

/// A path as Java's `File` shows it: no doubled and no closing slash.
fn java_path(text: &str) -> PathBuf {
    let mut path = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '/' || !path.ends_with('/') {
            path.push(letter);
        }
    }
    if path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    PathBuf::from(path)
}

fn dump(
    path: &Path,
    settings: &Settings,
    findings: &mut Findings,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((_, suffix)) = name.rsplit_once('.') else {
        return Err(corrupt(format!(
            "{}: the name has no suffix that tells what the file is",
            path.display()
        )));
    };
    match suffix {
        "log" => dump_log(path, settings, findings, out),
        "index" => index::dump(path, settings, findings, out),
        "timeindex" => time_index::dump(path, settings, findings, out),
        "snapshot" => snapshot::dump(path, out),
        "txnindex" => transaction_index::dump(path, out),
        _ => {
            out.flush()?;
            eprintln!("Ignoring unknown file {}", path.display());
            Ok(())
        }
    }
}

/// The first offset that a file may hold, which is its name.
fn base_offset(path: &Path) -> Result<i64, DumpError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = name.split('.').next().unwrap_or_default();
    number
        .parse()
        .map_err(|error| corrupt(format!("{}: the name begins with no offset: {error}", path.display())))
}

/// The file of the same segment with another suffix.
fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = name.split('.').next().unwrap_or_default().to_owned();
    path.with_file_name(format!("{number}.{suffix}"))
}

fn dump_log(
    path: &Path,
    settings: &Settings,
    findings: &mut Findings,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    writeln!(out, "Starting offset: {}", base_offset(path)?)?;
    let file = source::File::open(path)?;
    let segment = Segment::new(&file, path);
    let mut gaps = Vec::new();
    let (mut position, mut last_offset) = (0, None);
    while let Some(batch) = segment.batch_at(position, file.len())? {
        writeln!(out, "{}", batch.describe(position)?)?;
        if settings.deep {
            record::show(&batch, settings, &mut last_offset, &mut gaps, out)?;
        }
        position += batch.bytes.len() as u64;
    }
    if !gaps.is_empty() {
        findings.gaps.insert(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()), gaps);
    }
    let trailing = file.len() - position;
    if trailing > 0 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "Found {trailing} invalid bytes at the end of {name}")?;
    }
    Ok(())
}

impl Findings {
    /// On stderr, in the order and the words of Kafka's tool.
    fn tell(&self) {
        for (file, pairs) in &self.index {
            eprintln!("Mismatches in :{}", file.display());
            for (index, log) in pairs.iter().rev() {
                eprintln!("  Index offset: {index}, log offset: {log}");
            }
        }
        for (file, pairs) in &self.time_mismatch {
            eprintln!("Found timestamp mismatch in :{}", file.display());
            for (index, log) in pairs {
                eprintln!("  Index timestamp: {index}, log timestamp: {log}");
            }
        }
        for (file, pairs) in &self.time_order {
            eprintln!("Found out of order timestamp in :{}", file.display());
            for (index, before) in pairs {
                eprintln!("  Index timestamp: {index}, Previously indexed timestamp: {before}");
            }
        }
        for pairs in self.time_missing.values() {
            eprintln!("The following indexed offsets are not found in the log.");
            for (index, log) in pairs {
                eprintln!("Indexed offset: {index}, found log offset: {log}");
            }
        }
        for (file, pairs) in &self.gaps {
            eprintln!("Non-consecutive offsets in {}", file.display());
            for (first, second) in pairs.iter().rev() {
                eprintln!("  {first} is followed by {second}");
            }
        }
    }
}

/// Reads bytes as a segment and shows all of it in every decoder's way: for fuzzing, which wants no files.
pub fn exercise(bytes: &[u8]) {
    let path = Path::new("00000000000000000000.log");
    for decoder in Decoder::all() {
        let settings = Settings {
            deep: true,
            contents: true,
            record_metadata: true,
            decoder,
            sanity_only: false,
            verify_only: false,
            message_bytes_max: u64::MAX,
        };
        let segment = Segment::new(&bytes, path);
        let (mut position, mut last_offset, mut gaps) = (0, None, Vec::new());
        while let Ok(Some(batch)) = segment.batch_at(position, bytes.len() as u64) {
            let described = batch.describe(position);
            let shown = record::show(&batch, &settings, &mut last_offset, &mut gaps, &mut io::sink());
            if described.is_err() || shown.is_err() {
                break;
            }
            position += batch.bytes.len() as u64;
        }
    }
    snapshot::exercise(bytes);
    transaction_index::exercise(bytes);
}
