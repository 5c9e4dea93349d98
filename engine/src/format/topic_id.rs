//! Topic ids as Kafka prints them: 128 bits in URL-safe base64 without padding, 22 characters (KIP-516).

use super::Malformed;
use uuid::Uuid;

const FORMAT: &str = "topic id";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CHARS: usize = 22;

/// Kafka never hands out ids below this: it keeps them for itself (KIP-858).
const RESERVED_IDS: u128 = 100;

/// The 22 characters of `id`.
pub fn format(id: Uuid) -> String {
    let bits = id.as_u128();
    // The last character carries 2 bits, all others 6.
    let digit = |n: usize| if n + 1 < CHARS { bits >> (122 - 6 * n) } else { bits << 4 } & 63;
    (0..CHARS).map(|n| char::from(ALPHABET[digit(n) as usize])).collect()
}

/// The id that `text` stands for. Like Kafka it takes `==` padding, and ignores the 4 bits that the last character has too many.
pub fn parse(text: &str) -> Result<Uuid, Malformed> {
    let digits = text.strip_suffix("==").unwrap_or(text).as_bytes();
    if digits.len() != CHARS {
        let found: String = text.chars().take(CHARS + 3).collect();
        return Err(Malformed::byte(
            FORMAT,
            0,
            format!("{CHARS} base64url characters"),
            format!("{found:?}"),
        ));
    }
    let mut bits = 0u128;
    for (at, digit) in digits.iter().enumerate() {
        let Some(value) = ALPHABET.iter().position(|letter| letter == digit) else {
            let found = format!("{:?}", char::from(*digit));
            return Err(Malformed::byte(FORMAT, at, "a base64url character", found));
        };
        bits = if at + 1 < CHARS { bits << 6 | value as u128 } else { bits << 2 | (value >> 4) as u128 };
    }
    Ok(Uuid::from_u128(bits))
}

/// A new topic id from 16 random bytes, `None` for the ones that Kafka would draw again: reserved ids, and ids whose text
/// starts with a dash, which command lines take for an option.
pub fn from_random(bytes: [u8; 16]) -> Option<Uuid> {
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    (id.as_u128() >= RESERVED_IDS && !format(id).starts_with('-')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_kafka_prints_them() {
        let id = Uuid::from_u128(0x9029_7e6a_a3ab_4131_bf2d_8a54_8ed1_9d11);
        assert_eq!(format(id), "kCl-aqOrQTG_LYpUjtGdEQ");
        assert_eq!(parse("kCl-aqOrQTG_LYpUjtGdEQ"), Ok(id));
        assert_eq!(parse("kCl-aqOrQTG_LYpUjtGdEQ=="), Ok(id));
        assert_eq!(format(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(format(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(format(Uuid::max()), "_____________________w");
    }

    #[test]
    fn refuses_other_text() {
        for text in
            ["", "kCl-aqOrQTG_LYpUjtGdE", "kCl-aqOrQTG_LYpUjtGdEQQ", "kCl+aqOrQTG/LYpUjtGdEQ", "äääääääääää"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn draws_no_id_that_looks_like_an_option() {
        assert_eq!(from_random([0xfb; 16]), None);
        assert!(from_random([1; 16]).is_some());
    }

    proptest! {
        #[test]
        fn round_trip(bits: u128) {
            let id = Uuid::from_u128(bits);
            prop_assert_eq!(parse(&format(id)), Ok(id));
        }

        #[test]
        fn any_text_is_survived(text: String) {
            let _ = parse(&text);
        }
    }
}
