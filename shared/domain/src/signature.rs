//! HMAC-SHA256 and SHA-256, comparisons in constant time, and signatures of our own over time, form and
//! body (docs/signatures.md).

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

/// HMAC-SHA256 of the concatenated `parts`, in lowercase hexadecimal.
#[must_use]
pub fn hmac_sha256_hex(key: &[u8], parts: &[&[u8]]) -> String {
    hex::encode(hmac_sha256(key, parts))
}

/// True if `hex_signature` is the HMAC-SHA256 of `parts` under any of `keys`.
///
/// Compares in constant time, tries every key even after a hit, and fails closed on anything that is not 64
/// hexadecimal digits or on an empty key.
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

/// Tolerance for the time of a signature, before or after the current time, in seconds.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Most signatures of one header.
const MAX_SIGNATURES: usize = 3;

/// A header `t=<seconds>,v1=<hex>[,v1=<hex>…]`: signatures of `<t>.<form key>.<body>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<'a> {
    /// The time as it is written; the signature covers this text.
    text: &'a str,
    seconds: i64,
    signatures: Vec<&'a str>,
}

impl<'a> Timed<'a> {
    /// Parses a header; `None` for any other form.
    #[must_use]
    pub fn parse(header: &'a str) -> Option<Self> {
        let mut parts = header.split(',').map(str::trim);
        let text = parts.next()?.strip_prefix("t=")?;
        let plain = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| plain)?;
        let signatures: Option<Vec<&str>> = parts.map(|part| part.strip_prefix("v1=")).collect();
        let signatures = signatures.filter(|found| (1..=MAX_SIGNATURES).contains(&found.len()))?;
        Some(Self {
            text,
            seconds,
            signatures,
        })
    }

    /// True if one of the signatures is of this form and body under any of `keys`. The signature covers the
    /// time, but only [`Timed::is_near`] checks that it is current.
    #[must_use]
    pub fn verify(&self, keys: &[&str], form_key: &str, body: &[u8]) -> bool {
        let parts = [self.text.as_bytes(), b".", form_key.as_bytes(), b".", body];
        let mut matched = false;
        for signature in &self.signatures {
            matched |= verify_hex(signature, keys, &parts);
        }
        matched
    }

    /// A digest that identifies a signed post: the hash of its time and body.
    #[must_use]
    pub fn digest(&self, body: &[u8]) -> String {
        sha256_hex(&[self.text.as_bytes(), b".", body])
    }

    /// True if the time is within [`TOLERANCE_SECONDS`] of now, before or after.
    #[must_use]
    pub const fn is_near(&self, now_seconds: i64) -> bool {
        self.seconds.abs_diff(now_seconds) <= TOLERANCE_SECONDS.unsigned_abs()
    }
}

/// The header that signs a post, as the examples of docs/signatures.md make it.
#[must_use]
pub fn sign_post(secret: &str, form_key: &str, seconds: i64, body: &[u8]) -> String {
    let time = seconds.to_string();
    let parts = [time.as_bytes(), b".", form_key.as_bytes(), b".", body];
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), &parts));
    format!("t={time},v1={signature}")
}

/// True if two secrets are equal, compared in constant time. The empty secret equals none.
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
    use super::{Timed, hmac_sha256, secrets_equal, sign_post, verify_hex};

    #[test]
    fn a_timed_signature_binds_time_form_and_body() {
        let header = sign_post("key", "acme.form-1", 1_000, b"a=b");
        let timed = Timed::parse(&header).unwrap();
        assert!(timed.verify(&["other", "key"], "acme.form-1", b"a=b"));
        assert!(!timed.verify(&["other"], "acme.form-1", b"a=b"));
        assert!(!timed.verify(&["key"], "acme.form-2", b"a=b"));
        assert!(!timed.verify(&["key"], "acme.form-1", b"a=c"));
        // A form's key has one dot, and its two parts have none: no text can be read in two ways.
        assert!(!timed.verify(&["key"], "acme.form", b"-1.a=b"));
        assert!(!timed.verify(&["key"], "acme.form-1.a", b"=b"));
        for (now, near) in [(700, true), (699, false), (1_300, true), (1_301, false)] {
            assert_eq!(timed.is_near(now), near, "{now}");
        }
        let moved = header.replace("t=1000", "t=1001");
        assert!(
            !Timed::parse(&moved)
                .unwrap()
                .verify(&["key"], "acme.form-1", b"a=b")
        );
        let (_, signature) = header.split_once(',').unwrap();
        let several = format!("t=1000, v1=00, {signature}");
        assert!(
            Timed::parse(&several)
                .unwrap()
                .verify(&["key"], "acme.form-1", b"a=b")
        );
    }

    #[test]
    fn only_the_documented_header_is_read() {
        let many = format!("t=1{}", ",v1=00".repeat(4));
        for bad in [
            "",
            "t=",
            "t=1",
            "v1=00",
            "t=1,v2=00",
            "t=-1,v1=00",
            "t=+1,v1=00",
            "t=1.0,v1=00",
            "t=1,v1=00,x",
            "v1=00,t=1",
            "sha256=00",
            "t=1234567890123,v1=00",
            "t=\u{661},v1=00",
            &many,
        ] {
            assert_eq!(Timed::parse(bad), None, "{bad}");
        }
    }

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
