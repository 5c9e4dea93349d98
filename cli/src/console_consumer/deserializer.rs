//! Kafka's deserializers by class name, and what Java's `toString` makes of what they give.
//!
//! A missing key or value is deserialized like bytes that spell the null literal, as Kafka's formatter does it.
//! `ByteArrayDeserializer` shows an address in Java; here it shows the bytes as they are.

use std::borrow::Cow;

use crate::record_client::Properties;
use crate::record_client::exception::Exception;

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deserializer {
    Bytes,
    Text(Charset),
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Uuid(Charset),
    ByteBuffer,
    Escaped,
    Void,
}

/// The encodings of text that every JVM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    Latin1,
    Ascii,
    Utf16 { big: bool },
}

const PACKAGE: &str = "org.apache.kafka.common.serialization.";

fn serialization(message: impl Into<String>) -> Exception {
    Exception::new("org.apache.kafka.common.errors.SerializationException", message)
}

impl Deserializer {
    /// The deserializer of a class, configured by the properties under `prefix`, which is `key.deserializer` or its like.
    ///
    /// # Errors
    /// When the class or an encoding is not known.
    pub fn of_class(class: &str, prefix: &str, properties: &Properties) -> Result<Deserializer, Exception> {
        let encoding = || Charset::of(encoding_name(prefix, properties).unwrap_or("UTF8"));
        let not_found = || Exception::new("java.lang.ClassNotFoundException", class);
        match class.strip_prefix(PACKAGE).ok_or_else(not_found)? {
            "StringDeserializer" => Ok(Deserializer::Text(encoding()?)),
            "ByteArrayDeserializer" => Ok(Deserializer::Bytes),
            "ShortDeserializer" => Ok(Deserializer::Short),
            "IntegerDeserializer" => Ok(Deserializer::Integer),
            "LongDeserializer" => Ok(Deserializer::Long),
            "FloatDeserializer" => Ok(Deserializer::Float),
            "DoubleDeserializer" => Ok(Deserializer::Double),
            "BooleanDeserializer" => Ok(Deserializer::Boolean),
            "UUIDDeserializer" => Ok(Deserializer::Uuid(encoding()?)),
            "ByteBufferDeserializer" => Ok(Deserializer::ByteBuffer),
            "BytesDeserializer" => Ok(Deserializer::Escaped),
            "VoidDeserializer" => Ok(Deserializer::Void),
            _ => Err(not_found()),
        }
    }

    /// # Errors
    /// When the bytes are not what the deserializer takes.
    pub fn text<'a>(self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Exception> {
        let owned = |text: String| Ok(Cow::Owned(text.into_bytes()));
        match self {
            Deserializer::Bytes => Ok(Cow::Borrowed(bytes)),
            Deserializer::Text(Charset::Utf8) if std::str::from_utf8(bytes).is_ok() => {
                Ok(Cow::Borrowed(bytes))
            }
            Deserializer::Text(charset) => owned(charset.decode(bytes)),
            Deserializer::Short => owned(i16::from_be_bytes(sized("ShortDeserializer", bytes)?).to_string()),
            Deserializer::Integer => {
                owned(i32::from_be_bytes(sized("IntegerDeserializer", bytes)?).to_string())
            }
            Deserializer::Long => owned(i64::from_be_bytes(sized("LongDeserializer", bytes)?).to_string()),
            Deserializer::Float => {
                let value = f32::from_be_bytes(sized("Deserializer", bytes)?);
                owned(java_float(value.into(), &format!("{value:e}")))
            }
            Deserializer::Double => {
                let value = f64::from_be_bytes(sized("Deserializer", bytes)?);
                owned(java_float(value, &format!("{value:e}")))
            }
            Deserializer::Boolean => match bytes {
                [0] => owned("false".to_owned()),
                [1] => owned("true".to_owned()),
                [_] => Err(serialization("Unexpected byte received by BooleanDeserializer: ")),
                _ => Err(serialization("Size of data received by BooleanDeserializer is not 1")),
            },
            Deserializer::Uuid(charset) => uuid(&charset.decode(bytes)),
            Deserializer::ByteBuffer => {
                let size = bytes.len();
                owned(format!("java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"))
            }
            Deserializer::Escaped => owned(escaped(bytes)),
            Deserializer::Void => Err(Exception::new(
                "java.lang.IllegalArgumentException",
                "Data should be null for a VoidDeserializer.",
            )),
        }
    }
}

fn encoding_name<'a>(prefix: &str, properties: &'a Properties) -> Option<&'a str> {
    // Stripped of its prefix it is one of these two to the deserializer.
    let own = if prefix == "key.deserializer" {
        "key.deserializer.encoding"
    } else {
        "value.deserializer.encoding"
    };
    properties
        .get(&format!("{prefix}.{own}"))
        .or_else(|| properties.get(&format!("{prefix}.deserializer.encoding")))
}

