//! The inputs and answers of the directory's routes.

use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use shared::domain::directory::{EntryId, EntryKind, How, MatchState, Origin, RecordRef};
use shared::problem::Problem;
use utoipa::ToSchema;

use super::validation::FindingView;

/// A person or a company. A field whose value is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct RecordFields {
    /// A person's first name.
    #[serde(skip_serializing_if = "String::is_empty")]
    first_name: String,
    /// A person's last name.
    #[serde(skip_serializing_if = "String::is_empty")]
    last_name: String,
    /// A company's name; or a person's full name, where its parts are not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    emails: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phones: Vec<String>,
    /// A person's job title.
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    /// The name of a person's employer.
    #[serde(skip_serializing_if = "String::is_empty")]
    company: String,
    /// The company's website.
    #[serde(skip_serializing_if = "String::is_empty")]
    website: String,
    /// House number and street.
    #[serde(skip_serializing_if = "String::is_empty")]
    street: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    city: String,
    /// State or province.
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    /// Postal code.
    #[serde(skip_serializing_if = "String::is_empty")]
    postcode: String,
    /// Country, by name or code.
    #[serde(skip_serializing_if = "String::is_empty")]
    country: String,
}

impl From<matching::Record> for RecordFields {
    fn from(record: matching::Record) -> Self {
        Self {
            first_name: record.first_name,
            last_name: record.last_name,
            name: record.name,
            emails: record.emails,
            phones: record.phones,
            title: record.title,
            company: record.company,
            website: record.website,
            street: record.street,
            city: record.city,
            state: record.state,
            postcode: record.postcode,
            country: record.country,
        }
    }
}

/// An entry as people and systems send it, with at least one value that identifies the person or company.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct EntryInput {
    /// The id in the system that it comes from. An entry sent again with the same id is the same entry, even
    /// if other values have changed. Without an id, people are identified by e-mail address, else by phone
    /// and name, else by name and company; companies by website, else by name and country.
    #[serde(default)]
    pub(super) external_id: Option<String>,
    /// A person's first name.
    #[serde(default)]
    first_name: String,
    /// A person's last name.
    #[serde(default)]
    last_name: String,
    /// A company's name; or a person's full name, where its parts are not known.
    #[serde(default)]
    name: String,
    #[serde(default)]
    emails: Vec<String>,
    #[serde(default)]
    phones: Vec<String>,
    /// A person's job title.
    #[serde(default)]
    title: String,
    /// The name of a person's employer.
    #[serde(default)]
    company: String,
    /// The company's website.
    #[serde(default)]
    website: String,
    /// House number and street.
    #[serde(default)]
    street: String,
    #[serde(default)]
    city: String,
    /// State or province.
    #[serde(default)]
    state: String,
    /// Postal code.
    #[serde(default)]
    postcode: String,
    /// Country, by name or code.
    #[serde(default)]
    country: String,
}

impl EntryInput {
    /// The external id, and the rest.
    pub(in crate::routes) fn into_parts(self) -> (Option<String>, matching::Record) {
        let record = matching::Record {
            first_name: self.first_name,
            last_name: self.last_name,
            name: self.name,
            emails: self.emails,
            phones: self.phones,
            title: self.title,
            company: self.company,
            website: self.website,
            street: self.street,
            city: self.city,
            state: self.state,
            postcode: self.postcode,
            country: self.country,
            ..matching::Record::default()
        };
        (self.external_id, record)
    }
}

/// Several at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryBatch {
    /// 1 to 100. Each is taken or refused on its own.
    #[schema(value_type = Vec<EntryInput>)]
    pub(super) items: Vec<serde_json::Value>,
}

/// The outcome for one entry that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EntryOutcome {
    /// It is a new entry.
    Added,
    /// It is an entry that was there, which now has more or newer values.
    Updated,
    /// It is an entry that was there, and says nothing new.
    Unchanged,
    /// It was not taken.
    Refused,
}

/// An entry that was sent, in its new state.
#[derive(Serialize, ToSchema)]
pub(super) struct TakenEntry {
    pub(super) outcome: EntryOutcome,
    pub(super) entry: EntryDetail,
}

/// The outcome for one row.
#[derive(Serialize, ToSchema)]
pub(super) struct RowReport {
    /// A batch's items count from 1. A file's rows are numbered as a spreadsheet does: its first line,
    /// with the columns' names, is 1.
    pub(super) row: usize,
    pub(super) outcome: EntryOutcome,
    /// The entry that it is.
    pub(super) id: Option<EntryId>,
    /// The reason for refusing the row, with the next step.
    pub(super) problem: Option<Problem>,
}

