//! Update of the lead or contact that a person is linked to, field by field, by a seat holder (LC-6, LC-7).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::create::record_not_found;
use super::values::{self, FormField, as_text, is_same};
use super::{ByUser, Failed, LEASE_SECONDS, Limits, record_of, refused};
use crate::clock::Millis;
use crate::crm::{Bond, Crm, CrmError, SeenRecord, Write};
use crate::domain::directory::{EntryId, RecordRef};
use crate::domain::schema::{FieldType, LeadField};
use crate::domain::signature::sha256_hex;
use crate::domain::user_writes::{
    MONTHLY_LIMIT, Month, PersonObject, TakenWrite, UserWrite, WriteKind, in_progress,
    limit_reached, write_id,
};
use crate::problem::Problem;
use crate::store::{StoreError, UserWriteKey};

/// Most fields of an update.
const MAX_FIELDS: usize = 50;

/// A field with the person's value and the record's, side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedField {
    /// The field as the CRM describes it to the user.
    pub field: LeadField,
    /// True for a field that the organisation requires beside those that every form has.
    pub custom: bool,
    /// The person's value, in the form in which it is sent; empty if there is none.
    pub ours: String,
    /// The record's value; empty if there is none.
    pub theirs: String,
    /// True if the person's value is known and means something else than the record's.
    pub differs: bool,
}

/// A person and the record that it is, field by field.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The record.
    pub record: RecordRef,
    /// Lead or contact.
    pub object: PersonObject,
    /// The administrator has switched updates on.
    pub enabled: bool,
    /// The version of the record, for the update.
    pub version: String,
    /// Time of the record's last change.
    pub changed_at: Option<Millis>,
    /// The fields for which either has a value.
    pub fields: Vec<ComparedField>,
    /// The writes that are left in the month.
    pub limits: Limits,
}

/// A field that an update changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedField {
    /// The CRM's name for the field.
    pub field: String,
    /// Display name.
    pub label: String,
    /// The record's value before; empty if there was none.
    pub before: String,
    /// The value after; empty if there is none.
    pub after: String,
}

/// The outcome of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// The fields that were changed; none if the record had all values already.
    pub changes: Vec<ChangedField>,
    /// The two after the update.
    pub comparison: Comparison,
}

/// The record that a person is linked to, as the seat holder sees it.
struct Opened {
    crm: Box<dyn Crm>,
    record: RecordRef,
    object: PersonObject,
    form: Vec<FormField>,
    seen: SeenRecord,
}

impl Opened {
    fn theirs(&self, field: &LeadField) -> &Value {
        self.seen.values.get(&field.name).unwrap_or(&Value::Null)
    }
}

