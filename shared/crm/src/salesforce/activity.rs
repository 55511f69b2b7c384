//! Activities as tasks (object reference, `Task` and `TaskStatus`), and notes in a form of their own (`note.rs`).
//!
//! A lead or contact stands in `WhoId`, an account in `WhatId`; beside a lead there must be nothing in
//! `WhatId`. Whether a task is closed follows from its status, whose values are the organisation's own. An
//! open task has no date: with one, its creation locks the records that it belongs to. A description holds the
//! longest text and the longest subject that there are, so no note beside a task is needed.

use std::collections::{BTreeMap, HashMap};

use domain::activity::ActivityKind;
use domain::clock::Millis;
use domain::directory::RecordRef;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::IDENTITY_FIELD;
use super::client::{BatchResult, Salesforce};
use super::soql::{Condition, Select};
use super::{note, write};
use crate::activity::{fitted, whole_text};
use crate::query::{Literal, encode};
use crate::{
    ActivityContent, ActivityRules, AttachedActivity, Bond, CrmError, FoundActivity, NewActivity,
    NoteForm, Outcomes, Reason, Record, Refusal, SoughtActivity, Write,
};

/// The object.
pub(super) const TASK: &str = "Task";
/// UTF-16 units of a subject.
const SUBJECT: usize = 255;
/// UTF-16 units of a description.
const DESCRIPTION: usize = 32_000;
/// Maximum number of identities or subjects in a query, as a query is part of an address.
pub(super) const NAMED_AT_ONCE: usize = 40;
/// Maximum length of the subjects in a query, encoded, in bytes. One subject is never longer.
const NAMED_BYTES: usize = 8_000;
/// Maximum number of queries in a call.
const QUERIES_AT_ONCE: usize = 25;
/// Tolerance for an organisation's clock that is behind ours, in seconds.
const CLOCK_TOLERANCE_SECONDS: i64 = 600;

/// See [`Activities::activity_rules`](crate::Activities::activity_rules).
pub(super) async fn rules(
    crm: &Salesforce,
    owner: Option<&str>,
) -> Result<ActivityRules, CrmError> {
    let statuses = Select::new(
        "TaskStatus",
        ["ApiName", "SortOrder", "IsDefault", "IsClosed"],
    )
    .order(["SortOrder"])
    .path("query");
    let [content, classic] = note::described();
    let paths = [
        format!("sobjects/{TASK}/describe"),
        statuses,
        content,
        classic,
    ];
    let results = crm.batch(&paths).await?;
    let [described, statuses, content, classic] = results.as_slice() else {
        return Err(CrmError::Unavailable(StatusCode::OK));
    };
    for result in [described, statuses] {
        if !result.status().is_success() {
            return Err(crm.batch_failure(result, Record::Task).await);
        }
    }
    let notes = note::form(crm, content, classic).await?;
    let rules = read_rules(&described.result, &statuses.result, owner)
        .ok_or_else(|| Refusal::new(Record::Task, Reason::Values, "TaskStatus"))?;
    Ok(ActivityRules { notes, ..rules })
}

/// The rules that follow from the describe of tasks and from their statuses; none if a status is missing.
fn read_rules(described: &Value, statuses: &Value, owner: Option<&str>) -> Option<ActivityRules> {
    let fields = described.get("fields")?.as_array()?;
    let named = |name: &str| {
        fields
            .iter()
            .find(|field| field.get("name").and_then(Value::as_str) == Some(name))
    };
    let is = |value: &Value, name: &str| value.get(name) == Some(&Value::Bool(true));
    let identity = named(IDENTITY_FIELD).is_some_and(|field| is(field, "createable"));
    let subtypes = named("TaskSubtype").and_then(|field| field.get("picklistValues")?.as_array());
    let calls = subtypes.into_iter().flatten().any(|choice| {
        is(choice, "active") && choice.get("value").and_then(Value::as_str) == Some("Call")
    });
    let rows = statuses.get("records")?.as_array()?;
    let name = |row: &Value| Some(row.get("ApiName")?.as_str()?.to_owned());
    let closed = rows.iter().find(|row| is(row, "IsClosed"))?;
    let mut open = rows.iter().filter(|row| !is(row, "IsClosed"));
    let first = open.next()?;
    let default = std::iter::once(first)
        .chain(open)
        .find(|row| is(row, "IsDefault"));
    Some(ActivityRules {
        has_identity: identity,
        open_status: name(default.unwrap_or(first))?,
        closed_status: name(closed)?,
        has_calls: calls,
        notes: NoteForm::Activity,
        owner: owner.map(str::to_owned),
    })
}

