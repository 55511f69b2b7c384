//! E-mail addresses, phone numbers and websites in normal form.

use smallvec::SmallVec;

use crate::tables::free_mail;
use crate::text::{self, cut};

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    /// Before the `@`, without a tag.
    pub(crate) local: Box<str>,
    /// The letters and digits of it.
    pub(crate) plain: Box<str>,
    /// The domain that was registered.
    pub(crate) domain: Box<str>,
    /// Of a provider of mailboxes for everybody: says nothing of an employer.
    pub(crate) free: bool,
    /// Of a function, not of a person.
    pub(crate) role: bool,
    pub(crate) hash: u64,
    pub(crate) local_hash: u64,
}

/// Reads an address: case, a tag after `+`, and the dots of providers that ignore them do not count.
pub(crate) fn email(text: &str) -> Option<Email> {
    let text = cut(text).to_lowercase();
    let text = text.strip_prefix("mailto:").unwrap_or(&text);
    let (local, host) = text.rsplit_once('@')?;
    let local = local.split_once('+').map_or(local, |(local, _)| local);
    let host = host.trim_end_matches('.');
    if local.is_empty() || host.is_empty() || text.contains(char::is_whitespace) {
        return None;
    }
    let host = if host == "googlemail.com" {
        "gmail.com"
    } else {
        host
    };
    let free = free_mail::is_free(host);
    let domain = registrable(host);
    let undotted;
    let local = if free && domain.starts_with("gmail.") {
        undotted = local.replace('.', "");
        undotted.as_str()
    } else {
        local
    };
    let plain: String = text::fold(local).chars().filter(|c| *c != ' ').collect();
    Some(Email {
        role: free_mail::is_role(&plain),
        hash: text::hash(b'e', &format!("{local}@{domain}")),
        local_hash: text::hash(b'l', local),
        plain: plain.into(),
        local: local.into(),
        domain: domain.into(),
        free,
    })
}

/// The domain that was registered: `news.acme.co.uk` is of `acme.co.uk` (publicsuffix.org). Names that
/// are reserved for examples (RFC 2606) are looked through.
pub(crate) fn registrable(host: &str) -> &str {
    let host = host.strip_prefix("www.").unwrap_or(host);
    let inner = [".example", ".test", ".invalid"]
        .iter()
        .find_map(|reserved| host.strip_suffix(reserved))
        .filter(|inner| inner.contains('.'))
        .unwrap_or(host);
    psl::domain_str(inner).unwrap_or(inner)
}

/// The domain that a company registered for its website; none for what is no address, and for the
/// sites of mailbox providers.
#[must_use]
pub fn website(text: &str) -> Option<String> {
    let text = cut(text).to_lowercase();
    let rest = text
        .split_once("://")
        .map_or(text.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ' ', ',', ';']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next()?.trim_matches('.');
    let plain = host
        .chars()
        .all(|c| c.is_alphanumeric() || c == '.' || c == '-');
    if !host.contains('.') || !plain {
        return None;
    }
    let domain = registrable(host);
    (!free_mail::is_free(domain)).then(|| domain.to_owned())
}

/// A phone number: the digits of country code and national number, or all that there are of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phone {
    /// At most 15 digits (E.164).
    pub(crate) digits: u64,
    pub(crate) len: u8,
    /// How many of the first digits are the country's; 0 if that is not known.
    pub(crate) country: u8,
}

impl Phone {
    /// The last seven digits, if there are so many.
    pub(crate) fn tail(self) -> Option<u64> {
        (self.len >= 7).then_some(self.digits % 10_000_000)
    }

    /// The number within its country, as far as that is known.
    pub(crate) fn national(self) -> (u64, u8) {
        let len = self.len - self.country;
        (self.digits % 10_u64.pow(u32::from(len)), len)
    }

    pub(crate) fn hash(self) -> u64 {
        text::join(b'p', &[self.national().0])
    }
}

/// Reads a number, without its extension, by the habits of `region` (ISO 3166 alpha-2) where it has no
/// country code.
pub(crate) fn phone(text: &str, region: Option<&str>) -> Option<Phone> {
    // The parser's time grows with its input.
    let text = text.trim();
    if text.len() > 60 {
        return None;
    }
    let text = text
        .find(['x', 'X', ';', '#', 'e', 'E'])
        .map_or(text, |at| text.get(..at).unwrap_or(text));
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if !(5..=20).contains(&digits) {
        return None;
    }
    let plus;
    let text = if let Some(rest) = text.trim_start().strip_prefix("00") {
        plus = format!("+{rest}");
        plus.as_str()
    } else {
        text
    };
    let region = region.and_then(|code| code.parse().ok());
    if (region.is_some() || text.contains('+'))
        && let Ok(number) = phonenumber::parse(region, text)
    {
        let country = u64::from(number.code().value());
        let national = number.national().value();
        let len = length(national).max(1);
        let country_len = length(country);
        if country_len + len <= 18 && len >= 5 {
            return Some(Phone {
                digits: country * 10_u64.pow(u32::from(len)) + national,
                len: country_len + len,
                country: country_len,
            });
        }
    }
    let all: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits: u64 = all
        .trim_start_matches('0')
        .get(..)
        .and_then(|d| d.get(..d.len().min(15)))?
        .parse()
        .ok()?;
    let len = length(digits);
    (len >= 5).then_some(Phone {
        digits,
        len,
        country: 0,
    })
}

