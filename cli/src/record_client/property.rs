//! A user's properties against a table of the Java client's configuration keys: type and range as the Java client checks
//! them, and then what becomes of each.
//!
//! ```text
//! file, options -> Properties -> translate(table) -> rdkafka's ClientConfig, and the values that the tool honours itself
//! ```

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

use rdkafka::config::ClientConfig;

use super::log::{self, Level};
use crate::client::parse_bootstrap;
use crate::failure::Failure;

/// Properties by key, as the Java client would be given them.
#[derive(Debug, Clone, Default)]
pub struct Properties(BTreeMap<String, String>);

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    Boolean,
    Int { min: i64 },
    Long { min: i64 },
    OneOf(&'static [&'static str]),
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
pub enum Meaning {
    /// librdkafka has it under these names.
    As(&'static [&'static str]),
    /// The same as a number that is first brought into librdkafka's range, which is narrower at ends nobody uses.
    Clamped(&'static [(&'static str, i64, i64)]),
    /// It has to be put differently.
    Rewritten(fn(&str, &mut ClientConfig) -> Result<(), String>),
    /// The tool sees to it.
    Tool,
    /// It cannot be had here: why. A value that asks for nothing passes.
    Refused(&'static str),
}

/// One key of the Java client.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// What holds without it, where the Java client's default is not librdkafka's.
    pub default: Option<&'static str>,
    pub meaning: Meaning,
}

pub const fn key(name: &'static str, kind: Kind, meaning: Meaning) -> Key {
    Key { name, kind, default: None, meaning }
}

impl Key {
    pub const fn or(self, default: &'static str) -> Key {
        Key { default: Some(default), ..self }
    }
}

/// A client's configuration: what goes to librdkafka, and what was asked for.
#[derive(Debug)]
pub struct Translated {
    pub client: ClientConfig,
    pub given: Properties,
    table: &'static [&'static [Key]],
}

// By group, since all of them are answered alike.
const REFUSED_PREFIXES: &[(&str, &str)] = &[
    ("ssl.", "TLS is not supported; connect without it"),
    ("sasl.", "SASL is not supported; connect without it"),
    ("metrics.", "this client keeps no Java metrics; remove it"),
];

impl Properties {
    pub fn new() -> Properties {
        Properties::default()
    }

    /// A properties file as Java reads it.
    ///
    /// # Errors
    /// Names the file, as the Java tool does.
    pub fn load(path: &str) -> Result<Properties, Failure> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::message(format!("cannot read the properties file {path}: {error}"))
        };
        let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
        let read =
            java_properties::read(std::io::BufReader::new(file)).map_err(|error| unreadable(&error))?;
        Ok(Properties(read.into_iter().collect()))
    }

    /// `key=value` as it stands after `--property` and its like; a missing value is an empty one.
    pub fn of_arguments(arguments: &[String]) -> Properties {
        let pair = |argument: &String| match argument.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (argument.clone(), String::new()),
        };
        Properties(arguments.iter().map(pair).collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Sets it where nothing else has.
    pub fn set_default(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_owned()).or_insert_with(|| value.into());
    }

    pub fn extend(&mut self, other: Properties) {
        self.0.extend(other.0);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Holds the properties against `table`. `client` is the name of the Java client's configuration, for warnings.
    ///
    /// # Errors
    /// In the words of the Java client where it would refuse too.
    pub fn translate(self, client: &str, table: &'static [&'static [Key]]) -> Result<Translated, Failure> {
        let mut config = ClientConfig::new();
        for key in table.iter().copied().flatten() {
            let Some(value) = self.get(key.name).map(str::trim).or(key.default) else { continue };
            key.kind.check(key.name, value).map_err(Failure::message)?;
            key.apply(value, &mut config).map_err(Failure::message)?;
        }
        for (name, value) in self.iter() {
            if find(table, name).is_none() {
                unknown(client, name, value)?;
            }
        }
        Ok(Translated { client: config, given: self, table })
    }
}

