//! Google Ads lead forms: `POST /webhooks/google-ads/{form_key}`.
//!
//! Wire format and rules: developers.google.com/google-ads/webhook/docs/implementation. The
//! `google_key` in the body is the only proof of origin; `lead_id` identifies the response; ids
//! are 64-bit and arrive as numbers or as text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::website::with_context;
use super::{Delivery, Inbound, LeadSource, broken_json, check_field, utf8};
use crate::field::Field;
use crate::problem::Problem;
use crate::signature::secrets_equal;
use crate::submission::{NewSubmission, Origin, SourceKind};

/// The Google Ads source.
pub struct GoogleAds;

#[derive(Deserialize)]
struct Notification<'a> {
    lead_id: String,
    google_key: String,
    #[serde(default)]
    is_test: bool,
    #[serde(default)]
    user_column_data: Vec<Column>,
    #[serde(borrow, default)]
    form_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    campaign_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    adgroup_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    creative_id: Option<&'a RawValue>,
    #[serde(default)]
    gcl_id: Option<String>,
}

#[derive(Deserialize)]
struct Column {
    #[serde(default, rename = "column_id")]
    id: Option<String>,
    #[serde(default, rename = "column_name")]
    name: Option<String>,
    #[serde(default, rename = "string_value")]
    value: Option<String>,
}

impl LeadSource for GoogleAds {
    fn kind(&self) -> SourceKind {
        SourceKind::GoogleAds
    }

    fn read(&self, inbound: Inbound<'_>) -> Result<Delivery, Problem> {
        let form = inbound.form.ok_or_else(|| Problem::not_found("form"))?;
        let sent: Notification<'_> = serde_json::from_str(utf8(inbound.body)?)
            .map_err(|_| broken_json().with_field("lead_id"))?;
        let mut known = false;
        for secret in inbound.secrets {
            known |= secrets_equal(secret, &sent.google_key);
        }
        if !known {
            return Err(Problem::new(
                401,
                "invalid_google_key",
                "The google_key is not this form's.",
                "Enter the form's key in the lead form's webhook settings in Google Ads.",
            )
            .with_field("google_key"));
        }
        if sent.lead_id.is_empty() || sent.lead_id.len() > 255 {
            return Err(broken_json().with_field("lead_id"));
        }
        if sent.user_column_data.len() > form.max_fields {
            return Err(Problem::new(
                422,
                "too_many_fields",
                format!("The form takes at most {} fields.", form.max_fields),
                "Raise the form's limit.",
            )
            .with_field("user_column_data"));
        }
        let mut fields: Vec<Field> = Vec::new();
        for column in sent.user_column_data {
            // `column_id` is the same in every language; older forms send the name alone.
            let (Some(name), alias) = (match (column.id, column.name) {
                (Some(id), name) => (Some(id), name),
                (None, name) => (name, None),
            }) else {
                continue;
            };
            let mut field = Field::answer(name, column.value.unwrap_or_default());
            field.aliases.extend(alias);
            check_field(&field)?;
            fields.push(field);
        }
        let mut details = BTreeMap::new();
        for (name, id) in [
            ("google_form_id", sent.form_id),
            ("campaign_id", sent.campaign_id),
            ("adgroup_id", sent.adgroup_id),
            ("creative_id", sent.creative_id),
        ] {
            if let Some(id) = id.map(plain).filter(|id| !id.is_empty()) {
                fields.push(Field::context(name, &id));
                details.insert(name.to_owned(), id);
            }
        }
        if let Some(click) = sent.gcl_id.filter(|click| click.len() <= 512) {
            fields.push(Field::context("gcl_id", &click));
            details.insert("gcl_id".to_owned(), click);
        }
        let campaign = form
            .campaign
            .clone()
            .or_else(|| details.get("campaign_id").cloned());
        Ok(Delivery::Submission(Box::new(NewSubmission {
            contract: inbound.contract.clone(),
            source: SourceKind::GoogleAds,
            response_id: sent.lead_id,
            origin: Origin {
                form_id: form.id.to_string(),
                form_name: Some(form.name.clone()),
                campaign,
                details,
            },
            answers: Some(with_context(fields, form)),
            submitted_at: None,
            test: sent.is_test,
            withdrawn: false,
        })))
    }
}

/// An id sent as a number or as text, as text.
fn plain(raw: &RawValue) -> String {
    let text = raw.get().trim().trim_matches('"');
    if text == "null"
        || text.len() > 64
        || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        String::new()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{form, read};
    use super::*;
    use crate::form::FormKind;

    const SAMPLE: &str = r#"{"lead_id":"TeSter-123","user_column_data":[
        {"column_name":"Full Name","string_value":"Ada Lovelace","column_id":"FULL_NAME"},
        {"column_name":"User Email","string_value":"ada@example.com","column_id":"EMAIL"}],
        "api_version":"1.0","form_id":9007199254740993,"campaign_id":"10000000000",
        "google_key":"secret-key","is_test":true,"gcl_id":"abc","adgroup_id":20000000000,"creative_id":30000000000}"#;

    #[test]
    fn a_notification_becomes_a_submission() {
        let form = form(FormKind::GoogleAds);
        let Delivery::Submission(submission) = read(
            &GoogleAds,
            Some(&form),
            &[],
            SAMPLE.as_bytes(),
            &["secret-key"],
        )
        .unwrap() else {
            panic!()
        };
        assert!(submission.test);
        assert_eq!(submission.response_id, "TeSter-123");
        assert_eq!(
            submission.origin.details["google_form_id"],
            "9007199254740993"
        );
        let fields = submission.answers.unwrap();
        assert_eq!(
            fields[1].names().collect::<Vec<_>>(),
            ["EMAIL", "User Email"]
        );
    }

    #[test]
    fn a_wrong_key_is_refused() {
        let form = form(FormKind::GoogleAds);
        for secrets in [&["other"][..], &[], &[""]] {
            let problem =
                read(&GoogleAds, Some(&form), &[], SAMPLE.as_bytes(), secrets).unwrap_err();
            assert_eq!(
                (problem.status, problem.code.as_str()),
                (401, "invalid_google_key")
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in "\\PC{0,300}") {
            let form = form(FormKind::GoogleAds);
            if let Err(problem) = read(&GoogleAds, Some(&form), &[], body.as_bytes(), &["k"]) {
                prop_assert!((400..500).contains(&problem.status));
            }
        }
    }
}
