//! Values: from text to a typed value, checked, with Kafka's wording where one is refused.
//!
//! Texts and rules follow `ConfigDef` of Apache Kafka 3.2.0, because clients show them to people.

use std::fmt;

use super::key::{Check, Key, Kind};

/// A value that its key takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    /// INT, SHORT and LONG.
    Number(i64),
    Double(f64),
    /// STRING, CLASS and PASSWORD.
    Text(String),
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Text(value) => f.write_str(value),
            Value::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// A value that its key does not take. `value` is shown to people, so it never is a password's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {allowed}")]
pub struct InvalidValue {
    pub key: String,
    pub value: String,
    /// What is allowed, or what is wrong.
    pub allowed: String,
}

impl Key {
    /// The value that `text` stands for.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not of the key's type, or not one that the key takes.
    pub fn parse(&self, text: &str) -> Result<Value, InvalidValue> {
        let value = self.typed(text.trim()).map_err(|allowed| self.refuse(text, allowed))?;
        self.accept(&value).map_err(|(shown, allowed)| self.refuse(shown, allowed))?;
        Ok(value)
    }

    /// Its default, typed.
    pub fn default_value(&self) -> Option<Value> {
        self.default.and_then(|text| self.typed(text).ok())
    }

    fn refuse(&self, value: impl fmt::Display, allowed: String) -> InvalidValue {
        let value = if self.is_sensitive() { "[hidden]".to_owned() } else { value.to_string() };
        InvalidValue { key: self.name.to_owned(), value, allowed }
    }