/// The mark that ends the description of a task in an organisation without our field. It identifies the
/// task among others with the same content.
fn mark(identity: Uuid) -> String {
    format!("\n\n[Leadbridge {identity}]")
}

fn subject(content: &ActivityContent) -> String {
    fitted(&content.subject, "", SUBJECT)
}

/// The fields by which a task belongs to a record, and is closed.
fn belonging(
    rules: &ActivityRules,
    regarding: &RecordRef,
    occurred_at: Millis,
) -> [(&'static str, Value); 3] {
    let field = if regarding.object == "Account" {
        "WhatId"
    } else {
        "WhoId"
    };
    let day: String = occurred_at.to_string().chars().take(10).collect();
    [
        (field, json!(regarding.id)),
        ("Status", json!(rules.closed_status)),
        ("ActivityDate", json!(day)),
    ]
}

fn named(values: impl IntoIterator<Item = (&'static str, Value)>) -> BTreeMap<String, Value> {
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A new task.
fn new_task(rules: &ActivityRules, new: &NewActivity) -> Write {
    let content = &new.content;
    let behind = if rules.has_identity {
        String::new()
    } else {
        mark(content.identity)
    };
    let mut values = named([
        ("Subject", json!(subject(content))),
        (
            "Description",
            json!(fitted(&whole_text(content, SUBJECT), &behind, DESCRIPTION)),
        ),
    ]);
    if content.kind == ActivityKind::Call && rules.has_calls {
        values.insert("TaskSubtype".to_owned(), json!("Call"));
    }
    match &new.regarding {
        Some(record) => values.extend(named(belonging(rules, record, content.occurred_at))),
        None => {
            values.insert("Status".to_owned(), json!(rules.open_status));
        }
    }
    let identity = rules.has_identity.then_some(content.identity);
    Write::create(Record::Task, identity, values)
}

/// See [`Activities::create_activities`](crate::Activities::create_activities).
pub(super) async fn create(
    crm: &Salesforce,
    rules: &ActivityRules,
    new: &[NewActivity],
) -> Result<Outcomes, CrmError> {
    let is_apart = |new: &NewActivity| rules.keeps_apart(new.content.kind);
    if new.first().is_some_and(is_apart) {
        return Ok(told(note::create(crm, rules, new).await?));
    }
    let writes: Vec<Write> = new.iter().map(|new| new_task(rules, new)).collect();
    Ok(told(write::write(crm, &writes, Bond::Each).await?))
}

/// See [`Activities::attach_activities`](crate::Activities::attach_activities).
pub(super) async fn attach(
    crm: &Salesforce,
    rules: &ActivityRules,
    attached: &[AttachedActivity],
) -> Result<Outcomes, CrmError> {
    let is_apart = |attached: &AttachedActivity| rules.attaches_apart(attached.kind);
    if attached.first().is_some_and(is_apart) {
        return Ok(told(note::link(crm, attached).await?));
    }
    let update = |attached: &AttachedActivity| {
        let values = named(belonging(rules, &attached.regarding, attached.occurred_at));
        Write::update(Record::Task, attached.id.clone(), None, values)
    };
    let writes: Vec<Write> = attached.iter().map(update).collect();
    Ok(told(write::write(crm, &writes, Bond::Each).await?))
}

/// Outcomes with a missing record as [`CrmError::Missing`]. The only other reference of a task is its owner,
/// who has signed in, so a failed reference is the record's.
fn told(outcomes: Outcomes) -> Outcomes {
    let gone = |error: &CrmError| matches!(error, CrmError::Refused(refusal) if refusal.code == "INVALID_CROSS_REFERENCE_KEY");
    let tell = |outcome: Result<_, CrmError>| {
        outcome.map_err(|error| {
            if gone(&error) {
                CrmError::Missing
            } else {
                error
            }
        })
    };
    outcomes.into_iter().map(tell).collect()
}

/// See [`Activities::find_activities`](crate::Activities::find_activities).
pub(super) async fn find(
    crm: &Salesforce,
    rules: &ActivityRules,
    sought: &[SoughtActivity],
) -> Result<Vec<Option<FoundActivity>>, CrmError> {
    let is_apart = |sought: &SoughtActivity| rules.keeps_apart(sought.content.kind);
    let (notes, tasks): (Vec<SoughtActivity>, Vec<SoughtActivity>) =
        sought.iter().cloned().partition(is_apart);
    let mut tasks = find_tasks(crm, rules, &tasks).await?.into_iter();
    let mut notes = note::find(crm, rules, &notes).await?.into_iter();
    let found = sought.iter().map(|sought| {
        let of_kind = if is_apart(sought) {
            &mut notes
        } else {
            &mut tasks
        };
        of_kind.next().flatten()
    });
    let mut found: Vec<Option<FoundActivity>> = found.collect();
    for form in [NoteForm::Content, NoteForm::Classic, NoteForm::Activity] {
        if form != rules.notes {
            find_notes_as(crm, rules, form, sought, &mut found).await?;
        }
    }
    Ok(found)
}

/// Looks in another form for notes that are not there in the form of now: an earlier attempt may have made them
/// before Enhanced Notes were switched on or off. Only one that belongs to a record counts, and needs nothing
/// more; one without could not be linked.
async fn find_notes_as(
    crm: &Salesforce,
    rules: &ActivityRules,
    form: NoteForm,
    sought: &[SoughtActivity],
    found: &mut [Option<FoundActivity>],
) -> Result<(), CrmError> {
    let mut missing = Vec::new();
    let mut places = Vec::new();
    for (sought, place) in sought.iter().zip(found.iter_mut()) {
        if sought.content.kind == ActivityKind::Note && place.is_none() {
            missing.push(sought.clone());
            places.push(place);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let rules = ActivityRules {
        notes: form,
        ..rules.clone()
    };
    let there = match form {
        NoteForm::Activity => find_tasks(crm, &rules, &missing).await,
        NoteForm::Content | NoteForm::Classic => note::find(crm, &rules, &missing).await,
    };
    let there = match there {
        Ok(there) => there,
        // The object is switched off, or the user may not see it.
        Err(CrmError::Missing | CrmError::Refused(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    for (place, there) in places.into_iter().zip(there) {
        let there = there.filter(|there| there.regarding.is_some());
        *place = there.map(|there| FoundActivity {
            closed: true,
            ..there
        });
    }
    Ok(())
}

/// Looks up tasks. Archived ones are found too, as a task that happened more than a year ago is archived soon
/// after its creation.
async fn find_tasks(
    crm: &Salesforce,
    rules: &ActivityRules,
    sought: &[SoughtActivity],
) -> Result<Vec<Option<FoundActivity>>, CrmError> {
    let there = || Condition::is("IsDeleted", &Literal::Boolean(false));
    let mut paths = Vec::new();
    for sought in groups(sought) {
        let known: Vec<&str> = sought
            .iter()
            .filter_map(|sought| sought.id.as_deref())
            .collect();
        if !known.is_empty() {
            let own = Condition::one_of("Id", known);
            let query = Select::new(TASK, ["Id", "IsClosed", "WhoId", "WhatId", "Description"])
                .filter(Condition::All(vec![own, there()]));
            paths.push(query.path("queryAll"));
        }
        if rules.has_identity {
            let ids: Vec<String> = sought
                .iter()
                .map(|sought| sought.content.identity.to_string())
                .collect();
            let ids = ids.iter().map(String::as_str);
            let own = Condition::one_of(IDENTITY_FIELD, ids);
            let query = Select::new(TASK, ["Id", "IsClosed", "WhoId", "WhatId", IDENTITY_FIELD])
                .filter(Condition::All(vec![own, there()]));
            paths.push(query.path("queryAll"));
        }
        // Needed even with our field, which may have been added after the attempt.
        let mut subjects: Vec<String> = sought
            .iter()
            .map(|sought| subject(&sought.content))
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        let mut alike = vec![
            Condition::one_of("Subject", subjects.iter().map(String::as_str)),
            Condition::since("CreatedDate", earliest(sought)),
            there(),
        ];
        if let Some(owner) = &rules.owner {
            alike.push(Condition::one_of("OwnerId", [owner.as_str()]));
        }
        let query = Select::new(TASK, ["Id", "IsClosed", "WhoId", "WhatId", "Description"])
            .filter(Condition::All(alike));
        paths.push(query.path("queryAll"));
    }
    let mut found = Found::default();
    for row in all_rows(crm, &paths).await? {
        let (key, task) = read_task(&row).ok_or(CrmError::Unavailable(StatusCode::OK))?;
        found.add(key, task);
    }
    Ok(sought.iter().map(|sought| found.of(sought)).collect())
}

/// Activities that were found, by their id and by the identity that they carry. An identity is never like an
/// id.
#[derive(Default)]
pub(super) struct Found(HashMap<String, FoundActivity>);

impl Found {
    pub(super) fn add(&mut self, identity: Option<String>, found: FoundActivity) {
        if let Some(identity) = identity {
            self.0.insert(identity, found.clone());
        }
        self.0.insert(found.id.clone(), found);
    }

    pub(super) fn of(&self, sought: &SoughtActivity) -> Option<FoundActivity> {
        let known = sought.id.as_ref().and_then(|id| self.0.get(id));
        let identity = sought.content.identity.to_string();
        known.or_else(|| self.0.get(&identity)).cloned()
    }
}

/// All rows of queries, page by page.
pub(super) async fn all_rows(crm: &Salesforce, paths: &[String]) -> Result<Vec<Value>, CrmError> {
    let mut results = Vec::new();
    for paths in paths.chunks(QUERIES_AT_ONCE) {
        results.extend(crm.batch(paths).await?);
    }
    let mut all = Vec::new();
    for result in results {
        let mut page = rows(crm, result).await?;
        loop {
            all.append(&mut page.rows);
            let Some(next) = page.next else { break };
            let answer = crm.call(Method::GET, &next, None).await?;
            if !answer.status.is_success() {
                return Err(crm.failure(&answer).await);
            }
            let body = answer.json().ok_or(CrmError::Unavailable(answer.status))?;
            page = Page::read(&body).ok_or(CrmError::Unavailable(answer.status))?;
        }
    }
    Ok(all)
}

/// The earliest time, by the organisation's clock, at which one of the activities can have been created.
pub(super) fn earliest(sought: &[SoughtActivity]) -> Millis {
    let since = sought.iter().map(|sought| sought.since).min();
    since
        .unwrap_or_default()
        .plus_seconds(-CLOCK_TOLERANCE_SECONDS)
}

/// The activities in groups of which each fits into a query.
pub(super) fn groups(sought: &[SoughtActivity]) -> Vec<&[SoughtActivity]> {
    let mut groups = Vec::new();
    let mut rest = sought;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(NAMED_AT_ONCE).take_while(|sought| {
            bytes += encode(&subject(&sought.content)).len();
            bytes <= NAMED_BYTES
        });
        let (group, others) = rest.split_at(fitting.count().max(1));
        groups.push(group);
        rest = others;
    }
    groups
}

/// A page of a query's rows.
struct Page {
    rows: Vec<Value>,
    /// The path of the next one.
    next: Option<String>,
}

impl Page {
    fn read(body: &Value) -> Option<Self> {
        let next = body.get("nextRecordsUrl").and_then(Value::as_str);
        Some(Self {
            rows: body.get("records")?.as_array()?.clone(),
            next: next.map(str::to_owned),
        })
    }
}

async fn rows(crm: &Salesforce, result: BatchResult) -> Result<Page, CrmError> {
    let status = result.status();
    if !status.is_success() {
        return Err(crm.batch_failure(&result, Record::Task).await);
    }
    Page::read(&result.result).ok_or(CrmError::Unavailable(status))
}

/// A task, and the identity that it carries in our field or in the mark that ends its description.
fn read_task(row: &Value) -> Option<(Option<String>, FoundActivity)> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let marked = || {
        let (_, end) = text("Description")?.rsplit_once("[Leadbridge ")?;
        let id = end.trim_end().strip_suffix(']')?;
        Some(Uuid::try_parse(id).ok()?.to_string())
    };
    let identity = text(IDENTITY_FIELD).map(str::to_owned).or_else(marked);
    let task = FoundActivity {
        object: TASK,
        id: text("Id")?.to_owned(),
        closed: row.get("IsClosed")?.as_bool()?,
        regarding: text("WhoId").or_else(|| text("WhatId")).map(str::to_owned),
    };
    Some((identity, task))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(has_identity: bool) -> ActivityRules {
        ActivityRules {
            has_identity,
            open_status: "Offen".to_owned(),
            closed_status: "Erledigt".to_owned(),
            has_calls: true,
            notes: NoteForm::Activity,
            owner: None,
        }
    }

    fn new(kind: ActivityKind, regarding: Option<(&str, &str)>) -> NewActivity {
        NewActivity {
            content: ActivityContent {
                kind,
                identity: Uuid::from_u128(7),
                subject: "S".repeat(300),
                text: "Hi".to_owned(),
                occurred_at: Millis(1_700_000_000_000),
            },
            regarding: regarding.map(|(object, id)| RecordRef::new(object, id)),
        }
    }

    #[test]
    fn statuses_are_the_organisations_own() {
        let described = json!({"fields": [
            {"name": "Leadbridge_Id__c", "createable": true},
            {"name": "TaskSubtype", "picklistValues": [{"value": "Call", "active": false}]},
        ]});
        let status = |name: &str, closed: bool, default: bool| json!({"ApiName": name, "IsClosed": closed, "IsDefault": default});
        let read = |rows: Vec<Value>| read_rules(&described, &json!({ "records": rows }), None);
        let all = vec![
            status("Neu", false, false),
            status("Erledigt", true, false),
            status("Offen", false, true),
            status("Abgelegt", true, false),
        ];
        let found = read(all).unwrap();
        assert_eq!(
            (found.open_status.as_str(), found.closed_status.as_str()),
            ("Offen", "Erledigt")
        );
        assert!(found.has_identity && !found.has_calls);
        // A closed default is not a status for open tasks.
        let closed = read(vec![
            status("Done", true, true),
            status("New", false, false),
        ]);
        assert_eq!(closed.unwrap().open_status, "New");
        assert_eq!(read(vec![status("New", false, true)]), None);
        assert_eq!(read(Vec::new()), None);
    }

    #[test]
    fn a_task_belongs_to_one_record_in_the_right_field() {
        let values = |kind, regarding| new_task(&rules(true), &new(kind, regarding)).values;
        let of_lead = values(ActivityKind::Call, Some(("Lead", "00Q1")));
        assert_eq!(of_lead["WhoId"], "00Q1");
        assert!(!of_lead.contains_key("WhatId"));
        assert_eq!(
            (&of_lead["Status"], &of_lead["ActivityDate"]),
            (&json!("Erledigt"), &json!("2023-11-14"))
        );
        assert_eq!(of_lead["TaskSubtype"], "Call");
        let of_account = values(ActivityKind::Note, Some(("Account", "0011")));
        assert_eq!(of_account["WhatId"], "0011");
        assert!(!of_account.contains_key("WhoId"));
        let open = values(ActivityKind::Message, None);
        assert_eq!(open["Status"], "Offen");
        for name in ["WhoId", "WhatId", "ActivityDate", "TaskSubtype"] {
            assert!(!open.contains_key(name), "{name}");
        }
        assert_eq!(open["Subject"].as_str().unwrap().chars().count(), SUBJECT);
        let (whole, hi) = ("S".repeat(300), "Hi");
        assert_eq!(open["Description"], format!("{whole}\n\n{hi}"));
        let mut short = new(ActivityKind::Message, None);
        short.content.subject = "S".repeat(SUBJECT);
        assert_eq!(new_task(&rules(true), &short).values["Description"], hi);
    }

    #[test]
    fn a_description_holds_the_longest_text_with_the_longest_subject() {
        let mut new = new(ActivityKind::Inmail, None);
        new.content.subject = "S".repeat(700);
        new.content.text = "x".repeat(domain::activity::MAX_TEXT);
        let written = new_task(&rules(false), &new).values;
        let text = written["Description"].as_str().unwrap();
        let whole = format!("{}\n\n{}", new.content.subject, new.content.text);
        assert!(text.starts_with(&whole) && !text.contains(crate::activity::CUT));
    }

    #[test]
    fn without_our_field_a_task_is_found_by_its_mark() {
        let unmarked = rules(false);
        let mut long = new(ActivityKind::Message, None);
        long.content.text = "x".repeat(DESCRIPTION);
        for new in [new(ActivityKind::Message, None), long] {
            let written = new_task(&unmarked, &new).values;
            let row =
                json!({"Id": "00T1", "IsClosed": false, "Description": written["Description"]});
            let (identity, task) = read_task(&row).unwrap();
            assert_eq!(identity, Some(Uuid::from_u128(7).to_string()));
            assert_eq!(task.id, "00T1");
        }
        for text in [
            "",
            "[Leadbridge ",
            "[Leadbridge x]",
            "[Leadbridge 7] and more",
        ] {
            let row = json!({"Id": "00T1", "IsClosed": false, "Description": text});
            assert_eq!(read_task(&row).unwrap().0, None, "{text}");
        }
    }

    #[test]
    fn long_subjects_are_sought_in_queries_that_fit_into_an_address() {
        let sought = |title: &str| {
            let mut content = new(ActivityKind::Inmail, None).content;
            content.subject = title.to_owned();
            SoughtActivity {
                content,
                since: Millis::default(),
                id: None,
            }
        };
        for (title, largest) in [("Short", NAMED_AT_ONCE), ("名".repeat(300).as_str(), 3)] {
            let all = vec![sought(title); 90];
            let groups = groups(&all);
            let sizes: Vec<usize> = groups.iter().map(|group| group.len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), 90);
            assert_eq!(sizes.iter().max(), Some(&largest), "{title}");
        }
    }

    proptest! {
        #[test]
        fn any_row_is_read_or_refused(text in "\\PC{0,40}", end in "\\PC{0,10}") {
            let row = json!({"Id": text, "IsClosed": true, "Description": format!("{text}[Leadbridge {end}")});
            let _ = read_task(&row);
            let _ = read_rules(&row, &json!({"records": [row, text]}), None);
        }
    }
}