fn length(number: u64) -> u8 {
    number.checked_ilog10().map_or(0, |log| log as u8 + 1)
}

/// How much of two numbers is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SameNumber {
    No,
    /// All but the last digits: of one switchboard, or one exchange.
    Block,
    /// One digit differs, or two are swapped.
    Near,
    /// The last seven digits, where both have more.
    Tail,
    /// The number within the country.
    Yes,
}

pub(crate) fn same_number(a: Phone, b: Phone) -> SameNumber {
    let ((a_national, a_len), (b_national, b_len)) = (a.national(), b.national());
    if a.digits == b.digits || a_national == b_national {
        return SameNumber::Yes;
    }
    // Without country, area or trunk code one is the end of the other.
    let (short, long, len) = if a_len <= b_len {
        (a_national, b_national, a_len)
    } else {
        (b_national, a_national, b_len)
    };
    if len >= 7 && long % 10_u64.pow(u32::from(len)) == short {
        return SameNumber::Yes;
    }
    if len >= 7 && a_national % 10_000_000 == b_national % 10_000_000 {
        return SameNumber::Tail;
    }
    if a_len != b_len {
        return SameNumber::No;
    }
    let digit = |number: u64, at: u32| number / 10_u64.pow(at) % 10;
    let differ: SmallVec<[u32; 16]> = (0..u32::from(a_len))
        .filter(|at| digit(a_national, *at) != digit(b_national, *at))
        .collect();
    match *differ {
        [_] => SameNumber::Near,
        [one, next]
            if next == one + 1
                && digit(a_national, one) == digit(b_national, next)
                && digit(a_national, next) == digit(b_national, one) =>
        {
            SameNumber::Near
        }
        [.., last] if last < 4 => SameNumber::Block,
        _ => SameNumber::No,
    }
}

#[cfg(test)]
mod tests {
    use super::{Phone, SameNumber, email, phone, registrable, same_number, website};

    fn number(text: &str, region: Option<&str>) -> Phone {
        phone(text, region).unwrap()
    }

    #[test]
    fn addresses_lose_case_tags_and_dots_that_do_not_count() {
        let same = |a: &str, b: &str| email(a).unwrap().hash == email(b).unwrap().hash;
        assert!(same("Ada.Lovelace@Example.com", "ada.lovelace@example.com"));
        assert!(same("ada+crm@acme.com", "ada@acme.com"));
        assert!(same("a.d.a@gmail.com", "ada@googlemail.com"));
        assert!(!same("a.da@acme.com", "ada@acme.com"));
        assert_eq!(email("no address"), None);
        assert_eq!(email("@acme.com"), None);
        assert!(email("sales@acme.com").unwrap().role);
        assert!(email("ada@gmail.com").unwrap().free);
        assert!(!email("ada@acme.com").unwrap().free);
    }

    #[test]
    fn domains_are_those_that_were_registered() {
        assert_eq!(registrable("news.acme.co.uk"), "acme.co.uk");
        assert_eq!(registrable("acme.com.example"), "acme.com");
        assert_eq!(
            website("https://www.Acme.com/contact?x#y").as_deref(),
            Some("acme.com")
        );
        assert_eq!(website("shop.acme.de:8080"), Some("acme.de".to_owned()));
        assert_eq!(
            website("gmail.com"),
            None,
            "a mailbox provider's site says nothing"
        );
        for text in ["No", "", "n/a", "http://", "acme", "a b.com"] {
            let found = website(text);
            assert!(found.is_none() || text.contains('.'), "{text:?} {found:?}");
        }
    }

    #[test]
    fn numbers_are_read_with_and_without_country_code() {
        let pairs = [
            (
                "+1 512 453 4211",
                Some("US"),
                "(512) 453-4211 x12",
                Some("US"),
            ),
            ("+4420 7946 0958", None, "020 7946 0958", Some("GB")),
            ("0049 30 123456", None, "+49 (0)30 123456", None),
            ("415-386-5758", None, "415/386-5758", None),
            ("5345475", None, "(773) 534-5475", Some("US")),
        ];
        for (a, in_a, b, in_b) in pairs {
            assert_eq!(
                same_number(number(a, in_a), number(b, in_b)),
                SameNumber::Yes,
                "{a} {b}"
            );
        }
    }

    #[test]
    fn numbers_may_be_a_digit_or_an_exchange_apart() {
        let same = |a: &str, b: &str| same_number(number(a, Some("US")), number(b, Some("US")));
        assert_eq!(same("512-453-4211", "512-453-4212"), SameNumber::Near);
        assert_eq!(
            same("512-453-4211", "512-453-2411"),
            SameNumber::Near,
            "two digits are swapped"
        );
        assert_eq!(same("512-453-4211", "512-453-7890"), SameNumber::Block);
        assert_eq!(same("512-453-4211", "737-453-4211"), SameNumber::Tail);
        assert_eq!(same("512-453-4211", "212-555-0134"), SameNumber::No);
        assert_eq!(phone("123", None), None);
        assert_eq!(phone(&"9".repeat(10_000), None), None);
    }
}
