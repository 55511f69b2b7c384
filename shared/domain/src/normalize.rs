//! Normal forms by kind of value (LG-5): two values match when their normal forms are equal.
//!
//! Text from people is parsed here, for every source: [`invisible`] characters, [`mod@email`] addresses,
//! [`mod@phone`] numbers, placeholder words ([`stop_gap`]). A repair is made only when it is certain.

pub mod email;
pub mod invisible;
pub mod phone;
pub mod stop_gap;

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use invisible::{Form, clean};

/// The way to compare the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// E-mail address, ignoring case and surrounding space.
    Email,
    /// Phone number in E.164, read as a number of the region if it has no country code.
    Phone,
    /// Web address by host and path, ignoring scheme, `www.`, trailing slash, query and fragment.
    Url,
    /// Name or other text, ignoring case, accents, punctuation between words and space.
    Text,
    /// Number, date or choice, exactly as the CRM writes it.
    Exact,
}

/// The normal form of `text`, or `None` when it has none (empty, or no such value): a value
/// without a normal form matches nothing.
#[must_use]
pub fn normalize(comparison: Comparison, text: &str, region: Option<&str>) -> Option<String> {
    let normal = match comparison {
        Comparison::Email => email(text)?,
        Comparison::Phone => phone(text, region)?,
        Comparison::Url => url(text)?,
        Comparison::Text => fold(text),
        Comparison::Exact => clean(text, Form::Token).text,
    };
    (!normal.is_empty()).then_some(normal)
}

/// The one e-mail address of a text, in lowercase.
#[must_use]
pub fn email(text: &str) -> Option<String> {
    let lower = email::read(text).ok()?.address.to_lowercase();
    email::is_address(&lower).then_some(lower)
}

/// A phone number in E.164 (`+4930123456`), with its extension if it has one (`+4930123456;ext=12`). Numbers
/// without a country code are read as numbers of `region` (ISO 3166 alpha-2); without a region they have no
/// normal form.
#[must_use]
pub fn phone(text: &str, region: Option<&str>) -> Option<String> {
    Some(phone::read(text, region).ok()?.normal())
}

/// A web address reduced to its identifying parts.
#[must_use]
pub fn url(text: &str) -> Option<String> {
    let parsed = web_url(text)?;
    let host = parsed.host_str()?.to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    // Remove trailing punctuation that may follow an address in a text (see `bare_url`).
    let path = parsed.path().trim_end_matches(['/', ',', ';', '\'']);
    let port = parsed
        .port()
        .map_or(String::new(), |port| format!(":{port}"));
    Some(format!("{host}{port}{path}"))
}

/// Parses `text` as an http(s) URL with a dotted host; `https://` is assumed if no scheme is given. Quotes
/// and brackets around it, and a comma or semicolon behind it, are ignored.
#[must_use]
pub fn web_url(text: &str) -> Option<url::Url> {
    let text = bare_url(text);
    let text = text.as_str();
    // In a path it is not a scheme.
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        let mut characters = scheme.chars();
        characters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let with_scheme = if has_scheme {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let parsed = url::Url::parse(&with_scheme).ok()?;
    let host_ok = parsed.host_str().is_some_and(|host| {
        let host = host.strip_suffix('.').unwrap_or(host);
        host.contains('.') && host.split('.').all(is_label)
    });
    (matches!(parsed.scheme(), "http" | "https") && host_ok && parsed.username().is_empty())
        .then_some(parsed)
}

/// True for one part of a host name: letters of ASCII (others arrive as Punycode), digits, hyphens and
/// underscores, and apostrophes inside it, as people type them. The URL standard takes other punctuation too,
/// which no registrar gives out.
fn is_label(label: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '\'');
    !label.is_empty() && label.chars().all(is_part) && label.trim_matches('\'') == label
}

/// A web address without invisible characters and surrounding text.
#[must_use]
pub fn bare_url(text: &str) -> String {
    let mut text = clean(text, Form::Token).text;
    loop {
        let inner = text
            .trim_end_matches([',', ';'])
            .trim_matches(['"', '\'', '“', '”', '„', '«', '»', '<', '>']);
        let inner = inner
            .strip_prefix('(')
            .and_then(|inner| inner.strip_suffix(')'))
            .or_else(|| inner.strip_prefix('[')?.strip_suffix(']'))
            .unwrap_or(inner)
            .trim();
        if inner.len() == text.len() {
            return text;
        }
        text = inner.to_owned();
    }
}

