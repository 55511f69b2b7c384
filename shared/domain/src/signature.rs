//! HMAC-SHA256 and SHA-256, and comparisons in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// HMAC-SHA256 of the concatenated `parts`.
#[must_use]
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "HMAC takes a key of any length"
)]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether `hex_signature` is the HMAC-SHA256 of `parts` under any of `keys`.
///
/// Compares in constant time, tries every key even after a hit, and fails closed on anything
/// that is not 64 hexadecimal digits or on an empty key.
#[must_use]
pub fn verify_hex(hex_signature: &str, keys: &[&str], parts: &[&[u8]]) -> bool {
    let mut given = [0_u8; 32];
    if hex::decode_to_slice(hex_signature, &mut given).is_err() {
        return false;
    }
    let mut matched = subtle::Choice::from(0);
    for key in keys.iter().filter(|key| !key.is_empty()) {
        matched |= hmac_sha256(key.as_bytes(), parts).ct_eq(&given);
    }
    matched.into()
}

/// Whether two secrets are equal, without telling where they differ. The empty secret equals none.
#[must_use]
pub fn secrets_equal(left: &str, right: &str) -> bool {
    !left.is_empty() && bool::from(sha256(&[left.as_bytes()]).ct_eq(&sha256(&[right.as_bytes()])))
}

/// SHA-256 of the concatenated `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// SHA-256 of the concatenated `parts` as lowercase hexadecimal.
#[must_use]
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    hex::encode(sha256(parts))
}

#[cfg(test)]
mod tests {
    use super::{hmac_sha256, secrets_equal, verify_hex};

    #[test]
    fn a_signature_holds_for_its_key_and_text_only() {
        let signature = hex::encode(hmac_sha256(b"key", &[b"a", b"b"]));
        assert!(verify_hex(&signature, &["other", "key"], &[b"ab"]));
        assert!(!verify_hex(&signature, &["other"], &[b"ab"]));
        assert!(!verify_hex(&signature, &["key"], &[b"abc"]));
        assert!(!verify_hex(&signature[..62], &["key"], &[b"ab"]));
        assert!(!verify_hex("", &["key"], &[b"ab"]));
        let empty = hex::encode(hmac_sha256(b"", &[b"ab"]));
        assert!(
            !verify_hex(&empty, &[""], &[b"ab"]),
            "an unset secret signs nothing"
        );
        assert!(!secrets_equal("", ""));
        assert!(secrets_equal("s", "s"));
    }

    #[test]
    fn rfc_4231_test_case_2() {
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
