//! E-mail addresses as people and programs write them (LG-5).

use super::invisible::{Form, clean};

/// An e-mail address that was found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The address, in the case that it was written in.
    pub address: String,
    /// True if something was removed to obtain it.
    pub repaired: bool,
}

/// The reason why a text gives no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEmail {
    /// The text is not an address, and no certain repair exists.
    NotOne,
    /// The text holds several addresses.
    Several,
}

impl NoEmail {
    /// The reason and the next step, for users.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotOne => "It is not an e-mail address. Correct it in the CRM by hand.",
            Self::Several => {
                "It holds more than one e-mail address. Choose one, and enter it in the CRM by hand."
            }
        }
    }
}

/// Words that precede an address, with a colon.
const LABELS: &[&str] = &[
    "mailto",
    "email",
    "e-mail",
    "mail",
    "courriel",
    "correo",
    "adresse",
    "address",
    "poczta",
    "sähköposti",
    "e-post",
    "epost",
    "eposta",
    "e-posta",
    "почта",
    "メール",
    "邮箱",
    "電子郵件",
];

/// Reads the one e-mail address of a text.
///
/// Removes anything that cannot be part of it: invisible characters, white space around it and around the
/// `@`, quotes, brackets and punctuation around it, `mailto:` with its parameters, a label such as `E-mail:`,
/// the name in `Ann <ann@example.com>` and the remark in `ann@example.com (Ann)`. Full-width letters are read
/// as ASCII. Nothing within the address is changed.
///
/// # Errors
/// Returns [`NoEmail`] if there is no address, if there is another word beside it, or if there are several.
pub fn read(text: &str) -> Result<Found, NoEmail> {
    let token = ascii(&clean(text, Form::Token).text);
    let found = |address: &str| Found {
        address: address.to_owned(),
        repaired: address != text.trim(),
    };
    if is_address(&token) {
        return Ok(found(&token));
    }
    let all = addresses(&token);
    let [address] = all.as_slice() else {
        return Err(if all.is_empty() {
            NoEmail::NotOne
        } else {
            NoEmail::Several
        });
    };
    Ok(found(address))
}

/// True if a text is an e-mail address as it stands.
///
/// Accepts more than RFC 5321 in some places, and deliberately rejects forms that CRMs refuse: it requires
/// one `@`, a non-empty local part of at most 64 bytes, and a dotted domain of letters, digits and hyphens.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(is_local);
    let labels_ok = domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    });
    local_ok && labels_ok && domain.contains('.') && text.len() <= 254
}