fn sized<const N: usize>(class: &str, bytes: &[u8]) -> Result<[u8; N], Exception> {
    let wrong = || serialization(format!("Size of data received by {class} is not {N}"));
    <[u8; N]>::try_from(bytes).ok().ok_or_else(wrong)
}

fn uuid(text: &str) -> Result<Cow<'static, [u8]>, Exception> {
    match uuid::Uuid::try_parse(text) {
        Ok(uuid) => Ok(Cow::Owned(uuid.to_string().into_bytes())),
        Err(_) => Err(serialization("Error parsing data into UUID")),
    }
}

/// Java's text of a float: plain between 10^-3 and 10^7, otherwise with an exponent, and always with a point.
/// `shortest` is Rust's exponential form, whose digits are the shortest that tell the number.
fn java_float(value: f64, shortest: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    if value == 0.0 {
        return format!("{sign}0.0");
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-3..7).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{exponent}");
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
    };
    if whole == 0 {
        return format!("{sign}0.{digits}");
    }
    let padded = format!("{digits:0<whole$}");
    let (before, after) = padded.split_at(whole);
    format!("{sign}{before}.{}", if after.is_empty() { "0" } else { after })
}

/// `Bytes.toString`: printable ASCII as it is, all else as `\xNN`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'\\' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02X}")),
        }
    }
    text
}

impl Charset {
    fn of(name: &str) -> Result<Charset, Exception> {
        match name.to_ascii_uppercase().as_str() {
            "UTF8" | "UTF-8" => Ok(Charset::Utf8),
            "ISO-8859-1" | "ISO8859_1" | "LATIN1" => Ok(Charset::Latin1),
            "US-ASCII" | "ASCII" => Ok(Charset::Ascii),
            "UTF-16" | "UTF-16BE" => Ok(Charset::Utf16 { big: true }),
            "UTF-16LE" => Ok(Charset::Utf16 { big: false }),
            _ => Err(serialization(format!(
                "Error when deserializing byte[] to string due to unsupported encoding {name}"
            ))),
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Charset::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Charset::Ascii => bytes
                .iter()
                .map(|&byte| if byte.is_ascii() { char::from(byte) } else { '\u{fffd}' })
                .collect(),
            Charset::Utf16 { big } => {
                let units = bytes.chunks(2).map(|pair| match (pair, big) {
                    (&[high, low], true) | (&[low, high], false) => u16::from_be_bytes([high, low]),
                    _ => 0xfffd,
                });
                char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(class: &str, bytes: &[u8]) -> Result<String, String> {
        let deserializer =
            Deserializer::of_class(&format!("{PACKAGE}{class}"), "value.deserializer", &Properties::new());
        let text = deserializer.unwrap().text(bytes).map_err(|exception| exception.message)?;
        Ok(String::from_utf8(text.into_owned()).unwrap())
    }

    #[test]
    fn numbers_read_as_in_java() {
        assert_eq!(text("IntegerDeserializer", &[0, 0, 1, 0]).unwrap(), "256");
        assert_eq!(text("LongDeserializer", &(-1i64).to_be_bytes()).unwrap(), "-1");
        assert_eq!(
            text("IntegerDeserializer", b"abc").unwrap_err(),
            "Size of data received by IntegerDeserializer is not 4"
        );
        for (value, expected) in [
            (1.0, "1.0"),
            (0.001, "0.001"),
            (0.01, "0.01"),
            (0.5, "0.5"),
            (0.0001, "1.0E-4"),
            (1_234_567.0, "1234567.0"),
            (12_345_678.0, "1.2345678E7"),
            (-2.5, "-2.5"),
            (100.0, "100.0"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(text("DoubleDeserializer", &f64::to_be_bytes(value)).unwrap(), expected);
        }
        assert_eq!(text("FloatDeserializer", &0.1f32.to_be_bytes()).unwrap(), "0.1");
    }

    #[test]
    fn other_classes_read_as_in_java() {
        assert_eq!(text("StringDeserializer", b"a\xff").unwrap(), "a\u{fffd}");
        assert_eq!(text("BytesDeserializer", b"a\\\x00~").unwrap(), "a\\x5C\\x00~");
        assert_eq!(
            text("ByteBufferDeserializer", b"abc").unwrap(),
            "java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]"
        );
        assert!(text("VoidDeserializer", b"").is_err());
        let id = "123e4567-e89b-12d3-a456-426614174000";
        assert_eq!(text("UUIDDeserializer", id.as_bytes()).unwrap(), id);
    }

    #[test]
    fn encodings_are_taken_from_their_property() {
        let properties = Properties::of_arguments(&[
            "value.deserializer.value.deserializer.encoding=ISO-8859-1".to_owned(),
        ]);
        let class = format!("{PACKAGE}StringDeserializer");
        let latin = Deserializer::of_class(&class, "value.deserializer", &properties).unwrap();
        assert_eq!(latin.text(b"\xe9").unwrap().as_ref(), "\u{e9}".as_bytes());
        assert!(Deserializer::of_class("a.B", "value.deserializer", &properties).is_err());
    }
}
