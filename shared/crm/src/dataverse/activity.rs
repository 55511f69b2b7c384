//! Activities as tasks, phone calls and notes (table references "task", "phonecall", "annotation").
//!
//! The identity is the primary key. A closed activity cannot be created, and a closed one cannot be
//! changed: one change set creates it open, with its record, and closes it. Notes have no state, and
//! without a record nobody would see them. What a description cannot hold is in a note beside the activity,
//! which the same change set creates, so it is there once if the activity is.

use domain::activity::ActivityKind;
use domain::directory::RecordRef;
use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::classify;
use super::multipart::{self, Part, PartAnswer};
use super::odata::Query;
use super::{ACCOUNTS, CONTACTS, LEADS, STATE, TASKS};
use crate::activity::{fitted, rich, whole_text};
use crate::{
    ActivityContent, ActivityRules, AttachedActivity, CrmError, FoundActivity, NewActivity,
    Outcomes, Record, SoughtActivity, WrittenRecord,
};

/// A table of activities.
struct Table {
    name: &'static str,
    set: &'static str,
    /// The values that close a row; none for notes.
    closed: Option<(i64, i64)>,
    /// The column of the text, and its longest subject and text, in UTF-16 units.
    text: &'static str,
    subject_units: usize,
    text_units: usize,
    /// The beginning and the end of the navigation property to the record.
    regarding: (&'static str, &'static str),
    /// The column with the id of that record.
    record: &'static str,
}

const TASK: Table = Table {
    name: "task",
    set: TASKS,
    closed: Some((1, 5)),
    text: "description",
    subject_units: 200,
    text_units: 2_000,
    regarding: ("regardingobjectid_", "_task"),
    record: "_regardingobjectid_value",
};

const PHONE_CALL: Table = Table {
    name: "phonecall",
    set: "phonecalls",
    closed: Some((1, 2)),
    text: "description",
    subject_units: 200,
    text_units: 2_000,
    regarding: ("regardingobjectid_", "_phonecall"),
    record: "_regardingobjectid_value",
};

const NOTE: Table = Table {
    name: "annotation",
    set: "annotations",
    closed: None,
    text: "notetext",
    subject_units: 500,
    text_units: 100_000,
    regarding: ("objectid_", ""),
    record: "_objectid_value",
};

/// The end of a description that was cut.
const BESIDE: &str = "\n\nAll of it is in the attached note.";

/// Sender and receiver of a phone call.
const FROM: u8 = 1;
const TO: u8 = 2;

const fn table(kind: ActivityKind) -> &'static Table {
    match kind {
        ActivityKind::Call => &PHONE_CALL,
        ActivityKind::Note => &NOTE,
        ActivityKind::Inmail
        | ActivityKind::Message
        | ActivityKind::SmartLinkView
        | ActivityKind::ConnectionRequest => &TASK,
    }
}

/// See [`Activities::activity_object`](crate::Activities::activity_object).
pub(super) const fn object(kind: ActivityKind) -> &'static str {
    table(kind).name
}

/// See [`Activities::keeps_unassigned`](crate::Activities::keeps_unassigned).
pub(super) const fn keeps_unassigned(kind: ActivityKind) -> bool {
    table(kind).closed.is_some()
}

/// See [`Activities::activity_rules`](crate::Activities::activity_rules). A disabled or deleted user does not
/// become the owner.
pub(super) async fn rules(crm: &Dataverse, owner: Option<&str>) -> Result<ActivityRules, CrmError> {
    let Some(owner) = owner.and_then(|owner| Uuid::parse_str(owner).ok()) else {
        return Ok(ActivityRules::default());
    };
    let query = Query::record("systemusers", owner).select(["isdisabled"]);
    let part = Part::get(&query);
    let answers = crm.batch(multipart::independent(&[part])).await?;
    let answer = one(&answers)?;
    let body = answer.json();
    let owns = match answer.status {
        StatusCode::NOT_FOUND => false,
        status if status.is_success() => body.get("isdisabled") == Some(&Value::Bool(false)),
        status => return Err(classify(status, &body, Record::Task, &[])),
    };
    Ok(ActivityRules {
        owner: owns.then(|| owner.to_string()),
        ..ActivityRules::default()
    })
}

fn one(answers: &[PartAnswer]) -> Result<&PartAnswer, CrmError> {
    answers.first().ok_or(CrmError::Unavailable(StatusCode::OK))
}