    fn typed(&self, text: &str) -> Result<Value, String> {
        let number = |parsed: Option<i64>| {
            parsed.map(Value::Number).ok_or_else(|| format!("Not a number of type {}", self.kind.name()))
        };
        match self.kind {
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => Err("Expected value to be either true or false".to_owned()),
            Kind::Int => number(text.parse::<i32>().ok().map(i64::from)),
            Kind::Short => number(text.parse::<i16>().ok().map(i64::from)),
            Kind::Long => number(text.parse::<i64>().ok()),
            Kind::Double => {
                parse_double(text).map(Value::Double).ok_or_else(|| "Not a number of type DOUBLE".to_owned())
            }
            Kind::List => Ok(Value::List(split_list(text))),
            Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(text.to_owned())),
        }
    }

    /// The second half of an error: what to show as the value, and what is allowed.
    fn accept(&self, value: &Value) -> Result<(), (String, String)> {
        let refuse = |allowed: String| Err((value.to_string(), allowed));
        match (self.check, value) {
            (Check::Min(min), Value::Number(number)) if *number < min => {
                refuse(format!("Value must be at least {min}"))
            }
            (Check::Range(min, _), Value::Number(number)) if *number < min => {
                refuse(format!("Value must be at least {min}"))
            }
            (Check::Range(_, max), Value::Number(number)) if *number > max => {
                refuse(format!("Value must be no more than {max}"))
            }
            (Check::MinusOneOrMin(min), Value::Number(number)) if *number != -1 && *number < min => {
                refuse(format!("Value must be -1, or at least {min}"))
            }
            (Check::Fraction(min, _), Value::Double(number)) if *number < min => {
                refuse(format!("Value must be at least {min}"))
            }
            (Check::Fraction(_, max), Value::Double(number)) if *number > max => {
                refuse(format!("Value must be no more than {max}"))
            }
            (Check::OneOf(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
                refuse(format!("String must be one of: {}", words.join(", ")))
            }
            (Check::EachOneOf(words), Value::List(items)) => {
                match items.iter().find(|item| !words.contains(&item.as_str())) {
                    Some(item) => Err((item.clone(), format!("String must be one of: {}", words.join(", ")))),
                    None => Ok(()),
                }
            }
            (Check::KafkaVersion, Value::Text(text)) if !is_kafka_version(text) => {
                refuse(format!("Version `{text}` is not a valid version"))
            }
            (Check::ThrottledReplicas, Value::List(items)) if !are_throttled_replicas(items) => Err((
                format!("[{}]", items.join(", ")),
                format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// As Java reads a double, less its hexadecimal forms and type suffixes.
fn parse_double(text: &str) -> Option<f64> {
    let words = text.trim_start_matches(['+', '-']);
    let spelled = words.starts_with(|c: char| c.is_ascii_alphabetic());
    (!spelled || words == "NaN" || words == "Infinity").then(|| text.parse().ok()).flatten()
}

pub(super) fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// The versions that `ApiVersion` of Kafka 3.2.0 knows: `MAJOR.MINOR` up to 3.2, with `-IVn` or further numbers.
fn is_kafka_version(text: &str) -> bool {
    let release = text.split("-IV").next().unwrap_or_default();
    let mut numbers = release.split('.').map(str::parse::<u8>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return false };
    if !numbers.all(|number| number.is_ok()) {
        return false;
    }
    let internal = text.strip_prefix(release).and_then(|rest| rest.strip_prefix("-IV"));
    if internal.is_some_and(|number| number.parse::<u8>().is_err()) {
        return false;
    }
    matches!((major, minor), (0, 8..=11) | (1, 0..=1) | (2, 0..=8) | (3, 0..=2))
}

fn are_throttled_replicas(items: &[String]) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair =
        |item: &String| item.split_once(':').is_some_and(|(left, right)| number(left) && number(right));
    items == ["*"] || items.iter().all(pair)
}

#[cfg(test)]
mod tests {
    use super::super::topic_keys::find;
    use super::*;

    fn refusal(key: &str, text: &str) -> String {
        find(key).unwrap().parse(text).unwrap_err().to_string()
    }

    #[test]
    fn refusals_read_as_those_of_kafka() {
        let cases = [
            (
                "segment.bytes",
                "abc",
                "Invalid value abc for configuration segment.bytes: Not a number of type INT",
            ),
            (
                "segment.bytes",
                "1",
                "Invalid value 1 for configuration segment.bytes: Value must be at least 14",
            ),
            (
                "max.message.bytes",
                "62914561",
                "Invalid value 62914561 for configuration max.message.bytes: Value must be no more than 62914560",
            ),
            (
                "segment.bytes",
                "99999999999",
                "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
            ),
            (
                "cleanup.policy",
                "foo",
                "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                "min.cleanable.dirty.ratio",
                "2",
                "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
            ),
            (
                "preallocate",
                "x",
                "Invalid value x for configuration preallocate: Expected value to be either true or false",
            ),
            ("retention.ms", "", "Invalid value  for configuration retention.ms: Not a number of type LONG"),
            (
                "message.format.version",
                "9",
                "Invalid value 9 for configuration message.format.version: Version `9` is not a valid version",
            ),
            (
                "leader.replication.throttled.replicas",
                "x",
                "Invalid value [x] for configuration leader.replication.throttled.replicas: \
                 leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following \
                 format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        ];
        for (key, text, message) in cases {
            assert_eq!(refusal(key, text), message);
        }
    }

    #[test]
    fn what_kafka_accepts_is_accepted() {
        let cases = [
            ("preallocate", "TRUE"),
            ("segment.bytes", " 1048576 "),
            ("cleanup.policy", "compact, delete"),
            ("cleanup.policy", ""),
            ("leader.replication.throttled.replicas", "*"),
            ("leader.replication.throttled.replicas", "0:1,2:3"),
            ("message.format.version", "2.8"),
            ("message.format.version", "3.0-IV1"),
            ("retention.ms", "-1"),
            ("max.message.bytes", "62914560"),
        ];
        for (key, text) in cases {
            assert!(find(key).unwrap().parse(text).is_ok(), "{key}={text}");
        }
    }

    #[test]
    fn values_are_shown_in_one_spelling() {
        let shown = |key: &str, text: &str| find(key).unwrap().parse(text).unwrap().to_string();
        assert_eq!(shown("segment.bytes", " +1048576 "), "1048576");
        assert_eq!(shown("cleanup.policy", "compact , delete"), "compact,delete");
        assert_eq!(shown("preallocate", "TRUE"), "true");
    }

    #[test]
    fn a_password_is_not_in_its_refusal() {
        let key = Key::new("secret", Kind::Password, None, "").check(Check::OneOf(&["a"]));
        assert!(!key.parse("hunter2").unwrap_err().to_string().contains("hunter2"));
    }
}