/// The outcome for a batch or a file.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadReport {
    /// Rows that were given; a file's blank ones do not count.
    pub(super) rows: usize,
    pub(super) added: usize,
    pub(super) updated: usize,
    pub(super) unchanged: usize,
    pub(super) refused: usize,
    /// Row by row, in their order.
    pub(super) results: Vec<RowReport>,
    pub(super) linking: LinkingNotice,
}

/// The state of linking the stored entries to the CRM's records.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkingNotice {
    /// A pass over the directory was asked for.
    pub(super) asked: bool,
    /// The next thing to happen, for people.
    pub(super) message: String,
    /// The API path at which the pass can be followed.
    pub(super) see: Option<&'static str>,
}

/// A column of a file, as it would be read.
#[derive(Serialize, ToSchema)]
pub(super) struct ColumnView {
    /// Its name in the file.
    pub(super) name: String,
    /// The field that it seems to hold; `null`: it would not be read.
    pub(super) field: Option<&'static str>,
}

/// A row of a file, as it would be read.
#[derive(Serialize, ToSchema)]
pub(super) struct RowPreview {
    pub(super) row: usize,
    pub(super) external_id: Option<String>,
    pub(super) record: Option<RecordFields>,
    /// The reason for refusing the column.
    pub(super) problem: Option<Problem>,
}

/// The planned reading of a file.
#[derive(Serialize, ToSchema)]
pub(super) struct ColumnsReport {
    /// Its columns, in their order.
    pub(super) columns: Vec<ColumnView>,
    /// The same as the `map` of the upload: a field's name for each column, with commas between them;
    /// nothing for a column that is not read.
    pub(super) map: String,
    /// Every field that a column can hold.
    pub(super) fields: Vec<&'static str>,
    /// Rows of the file, without its header and blank ones.
    pub(super) rows: usize,
    /// Its first rows.
    pub(super) preview: Vec<RowPreview>,
}

/// A record of the CRM, with its address there (SV-1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Badge {
    /// The CRM's name for the object.
    pub(super) object: String,
    /// The CRM's id.
    pub(super) id: String,
    /// The object's label for people.
    pub(super) label: String,
    /// The record's own page; the CRM decides what a user sees there. `null` where the organisation is no
    /// longer known.
    pub(super) url: Option<String>,
}

/// A user of the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct RecordOwner {
    /// The CRM's id.
    pub(super) id: String,
    /// The name, where the user was imported.
    pub(super) name: Option<String>,
}

/// An entry of the directory.
#[derive(Serialize, ToSchema)]
pub(super) struct EntrySummary {
    pub(super) id: EntryId,
    pub(super) kind: EntryKind,
    /// The entry's display name.
    pub(super) name: String,
    pub(super) external_id: Option<String>,
    /// The entry's known values.
    pub(super) record: RecordFields,
    pub(super) state: MatchState,
    /// True if it is linked to a record that the CRM has.
    pub(super) in_crm: bool,
    /// The record that it is linked to.
    pub(super) badge: Option<Badge>,
    /// The owner of that record.
    pub(super) owner: Option<RecordOwner>,
    /// True if the record's company or job title is out of date, and nobody dismissed that.
    pub(super) out_of_date: bool,
    #[schema(value_type = i64)]
    pub(super) updated_at: Millis,
}

#[derive(Serialize, ToSchema)]
pub(super) struct EntryList {
    pub(super) items: Vec<EntrySummary>,
    /// Give it as `cursor` for the next page; none after the last. A page of a search can have fewer
    /// items than asked for, or none, and still have a next one.
    pub(super) next: Option<String>,
}

/// The evidence of one field for or against two records being the same (MA-3).
#[derive(Serialize, ToSchema)]
pub(super) struct FieldWeight {
    /// The compared field: `name`, `email`, `phone`, `place`; of people `employer` and `title`, of companies
    /// `web` and `legal_form`. `alternatives`: the prior odds of such a pair.
    pub(super) field: String,
    /// The level of likeness of the two values.
    pub(super) level: String,
    /// The weight of that level, in thousandths of a bit: positive for the same, negative against.
    pub(super) weight: i32,
    /// The field speaks for the same person or company.
    pub(super) agrees: bool,
}

