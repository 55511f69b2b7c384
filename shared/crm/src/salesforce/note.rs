//! Notes: a `ContentNote` with a `ContentDocumentLink` to its record, or a classic `Note` where the organisation
//! has no Enhanced Notes (object reference, `ContentNote`, `ContentDocumentLink`, `Note`).
//!
//! Neither has a field of ours, nor a date. So a note begins with a line that holds both: the day, and the mark
//! by which a later attempt finds it. No query returns the content of a `ContentNote`, but `TextPreview` has
//! its first 255 characters. A `ContentNote` is made first and linked then, so an attempt can end between the
//! two: the note is found without a record, as an open task is, and linked.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::activity::{Found, NAMED_AT_ONCE, all_rows, earliest, groups};
use super::client::{BatchResult, Salesforce};
use super::soql::{Condition, Select};
use super::write;
use crate::activity::{fitted, rich, whole_text};
use crate::{
    ActivityContent, ActivityRules, AttachedActivity, Bond, CrmError, FoundActivity, NewActivity,
    NoteForm, Outcomes, Record, SoughtActivity, WrittenRecord,
};

/// The object of Enhanced Notes.
pub(super) const CONTENT: &str = "ContentNote";
/// The object of classic notes.
pub(super) const CLASSIC: &str = "Note";
/// The object that joins a `ContentNote` with a record.
const LINK: &str = "ContentDocumentLink";
/// UTF-16 units of a `ContentNote`'s title.
const TITLE: usize = 255;
/// UTF-16 units of a classic note's title.
const CLASSIC_TITLE: usize = 80;
/// UTF-16 units of a classic note's body.
const BODY: usize = 32_000;
/// The beginning of the mark, which a `]` ends.
const MARK: &str = "[Leadbridge ";
/// The beginnings of the ids of leads, contacts and accounts. A note is linked to its owner too, and its users
/// may link it to further records.
const RECORDS: [&str; 3] = ["00Q", "003", "001"];

/// The paths that describe the forms of notes.
pub(super) fn described() -> [String; 2] {
    [CONTENT, CLASSIC].map(|object| format!("sobjects/{object}/describe"))
}

/// The form of the notes that the user may create, from the answers to these paths.
pub(super) async fn form(
    crm: &Salesforce,
    content: &BatchResult,
    classic: &BatchResult,
) -> Result<NoteForm, CrmError> {
    for (result, form) in [(content, NoteForm::Content), (classic, NoteForm::Classic)] {
        if result.status().is_success() {
            if result.result.get("createable") == Some(&Value::Bool(true)) {
                return Ok(form);
            }
        } else {
            // An object that is switched off, or that the user may not see, is not there.
            match crm.batch_failure(result, Record::Task).await {
                CrmError::Missing | CrmError::Refused(_) => {}
                error => return Err(error),
            }
        }
    }
    Ok(NoteForm::Activity)
}

/// The line above the text: the day, which is in no field, and the mark.
fn heading(content: &ActivityContent) -> String {
    let day: String = content.occurred_at.to_string().chars().take(10).collect();
    format!("{day} {MARK}{}]\n\n", content.identity)
}

/// The identity in the first mark of a text.
fn marked(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(MARK)?;
    let (id, _) = rest.split_once(']')?;
    Some(Uuid::try_parse(id).ok()?.to_string())
}

fn title(form: NoteForm, content: &ActivityContent) -> String {
    fitted(&content.subject, "", title_units(form))
}

const fn title_units(form: NoteForm) -> usize {
    match form {
        NoteForm::Classic => CLASSIC_TITLE,
        NoteForm::Content | NoteForm::Activity => TITLE,
    }
}

/// A new note.
fn note(form: NoteForm, new: &NewActivity) -> Value {
    let content = &new.content;
    let text = whole_text(content, title_units(form));
    let text = format!("{}{text}", heading(content));
    let title = title(form, content);
    if form == NoteForm::Classic {
        let parent = new.regarding.as_ref().map(|record| &record.id);
        return json!({
            "attributes": {"type": CLASSIC}, "ParentId": parent, "Title": title,
            "Body": fitted(&text, "", BODY),
        });
    }
    // Line breaks and unsafe characters would be stripped.
    let rich = rich(&text, usize::MAX);
    json!({
        "attributes": {"type": CONTENT}, "Title": title, "Content": STANDARD.encode(rich),
    })
}