impl ByUser<'_> {
    /// The person and the record that it is linked to, field by field.
    ///
    /// # Errors
    /// Returns `not_found`, `not_matched`, `record_not_found`, `user_sign_in_needed`, and the CRM's refusals.
    pub async fn comparison(&self, id: EntryId) -> Result<Comparison, Problem> {
        let opened = self.opened(id).await?;
        self.compared(&opened).await
    }

    async fn opened(&self, id: EntryId) -> Result<Opened, Problem> {
        let (entry, matched) = self.entry(id).await?;
        let kind = self.kind();
        let linked = Self::linked(matched.as_ref());
        let linked =
            linked.and_then(|record| Some((PersonObject::of(kind, &record.object)?, record)));
        let Some((object, record)) = linked else {
            return Err(Problem::new(
                409,
                "not_matched",
                "This person is linked to no record in the CRM.",
                "Match the person with a record, or create one.",
            ));
        };
        let crm = self.open().await?;
        let described = crm.fields_of(record_of(object)).await;
        let described = described.map_err(|error| self.told(&error))?;
        let known = self.known(&entry);
        let region = self.region();
        let mut form = values::layout(crm.as_ref(), kind, object, &described, &known, region);
        // Of a record that is there, its source is what it is.
        for field in &mut form {
            if field.origin == Some(values::ValueOrigin::Settings) {
                field.value.clear();
            }
        }
        let seen = self.see(crm.as_ref(), object, record, &form).await?;
        Ok(Opened {
            crm,
            record: record.clone(),
            object,
            form,
            seen,
        })
    }

    async fn see(
        &self,
        crm: &dyn Crm,
        object: PersonObject,
        record: &RecordRef,
        form: &[FormField],
    ) -> Result<SeenRecord, Problem> {
        let names: Vec<&str> = form.iter().map(|field| field.field.name.as_str()).collect();
        let seen = crm.see(record_of(object), &record.id, &names).await;
        let seen = seen.map_err(|error| self.told(&error))?;
        seen.ok_or_else(record_not_found)
    }

    async fn compared(&self, opened: &Opened) -> Result<Comparison, Problem> {
        let region = self.region();
        let compared = |known: &FormField| {
            let field = &known.field;
            let theirs = opened.theirs(field);
            let ours = Value::from(known.value.as_str());
            let is_known = !known.value.is_empty();
            ComparedField {
                custom: known.role.is_none(),
                differs: is_known && !is_same(&ours, theirs, field, region),
                ours: known.value.clone(),
                theirs: as_text(theirs),
                field: field.clone(),
            }
        };
        let fields = opened.form.iter().map(compared);
        Ok(Comparison {
            record: opened.record.clone(),
            object: opened.object,
            enabled: self.is_enabled(opened.object, WriteKind::Update),
            version: opened.seen.version.clone(),
            changed_at: opened.seen.modified,
            fields: fields
                .filter(|field| !field.ours.is_empty() || !field.theirs.is_empty())
                .collect(),
            limits: self.limits().await?,
        })
    }

    /// Changes fields of the record that a person is linked to, as the seat holder. The owner stays.
    ///
    /// `version` is that of the comparison which the user looked at.
    ///
    /// # Errors
    /// Returns a problem with its next step: `not_found`, `not_matched`, `record_not_found`,
    /// `record_changed`, `update_leads_off`, `update_contacts_off`, `user_sign_in_needed`,
    /// `write_in_progress`, `monthly_limit`, `invalid_batch`; for values `unknown_field`, `not_writable`,
    /// `required`, `not_a_choice`, `value_does_not_fit`; and the CRM's refusals. Nothing is changed then,
    /// except if the CRM's answer was lost: send the same request again.
    pub async fn update(
        &self,
        id: EntryId,
        version: &str,
        given: &BTreeMap<String, Value>,
    ) -> Result<Updated, Problem> {
        if !(1..=MAX_FIELDS).contains(&given.len()) {
            return Err(refused(
                422,
                "invalid_batch",
                "values",
                format!("An update has 1 to {MAX_FIELDS} fields."),
                "Send the fields that are to change.",
            ));
        }
        let mut opened = self.opened(id).await?;
        self.check_enabled(opened.object, WriteKind::Update)?;
        let values = values::checked(&opened.form, given, WriteKind::Update, self.region())?;
        let changes = self.changes(&opened, &values);
        let content = json!([id, opened.record, version, values]).to_string();
        let digest = sha256_hex(&[content.as_bytes()]);
        let (store, contract) = (&self.remote.store, &self.config.contract.id);
        let write = UserWriteKey {
            contract,
            seat: self.seat,
            kind: WriteKind::Update,
            id: write_id(
                contract,
                WriteKind::Update,
                &[&self.seat.to_string(), &digest],
            ),
        };
        let before: BTreeMap<&str, String> = changes
            .iter()
            .map(|change| (change.field.as_str(), change.before.clone()))
            .collect();
        let before = json!(before).to_string();
        let now = self.now();
        let lease = now.plus_seconds(LEASE_SECONDS);
        let taken = store.take_user_write(write, &digest, &before, now, lease);
        let taken = match taken.await.map_err(|error| error.problem())? {
            TakenWrite::Mine(taken) => taken,
            TakenWrite::Busy(until) => return Err(in_progress(until, now)),
            // The id follows from the content.
            TakenWrite::OtherContent => return Err(StoreError::Conflict.problem()),
            TakenWrite::Done(_, done) => {
                return Ok(Updated {
                    changes: changes_since(&done, &opened, &values),
                    comparison: self.compared(&opened).await?,
                });
            }
        };
        let done = self
            .change(&opened, write, &taken, version, &values, &changes)
            .await?;
        if done {
            self.finish(id, &opened, write, &taken, &values).await?;
        }
        opened.seen = self
            .see(
                opened.crm.as_ref(),
                opened.object,
                &opened.record,
                &opened.form,
            )
            .await?;
        // Also those of an attempt whose answer was lost.
        let changes = if done {
            changes_since(&taken, &opened, &values)
        } else {
            Vec::new()
        };
        Ok(Updated {
            changes,
            comparison: self.compared(&opened).await?,
        })
    }

    /// The fields whose values would change.
    fn changes(&self, opened: &Opened, values: &BTreeMap<String, Value>) -> Vec<ChangedField> {
        let change = |(name, value): (&String, &Value)| {
            let known = opened.form.iter().find(|field| field.field.name == *name)?;
            let theirs = opened.theirs(&known.field);
            let same = if matches!(
                known.field.field_type,
                FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::DateTime
            ) {
                is_same(value, theirs, &known.field, self.region())
            } else {
                // What a user writes differently is meant differently.
                as_text(value) == as_text(theirs)
            };
            (!same).then(|| ChangedField {
                field: name.clone(),
                label: known.field.label.clone(),
                before: as_text(theirs),
                after: as_text(value),
            })
        };
        values.iter().filter_map(change).collect()
    }

    /// Writes the changes. Returns `false` if there was nothing to change.
    async fn change(
        &self,
        opened: &Opened,
        write: UserWriteKey<'_>,
        taken: &UserWrite,
        version: &str,
        values: &BTreeMap<String, Value>,
        changes: &[ChangedField],
    ) -> Result<bool, Problem> {
        let store = &self.remote.store;
        let month = Month::of(taken.planned_at);
        if taken.attempts > 1 && is_made(opened, taken, version, changes) {
            return Ok(true);
        }
        if changes.is_empty() {
            let returned = store.return_user_write(write, taken, None).await;
            return returned.map(|()| false).map_err(|error| error.problem());
        }
        let written = self
            .write_once(opened, write, taken, version, values, changes)
            .await;
        let (problem, free_at) = match written {
            Ok(()) => return Ok(true),
            Err(Failed::NoEffect(problem)) => {
                let released = store.release_user_write(write, &month).await;
                released.map_err(|error| error.problem())?;
                (problem, None)
            }
            // A second attempt has no effect if the first one had: the version is another one then.
            Err(Failed::Unknown(problem)) => (problem, Some(self.now())),
        };
        if let Err(error) = store.return_user_write(write, taken, free_at).await {
            // It is free when its lease ends.
            error.log();
        }
        Err(problem)
    }

    async fn write_once(
        &self,
        opened: &Opened,
        write: UserWriteKey<'_>,
        taken: &UserWrite,
        version: &str,
        values: &BTreeMap<String, Value>,
        changes: &[ChangedField],
    ) -> Result<(), Failed> {
        if opened.seen.version != version {
            return Err(Failed::NoEffect(record_changed()));
        }
        let (store, month) = (&self.remote.store, Month::of(taken.planned_at));
        if !store
            .reserve_user_write(write, &month, MONTHLY_LIMIT)
            .await?
        {
            let limit = limit_reached(WriteKind::Update, &month, self.now());
            return Err(Failed::NoEffect(limit));
        }
        let new_values = changes.iter().filter_map(|change| {
            let value = values.get(&change.field)?;
            Some((change.field.clone(), value.clone()))
        });
        let update = Write::update(
            record_of(opened.object),
            opened.record.id.clone(),
            Some(version.to_owned()),
            new_values.collect(),
        );
        let outcomes = opened.crm.write(&[update], Bond::Each).await;
        let outcome = outcomes.map(|outcomes| outcomes.into_iter().next());
        match outcome {
            Ok(Some(Ok(_))) => Ok(()),
            Ok(Some(Err(CrmError::Changed)) | None) => Err(Failed::NoEffect(record_changed())),
            Ok(Some(Err(CrmError::Missing))) => Err(Failed::NoEffect(record_not_found())),
            Ok(Some(Err(error))) | Err(error) => Err(self.failed(&error, taken)),
        }
    }

    /// Stores that an update was carried out, with its audit entry.
    async fn finish(
        &self,
        id: EntryId,
        opened: &Opened,
        write: UserWriteKey<'_>,
        taken: &UserWrite,
        values: &BTreeMap<String, Value>,
    ) -> Result<(), Problem> {
        let before: Value = serde_json::from_str(&taken.before).unwrap_or_default();
        let after: BTreeMap<&str, String> = values
            .iter()
            .filter(|(name, _)| before.get(name.as_str()).is_some())
            .map(|(name, value)| (name.as_str(), as_text(value)))
            .collect();
        let action = format!("crm.{}.update", opened.object.as_str());
        let of = |values: Value| json!({ "record": &opened.record, "values": values });
        let audit = self.audit(&action, id, of(before), of(json!(after)));
        let store = &self.remote.store;
        store
            .finish_user_write(write, taken, &opened.record, &audit)
            .await
            .map_err(|error| error.problem())
    }
}

