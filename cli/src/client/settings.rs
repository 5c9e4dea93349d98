//! `--command-config`: the properties of a client that mean something here, and a clear no to those that would change
//! what the tool does and cannot be had.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// The settings of a client, with the defaults of Kafka's admin client.
#[derive(Debug, Clone)]
pub struct Settings {
    pub client_id: String,
    /// `request.timeout.ms`: how long one answer may take.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long a whole operation may take, with all its attempts.
    pub api_timeout: Duration,
    /// `retry.backoff.ms`
    pub retry_backoff: Duration,
    /// `socket.connection.setup.timeout.ms`
    pub connect_timeout: Duration,
    /// Everything in the file, for tools with more to read in it.
    pub properties: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            client_id: "thalweg".to_owned(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            connect_timeout: Duration::from_millis(super::super::bounds::CONNECT_MS_MAX),
            properties: BTreeMap::new(),
        }
    }
}

/// Why a file of properties cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    NoProperties { path: String, source: java_properties::PropertiesError },
    #[error("Invalid value {value} for configuration {key}: Not a number of type INT")]
    NoNumber { key: String, value: String },
    #[error(
        "{key}={value} is not supported: these tools speak PLAINTEXT only. Remove it, or use a PLAINTEXT listener."
    )]
    NotPlaintext { key: String, value: String },
}

/// Keys that only matter together with TLS or SASL: harmless beside `security.protocol=PLAINTEXT`, as in Kafka.
const PROTOCOL: &str = "security.protocol";

impl Settings {
    /// `request.timeout.ms` as requests carry it.
    pub fn request_timeout_ms(&self) -> i32 {
        i32::try_from(self.request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Reads a file of Java properties on top of the defaults. Keys without meaning here are accepted, as in Kafka.
    ///
    /// # Errors
    /// When the file cannot be read, a number is none, or a security protocol is asked for.
    pub fn load(path: &Path) -> Result<Settings, SettingsError> {
        let shown = path.display().to_string();
        let file =
            File::open(path).map_err(|source| SettingsError::Unreadable { path: shown.clone(), source })?;
        let read = java_properties::read(file)
            .map_err(|source| SettingsError::NoProperties { path: shown, source })?;
        Settings::from_properties(read)
    }

    /// # Errors
    /// When a number is none, or a security protocol is asked for.
    pub fn from_properties(
        properties: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, SettingsError> {
        let mut settings = Settings { properties: properties.into_iter().collect(), ..Settings::default() };
        let given = settings.properties.clone();
        for (key, value) in &given {
            match key.as_str() {
                "client.id" => settings.client_id.clone_from(value),
                "request.timeout.ms" => settings.request_timeout = millis(key, value)?,
                "default.api.timeout.ms" => settings.api_timeout = millis(key, value)?,
                "retry.backoff.ms" => settings.retry_backoff = millis(key, value)?,
                "socket.connection.setup.timeout.ms" => settings.connect_timeout = millis(key, value)?,
                PROTOCOL if !value.trim().eq_ignore_ascii_case("PLAINTEXT") => {
                    return Err(SettingsError::NotPlaintext { key: key.clone(), value: value.clone() });
                }
                _ => {}
            }
        }
        Ok(settings)
    }
}

fn millis(key: &str, value: &str) -> Result<Duration, SettingsError> {
    let no_number = || SettingsError::NoNumber { key: key.to_owned(), value: value.to_owned() };
    let millis: u32 =
        value.trim().parse().ok().filter(|millis| *millis <= i32::MAX as u32).ok_or_else(no_number)?;
    Ok(Duration::from_millis(u64::from(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.properties");
        std::fs::write(&path, text).unwrap();
        Settings::load(&path)
    }

    #[test]
    fn known_keys_change_the_client_and_others_are_kept() {
        let settings = from("client.id=me\nrequest.timeout.ms = 5\nbatch.size=9\n").unwrap();
        assert_eq!((settings.client_id.as_str(), settings.request_timeout.as_millis()), ("me", 5));
        assert_eq!(settings.properties["batch.size"], "9");
    }

    #[test]
    fn security_and_nonsense_are_refused_by_name() {
        let refused = from("security.protocol=SASL_SSL\n").unwrap_err().to_string();
        assert!(refused.contains("security.protocol=SASL_SSL") && refused.contains("PLAINTEXT only"));
        assert!(from("security.protocol=plaintext\n").is_ok());
        assert!(from("request.timeout.ms=x\n").unwrap_err().to_string().contains("request.timeout.ms"));
        assert!(Settings::load(Path::new("/nowhere/x")).is_err());
    }
}
