//! The parts of contacts in opportunities: connections from an opportunity to a contact, with a role of the
//! category *Stakeholder* as the contact's.

use http::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Dataverse;
use super::errors::classify;
use super::form::{insert, rows, spec, text};
use super::odata::{Filter, Query};
use super::{CONNECTIONS, CONTACTS, STATE};
use crate::form::{NewPart, OfferedPart, PARTS_OFFERED};
use crate::query::Literal;
use crate::{CrmError, Record};
use domain::vocabulary::Role;

const OPPORTUNITIES: &str = "opportunities";
const ROLES: &str = "connectionroles";
/// The columns of a role with its id and its name.
const ROLE: [&str; 2] = ["connectionroleid", "name"];
/// The category *Stakeholder* of a role.
const STAKEHOLDER: f64 = 1000.0;

async fn read(crm: &Dataverse, query: &Query) -> Result<Vec<Value>, CrmError> {
    let answer = crm.session.send(crm.request(Method::GET, query)?).await?;
    let body: Value = answer.json().unwrap_or_default();
    rows(answer.status, &body, Record::Part)
}

/// See [`Forms::parts`](crate::Forms::parts).
pub(super) async fn parts(crm: &Dataverse) -> Result<Vec<OfferedPart>, CrmError> {
    let [id, name] = ROLE;
    let query = Query::of(ROLES)
        .select(ROLE)
        .filter(Filter::All(vec![
            Filter::is("category", &Literal::Number(STAKEHOLDER)),
            Filter::is(STATE, &Literal::Number(0.0)),
        ]))
        .order([name, id])
        .top(PARTS_OFFERED);
    let parts = read(crm, &query).await?.into_iter();
    Ok(parts
        .map(|row| OfferedPart {
            value: text(&row, id),
            label: text(&row, name),
        })
        .collect())
}

/// See [`Forms::part_of`](crate::Forms::part_of).
pub(super) async fn part_of(
    crm: &Dataverse,
    contact: &str,
    opportunity: &str,
) -> Result<Option<String>, CrmError> {
    let spec = spec(Record::Part);
    let (Ok(contact), Ok(opportunity)) = (Uuid::parse_str(contact), Uuid::parse_str(opportunity))
    else {
        return Ok(None);
    };
    let query = Query::of(CONNECTIONS)
        .select([spec.key()])
        .filter(Filter::All(vec![
            Filter::one_of(spec.named(Role::Opportunity), [opportunity]),
            Filter::one_of(spec.named(Role::Contact), [contact]),
            Filter::is(STATE, &Literal::Number(0.0)),
        ]))
        .order([spec.key()])
        .top(1);
    let found = read(crm, &query).await?;
    let id = found.first().map(|row| text(row, spec.key()));
    Ok(id.filter(|id| !id.is_empty()))
}

/// See [`Forms::create_part`](crate::Forms::create_part).
pub(super) async fn create(crm: &Dataverse, new: &NewPart<'_>) -> Result<String, CrmError> {
    let named = [
        (
            "record1id_opportunity",
            OPPORTUNITIES,
            Some(new.opportunity),
        ),
        ("record2id_contact", CONTACTS, Some(new.contact)),
        ("record2roleid", ROLES, new.part),
    ];
    let mut values = Map::new();
    for (property, set, id) in named {
        let Some(id) = id else { continue };
        // No record has an id of another form.
        let id = Uuid::parse_str(id).map_err(|_| CrmError::Missing)?;
        let bound = json!(format!("/{set}({id})"));
        values.insert(format!("{property}@odata.bind"), bound);
    }
    let answer = insert(crm, (CONNECTIONS, new.identity), values, true).await?;
    let id = new.identity.to_string();
    if answer.status.is_success() {
        return Ok(id);
    }
    let body: Value = answer.json().unwrap_or_default();
    match classify(answer.status, &body, Record::Part, &[]) {
        CrmError::Exists => Ok(id),
        error => Err(error),
    }
}