/// The reasons for or against taking two records for the same (MA-3).
#[derive(Serialize, ToSchema)]
pub(super) struct ExplanationView {
    /// The sum of the fields' weights, in thousandths of a bit.
    pub(super) score: i32,
    /// The score from which two records are taken for one, in thousandths of a bit.
    pub(super) threshold: i32,
    pub(super) fields: Vec<FieldWeight>,
}

impl From<matching::Explanation> for ExplanationView {
    fn from(explanation: matching::Explanation) -> Self {
        let fields = explanation.fields.into_iter();
        Self {
            score: explanation.score,
            threshold: explanation.threshold,
            fields: fields
                .map(|compared| FieldWeight {
                    field: compared.field.into_owned(),
                    level: compared.level.into_owned(),
                    weight: compared.weight,
                    agrees: compared.agrees,
                })
                .collect(),
        }
    }
}

/// A decision of a person (MA-4). No import undoes it.
#[derive(Serialize, ToSchema)]
pub(super) struct DecisionView {
    /// The record that it is; `null`: it was unmatched.
    pub(super) record: Option<Badge>,
    #[schema(value_type = i64)]
    pub(super) at: Millis,
    /// A seat or an API token.
    pub(super) by: String,
    /// The name of the seat, while there is that seat.
    pub(super) by_name: Option<String>,
}

/// The record that an entry is linked to.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkView {
    pub(super) record: Badge,
    /// The way in which it was linked.
    pub(super) how: How,
    /// The score when it was linked, in thousandths of a bit.
    pub(super) score: i32,
    /// The threshold then.
    pub(super) threshold: i32,
    #[schema(value_type = i64)]
    pub(super) since: Millis,
    /// The CRM has deleted it.
    pub(super) record_gone: bool,
    /// The reasons by the current values of the two; `null` where the record is not imported.
    pub(super) explanation: Option<ExplanationView>,
}

/// Contact information, as the CRM has it (SV-2).
#[derive(Serialize, ToSchema)]
pub(super) struct ContactInformation {
    /// The record that it is from.
    pub(super) record: Badge,
    /// Its values.
    pub(super) fields: RecordFields,
    /// The account that the contact is of.
    pub(super) account: Option<Badge>,
    /// The record that the lead was converted to.
    pub(super) converted_to: Option<Badge>,
    /// The time of the CRM's last change to it.
    #[schema(value_type = Option<i64>)]
    pub(super) modified_at: Option<Millis>,
}

/// Everything about an entry.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryDetail {
    #[serde(flatten)]
    pub(super) summary: EntrySummary,
    /// The entry's sources.
    pub(super) origins: Vec<Origin>,
    #[schema(value_type = i64)]
    pub(super) created_at: Millis,
    /// The decision of a person.
    pub(super) decision: Option<DecisionView>,
    /// Records that people ruled out.
    pub(super) refused: Vec<Badge>,
    pub(super) link: Option<LinkView>,
    pub(super) contact: Option<ContactInformation>,
    /// Values of the record that are out of date.
    pub(super) findings: Vec<FindingView>,
    /// True if the caller may dismiss them, and show them again.
    pub(super) may_dismiss: bool,
    /// The time of the last comparison with the CRM's records.
    #[schema(value_type = Option<i64>)]
    pub(super) compared_at: Option<Millis>,
}

/// An entry of the directory, by kind and id, with its name.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct EntryHolder {
    pub(in crate::routes) kind: EntryKind,
    pub(in crate::routes) id: EntryId,
    /// Its display name, while it exists.
    pub(in crate::routes) name: Option<String>,
}

/// A record that an entry may be.
#[derive(Serialize, ToSchema)]
pub(super) struct CandidateItem {
    pub(super) record: Badge,
    /// Its values in the CRM.
    pub(super) fields: RecordFields,
    pub(super) owner: Option<RecordOwner>,
    /// The names of the `fields` in which the two agree.
    pub(super) agreeing: Vec<&'static str>,
    pub(super) explanation: ExplanationView,
    /// The entry is linked to it.
    pub(super) linked: bool,
    /// People said that the entry is not this record.
    pub(super) refused: bool,
    /// Another entry is linked to it.
    pub(super) taken_by: Option<EntryHolder>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CandidateList {
    /// The best first, at most 10.
    pub(super) items: Vec<CandidateItem>,
}

/// A record of the CRM.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct RecordInput {
    /// The CRM's name for the object: `Contact`, `Lead`, `Account`; `contact`, `lead`, `account`.
    object: String,
    /// The CRM's id.
    id: String,
}

impl RecordInput {
    pub(in crate::routes) fn into_record(self) -> RecordRef {
        RecordRef::new(self.object, self.id)
    }
}
