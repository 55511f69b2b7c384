//! The cookie that ties an attempt to the browser that started it.

use http::{HeaderMap, HeaderValue, header};
use shared::signature::{secrets_equal, sha256_hex};

/// How long an attempt may take, in seconds.
pub(crate) const ATTEMPT_SECONDS: i64 = 600;

const COOKIE: &str = "__Host-lb_oauth";
/// `Lax`, because the way back from the provider is a navigation from another site.
const ATTRIBUTES: &str = "Secure; HttpOnly; SameSite=Lax; Path=/";

/// `Set-Cookie` for a value that only this browser will know.
pub(crate) fn cookie(value: &str) -> HeaderValue {
    let text = format!("{COOKIE}={value}; {ATTRIBUTES}; Max-Age={ATTEMPT_SECONDS}");
    secret_header(&text)
}

/// `Set-Cookie` that makes the browser forget it.
pub(crate) fn forget() -> HeaderValue {
    secret_header(&format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0"))
}

fn secret_header(text: &str) -> HeaderValue {
    // Our own values are base64, which every header can hold.
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// What is kept of a cookie's value.
pub(crate) fn hash(value: &str) -> String {
    sha256_hex(&[value.as_bytes()])
}

/// Whether a request comes from the browser whose cookie has that hash.
pub(crate) fn is(headers: &HeaderMap, expected_hash: &str) -> bool {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(name, value)| name == COOKIE && secrets_equal(&hash(value), expected_hash))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{cookie, hash, is};

    #[test]
    fn the_cookie_stays_with_this_site_and_out_of_scripts() {
        assert_eq!(
            cookie("v").to_str().unwrap(),
            "__Host-lb_oauth=v; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        assert!(!format!("{:?}", cookie("v")).contains("lb_oauth"));
    }

    #[test]
    fn only_the_cookie_of_the_attempt_is_that_browser() {
        let from = |cookies: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in cookies {
                headers.append(header::COOKIE, HeaderValue::from_static(text));
            }
            is(&headers, &hash("right"))
        };
        assert!(from(&["__Host-lb_oauth=right"]));
        assert!(from(&["a=b; __Host-lb_oauth=right;c=d"]));
        assert!(from(&["a=b", "__Host-lb_oauth=right"]));
        assert!(!from(&[]));
        assert!(!from(&["__Host-lb_oauth=wrong"]));
        assert!(!from(&["lb_oauth=right"]));
        assert!(!from(&["a=__Host-lb_oauth=right"]));
    }
}