/// The address of a record for a bound property; none if an activity cannot belong to such a record.
fn address(record: &RecordRef) -> Option<String> {
    let set = match record.object.as_str() {
        "contact" => CONTACTS,
        "lead" => LEADS,
        "account" => ACCOUNTS,
        _ => return None,
    };
    let id = Uuid::parse_str(&record.id).ok()?;
    Some(format!("/{set}({id})"))
}

/// Binds an activity to its record.
fn bind(table: &Table, record: &RecordRef, values: &mut Map<String, Value>) -> Option<()> {
    let (begin, end) = table.regarding;
    let property = format!("{begin}{}{end}@odata.bind", record.object);
    values.insert(property, json!(address(record)?));
    Some(())
}

/// True if the description of an activity cannot hold its text.
fn overflows(content: &ActivityContent) -> bool {
    let table = table(content.kind);
    let whole = whole_text(content, table.subject_units);
    table.closed.is_some() && whole.encode_utf16().count() > table.text_units
}

/// The part that creates the note beside an activity, if its description cannot hold its text. Its id follows
/// from that of the activity.
fn note_beside(rules: &ActivityRules, content: &ActivityContent) -> Option<Part> {
    if !overflows(content) {
        return None;
    }
    let (table, identity) = (table(content.kind), content.identity);
    let whole = whole_text(content, table.subject_units);
    let subject = fitted(&content.subject, "", NOTE.subject_units);
    let mut values = Map::new();
    let mut put = |name: String, value: String| values.insert(name, json!(value));
    put("subject".to_owned(), subject);
    put(NOTE.text.to_owned(), rich(&whole, NOTE.text_units));
    put(
        format!("objectid_{}@odata.bind", table.name),
        format!("/{}({identity})", table.set),
    );
    if let Some(owner) = &rules.owner {
        put(
            "ownerid@odata.bind".to_owned(),
            format!("/systemusers({owner})"),
        );
    }
    let id = Uuid::new_v5(&identity, b"note");
    Some(patch(&NOTE, id, values, "If-None-Match"))
}

/// The columns of a new activity.
fn columns(
    rules: &ActivityRules,
    content: &ActivityContent,
    regarding: Option<&RecordRef>,
) -> Option<Map<String, Value>> {
    let table = table(content.kind);
    let mut values = Map::new();
    let mut put = |name: &str, value: Value| values.insert(name.to_owned(), value);
    put(
        "subject",
        json!(fitted(&content.subject, "", table.subject_units)),
    );
    let whole = whole_text(content, table.subject_units);
    let text = if table.closed.is_none() {
        rich(&whole, table.text_units)
    } else {
        let behind = if overflows(content) { BESIDE } else { "" };
        fitted(&whole, behind, table.text_units)
    };
    put(table.text, json!(text));
    let owner = rules
        .owner
        .as_ref()
        .map(|owner| format!("/systemusers({owner})"));
    if let Some(owner) = &owner {
        put("ownerid@odata.bind", json!(owner));
    }
    if table.closed.is_some() {
        let at = content.occurred_at.to_string();
        put("actualstart", json!(at));
        put("actualend", json!(at));
    }
    if content.kind == ActivityKind::Call {
        put("directioncode", json!(true));
        let from = owner.map(
            |owner| json!({"partyid_systemuser@odata.bind": owner, "participationtypemask": FROM}),
        );
        let to = regarding.and_then(|record| {
            let property = format!("partyid_{}@odata.bind", record.object);
            Some(json!({property: address(record)?, "participationtypemask": TO}))
        });
        let parties: Vec<Value> = from.into_iter().chain(to).collect();
        put("phonecall_activity_parties", json!(parties));
    }
    if let Some(record) = regarding {
        bind(table, record, &mut values)?;
    }
    Some(values)
}

/// A change of a row by its id.
fn patch(table: &Table, id: Uuid, values: Map<String, Value>, condition: &'static str) -> Part {
    Part {
        method: "PATCH",
        path: Query::record(table.set, id).to_string(),
        headers: vec![(condition, "*".to_owned())],
        body: Some(Value::Object(values)),
    }
}

/// The part that closes an activity.
fn close(table: &Table, id: Uuid) -> Option<Part> {
    let (state, status) = table.closed?;
    let mut values = Map::new();
    values.insert(STATE.to_owned(), json!(state));
    values.insert("statuscode".to_owned(), json!(status));
    Some(patch(table, id, values, "If-Match"))
}

