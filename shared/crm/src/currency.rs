//! Currencies, as both CRMs name them.

use domain::inventory::Currency;

/// True for an ISO 4217 code: a field of that name can hold other text.
fn is_currency_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A currency by its code; without a name, the code serves as one.
pub(crate) fn currency(code: &str, name: Option<&str>) -> Option<Currency> {
    is_currency_code(code).then(|| Currency {
        code: code.to_owned(),
        name: name
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .unwrap_or(code)
            .to_owned(),
    })
}
