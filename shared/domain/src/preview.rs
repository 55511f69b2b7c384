//! Previews of field mappings (LG-7): the result of a mapping on submissions that are there already. Computed by
//! the code that writes leads; nothing is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::field::Field;
use super::mapping::{
    FieldMapping, FieldOutcome, FieldReport, MappedLead, MappingContext, map_submission, map_value,
};
use super::schema::{FieldType, LeadField, LeadSchema};
use crate::clock::Millis;

/// Maximum number of examples of a form field.
const MAX_EXAMPLES: usize = 3;
/// Maximum length of an example, in characters.
const MAX_EXAMPLE: usize = 100;
/// Maximum number of different reasons that are told of a field.
const MAX_REASONS: usize = 3;

/// A form field as submissions have sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct SeenField {
    /// The name exactly as on the form.
    pub name: String,
    /// Number of submissions that had a value for it.
    pub submissions: usize,
    /// Up to three different values, the newest first, each cut after 100 characters.
    pub examples: Vec<String>,
}

/// The values of a form field beside the lead field that is to take them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Fit {
    /// The name on the form.
    pub name: String,
    /// The lead field.
    pub lead_field: String,
    /// Number of values that were tried.
    pub values: usize,
    /// Of these, the values that are longer than the lead field takes.
    pub longer: usize,
    /// Of these, the values that are repaired or shortened to fit.
    pub adjusted: usize,
    /// Of these, the values that are left out.
    pub left_out: usize,
    /// The most frequent reasons for either, up to three.
    pub reasons: Vec<FitReason>,
}

/// A reason for changing or leaving out values of a form field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct FitReason {
    /// The reason, with the next step.
    pub reason: String,
    /// Number of values.
    pub count: usize,
    /// The newest of these values, cut after 100 characters.
    pub example: String,
}

/// One answer of a submission, and the value that its lead field gets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct FieldPreview {
    /// The result of mapping it.
    #[serde(flatten)]
    pub report: FieldReport,
    /// The answer as it arrived; none for a value that is filled in.
    pub answer: Option<String>,
    /// The value that the lead field gets, as text; none where it gets none.
    pub value: Option<String>,
}

/// One lead field of a preview.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct ValuePreview {
    /// The CRM's name of the lead field.
    pub lead_field: String,
    /// Its value under the mappings of the preview, as text; none where it gets none.
    pub value: Option<String>,
    /// Its value under the saved mappings, as text; none where it gets none.
    pub saved: Option<String>,
    /// The value is only a placeholder for a field that the CRM requires.
    pub filled_in: bool,
}

/// A submission as the mappings of a preview would write it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubmissionPreview {
    /// Its answers in the order of arrival, and the values that are filled in.
    pub fields: Vec<FieldPreview>,
    /// The lead fields that get a value, now or under the saved mappings, by name.
    pub values: Vec<ValuePreview>,
    /// No answer gives a lead field a value: such a submission is not written.
    pub nothing_mapped: bool,
}

/// The mappings with some of them changed; `None` removes one.
#[must_use]
pub fn changed(
    mappings: &BTreeMap<String, FieldMapping>,
    changes: &BTreeMap<String, Option<String>>,
    now: Millis,
) -> BTreeMap<String, FieldMapping> {
    let mut all = mappings.clone();
    for (name, lead_field) in changes {
        match lead_field {
            None => {
                all.remove(name);
            }
            Some(lead_field) => {
                let mapping = FieldMapping {
                    name: name.clone(),
                    lead_field: lead_field.clone(),
                    created_at: now,
                    updated_at: now,
                };
                all.insert(name.clone(), mapping);
            }
        }
    }
    all
}

/// A submission under the mappings of `context`, beside its result under the `saved` ones.
#[must_use]
pub fn preview(
    answers: &[Field],
    context: MappingContext<'_>,
    saved: &BTreeMap<String, FieldMapping>,
) -> SubmissionPreview {
    let now = map_submission(answers, context);
    let before = map_submission(
        answers,
        MappingContext {
            mappings: saved,
            ..context
        },
    );
    let fields = now.report.iter().map(|report| {
        let answer = answers.iter().find(|field| field.name == report.name);
        let filled_in = report.outcome == FieldOutcome::FilledIn;
        let written = matches!(
            report.outcome,
            FieldOutcome::Mapped | FieldOutcome::Adjusted | FieldOutcome::FilledIn
        );
        let target = report.lead_field.as_deref().unwrap_or(&report.name);
        FieldPreview {
            answer: answer
                .filter(|_| !filled_in)
                .map(|field| field.value.clone()),
            value: written.then(|| text_of(&now, target)).flatten(),
            report: report.clone(),
        }
    });
    let names: BTreeSet<&String> = now.values.keys().chain(before.values.keys()).collect();
    let values = names.into_iter().map(|name| ValuePreview {
        value: text_of(&now, name),
        saved: text_of(&before, name),
        filled_in: now.filled_in.contains(name),
        lead_field: name.clone(),
    });
    SubmissionPreview {
        fields: fields.collect(),
        values: values.collect(),
        nothing_mapped: now.values.len() == now.filled_in.len(),
    }
}

