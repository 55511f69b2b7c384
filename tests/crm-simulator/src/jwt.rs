//! JSON web tokens, signed RS256: identity tokens, and the keys that verify them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const KEY_ID: &str = "crm-simulator";

/// A token with these claims.
pub(crate) fn signed(claims: &Value, signer: &KeyPair) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(&json!({ "typ": "JWT", "alg": "RS256", "kid": KEY_ID }));
    let text = format!("{head}.{}", part(claims));
    let signature = signer.sign(text.as_bytes()).unwrap_or_default();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// `at_hash`: the left half of the access token's hash (`OpenID` Connect Core 3.1.3.6).
pub(crate) fn access_token_hash(token: &str) -> String {
    let digest = Sha256::digest(token);
    let (left, _) = digest.split_at(digest.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

/// The JSON web key set of the signing key.
pub(crate) fn key_set(signer: &KeyPair) -> Value {
    let numbers = || -> Option<(String, String)> {
        let key = signer.der_bytes();
        // The key itself: SEQUENCE { modulus, exponent }.
        let (inner, _) = der(key)?;
        let (modulus, rest) = der(inner)?;
        let (exponent, _) = der(rest)?;
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        Some((
            URL_SAFE_NO_PAD.encode(modulus),
            URL_SAFE_NO_PAD.encode(exponent),
        ))
    };
    let (modulus, exponent) = numbers().unwrap_or_default();
    json!({ "keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "x5t": KEY_ID,
        "n": modulus, "e": exponent,
    }] })
}

/// The next DER element's content, and the bytes after it.
fn der(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(2)?;
    let short = usize::from(*head.get(1)?);
    let (length, rest) = if short < 0x80 {
        (short, rest)
    } else {
        let (digits, rest) = rest.split_at_checked(short & 0x7f)?;
        (
            digits
                .iter()
                .fold(0, |sum, digit| (sum << 8) | usize::from(*digit)),
            rest,
        )
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::access_token_hash;

    #[test]
    fn hashes_as_the_specification_shows() {
        // The example of OpenID Connect Core, appendix A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(access_token_hash(token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