/// Text with case, accents, punctuation and repeated space folded away.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    // Invisible characters do not separate words.
    let text = if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(clean(text, Form::Token).text)
    };
    for c in text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        match c {
            'ß' => push_word(&mut folded, &mut gap, "ss"),
            'ø' => push_word(&mut folded, &mut gap, "o"),
            'ł' => push_word(&mut folded, &mut gap, "l"),
            'æ' => push_word(&mut folded, &mut gap, "ae"),
            // An apostrophe joins (O'Brien = OBrien); other punctuation separates.
            '\'' | '’' | '`' => {}
            c if c.is_alphanumeric() => {
                let mut buffer = [0; 4];
                push_word(&mut folded, &mut gap, c.encode_utf8(&mut buffer));
            }
            _ => gap = true,
        }
    }
    folded
}

fn push_word(folded: &mut String, gap: &mut bool, text: &str) {
    if *gap && !folded.is_empty() {
        folded.push(' ');
    }
    *gap = false;
    folded.push_str(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Comparison, normalize};

    fn check(comparison: Comparison, text: &str, expected: Option<&str>) {
        assert_eq!(
            normalize(comparison, text, Some("US")).as_deref(),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn emails_lose_their_case() {
        check(
            Comparison::Email,
            " Ada@Example.COM ",
            Some("ada@example.com"),
        );
        check(
            Comparison::Email,
            "ada+tag@example.com",
            Some("ada+tag@example.com"),
        );
        check(
            Comparison::Email,
            "Ada <\u{200b}Ada@Example.com>",
            Some("ada@example.com"),
        );
        for bad in [
            "ada",
            "ada@",
            "@example.com",
            "a@b",
            "a b@example.com",
            "a@-b.com",
            "a@b..com",
        ] {
            check(Comparison::Email, bad, None);
        }
    }

    #[test]
    fn phones_meet_in_e164() {
        for same in [
            "+1 (415) 555-2671",
            "415.555.2671",
            "001 415 555 2671".trim_start_matches("00"),
            "+14155552671",
        ] {
            check(Comparison::Phone, same, Some("+14155552671"));
        }
        check(Comparison::Phone, "call me", None);
        check(Comparison::Phone, "", None);
        check(
            Comparison::Phone,
            "415 555 2671 x12",
            Some("+14155552671;ext=12"),
        );
        check(
            Comparison::Phone,
            "415 555 2671 x13",
            Some("+14155552671;ext=13"),
        );
        assert_eq!(normalize(Comparison::Phone, "030 901820", None), None);
        assert_eq!(
            normalize(Comparison::Phone, "030 901820", Some("DE")).as_deref(),
            Some("+4930901820")
        );
    }

    #[test]
    fn urls_meet_by_host_and_path() {
        for same in [
            "https://www.Example.com/",
            "example.com",
            "http://example.com?utm=1",
        ] {
            check(Comparison::Url, same, Some("example.com"));
        }
        for same in [
            "<https://example.com>",
            "\u{200b}example.com,",
            "\"example.com\"",
            "(example.com)",
        ] {
            check(Comparison::Url, same, Some("example.com"));
        }
        check(Comparison::Url, "not a url", None);
        check(Comparison::Url, "ftp://example.com", None);
        check(Comparison::Url, "/\".a", None);
        check(
            Comparison::Url,
            "http://www.o'brien.example/",
            Some("o'brien.example"),
        );
        check(
            Comparison::Url,
            "bücher.example",
            Some("xn--bcher-kva.example"),
        );
    }

    #[test]
    fn names_fold() {
        check(Comparison::Text, "  José   ÁLVAREZ ", Some("jose alvarez"));
        check(Comparison::Text, "O’Brien-Smith", Some("obrien smith"));
        check(Comparison::Text, "Groß", Some("gross"));
        check(Comparison::Text, " — ", None);
        check(
            Comparison::Text,
            "Jo\u{200b}sé\u{feff} \u{ad}Ál\u{2060}varez",
            Some("jose alvarez"),
        );
        check(Comparison::Text, "\u{200b}", None);
    }

    proptest! {
        #[test]
        fn normal_forms_are_stable(text in "\\PC{0,40}") {
            for comparison in [Comparison::Email, Comparison::Phone, Comparison::Url, Comparison::Text] {
                if let Some(once) = normalize(comparison, &text, Some("DE")) {
                    prop_assert_eq!(normalize(comparison, &once, Some("DE")), Some(once.clone()), "{:?}", comparison);
                }
            }
        }
    }
}
