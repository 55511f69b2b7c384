//! Notes: rich text whose unsafe characters are stripped, and their links to records (object reference,
//! `ContentNote` and `ContentDocumentLink`).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::records::{is_deleted, stamp};
use super::schema::ObjectType;
use super::soql::{self, Query};
use super::{Caller, Error, Org};
use crate::http::Row;

const NOTE: &str = "ContentNote";
const LINK: &str = "ContentDocumentLink";
/// Tags that a note may have.
const TAGS: [&str; 8] = ["br", "p", "b", "i", "u", "ul", "ol", "li"];
/// Characters of a preview.
const PREVIEW: usize = 255;

/// Links are found by a note or by a record only.
pub(super) fn check_query(query: &Query, ty: &ObjectType) -> Result<(), Error> {
    let is_end = |name: &str| ["ContentDocumentId", "LinkedEntityId"].contains(&name);
    let named = query.condition.iter().flat_map(soql::required_equals);
    let mut fields = named.filter_map(|(path, _)| soql::own_field(ty, path));
    if ty.name != LINK || fields.any(|field| is_end(field.name.as_str())) {
        return Ok(());
    }
    Err(Error::new(
        400,
        "MALFORMED_QUERY",
        "Implementation restriction: ContentDocumentLink requires a filter by a single Id on \
         ContentDocumentId or LinkedEntityId using the equals operator or multiple Id's using the IN operator.",
    ))
}

/// Rich text without line breaks and unsafe tags, and its plain text.
fn cleaned(text: &str) -> (String, String) {
    let (mut rich, mut plain) = (String::new(), String::new());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if letter == '<' {
            let (tag, after) = rest.split_once('>').unwrap_or((rest, ""));
            let name = tag.trim_matches(['<', '/', ' ']);
            if TAGS.contains(&name) {
                rich.push_str(tag);
                rich.push('>');
                plain.push(' ');
            }
            rest = after;
            continue;
        }
        if !matches!(letter, '\n' | '\r') {
            rich.push(letter);
            plain.push(letter);
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    for (escaped, letter) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(escaped, letter);
    }
    (rich, plain)
}

impl Org {
    /// Checks a new note or link, and works out what follows from a note's content.
    pub(super) fn check_note(&self, ty: &ObjectType, row: &mut Row) -> Result<(), Error> {
        match ty.name.as_str() {
            NOTE => read_content(row),
            LINK => self.check_link(row),
            _ => Ok(()),
        }
    }

    /// A document is linked to a record once.
    fn check_link(&self, row: &Row) -> Result<(), Error> {
        let same = |other: &crate::record::Record| {
            ["ContentDocumentId", "LinkedEntityId"]
                .iter()
                .all(|name| other.get(name) == row.get(*name))
        };
        let mut others = self.store.rows(LINK).map(|(_, other)| other);
        if others.any(|other| !is_deleted(other) && same(other)) {
            let id = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
            let message = format!(
                "Document with ID: {} is already linked with the entity with ID: {}",
                id("ContentDocumentId"),
                id("LinkedEntityId")
            );
            return Err(Error::on("DUPLICATE_VALUE", message, &[]));
        }
        Ok(())
    }

    /// Whoever makes a note has it among their own.
    pub(super) fn link_to_owner(&mut self, caller: &Caller, ty: &Arc<ObjectType>, note: &str) {
        if ty.name != NOTE {
            return;
        }
        let id = self.next_id(LINK);
        let mut row = Row::new();
        for (name, value) in [
            ("ContentDocumentId", note),
            ("LinkedEntityId", caller.user.as_str()),
            ("ShareType", "I"),
            ("Visibility", "AllUsers"),
        ] {
            row.insert(name.into(), json!(value));
        }
        row.insert("IsDeleted".into(), json!(false));
        stamp(&mut row, &id, &caller.user, caller.now_ms, true);
        self.store.put(LINK, &id, row);
    }
}

/// Reads a note's content, which is encoded.
fn read_content(row: &mut Row) -> Result<(), Error> {
    let given = row.get("Content").and_then(Value::as_str);
    let text = STANDARD
        .decode(given.unwrap_or_default())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            let message = "Content: value not of required type: base64Binary";
            Error::on("INVALID_FIELD", message, &["Content"])
        })?;
    let (rich, plain) = cleaned(&text);
    let preview: String = plain.chars().take(PREVIEW).collect();
    row.insert("Content".into(), json!(STANDARD.encode(&rich)));
    row.insert("ContentSize".into(), json!(rich.len()));
    row.insert("FileType".into(), json!("SNOTE"));
    row.insert("TextPreview".into(), json!(preview));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_text_is_stripped() {
        assert_eq!(
            cleaned("a\nb<br>c<script>d &lt;e&gt;"),
            ("ab<br>cd &lt;e&gt;".to_owned(), "ab cd <e>".to_owned())
        );
        assert_eq!(cleaned("a<x"), ("a".to_owned(), "a".to_owned()));
    }
}