/// Creates notes in one call, a `ContentNote` without its link.
pub(super) async fn create(
    crm: &Salesforce,
    rules: &ActivityRules,
    new: &[NewActivity],
) -> Result<Outcomes, CrmError> {
    let rows: Vec<Value> = new.iter().map(|new| note(rules.notes, new)).collect();
    let records = vec![Record::Task; rows.len()];
    write::save(crm, (Method::POST, None), &rows, &records, Bond::Each).await
}

/// Links notes to their records in one call.
pub(super) async fn link(
    crm: &Salesforce,
    attached: &[AttachedActivity],
) -> Result<Outcomes, CrmError> {
    let row = |attached: &AttachedActivity| {
        json!({
            "attributes": {"type": LINK}, "ContentDocumentId": attached.id,
            "LinkedEntityId": attached.regarding.id, "ShareType": "V", "Visibility": "InternalUsers",
        })
    };
    let rows: Vec<Value> = attached.iter().map(row).collect();
    let records = vec![Record::Task; rows.len()];
    let outcomes = write::save(crm, (Method::POST, None), &rows, &records, Bond::Each).await?;
    let of_note = |(attached, outcome): (&AttachedActivity, Result<_, CrmError>)| {
        let is_linked = match &outcome {
            Ok(_) => true,
            // By a call whose answer was lost.
            Err(CrmError::Refused(refusal)) => refusal.code == "DUPLICATE_VALUE",
            Err(_) => false,
        };
        if is_linked {
            let (record, id) = (Record::Task, attached.id.clone());
            Ok(WrittenRecord { record, id })
        } else {
            outcome
        }
    };
    Ok(attached.iter().zip(outcomes).map(of_note).collect())
}

/// Looks up notes, in their order. One call, and one more for the links of those that are there.
pub(super) async fn find(
    crm: &Salesforce,
    rules: &ActivityRules,
    sought: &[SoughtActivity],
) -> Result<Vec<Option<FoundActivity>>, CrmError> {
    let form = rules.notes;
    let is_classic = form == NoteForm::Classic;
    let (object, columns, beginning) = if is_classic {
        (CLASSIC, ["Id", "ParentId", "Body"], "Body")
    } else {
        (CONTENT, ["Id", "Title", "TextPreview"], "TextPreview")
    };
    let mut paths = Vec::new();
    for sought in groups(sought) {
        let contents = sought.iter().map(|sought| &sought.content);
        let mut titles: Vec<String> = contents.map(|content| title(form, content)).collect();
        titles.sort_unstable();
        titles.dedup();
        let mut alike = vec![
            Condition::one_of("Title", titles.iter().map(String::as_str)),
            Condition::since("CreatedDate", earliest(sought)),
        ];
        if let Some(owner) = &rules.owner {
            alike.push(Condition::one_of("OwnerId", [owner.as_str()]));
        }
        let mut any = vec![Condition::All(alike)];
        let known = sought.iter().filter_map(|sought| sought.id.as_deref());
        let known: Vec<&str> = known.collect();
        if !known.is_empty() {
            any.push(Condition::one_of("Id", known));
        }
        let query = Select::new(object, columns).filter(Condition::Any(any));
        paths.push(query.path("query"));
    }
    let rows = all_rows(crm, &paths).await?;
    let mut found = Found::default();
    for row in &rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let id = text("Id").ok_or(CrmError::Unavailable(StatusCode::OK))?;
        let parent = text("ParentId").map(str::to_owned);
        let note = FoundActivity {
            object,
            id: id.to_owned(),
            closed: parent.is_some(),
            regarding: parent,
        };
        found.add(text(beginning).and_then(marked), note);
    }
    let mut notes: Vec<Option<FoundActivity>> =
        sought.iter().map(|sought| found.of(sought)).collect();
    if !is_classic {
        let links = links(crm, &notes).await?;
        for note in notes.iter_mut().flatten() {
            note.regarding = links.get(&note.id).cloned();
            note.closed = note.regarding.is_some();
        }
    }
    Ok(notes)
}