/// A lead field's value as text.
fn text_of(lead: &MappedLead, name: &str) -> Option<String> {
    lead.values.get(name).map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// The form fields of submissions, those sent most first. `submissions`: their answers, the newest first.
/// An answer counts under each of its names that `mapped` has, or under its first.
#[must_use]
pub fn seen<'a>(
    submissions: impl IntoIterator<Item = &'a [Field]>,
    mapped: &BTreeMap<String, FieldMapping>,
) -> Vec<SeenField> {
    let mut found: BTreeMap<&str, SeenField> = BTreeMap::new();
    for answers in submissions {
        // A name that a form sends twice is still one submission.
        let mut counted = BTreeSet::new();
        for field in answers
            .iter()
            .filter(|field| !field.value.trim().is_empty())
        {
            let is_listed = |name: &&str| *name == field.name || mapped.contains_key(*name);
            for name in field.names().filter(is_listed) {
                let seen = found.entry(name).or_insert_with(|| SeenField {
                    name: name.to_owned(),
                    submissions: 0,
                    examples: Vec::new(),
                });
                seen.submissions += usize::from(counted.insert(name));
                let example = shortened(&field.value);
                if seen.examples.len() < MAX_EXAMPLES && !seen.examples.contains(&example) {
                    seen.examples.push(example);
                }
            }
        }
    }
    let mut found: Vec<SeenField> = found.into_values().collect();
    found.sort_by(|a, b| (b.submissions, &a.name).cmp(&(a.submissions, &b.name)));
    found
}

/// The values that submissions had for a form field, tried with a lead field. `submissions`: their answers, the
/// newest first.
#[must_use]
pub fn fit<'a>(
    name: &str,
    lead_field: &str,
    submissions: impl IntoIterator<Item = &'a [Field]>,
    schema: &LeadSchema,
    region: Option<&str>,
) -> Fit {
    let limit = schema.field(lead_field).and_then(max_length);
    let none = BTreeMap::new();
    let context = MappingContext {
        mappings: &none,
        schema,
        region,
        placeholder: "",
        form_name: "",
    };
    let empty = MappedLead::default();
    let mut fit = Fit {
        name: name.to_owned(),
        lead_field: lead_field.to_owned(),
        values: 0,
        longer: 0,
        adjusted: 0,
        left_out: 0,
        reasons: Vec::new(),
    };
    for answers in submissions {
        let field = answers
            .iter()
            .find(|field| field.names().any(|known| known == name));
        let Some(field) = field.filter(|field| !field.value.trim().is_empty()) else {
            continue;
        };
        let text = &field.value;
        fit.values += 1;
        let too_long =
            limit.is_some_and(|limit| text.trim().encode_utf16().count() > limit as usize);
        fit.longer += usize::from(too_long);
        let reason = match map_value(text, lead_field, &empty, context) {
            Ok(None | Some((_, None))) => continue,
            Ok(Some((_, Some(remark)))) => {
                fit.adjusted += 1;
                remark
            }
            Err(reason) => {
                fit.left_out += 1;
                reason
            }
        };
        match fit.reasons.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.count += 1,
            None => fit.reasons.push(FitReason {
                reason,
                count: 1,
                example: shortened(text),
            }),
        }
    }
    fit.reasons
        .sort_by_key(|reason| std::cmp::Reverse(reason.count));
    fit.reasons.truncate(MAX_REASONS);
    fit
}