/// See [`Activities::create_activities`](crate::Activities::create_activities).
pub(super) async fn create(
    crm: &Dataverse,
    rules: &ActivityRules,
    new: &[NewActivity],
) -> Result<Outcomes, CrmError> {
    let set = |new: &NewActivity| {
        let (table, id) = (table(new.content.kind), new.content.identity);
        let values = columns(rules, &new.content, new.regarding.as_ref())?;
        let created = patch(table, id, values, "If-None-Match");
        let beside = note_beside(rules, &new.content);
        let closed = new.regarding.as_ref().and_then(|_| close(table, id));
        let parts = std::iter::once(created).chain(beside).chain(closed);
        Some((id, parts.collect()))
    };
    write(crm, new.iter().map(set).collect()).await
}

/// See [`Activities::attach_activities`](crate::Activities::attach_activities).
pub(super) async fn attach(
    crm: &Dataverse,
    attached: &[AttachedActivity],
) -> Result<Outcomes, CrmError> {
    let set = |attached: &AttachedActivity| {
        let table = table(attached.kind);
        let id = Uuid::parse_str(&attached.id).ok()?;
        let mut values = Map::new();
        bind(table, &attached.regarding, &mut values)?;
        let bound = patch(table, id, values, "If-Match");
        Some((id, std::iter::once(bound).chain(close(table, id)).collect()))
    };
    write(crm, attached.iter().map(set).collect()).await
}

/// The parts of an activity's change set, with its id; none if no request can be built.
type Set = Option<(Uuid, Vec<Part>)>;

/// Writes each set by itself, all of it or nothing.
async fn write(crm: &Dataverse, sets: Vec<Set>) -> Result<Outcomes, CrmError> {
    let parts: Vec<&[Part]> = sets
        .iter()
        .flatten()
        .map(|(_, parts)| parts.as_slice())
        .collect();
    let answers = if parts.is_empty() {
        Vec::new()
    } else {
        crm.batch_of_sets(multipart::change_sets(&parts)).await?
    };
    if answers.len() != parts.len() {
        return Err(CrmError::Unavailable(StatusCode::OK));
    }
    let mut answers = answers.into_iter();
    let outcomes = sets.iter().map(|set| {
        // No record has such an id.
        let (id, parts) = set.as_ref().ok_or(CrmError::Missing)?;
        let answers = answers.next().unwrap_or_default();
        if let Some(failed) = answers.iter().find(|answer| !answer.status.is_success()) {
            let sent = parts
                .iter()
                .filter_map(|part| part.body.as_ref()?.as_object());
            let sent: Vec<&str> = sent.flat_map(Map::keys).map(String::as_str).collect();
            let error = classify(failed.status, &failed.json(), Record::Task, &sent);
            return Err(error);
        }
        if answers.len() != parts.len() {
            return Err(CrmError::Unavailable(StatusCode::OK));
        }
        Ok(WrittenRecord {
            record: Record::Task,
            id: id.to_string(),
        })
    });
    Ok(outcomes.collect())
}

/// See [`Activities::find_activities`](crate::Activities::find_activities).
pub(super) async fn find(
    crm: &Dataverse,
    sought: &[SoughtActivity],
) -> Result<Vec<Option<FoundActivity>>, CrmError> {
    let part = |sought: &SoughtActivity| {
        let table = table(sought.content.kind);
        let state = table.closed.map(|_| STATE);
        let columns = state.into_iter().chain([table.record]);
        Part::get(&Query::record(table.set, sought.content.identity).select(columns))
    };
    let parts: Vec<Part> = sought.iter().map(part).collect();
    let answers = crm.batch(multipart::independent(&parts)).await?;
    if answers.len() != sought.len() {
        return Err(CrmError::Unavailable(StatusCode::OK));
    }
    let found = sought.iter().zip(&answers).map(|(sought, answer)| {
        let body = answer.json();
        match classify_found(answer.status, &body) {
            Err(CrmError::Missing) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(FoundActivity {
                object: object(sought.content.kind),
                id: sought.content.identity.to_string(),
                closed: body.get(STATE).and_then(Value::as_i64) != Some(0),
                regarding: body
                    .get(table(sought.content.kind).record)
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            })),
        }
    });
    found.collect()
}

fn classify_found(status: StatusCode, body: &Value) -> Result<(), CrmError> {
    if status.is_success() {
        return Ok(());
    }
    Err(classify(status, body, Record::Task, &[]))
}

#[cfg(test)]
mod tests {
    use domain::clock::Millis;

    use super::*;
    use crate::activity::CUT;

    fn content(kind: ActivityKind) -> ActivityContent {
        ActivityContent {
            kind,
            identity: Uuid::from_u128(7),
            subject: "Subject".to_owned(),
            text: "<b>\n&".to_owned(),
            occurred_at: Millis(1_700_000_000_000),
        }
    }