/// True if an attempt whose answer was lost has changed the record: it has all the values, or, where somebody
/// changed it since, one of those that it did not have before. A write is carried out as a whole or not at all.
fn is_made(opened: &Opened, taken: &UserWrite, version: &str, changes: &[ChangedField]) -> bool {
    let planned: BTreeMap<String, String> = serde_json::from_str(&taken.before).unwrap_or_default();
    let is_there = |name: &String| changes.iter().all(|change| change.field != *name);
    changes.is_empty() || opened.seen.version != version && planned.keys().any(is_there)
}

/// The changes from the values that the first attempt found.
fn changes_since(
    taken: &UserWrite,
    opened: &Opened,
    values: &BTreeMap<String, Value>,
) -> Vec<ChangedField> {
    let before: BTreeMap<String, String> = serde_json::from_str(&taken.before).unwrap_or_default();
    let change = |(field, before): (String, String)| {
        let known = opened.form.iter().find(|known| known.field.name == field)?;
        let after = values.get(&field).map(as_text)?;
        Some(ChangedField {
            label: known.field.label.clone(),
            field,
            before,
            after,
        })
    };
    before.into_iter().filter_map(change).collect()
}

fn record_changed() -> Problem {
    Problem::new(
        409,
        "record_changed",
        "The record was changed in the CRM since you looked at it.",
        "Look at its values again, then decide.",
    )
}