fn find(table: &[&'static [Key]], name: &str) -> Option<&'static Key> {
    table.iter().copied().flatten().find(|key| key.name == name)
}

/// The Java client warns of what it does not know, and goes on.
fn unknown(client: &str, name: &str, value: &str) -> Result<(), Failure> {
    if let Some((_, why)) = REFUSED_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return Err(Failure::message(refusal(name, value, why)));
    }
    let message = format!("The configuration '{name}' was supplied but isn't a known config.");
    log::write(Level::Warn, client, message);
    Ok(())
}

fn refusal(name: &str, value: &str, why: &str) -> String {
    format!("thalweg: the property {name}={value} cannot be honoured: {why}")
}

fn invalid(name: &str, value: &str, why: &str) -> String {
    format!(
        "org.apache.kafka.common.config.ConfigException: Invalid value {value} for configuration {name}: {why}"
    )
}

impl Kind {
    fn check(self, name: &str, value: &str) -> Result<(), String> {
        match self {
            Kind::Text => Ok(()),
            Kind::Boolean if ["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)) => Ok(()),
            Kind::Boolean => Err(invalid(name, value, "Expected value to be either true or false")),
            Kind::Int { min } => {
                check_number(name, value, "INT", value.parse::<i32>().ok().map(i64::from), min)
            }
            Kind::Long { min } => check_number(name, value, "LONG", value.parse::<i64>().ok(), min),
            Kind::OneOf(choices) if choices.contains(&value) => Ok(()),
            Kind::OneOf(choices) => {
                Err(invalid(name, value, &format!("String must be one of: {}", choices.join(", "))))
            }
        }
    }
}

/// What the Java client throws when it cannot come into being: `side` is producer or consumer.
pub fn unconstructed(side: &str, cause: &str) -> Failure {
    Failure::message(format!(
        "org.apache.kafka.common.KafkaException: Failed to construct kafka {side}\nCaused by: {cause}"
    ))
}

fn check_number(name: &str, value: &str, kind: &str, number: Option<i64>, min: i64) -> Result<(), String> {
    match number {
        None => Err(invalid(name, value, &format!("Not a number of type {kind}"))),
        Some(number) if number < min => Err(invalid(name, value, &format!("Value must be at least {min}"))),
        Some(_) => Ok(()),
    }
}

impl Key {
    fn apply(&self, value: &str, config: &mut ClientConfig) -> Result<(), String> {
        match self.meaning {
            Meaning::As(names) => {
                for name in names {
                    config.set(*name, value);
                }
            }
            Meaning::Clamped(targets) => {
                let number: i64 = value.parse().unwrap_or(0);
                for (name, min, max) in targets {
                    config.set(*name, number.clamp(*min, *max).to_string());
                }
            }
            Meaning::Rewritten(rewrite) => {
                rewrite(value, config).map_err(|why| refusal(self.name, value, &why))?;
            }
            Meaning::Tool => {}
            Meaning::Refused(_) if value.is_empty() => {}
            Meaning::Refused(why) => return Err(refusal(self.name, value, why)),
        }
        Ok(())
    }
}

impl Translated {
    /// Refuses brokers of which none can be resolved, as the Java client does: librdkafka would look for them for ever.
    ///
    /// # Errors
    /// In the words of the Java client of this `side`, producer or consumer.
    pub fn check_servers(&self, side: &str) -> Result<(), Failure> {
        let Some(servers) = self.given.get("bootstrap.servers") else { return Ok(()) };
        let misconfigured = |why: String| {
            unconstructed(side, &format!("org.apache.kafka.common.config.ConfigException: {why}"))
        };
        let servers = parse_bootstrap(servers).map_err(misconfigured)?;
        match servers.iter().any(|server| (server.host.as_str(), server.port).to_socket_addrs().is_ok()) {
            true => Ok(()),
            false => Err(misconfigured("No resolvable bootstrap urls given in bootstrap.servers".to_owned())),
        }
    }

    /// The value of a key that the tool honours, or its default.
    ///
    /// # Panics
    /// When the table has no such key or no default for it, which is a bug of the tool.
    pub fn text(&self, name: &str) -> &str {
        let default = find(self.table, name).and_then(|key| key.default);
        match self.given.get(name).map(str::trim).or(default) {
            Some(value) => value,
            None => panic!("{name} has no default in its table"),
        }
    }

    /// The same for a number, which [`Properties::translate`] has checked.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// The same for a boolean.
    pub fn is(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

/// Keys that producer and consumer have in common.
pub const COMMON: &[Key] = &[
    key("bootstrap.servers", Kind::Text, Meaning::As(&["bootstrap.servers"])),
    key("client.id", Kind::Text, Meaning::As(&["client.id"])),
    key(
        "client.dns.lookup",
        Kind::OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]),
        Meaning::As(&["client.dns.lookup"]),
    ),
    key(
        "metadata.max.age.ms",
        Kind::Long { min: 0 },
        Meaning::Clamped(&[
            ("topic.metadata.refresh.interval.ms", 10, 3_600_000),
            ("metadata.max.age.ms", 1, 86_400_000),
        ]),
    )
    .or("300000"),
    key(
        "send.buffer.bytes",
        Kind::Int { min: -1 },
        Meaning::Clamped(&[("socket.send.buffer.bytes", 0, 100_000_000)]),
    ),
    key(
        "receive.buffer.bytes",
        Kind::Int { min: -1 },
        Meaning::Clamped(&[("socket.receive.buffer.bytes", 0, 100_000_000)]),
    ),
    key(
        "reconnect.backoff.ms",
        Kind::Long { min: 0 },
        Meaning::Clamped(&[("reconnect.backoff.ms", 0, 3_600_000)]),
    )
    .or("50"),
    key(
        "reconnect.backoff.max.ms",
        Kind::Long { min: 0 },
        Meaning::Clamped(&[("reconnect.backoff.max.ms", 0, 3_600_000)]),
    )
    .or("1000"),
    key("retry.backoff.ms", Kind::Long { min: 0 }, Meaning::Clamped(&[("retry.backoff.ms", 1, 300_000)])),
    key(
        "socket.connection.setup.timeout.ms",
        Kind::Long { min: 0 },
        Meaning::Clamped(&[("socket.connection.setup.timeout.ms", 1000, i32::MAX as i64)]),
    ),
    key(
        "socket.connection.setup.timeout.max.ms",
        Kind::Long { min: 0 },
        Meaning::Refused(
            "the time to connect does not grow here; set socket.connection.setup.timeout.ms alone",
        ),
    ),
    key(
        "connections.max.idle.ms",
        Kind::Long { min: -1 },
        Meaning::Clamped(&[("connections.max.idle.ms", 0, i32::MAX as i64)]),
    )
    .or("540000"),
    key("security.protocol", Kind::Text, Meaning::Rewritten(plaintext_only)),
    key("security.providers", Kind::Text, Meaning::Refused("there is no JVM to give them to; remove it")),
    key("interceptor.classes", Kind::Text, Meaning::Refused("there is no JVM to load them into; remove it")),
    key("metric.reporters", Kind::Text, Meaning::Refused("there is no JVM to load them into; remove it")),
];

fn plaintext_only(value: &str, _: &mut ClientConfig) -> Result<(), String> {
    match value {
        "PLAINTEXT" => Ok(()),
        _ => Err("neither TLS nor SASL is supported; use security.protocol=PLAINTEXT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[&[Key]] = &[COMMON];

    fn translate(pairs: &[&str]) -> Result<Translated, String> {
        let arguments: Vec<String> = pairs.iter().map(|&pair| pair.to_owned()).collect();
        Properties::of_arguments(&arguments)
            .translate("test", TABLE)
            .map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn values_are_checked_as_the_java_client_does() {
        let wrong = translate(&["retry.backoff.ms=x"]).unwrap_err();
        assert!(
            wrong.contains("Invalid value x for configuration retry.backoff.ms: Not a number of type LONG")
        );
        let low = translate(&["send.buffer.bytes=-2"]).unwrap_err();
        assert!(low.contains("Value must be at least -1"), "{low}");
    }

    /// librdkafka would have looked for a broker for ever.
    #[test]
    fn servers_that_cannot_be_asked_are_refused() {
        let checked = |servers: &str| {
            let translated = translate(&[&format!("bootstrap.servers={servers}")]).unwrap();
            translated.check_servers("producer").map_err(|failure| failure.text())
        };
        let refused = |servers: &str| checked(servers).unwrap_err();
        assert!(refused("nohost").starts_with("org.apache.kafka.common.KafkaException: Failed to construct"));
        assert!(refused("nohost").contains("ConfigException: Invalid url in bootstrap.servers: nohost"));
        assert!(refused("a:1,b:x").contains("Invalid url in bootstrap.servers: b:x"));
        assert!(refused(",").contains("No resolvable bootstrap urls given in bootstrap.servers"));
        assert!(refused("no.such.host.invalid:9092").contains("No resolvable bootstrap urls"));
        assert_eq!(checked("127.0.0.1:9092,no.such.host.invalid:1"), Ok(()));
    }

    #[test]
    fn ends_of_ranges_are_brought_into_librdkafkas() {
        let translated = translate(&["retry.backoff.ms=0", "send.buffer.bytes=-1"]).unwrap();
        assert_eq!(translated.client.get("retry.backoff.ms"), Some("1"));
        assert_eq!(translated.client.get("socket.send.buffer.bytes"), Some("0"));
    }

    #[test]
    fn nothing_is_ignored_in_silence() {
        for refused in [
            "ssl.truststore.location=/a",
            "sasl.mechanism=PLAIN",
            "security.protocol=SSL",
            "metric.reporters=a.B",
        ] {
            let name = refused.split('=').next().unwrap();
            assert!(translate(&[refused]).unwrap_err().contains(name), "{refused}");
        }
        assert!(translate(&["metric.reporters="]).is_ok());
        assert!(translate(&["no.such.key=1"]).is_ok());
    }

    #[test]
    fn every_key_is_known_once() {
        for table in [crate::record_client::producer::TABLE, crate::record_client::consumer::TABLE] {
            let names: Vec<_> = table.iter().copied().flatten().map(|key| key.name).collect();
            for (index, name) in names.iter().enumerate() {
                assert!(!names[..index].contains(name), "{name} twice");
            }
        }
    }
}
