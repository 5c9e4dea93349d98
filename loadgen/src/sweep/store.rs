//! What a sweep leaves on disk: `sweep.json` says what it is, `results/POINT-REPEAT.json` holds each measurement. A
//! result appears whole or not at all, so a sweep that was interrupted goes on where it stopped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::scenario::Point;

pub const PLAN_FILE: &str = "sweep.json";
const FORMAT: u32 = 1;

#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
}

fn at(path: &Path) -> impl Fn(io::Error) -> String {
    move |e| format!("{}: {e}", path.display())
}

impl Store {
    /// Opens a new or an earlier sweep; one of other points or options is refused.
    pub fn open(directory: &Path, points: &[Point], identity: &Value, fresh: bool) -> Result<Self, String> {
        let plan = directory.join(PLAN_FILE);
        let results = directory.join("results");
        if fresh && plan.exists() {
            fs::remove_dir_all(&results).map_err(at(&results))?;
            fs::remove_file(&plan).map_err(at(&plan))?;
        }
        let wanted = json!({ "format": FORMAT, "identity": identity, "points": points });
        fs::create_dir_all(&results).map_err(at(&results))?;
        match fs::read(&plan) {
            Ok(bytes) => {
                let there: Value =
                    serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", plan.display()))?;
                if there != wanted {
                    return Err(format!(
                        "{} holds another sweep ({} differ); give another --out, or --fresh to start over",
                        directory.display(),
                        differing(&there, &wanted).join(", ")
                    ));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => write(&plan, &wanted)?,
            Err(e) => return Err(at(&plan)(e)),
        }
        Ok(Self { directory: directory.to_path_buf() })
    }

    fn path(&self, point: &Point, repeat: u32) -> PathBuf {
        self.directory.join("results").join(format!("{}-{repeat}.json", point.id))
    }

    pub fn has(&self, point: &Point, repeat: u32) -> bool {
        self.path(point, repeat).exists()
    }

    pub fn put(&self, point: &Point, repeat: u32, document: &Value) -> Result<(), String> {
        write(&self.path(point, repeat), document)
    }
}

/// Names what differs: a part of the identity, or all else.
fn differing<'v>(there: &'v Value, wanted: &'v Value) -> Vec<&'v str> {
    let parts = [there, wanted].into_iter().filter_map(|plan| plan["identity"].as_object()).flatten();
    let mut names: Vec<&str> = parts
        .map(|(name, _)| name.as_str())
        .filter(|name| there["identity"][name] != wanted["identity"][name])
        .collect();
    names.extend(["format", "points"].into_iter().filter(|key| there[*key] != wanted[*key]));
    names.sort_unstable();
    names.dedup();
    names
}

/// Beside its place first, then moved there.
fn write(path: &Path, value: &Value) -> Result<(), String> {
    let part = path.with_extension("part");
    fs::write(&part, format!("{value:#}\n")).and_then(|()| fs::rename(&part, path)).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_of_another_build_or_host_is_not_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let open = |identity: Value| Store::open(directory.path(), &[], &identity, false).map(drop);
        open(json!({ "host": "a", "server_build": "1" })).unwrap();
        open(json!({ "host": "a", "server_build": "1" })).unwrap();
        let refused = open(json!({ "host": "b", "server_build": "2" })).unwrap_err();
        assert!(refused.contains("(host, server_build differ)"), "{refused}");
    }
}
