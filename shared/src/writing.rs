//! Creation of records in a CRM: one rule for handling refusals, for leads from forms and for records that
//! people create from the directory.
//!
//! A value that the CRM refuses is left out, and the rest is created: nothing is lost for one bad field. The
//! caller is told the omissions and their reasons. A dependent record, like the contact of a lead, is left
//! out as a whole if none of its values can be taken out.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::crm::{
    Bond, CrmError, Outcomes, Reason, Record, Refusal, Tie, Write, Writer, WrittenRecord,
    contact_identity,
};
use crate::domain::schema::LeadSchema;

/// Maximum number of calls in which refused values are left out.
const MAX_ROUNDS: usize = 8;

/// A value or record that the CRM refused, and without which the rest was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Omission {
    /// The record.
    pub record: Record,
    /// The field; `None` if the whole record was left out.
    pub field: Option<String>,
    /// The CRM's refusal.
    pub refusal: Refusal,
}

/// The outcome of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// The records were created, in the order of the remaining writes.
    Created(Vec<WrittenRecord>),
    /// A record of this identity already exists, from an earlier attempt: the one wanted, or one that belongs
    /// to it.
    Exists(Record),
}

/// The writes of a new lead, and of its contact if one is wanted: the contact gets the lead's values for the
/// fields that it has.
#[must_use]
pub fn new_lead(
    crm: &dyn Writer,
    schema: &LeadSchema,
    identity: Uuid,
    values: &BTreeMap<String, Value>,
    with_contact: bool,
) -> Vec<Write> {
    let keep = |identity: Uuid| schema.has_identity.then_some(identity);
    let mut lead = Write::create(Record::Lead, keep(identity), values.clone());
    if !with_contact {
        return vec![lead];
    }
    if schema.has_contact_link {
        lead.tie = Tie::ToContactOfRequest;
    }
    let fields = values.iter().filter_map(|(name, value)| {
        let field = crm.contact_field(name)?;
        let there = schema.contact_fields.iter().any(|known| known == field);
        there.then(|| (field.to_owned(), value.clone()))
    });
    let contact = keep(contact_identity(identity));
    vec![
        Write::create(Record::Contact, contact, fields.collect()),
        lead,
    ]
}

/// Creates records that belong together, all or none: the one wanted is the last of them. One call, and one
/// more for each round of values that are left out.
///
/// `is_required` returns true for a field that the record cannot be without.
///
/// # Errors
/// Returns [`CrmError::Refused`] if the CRM refuses the wanted record whatever is left out.
pub async fn create(
    crm: &dyn Writer,
    writes: &mut Vec<Write>,
    is_required: impl Fn(Record, &str) -> bool,
    omitted: &mut Vec<Omission>,
) -> Result<Made, CrmError> {
    let mut last = None;
    for _ in 0..MAX_ROUNDS {
        let outcomes = match crm.write(writes, Bond::AllOrNone).await {
            Ok(outcomes) => first_error(outcomes),
            // A request that is refused as a whole counts as a refusal of the record wanted.
            Err(error) => Err((writes.len().saturating_sub(1), error)),
        };
        let (index, error) = match outcomes {
            Ok(written) => return Ok(Made::Created(written)),
            Err(failed) => failed,
        };
        let refusal = match error {
            CrmError::Exists => {
                let record = writes.get(index).map_or(Record::Lead, |write| write.record);
                return Ok(Made::Exists(record));
            }
            CrmError::Refused(refusal) => *refusal,
            error => return Err(error),
        };
        if !leave_out(crm, writes, index, &refusal, &is_required, omitted) {
            return Err(refusal.into());
        }
        last = Some(refusal);
    }
    Err(last.map_or(CrmError::Changed, CrmError::from))
}

/// The written records, or the first that failed on its own account.
fn first_error(outcomes: Outcomes) -> Result<Vec<WrittenRecord>, (usize, CrmError)> {
    let mut written = Vec::new();
    let mut failed: Option<(usize, CrmError)> = None;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(record) => written.push(record),
            Err(error) => {
                let innocent = matches!(error, CrmError::RolledBack);
                match &failed {
                    Some((_, CrmError::RolledBack)) if !innocent => failed = Some((index, error)),
                    None => failed = Some((index, error)),
                    Some(_) => {}
                }
            }
        }
    }
    failed.map_or(Ok(written), Err)
}

/// Takes out the fields or records that a refusal names; returns `false` if nothing can be taken out.
fn leave_out(
    crm: &dyn Writer,
    writes: &mut Vec<Write>,
    index: usize,
    refusal: &Refusal,
    is_required: &impl Fn(Record, &str) -> bool,
    omitted: &mut Vec<Omission>,
) -> bool {
    let wanted = index + 1 >= writes.len();
    let Some(write) = writes.get_mut(index) else {
        return false;
    };
    let record = write.record;
    // Without our field an identity is not kept unique, so nothing can be created.
    if refusal.reason == Reason::NoIdentityField {
        return false;
    }
    let before = omitted.len();
    for field in &refusal.fields {
        if !is_required(record, field) && write.values.remove(field).is_some() {
            omitted.push(Omission {
                record,
                field: Some(field.clone()),
                refusal: refusal.clone(),
            });
        }
    }
    if let Some(taken) = omitted.get(before..)
        && !taken.is_empty()
    {
        // The contact has the lead's values: a value that one refuses is not tried on the other.
        let fields = taken.iter().filter_map(|omission| omission.field.as_ref());
        let of_contact: Vec<&str> = fields
            .filter_map(|field| crm.contact_field(field))
            .collect();
        if record == Record::Lead {
            for contact in writes
                .iter_mut()
                .filter(|write| write.record == Record::Contact)
            {
                contact
                    .values
                    .retain(|name, _| !of_contact.contains(&name.as_str()));
            }
        }
        return true;
    }
    if wanted {
        return false;
    }
    writes.remove(index);
    omitted.push(Omission {
        record,
        field: None,
        refusal: refusal.clone(),
    });
    true
}

/// Sets fields of up to [`MOST_AT_ONCE`](crate::crm::MOST_AT_ONCE) records, each independently. One call.
///
/// # Errors
/// Returns [`CrmError`] if the call as a whole has no outcome.
pub async fn update_each(crm: &dyn Writer, writes: &[Write]) -> Result<Outcomes, CrmError> {
    crm.write(writes, Bond::Each).await
}

/// Sets fields of a record; refused fields are left out. One call, and one more for each round of values that
/// are left out; no call if nothing is left to set.
///
/// # Errors
/// Returns [`CrmError`] if the CRM refuses without naming a field, or did not carry it out.
pub async fn update(
    crm: &dyn Writer,
    write: Write,
    omitted: &mut Vec<Omission>,
) -> Result<Write, CrmError> {
    let mut writes = vec![write];
    for _ in 0..MAX_ROUNDS {
        if writes.iter().all(|write| write.values.is_empty()) {
            break;
        }
        match first_error(crm.write(&writes, Bond::Each).await?) {
            Ok(_) => break,
            Err((index, CrmError::Refused(refusal))) => {
                let is_required = |_: Record, _: &str| false;
                if !leave_out(crm, &mut writes, index, &refusal, &is_required, omitted) {
                    return Err(CrmError::Refused(refusal));
                }
            }
            Err((_, error)) => return Err(error),
        }
    }
    writes.pop().ok_or(CrmError::Changed)
}
