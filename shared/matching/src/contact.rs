//! E-mail addresses and websites in normal form.

use compact_str::CompactString;

use crate::tables::free_mail;
use crate::text::{self, cut};

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    /// The letters and digits before the `@`, without a tag.
    pub(crate) plain: CompactString,
    /// The registered domain.
    pub(crate) domain: CompactString,
    /// True for an address at a public mailbox provider: it does not identify an employer.
    pub(crate) free: bool,
    /// True for an address of a function, not of a person.
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
        domain: domain.into(),
        free,
    })
}

/// The registered domain: `acme.co.uk` for `news.acme.co.uk` (publicsuffix.org). Names reserved for examples
/// (RFC 2606) are looked through.
pub(crate) fn registrable(host: &str) -> &str {
    let host = host.strip_prefix("www.").unwrap_or(host);
    let inner = [".example", ".test", ".invalid"]
        .iter()
        .find_map(|reserved| host.strip_suffix(reserved))
        .filter(|inner| inner.contains('.'))
        .unwrap_or(host);
    psl::domain_str(inner).unwrap_or(inner)
}

/// The registered domain of a company's website; `None` for text that is no web address, and for the sites of
/// mailbox providers.
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

#[cfg(test)]
mod tests {
    use super::{email, registrable, website};

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
}
