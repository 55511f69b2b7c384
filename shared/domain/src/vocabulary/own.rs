//! Numeric fields of an organisation's own, which no table names: the value of won opportunities (CN-10).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Field, Kind};

/// Maximum number of own fields that a process knows: each stays in memory until the process ends.
const MOST: usize = 1_000;
/// Longest name of a field, in characters.
const MAX_NAME: usize = 100;

static OWN: Mutex<BTreeMap<&'static str, &'static Field>> = Mutex::new(BTreeMap::new());

/// The numeric field of that name. `None` for a text that is no name of a field, and for more than 1,000 names in
/// one process.
#[must_use]
pub fn own_number(name: &str) -> Option<&'static Field> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = name.bytes().next()?;
    if first.is_ascii_digit() || name.len() > MAX_NAME || !name.bytes().all(is_part) {
        return None;
    }
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = own.get(name) {
        return Some(*known);
    }
    if own.len() >= MOST {
        return None;
    }
    // Rows name their columns for as long as the process lives.
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let field: &'static Field = Box::leak(Box::new(Field::new(name, Kind::Number)));
    own.insert(name, field);
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::own_number;

    #[test]
    fn a_field_of_ones_own_is_one_whenever_it_is_asked_for() {
        let field = own_number("Won_Value__c").unwrap();
        assert_eq!(field.name, "Won_Value__c");
        assert!(std::ptr::eq(field, own_number("Won_Value__c").unwrap()));
        for bad in ["", "1a", "a b", "a,Id", "a)", "ä"] {
            assert_eq!(own_number(bad), None, "{bad}");
        }
    }
}
