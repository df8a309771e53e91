//! What a client's JSON text must not hold: two looks at it that build nothing, for bodies that are
//! long. The decoder in front of this does the rest.

use memchr::memmem;

/// Where the text stops to be UTF-8, if it does.
pub fn not_utf8_at(body: &[u8]) -> Option<usize> {
    let fault = std::str::from_utf8(body).err()?;
    Some(fault.valid_up_to())
}

/// Whether a string of a JSON text holds the character NUL, which is `\u0000` there.
///
/// Cost: one pass. An escaped backslash before `u0000` makes it five ordinary characters.
pub fn holds_nul(body: &[u8]) -> bool {
    memmem::find_iter(body, br"\u0000").any(|at| {
        let backslashes = body[..at].iter().rev().take_while(|byte| **byte == b'\\');
        backslashes.count().is_multiple_of(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_byte_that_is_not_utf8_is_named() {
        assert_eq!(not_utf8_at("né".as_bytes()), None);
        assert_eq!(not_utf8_at(b"n\xc3\xa9\xff"), Some(3));
        assert_eq!(not_utf8_at(b"ab\xc3"), Some(2));
    }

    proptest! {
        #[test]
        fn nul_is_found_where_a_json_library_finds_it(
            text in r"(\\\\|\\u0000|\\n|u0000|[a0é]){0,8}",
        ) {
            let body = format!("\"{text}\"");
            let read: String = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(holds_nul(body.as_bytes()), read.contains('\0'), "{}", body);
        }
    }
}
