//! The cookie that ties an attempt to the browser that started it.

use http::{HeaderMap, HeaderValue};
use shared::signature::{secrets_equal, sha256_hex};
use shared::web_session::{cookies, secret_header};

/// The longest duration of an attempt, in seconds.
pub(crate) const ATTEMPT_SECONDS: i64 = 600;

/// `Lax`, because the way back from the provider is a navigation from another site.
const ATTRIBUTES: &str = "Secure; HttpOnly; SameSite=Lax; Path=/";

/// The cookie's name: one for each attempt, so that two in one browser do not disturb each other.
fn name(state_hash: &str) -> String {
    format!(
        "__Host-lb_oauth_{}",
        state_hash.get(..12).unwrap_or_default()
    )
}

/// `Set-Cookie` for a value that only this browser will know.
pub(crate) fn cookie(state_hash: &str, value: &str) -> HeaderValue {
    let name = name(state_hash);
    secret_header(&format!(
        "{name}={value}; {ATTRIBUTES}; Max-Age={ATTEMPT_SECONDS}"
    ))
}

/// `Set-Cookie` that makes the browser forget it.
pub(crate) fn forget(state_hash: &str) -> HeaderValue {
    secret_header(&format!("{}=; {ATTRIBUTES}; Max-Age=0", name(state_hash)))
}

/// The hash of a cookie's value, which is stored in place of the value.
pub(crate) fn hash(value: &str) -> String {
    sha256_hex(&[value.as_bytes()])
}

/// True if a request comes from the browser whose cookie has the expected hash.
pub(crate) fn is(headers: &HeaderMap, state_hash: &str, expected_hash: &str) -> bool {
    cookies(headers, &name(state_hash)).any(|value| secrets_equal(&hash(value), expected_hash))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{cookie, hash, is};

    const STATE: &str = "0123456789abcdef";

    #[test]
    fn the_cookie_stays_with_this_site_and_out_of_scripts() {
        assert_eq!(
            cookie(STATE, "v").to_str().unwrap(),
            "__Host-lb_oauth_0123456789ab=v; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        assert!(!format!("{:?}", cookie(STATE, "v")).contains("lb_oauth"));
    }

    #[test]
    fn only_the_cookie_of_the_attempt_is_that_browser() {
        let from = |cookies: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in cookies {
                headers.append(header::COOKIE, HeaderValue::from_static(text));
            }
            is(&headers, STATE, &hash("right"))
        };
        assert!(from(&["__Host-lb_oauth_0123456789ab=right"]));
        assert!(from(&["a=b; __Host-lb_oauth_0123456789ab=right;c=d"]));
        assert!(from(&["a=b", "__Host-lb_oauth_0123456789ab=right"]));
        assert!(!from(&[]));
        assert!(!from(&["__Host-lb_oauth_0123456789ab=wrong"]));
        assert!(!from(&["__Host-lb_oauth_0123456789ac=right"]));
        assert!(!from(&["lb_oauth_0123456789ab=right"]));
        assert!(!from(&["a=__Host-lb_oauth_0123456789ab=right"]));
    }
}
