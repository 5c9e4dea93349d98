//! Topic ids as Kafka writes them: 16 bytes in 22 characters of URL-safe base64.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::failure::Failure;

pub fn text(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// # Errors
/// When it is no id; in the words of Kafka's tools where they have a word for it.
pub fn parse(text: &str) -> Result<Uuid, Failure> {
    if text.len() > 24 {
        return Err(Failure::message(format!(
            "Input string with prefix `{}` is too long to be decoded as a base64 UUID",
            &text.chars().take(24).collect::<String>()
        )));
    }
    let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    let bytes =
        decoded.map_err(|error| Failure::message(format!("Topic id `{text}` cannot be read: {error}")))?;
    let length = bytes.len();
    let id: Option<[u8; 16]> = bytes.try_into().ok();
    id.map(Uuid::from_bytes).ok_or_else(|| {
        Failure::message(format!(
            "Input string `{text}` decoded as {length} bytes, which is not equal to the expected 16 bytes of a \
             base64-encoded UUID"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(text(id).len(), 22);
        assert_eq!(parse(&text(id)).unwrap(), id);
        assert!(parse("x").is_err() && parse(&"A".repeat(30)).is_err());
    }
}