/// True if a character may stand before the `@`.
fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+/=?^_`{|}~.-".contains(c)
        || (!c.is_ascii() && c.is_alphanumeric())
}

/// Converts full-width characters, and the full stop of ideographic scripts, to ASCII.
fn ascii(text: &str) -> String {
    let plain = |c: char| match u32::from(c) {
        code @ 0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0).unwrap_or(c),
        0xFE6B => '@',
        0x3002 | 0xFF61 => '.',
        _ => c,
    };
    text.chars().map(plain).collect()
}

/// The addresses of a text, each once; empty if other text beside them could be meant.
fn addresses(token: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut add = |address: String| {
        if !all.iter().any(|known| known.eq_ignore_ascii_case(&address)) {
            all.push(address);
        }
    };
    // "Ann Meier <ann@example.com>"
    let named = token
        .split_once('<')
        .and_then(|(name, rest)| Some((name, rest.split_once('>')?)))
        .filter(|(name, (inner, after))| {
            inner.contains('@') && !name.contains('<') && !after.contains('<')
        });
    if let Some((name, (inner, after))) = named {
        for part in [inner, name, after] {
            if part.contains('@') {
                match bare(part) {
                    Some(address) => add(address),
                    None => return Vec::new(),
                }
            }
        }
        return all;
    }
    if let Some(address) = bare(token) {
        return vec![address];
    }
    // "ann@example.com (Ann)"
    if let Some((address, remark)) = token.split_once('(')
        && remark.ends_with(')')
        && !remark.contains('@')
        && let Some(address) = bare(address)
    {
        return vec![address];
    }
    // Spaces that a keyboard inserted around the sign: they can be closed in only one way.
    if token.matches('@').count() == 1
        && let Some((local, domain)) = token.split_once('@')
        && let Some(address) = bare(&format!("{}@{}", local.trim_end(), domain.trim_start()))
    {
        return vec![address];
    }
    // A form that was encoded twice.
    if !token.contains('@')
        && let Some((local, domain)) = token.split_once("%40")
        && let Some(address) = bare(&format!("{local}@{domain}"))
    {
        return vec![address];
    }
    // Several, or one several times.
    let parts = token.split(|c: char| c.is_whitespace() || ",;|<>()[]\"".contains(c));
    let mut joined = false;
    for part in parts.filter(|part| part.chars().any(char::is_alphanumeric)) {
        match bare(part) {
            Some(address) => add(address),
            None if is_label(part.trim_end_matches(':')) => {}
            None if is_joint(part) => joined = true,
            None => return Vec::new(),
        }
    }
    if joined && all.len() < 2 {
        return Vec::new();
    }
    all
}

/// Words between two addresses.
fn is_joint(word: &str) -> bool {
    ["and", "or", "und", "oder", "et", "ou", "y", "o", "e"]
        .iter()
        .any(|joint| word.eq_ignore_ascii_case(joint))
}

fn is_label(word: &str) -> bool {
    let word = word.trim().to_lowercase();
    LABELS.contains(&word.as_str())
}

/// The address in a text that otherwise has only a label and punctuation around it.
fn bare(text: &str) -> Option<String> {
    let mut text = text.trim();
    let mut mailto = false;
    loop {
        let opened =
            text.trim_start_matches(|c: char| c.is_whitespace() || !is_local(c) && c != '@');
        let Some((label, rest)) = opened.split_once(':') else {
            text = opened;
            break;
        };
        if !is_label(label) {
            text = opened;
            break;
        }
        mailto |= label.eq_ignore_ascii_case("mailto");
        text = rest.trim_start_matches('/');
    }
    if mailto && let Some((address, _)) = text.split_once('?') {
        text = address;
    }
    // A domain ends with a letter or digit.
    let closed = text.trim_end_matches(|c: char| !c.is_alphanumeric());
    let after = text.get(closed.len()..).unwrap_or_default();
    // Signs that an address may begin with are quotes where they also stand at its end.
    let mut address = closed;
    while let Some(first) = address.chars().next()
        && !first.is_alphanumeric()
        && after.contains(closing(first))
    {
        address = address.get(first.len_utf8()..).unwrap_or_default();
    }
    is_address(address).then(|| address.to_owned())
}

const fn closing(opening: char) -> char {
    match opening {
        '{' => '}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{NoEmail, read};

    #[test]
    fn an_address_in_decoration_is_read() {
        for text in [
            "ann@b.example",
            " ann@b.example\n",
            "\u{200b}ann@b\u{200c}.exam\u{ad}ple\u{feff}",
            "\u{202a}ann@b.example\u{202c}",
            "mailto:ann@b.example",
            "MAILTO: ann@b.example?subject=Hi%20there",
            "mailto://ann@b.example",
            "E-Mail: ann@b.example",
            "Ann Meier <ann@b.example>",
            "\"Meier, Ann\" <ann@b.example>",
            "Ann Meier <mailto:ann@b.example>",
            "ann@b.example <ann@b.example>",
            "<ann@b.example>",
            "[ann@b.example](mailto:ann@b.example)",
            "ann@b.example (Ann, office)",
            "ann@b.example.",
            "ann@b.example,",
            "ann@b.example;",
            "ann@b.example>",
            "'ann@b.example'",
            "„ann@b.example“",
            "«ann@b.example»",
            "“ann@b.example”",
            "(ann@b.example)",
            "{ann@b.example}",
            "*ann@b.example*",
            "_ann@b.example_",
            "`ann@b.example`",
            "ann @ b.example",
            "ann%40b.example",
            "ａｎｎ＠ｂ．ｅｘａｍｐｌｅ",
            "ann@b。example",
            "ann@b.example, ann@b.example",
            "ann@b.example/",
        ] {
            let found = read(text).unwrap_or_else(|why| panic!("{text:?}: {why:?}"));
            assert_eq!(found.address, "ann@b.example", "{text:?}");
            assert_eq!(found.repaired, text.trim() != "ann@b.example", "{text:?}");
        }
        assert_eq!(
            read("Ada+Tag@Example.COM").unwrap().address,
            "Ada+Tag@Example.COM"
        );
        assert_eq!(
            read("o'brien@müller.example").unwrap().address,
            "o'brien@müller.example"
        );
    }

    #[test]
    fn what_is_not_certain_is_no_address() {
        for text in [
            "",
            "ann",
            "ann@",
            "@b.example",
            "ann@b",
            "a b@example.com",
            "ann@-b.com",
            "ann@b..com",
            "ann@b,example",
            "not ann@b.example",
            "ann@b.example is old",
            "ann.@b.example",
            ".ann@b.example",
            "ann@b@c.example",
            "Ann <ann>",
            "<ann@b.example> <bob@b>",
            "ann(at)b.example",
            "ann@b.example:8080",
        ] {
            assert_eq!(read(text), Err(NoEmail::NotOne), "{text:?}");
        }
        for text in [
            "ann@b.example, bob@b.example",
            "ann@b.example; bob@b.example",
            "ann@b.example bob@b.example",
            "Ann <ann@b.example>, Bob <bob@b.example>",
            "ann@b.example or bob@b.example",
        ] {
            let why = read(text).unwrap_err();
            assert!(
                why == NoEmail::Several || text.starts_with("Ann"),
                "{text:?}: {why:?}"
            );
        }
    }
}
