//! What a CRM lets its connected user do, and what it offers for the settings (CN-4, CN-9, CN-10).
//!
//! Each adapter asks in as few calls as its API allows, and hands what came to pure functions. The
//! CRM's refusal of one object is a finding; its refusal of the whole call is an error.

pub(super) mod dataverse;
pub(super) mod salesforce;

use domain::inventory::Currency;

/// An ISO 4217 code, and nothing else that a field of that name could hold.
fn is_currency_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A currency by its code; without a name of its own the code stands for it.
fn currency(code: &str, name: Option<&str>) -> Option<Currency> {
    is_currency_code(code).then(|| Currency {
        code: code.to_owned(),
        name: name
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .unwrap_or(code)
            .to_owned(),
    })
}
