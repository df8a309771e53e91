//! The text of a secret: `prefix`, 36 random base62 characters, and 6 that are the CRC32 of all
//! before them. Junk and typing errors are refused without a look-up, and secret scanners can tell
//! a real key from a look-alike.
//!
//! The same rules stand in `python/tokenmill/keys/rules.py`; `tests/conformance/cases/keys.toml`
//! holds both to the same vectors.

/// Random characters of a secret: 36 of 62 make 214 bits, so a plain SHA-256 of it can't be undone.
pub const RANDOM_CHARACTERS: usize = 36;

/// Characters of the checksum: 62^6 is the first power of 62 over 2^32.
pub const CHECKSUM_CHARACTERS: usize = 6;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// CRC-32/ISO-HDLC (zlib's), a byte at a time.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "index is below 256")]
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xEDB8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

/// CRC32 as zlib counts it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (crc >> 8) ^ CRC_TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
    })
}

/// The six characters that end a secret beginning with `text`: most significant first, `0` padded.
pub fn checksum(text: &[u8]) -> [u8; CHECKSUM_CHARACTERS] {
    let mut rest = crc32(text);
    let mut characters = [b'0'; CHECKSUM_CHARACTERS];
    for character in characters.iter_mut().rev() {
        *character = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    characters
}

/// Whether `secret` is `prefix`, the right number of base62 characters, and their checksum.
pub fn is_well_formed(secret: &[u8], prefix: &str) -> bool {
    let Some(characters) = secret.strip_prefix(prefix.as_bytes()) else {
        return false;
    };
    if characters.len() != RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
        || !characters.iter().all(u8::is_ascii_alphanumeric)
    {
        return false;
    }
    let (text, given) = secret.split_at(secret.len() - CHECKSUM_CHARACTERS);
    given == checksum(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc32_is_the_one_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    fn secret(random: &str) -> Vec<u8> {
        let mut text = format!("pk_live_{random}").into_bytes();
        let end = checksum(&text);
        text.extend(end);
        text
    }

    proptest! {
        #[test]
        fn a_made_secret_is_well_formed(random in "[0-9A-Za-z]{36}") {
            prop_assert!(is_well_formed(&secret(&random), "pk_live_"));
            prop_assert!(!is_well_formed(&secret(&random), "dt_live_"));
        }

        #[test]
        fn one_changed_byte_is_always_noticed(
            random in "[0-9A-Za-z]{36}", at in 0_usize..50, byte in any::<u8>(),
        ) {
            let mut changed = secret(&random);
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            prop_assert!(!is_well_formed(&changed, "pk_live_"));
        }

        #[test]
        fn other_lengths_and_any_bytes_are_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            prop_assert!(!is_well_formed(&bytes, "pk_live_"));
        }
    }
}