/// The longest text that a lead field takes, in UTF-16 code units; `None` for fields of other types.
fn max_length(field: &LeadField) -> Option<u32> {
    match field.field_type {
        FieldType::Text { max_length }
        | FieldType::LongText { max_length }
        | FieldType::Email { max_length }
        | FieldType::Phone { max_length }
        | FieldType::Url { max_length } => Some(max_length),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_EXAMPLE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::CrmKind;

    fn schema() -> LeadSchema {
        let field = |name: &str, field_type, required| LeadField {
            name: name.into(),
            label: name.into(),
            field_type,
            required,
            createable: true,
            updateable: true,
        };
        LeadSchema {
            crm: CrmKind::Salesforce,
            fields: vec![
                field("LastName", FieldType::Text { max_length: 10 }, true),
                field("Company", FieldType::Text { max_length: 40 }, true),
                field(
                    "Employees",
                    FieldType::Integer {
                        min: None,
                        max: None,
                    },
                    false,
                ),
            ],
            contact_fields: vec![],
            has_identity: true,
            has_contact_link: true,
            fetched_at: Millis(0),
        }
    }

    fn mappings(pairs: &[(&str, &str)]) -> BTreeMap<String, FieldMapping> {
        let changes = pairs
            .iter()
            .map(|(name, to)| ((*name).to_owned(), Some((*to).to_owned())))
            .collect();
        changed(&BTreeMap::new(), &changes, Millis(0))
    }

    #[test]
    fn a_preview_has_each_answers_value_beside_the_saved_one() {
        let schema = schema();
        let saved = mappings(&[("name", "LastName")]);
        let changes = BTreeMap::from([
            ("firm".to_owned(), Some("Company".to_owned())),
            ("size".to_owned(), Some("Employees".to_owned())),
        ]);
        let edited = changed(&saved, &changes, Millis(1));
        let answers = [
            Field::answer("name", "Lovelace-King"),
            Field::answer("firm", "Analytical Engines"),
            Field::answer("size", "about ten"),
            Field::answer("shoe", "38"),
        ];
        let context = MappingContext {
            mappings: &edited,
            schema: &schema,
            region: None,
            placeholder: "-",
            form_name: "Demo",
        };
        let found = preview(&answers, context, &saved);
        let told: Vec<_> = found
            .fields
            .iter()
            .map(|field| {
                (
                    field.report.name.as_str(),
                    field.report.outcome,
                    field.value.as_deref(),
                )
            })
            .collect();
        assert_eq!(told[0].1, FieldOutcome::Adjusted);
        assert!(told[0].2.is_some_and(|value| value.len() <= 10));
        assert_eq!(
            told[1],
            ("firm", FieldOutcome::Mapped, Some("Analytical Engines"))
        );
        assert_eq!(told[2], ("size", FieldOutcome::LeftOut, None));
        assert_eq!(told[3], ("shoe", FieldOutcome::Unmapped, None));
        let company = &found.values[0];
        assert_eq!(company.lead_field, "Company");
        assert_eq!(company.value.as_deref(), Some("Analytical Engines"));
        assert_eq!(company.saved.as_deref(), Some("-"), "a placeholder before");
        assert!(!company.filled_in && !found.nothing_mapped);
        // The preview has a line for each that the worker's report has.
        let written = map_submission(&answers, context);
        assert_eq!(found.fields.len(), written.report.len());
        let removed = changed(
            &saved,
            &BTreeMap::from([("name".to_owned(), None)]),
            Millis(1),
        );
        let context = MappingContext {
            mappings: &removed,
            ..context
        };
        assert!(preview(&answers, context, &saved).nothing_mapped);
    }

    #[test]
    fn values_that_do_not_fit_are_counted_with_their_reasons() {
        let schema = schema();
        let all: Vec<Vec<Field>> = [
            "Ada",
            "A name of more than ten",
            "  ",
            "Another long name",
            "Bo",
        ]
        .into_iter()
        .map(|value| vec![Field::answer("name", value)])
        .collect();
        let answers = || all.iter().map(Vec::as_slice);
        let found = fit("name", "LastName", answers(), &schema, None);
        assert_eq!((found.values, found.longer), (4, 2));
        assert_eq!((found.adjusted, found.left_out), (2, 0));
        assert_eq!(found.reasons[0].count, 2, "{found:?}");
        assert_eq!(found.reasons[0].example, "A name of more than ten");
        let found = fit("name", "Employees", answers(), &schema, None);
        assert_eq!((found.longer, found.left_out), (0, 4));
        let found = fit("name", "Gone__c", answers(), &schema, None);
        assert_eq!(found.left_out, 4);
        assert!(found.reasons[0].reason.contains("Gone__c"));
    }

    #[test]
    fn names_are_seen_with_examples_and_their_number() {
        let mut question = Field::answer("q1", "yes");
        question.aliases = vec!["Are you sure?".into(), "unused".into()];
        let long = "x".repeat(300);
        let all = [
            vec![
                question.clone(),
                Field::answer("a", "1"),
                Field::answer("a", "2"),
            ],
            vec![question, Field::answer("a", "1"), Field::answer("a", &long)],
            vec![Field::answer("a", "3"), Field::answer("b", " ")],
        ];
        let mapped = mappings(&[("Are you sure?", "LastName")]);
        let found = seen(all.iter().map(Vec::as_slice), &mapped);
        let names: Vec<_> = found
            .iter()
            .map(|seen| (seen.name.as_str(), seen.submissions))
            .collect();
        assert_eq!(names, [("a", 3), ("Are you sure?", 2), ("q1", 2)]);
        assert_eq!(found[0].examples[..2], ["1", "2"]);
        assert_eq!(found[0].examples[2].chars().count(), MAX_EXAMPLE + 1);
    }
}