    fn rules() -> ActivityRules {
        ActivityRules {
            owner: Some("u".to_owned()),
            ..ActivityRules::default()
        }
    }

    #[test]
    fn what_a_description_cannot_hold_is_in_a_note_beside_it() {
        let beside = |content: &ActivityContent| {
            let part = note_beside(&rules(), content)?;
            let body = part.body.unwrap();
            let description = columns(&rules(), content, None).unwrap();
            let subject = description["subject"].as_str().unwrap().chars().count();
            assert!(subject <= 200);
            let text = description["description"].as_str().unwrap().to_owned();
            assert!(text.encode_utf16().count() <= 2_000);
            Some((part.path, body, text))
        };
        let mut own = content(ActivityKind::Message);
        own.text = "x".repeat(2_000);
        assert_eq!(beside(&own), None);
        // A subject that is cut stands above the text.
        own.subject = "S".repeat(250);
        let (path, body, text) = beside(&own).unwrap();
        let id = Uuid::new_v5(&own.identity, b"note");
        assert_eq!(path, Query::record("annotations", id).to_string());
        let at = format!("/tasks({})", own.identity);
        assert_eq!(body["objectid_task@odata.bind"], at);
        assert_eq!(body["ownerid@odata.bind"], "/systemusers(u)");
        let whole = format!("{}<br><br>{}", own.subject, own.text);
        assert_eq!(body["notetext"], whole);
        assert!(text.starts_with(&own.subject) && text.ends_with(&format!("{CUT}{BESIDE}")));
        own.kind = ActivityKind::Call;
        let (_, body, _) = beside(&own).unwrap();
        let at = format!("/phonecalls({})", own.identity);
        assert_eq!(body["objectid_phonecall@odata.bind"], at);
        // A note needs none, and what a request says is its text.
        own.kind = ActivityKind::Note;
        assert!(note_beside(&rules(), &own).is_none());
        own.kind = ActivityKind::ConnectionRequest;
        assert!(note_beside(&rules(), &own).is_none());
    }

    #[test]
    fn each_kind_has_its_table_and_its_columns() {
        let contact = RecordRef::new("contact", Uuid::from_u128(9).to_string());
        let at = format!("/contacts({})", Uuid::from_u128(9));
        let of = |kind, regarding| columns(&rules(), &content(kind), regarding).unwrap();
        let task = of(ActivityKind::Message, Some(&contact));
        assert_eq!(task["regardingobjectid_contact_task@odata.bind"], at);
        assert_eq!(task["ownerid@odata.bind"], "/systemusers(u)");
        assert_eq!(task["description"], "<b>\n&");
        assert_eq!(task["actualstart"], "2023-11-14T22:13:20.000Z");
        assert_eq!(task["subject"], "Subject");
        let call = of(ActivityKind::Call, Some(&contact));
        assert_eq!(call["regardingobjectid_contact_phonecall@odata.bind"], at);
        assert_eq!(
            call["phonecall_activity_parties"],
            json!([
                {"partyid_systemuser@odata.bind": "/systemusers(u)", "participationtypemask": 1},
                {"partyid_contact@odata.bind": at, "participationtypemask": 2},
            ])
        );
        let note = of(ActivityKind::Note, Some(&contact));
        assert_eq!(note["objectid_contact@odata.bind"], at);
        assert_eq!(note["notetext"], "&lt;b&gt;<br>&amp;");
        assert!(!note.contains_key("actualstart"));
        let open = of(ActivityKind::Call, None);
        assert_eq!(
            open["phonecall_activity_parties"].as_array().unwrap().len(),
            1
        );
        for kind in ActivityKind::ALL {
            assert_eq!(keeps_unassigned(kind), kind != ActivityKind::Note);
            assert_eq!(
                close(table(kind), Uuid::nil()).is_some(),
                keeps_unassigned(kind)
            );
        }
        // A note is not cut within an escaped character.
        let long = ActivityContent {
            text: "\"".repeat(30_000),
            ..content(ActivityKind::Note)
        };
        let note = columns(&rules(), &long, Some(&contact)).unwrap();
        let text = note["notetext"].as_str().unwrap();
        assert!(text.encode_utf16().count() <= 100_000);
        assert_eq!(text.replace("&quot;", ""), CUT);
        // Nothing that an activity can belong to.
        let odd = RecordRef::new("contact", "x");
        assert_eq!(
            columns(&rules(), &content(ActivityKind::Note), Some(&odd)),
            None
        );
    }
}
