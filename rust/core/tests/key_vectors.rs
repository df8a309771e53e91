//! The form of secrets agrees with the vectors that the Python side is held to as well.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its vectors fails, which is right"
)]

use std::path::Path;

use tokenmill_core::keys::{API_KEY_PREFIX, Digest, checksum, is_well_formed};

fn cases(kind: &str) -> Vec<toml::Table> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/cases/keys.toml");
    let document: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let cases: Vec<toml::Table> = document[kind].clone().try_into().unwrap();
    assert!(!cases.is_empty());
    cases
}

fn text<'a>(case: &'a toml::Table, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

#[test]
fn valid_secrets_are_well_formed_and_have_their_digest() {
    for case in cases("valid") {
        let (prefix, secret) = (text(&case, "prefix"), text(&case, "secret"));
        let start = format!("{prefix}{}", text(&case, "random"));
        let end = String::from_utf8(checksum(start.as_bytes()).to_vec()).unwrap();
        assert_eq!(start + &end, secret);
        assert!(is_well_formed(secret.as_bytes(), prefix), "{secret}");
        let digest = u128::from_str_radix(&text(&case, "sha256")[..32], 16).unwrap();
        let words = Digest::of(secret.as_bytes()).words();
        let first_half: Vec<u8> = words[..2]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(first_half, digest.to_be_bytes());
    }
}

#[test]
fn invalid_secrets_are_refused() {
    for case in cases("invalid") {
        let secret = text(&case, "secret");
        assert!(
            !is_well_formed(secret.as_bytes(), API_KEY_PREFIX),
            "{secret:?}"
        );
    }
}