/// The records that notes are linked to, by the notes' ids.
async fn links(
    crm: &Salesforce,
    notes: &[Option<FoundActivity>],
) -> Result<HashMap<String, String>, CrmError> {
    let ids: Vec<&str> = notes
        .iter()
        .flatten()
        .map(|note| note.id.as_str())
        .collect();
    let query = |ids: &[&str]| {
        Select::new(LINK, ["Id", "ContentDocumentId", "LinkedEntityId"])
            .filter(Condition::one_of("ContentDocumentId", ids.iter().copied()))
            .path("query")
    };
    let paths: Vec<String> = ids.chunks(NAMED_AT_ONCE).map(query).collect();
    let rows = all_rows(crm, &paths).await?;
    let link = |row: &Value| {
        let text = |name: &str| row.get(name)?.as_str().map(str::to_owned);
        let (note, record) = (text("ContentDocumentId")?, text("LinkedEntityId")?);
        let is_record = RECORDS.iter().any(|prefix| record.starts_with(prefix));
        is_record.then_some((note, record))
    };
    Ok(rows.iter().filter_map(link).collect())
}

#[cfg(test)]
mod tests {
    use domain::activity::ActivityKind;
    use domain::clock::Millis;
    use domain::directory::RecordRef;
    use proptest::prelude::*;

    use super::*;

    fn new(subject: &str, text: &str) -> NewActivity {
        NewActivity {
            content: ActivityContent {
                kind: ActivityKind::Note,
                identity: Uuid::from_u128(7),
                subject: subject.to_owned(),
                text: text.to_owned(),
                occurred_at: Millis(1_700_000_000_000),
            },
            regarding: Some(RecordRef::new("Contact", "0031")),
        }
    }

    #[test]
    fn a_note_begins_with_its_day_and_its_mark() {
        let line = "2023-11-14 [Leadbridge 00000000-0000-0000-0000-000000000007]";
        let content = note(
            NoteForm::Content,
            &new("Notes from P", "<b>\n\"it's\" & so"),
        );
        assert_eq!(content["Title"], "Notes from P");
        let text = STANDARD.decode(content["Content"].as_str().unwrap());
        let text = String::from_utf8(text.unwrap()).unwrap();
        let rest = "&lt;b&gt;<br>&quot;it&#39;s&quot; &amp; so";
        assert_eq!(text, format!("{line}<br><br>{rest}"));
        // Its record is that of its link.
        assert!(content.get("ParentId").is_none());
        let classic = note(NoteForm::Classic, &new("Notes from P", "<b>\nso"));
        assert_eq!(classic["Body"], format!("{line}\n\n<b>\nso"));
        assert_eq!(classic["ParentId"], "0031");
        for text in [text.as_str(), classic["Body"].as_str().unwrap()] {
            assert_eq!(marked(text), Some(Uuid::from_u128(7).to_string()));
        }
        // A subject that is cut stands whole above the text.
        let long = "S".repeat(90);
        let classic = note(NoteForm::Classic, &new(&long, "so"));
        assert_eq!(classic["Title"].as_str().unwrap().chars().count(), 80);
        assert_eq!(classic["Body"], format!("{line}\n\n{long}\n\nso"));
        // The longest text is not cut.
        let longest = "x".repeat(domain::activity::MAX_TEXT);
        let classic = note(NoteForm::Classic, &new(&long, &longest));
        assert!(classic["Body"].as_str().unwrap().ends_with(&longest));
    }

    proptest! {
        #[test]
        fn the_mark_is_that_of_the_first_line_whatever_the_text_says(text in "(\\PC|\n|\\[Leadbridge x\\]){0,40}") {
            for form in [NoteForm::Content, NoteForm::Classic] {
                let written = note(form, &new("Notes", &text));
                let own = written["Body"].as_str().map(str::to_owned);
                let own = own.unwrap_or_else(|| {
                    let content = STANDARD.decode(written["Content"].as_str().unwrap()).unwrap();
                    String::from_utf8(content).unwrap().chars().take(255).collect()
                });
                prop_assert_eq!(marked(&own), Some(Uuid::from_u128(7).to_string()));
            }
        }
    }
}
