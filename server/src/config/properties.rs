//! What was set: `server.properties` in Java's properties syntax, then `--override key=value`, the last one winning.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use java_properties::PropertiesIter;

/// Keys and values as they were written. Sorted, so that every message about them is stable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

/// Why no properties could be read.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("cannot read {}: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{} is not in Java's properties syntax: {source}", path.display())]
    Syntax { path: PathBuf, source: java_properties::PropertiesError },
    #[error("--override takes key=value, not '{0}'")]
    Override(String),
}

impl Properties {
    /// Reads `path`. As Java does, the bytes are Latin-1 with `\uXXXX` escapes, and the last of equal keys counts.
    ///
    /// # Errors
    /// If the file cannot be read or is no properties file.
    pub fn load(path: &Path) -> Result<Properties, PropertiesError> {
        let open = |source| PropertiesError::Open { path: path.to_owned(), source };
        let syntax = |source| PropertiesError::Syntax { path: path.to_owned(), source };
        // A directory opens as a file does, and then fails with a message that names no cause.
        if path.is_dir() {
            return Err(open(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut properties = Properties::default();
        PropertiesIter::new(File::open(path).map_err(open)?)
            .read_into(|key, value| properties.set(key, value))
            .map_err(syntax)?;
        Ok(properties)
    }

    /// Applies one `--override`.
    ///
    /// # Errors
    /// If it is not `key=value`. An empty value is one.
    pub fn apply_override(&mut self, setting: &str) -> Result<(), PropertiesError> {
        match setting.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                self.set(key.trim().to_owned(), value.to_owned());
                Ok(())
            }
            _ => Err(PropertiesError::Override(setting.to_owned())),
        }
    }

    pub fn set(&mut self, key: String, value: String) {
        self.values.insert(key, value);
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Properties {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(settings: I) -> Properties {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Properties { values: settings.into_iter().map(owned).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Properties {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.properties");
        std::fs::write(&path, text).unwrap();
        Properties::load(&path).unwrap()
    }

    #[test]
    fn javas_syntax_is_read() {
        let properties = load(
            "# comment\n! another\nbroker.id=1\n  log.dirs : /a, \\\n   /b\nbroker.rack=caf\\u00e9\n\
             num.partitions 3\nnum.partitions=4\nempty=\n",
        );
        assert_eq!(properties.get("broker.id"), Some("1"));
        assert_eq!(properties.get("log.dirs"), Some("/a, /b"));
        assert_eq!(properties.get("broker.rack"), Some("café"));
        assert_eq!(properties.get("num.partitions"), Some("4"));
        assert_eq!(properties.get("empty"), Some(""));
        assert_eq!(properties.iter().count(), 5);
    }

    #[test]
    fn overrides_win_and_must_be_pairs() {
        let mut properties = load("broker.id=1\n");
        properties.apply_override("broker.id=2").unwrap();
        properties.apply_override("listeners=PLAINTEXT://:9092?a=b").unwrap();
        assert_eq!(properties.get("broker.id"), Some("2"));
        assert_eq!(properties.get("listeners"), Some("PLAINTEXT://:9092?a=b"));
        assert!(properties.apply_override("broker.id").is_err());
        assert!(properties.apply_override("=3").is_err());
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("nope.properties");
        assert!(Properties::load(&missing).unwrap_err().to_string().contains("nope.properties"));
        assert!(Properties::load(dir.path()).unwrap_err().to_string().contains("directory"));
    }
}
