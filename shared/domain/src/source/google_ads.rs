//! Google Ads lead forms: `POST /webhooks/google-ads/{form_key}`.
//!
//! Wire format and rules: developers.google.com/google-ads/webhook/docs/implementation. The
//! `google_key` in the body is the only proof of origin; `lead_id` identifies the response; ids
//! are 64-bit and arrive as numbers or as text.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::website::with_context;
use super::{
    Delivery, Inbound, LeadSource, broken_json, clean_name, decoded, fitted, readable_json,
};
use crate::field::Field;
use crate::normalize::invisible::is_blank;
use crate::problem::Problem;
use crate::signature::secrets_equal;
use crate::submission::{NewSubmission, Origin, SourceKind};

/// The Google Ads source.
pub struct GoogleAds;

/// An object as it was sent. Each value is read separately, so that a value of an unexpected type does not
/// lose the others.
type Object<'a> = BTreeMap<String, &'a RawValue>;

impl LeadSource for GoogleAds {
    fn kind(&self) -> SourceKind {
        SourceKind::GoogleAds
    }

    /// Google does not repeat a delivery that is refused: every delivery that carries the form's key and can
    /// be read is accepted, and any change made to fit it is noted on the answer.
    fn read(&self, inbound: Inbound<'_>) -> Result<Delivery, Problem> {
        let form = inbound.form.ok_or_else(|| Problem::not_found("form"))?;
        let text = decoded(inbound.body).unwrap_or_else(|_| String::from_utf8_lossy(inbound.body));
        let text = readable_json(&text);
        let sent: Object<'_> = serde_json::from_str(&text).map_err(|_| broken_json())?;
        let Some(key) = sent.get("google_key").and_then(|key| plain(key)) else {
            return Err(broken_json().with_field("google_key"));
        };
        let mut known = false;
        for secret in inbound.secrets {
            known |= secrets_equal(secret, &key);
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
        let mut fields = answers(sent.get("user_column_data").copied(), form.max_fields);
        let response_id = sent
            .get("lead_id")
            .and_then(|id| plain(id))
            .filter(|id| (1..=255).contains(&id.len()))
            .or_else(|| {
                // Without an id the same body is the same lead.
                let digest = crate::signature::sha256_hex(&[inbound.body]);
                (!fields.is_empty()).then(|| format!("body-{digest}"))
            })
            .ok_or_else(|| broken_json().with_field("lead_id"))?;
        let is_test = sent.get("is_test").and_then(|value| plain(value));
        let is_test =
            is_test.is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
        let mut details = BTreeMap::new();
        for (name, id) in [
            ("google_form_id", "form_id"),
            ("campaign_id", "campaign_id"),
            ("adgroup_id", "adgroup_id"),
            ("creative_id", "creative_id"),
        ] {
            let is_id = |id: &String| {
                (1..=64).contains(&id.len())
                    && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            if let Some(id) = sent.get(id).and_then(|id| plain(id)).filter(is_id) {
                fields.push(Field::context(name, &id));
                details.insert(name.to_owned(), id);
            }
        }
        let click = sent.get("gcl_id").and_then(|click| plain(click));
        if let Some(click) = click.filter(|click| (1..=512).contains(&click.len())) {
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
            response_id,
            origin: Origin {
                form_id: form.id.to_string(),
                form_name: Some(form.name.clone()),
                campaign,
                details,
            },
            answers: Some(with_context(fields, form)),
            submitted_at: None,
            test: is_test,
            withdrawn: false,
        })))
    }
}

/// The answers, with notes on the changes made to fit them.
fn answers(columns: Option<&RawValue>, most: usize) -> Vec<Field> {
    let columns = columns.and_then(|columns| serde_json::from_str(columns.get()).ok());
    let columns: Vec<&RawValue> = columns.unwrap_or_default();
    let mut fields: Vec<Field> = Vec::new();
    let mut left_out = 0;
    for column in columns {
        let Ok(column) = serde_json::from_str::<Object<'_>>(column.get()) else {
            continue;
        };
        let part = |name: &str| column.get(name).and_then(|part| plain(part));
        let names = ["column_id", "column_name"].map(|name| {
            let name = part(name).map(|name| clean_name(&name).into_owned());
            name.filter(|name| !is_blank(name))
        });
        // `column_id` is the same in every language; older forms send the name alone.
        let (Some(name), alias) = (match names {
            [Some(id), name] => (Some(id), name),
            [None, name] => (name, None),
        }) else {
            continue;
        };
        if fields.len() == most {
            left_out += 1;
            continue;
        }
        let (value, nested) = match column.get("string_value") {
            None => (String::new(), false),
            Some(value) => match plain(value) {
                Some(value) => (value, false),
                None if value.get() == "null" => (String::new(), false),
                None => (value.get().to_owned(), true),
            },
        };
        let mut field = Field::answer(name, value);
        field.aliases.extend(alias);
        if nested {
            field =
                field.noted("It was no text but a list or an object; it is kept as it was sent.");
        }
        fields.push(fitted(field));
    }
    if left_out > 0
        && let Some(last) = fields.pop()
    {
        let note = format!(
            "{left_out} more answers were left out: the form takes {most}. Raise the form's limit."
        );
        fields.push(last.noted(&note));
    }
    fields
}

/// A scalar as text; numbers as they were sent, so that 64-bit ids survive. `None` for null, lists and
/// objects.
fn plain(raw: &RawValue) -> Option<String> {
    let text = raw.get().trim();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok(),
        b'{' | b'[' => None,
        _ if text == "null" => None,
        _ => Some(text.to_owned()),
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

    fn taken(body: &str) -> NewSubmission {
        let form = form(FormKind::GoogleAds);
        let delivery = read(&GoogleAds, Some(&form), &[], body.as_bytes(), &["k"]);
        match delivery.unwrap_or_else(|problem| panic!("{body}: {problem}")) {
            Delivery::Submission(submission) => *submission,
            Delivery::Ignored => panic!("{body} is ignored"),
        }
    }

    #[test]
    fn whatever_carries_the_key_and_can_be_read_is_taken() {
        let long = "x".repeat(40_000);
        for (body, value) in [
            (
                r#"{"lead_id":"1","google_key":"k","user_column_data":[{"column_id":"A","string_value":"a\u000bb"}]}"#,
                "a\u{b}b",
            ),
            (
                r#"{"lead_id":1,"google_key":"k","is_test":null,"user_column_data":[{"column_id":"A","string_value":49301234567890123}]}"#,
                "49301234567890123",
            ),
            (
                r#"{"lead_id":"1","google_key":"k","is_test":"false","user_column_data":[{"column_id":"A","string_value":true}]}"#,
                "true",
            ),
            (
                r#"{"lead_id":"1","google_key":"k","gcl_id":7,"user_column_data":[null,3,{"column_id":7},{"column_id":"A","string_value":null}]}"#,
                "",
            ),
            (
                "\u{feff}{\"lead_id\":\"1\",\"google_key\":\"k\",\"user_column_data\":[{\"column_id\":\"A\u{200b}\",\"string_value\":\"x\ny\"}]}",
                "x\ny",
            ),
            (
                r#"{"lead_id":"1","google_key":"k","user_column_data":[{"column_id":"A","string_value":"\ud83d"}]}"#,
                "\u{fffd}",
            ),
            (
                r#"{"lead_id":"1","google_key":"k","user_column_data":[{"column_id":"A","string_value":["x"]}]}"#,
                r#"["x"]"#,
            ),
            (
                &format!(
                    r#"{{"lead_id":"1","google_key":"k","user_column_data":[{{"column_id":"A","string_value":"{long}"}}]}}"#
                ),
                &long[..32_000],
            ),
            (
                r#"{"lead_id":"1","google_key":"k","user_column_data":[{"column_id":"leadbridge:A","string_value":"y"}]}"#,
                "y",
            ),
            (
                r#"{"google_key":"k","user_column_data":[{"column_id":"A","string_value":"z"}]}"#,
                "z",
            ),
        ] {
            let submission = taken(body);
            assert!(!submission.test, "{body}");
            let answers = submission.answers.unwrap();
            let answer = answers
                .iter()
                .find(|field| field.names().any(|name| name.ends_with('A')));
            let answer = answer.unwrap_or_else(|| panic!("{body}: {answers:?}"));
            assert_eq!(answer.value, value, "{body}");
            let changed =
                body.contains("[\"x\"]") || value.len() > 30_000 || body.contains("leadbridge:");
            assert_eq!(answer.note.is_some(), changed, "{body}");
        }
        assert!(taken(r#"{"lead_id":1,"google_key":"k","is_test":true}"#).test);
        // Without an id a repeat is still a repeat.
        let body =
            r#"{"google_key":"k","user_column_data":[{"column_id":"A","string_value":"z"}]}"#;
        assert_eq!(taken(body).id(), taken(body).id());
    }

    #[test]
    fn more_answers_than_the_form_takes_are_left_out_and_told() {
        let column = r#"{"column_id":"A","string_value":"x"}"#;
        let columns = vec![column; 60].join(",");
        let submission = taken(&format!(
            r#"{{"lead_id":"1","google_key":"k","user_column_data":[{columns}]}}"#
        ));
        let answers = submission.answers.unwrap();
        let told = answers
            .iter()
            .filter(|field| field.name == "A")
            .collect::<Vec<_>>();
        assert_eq!(told.len(), 50);
        assert!(
            told[49]
                .note
                .as_ref()
                .is_some_and(|note| note.starts_with("10 more"))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let form = form(FormKind::GoogleAds);
        for (body, field) in [
            ("{}", Some("google_key")),
            (r#"{"lead_id":"1"}"#, Some("google_key")),
            (r#"{"lead_id":"1","google_key":null}"#, Some("google_key")),
            (r#"{"google_key":"k"}"#, Some("lead_id")),
            ("[]", None),
            ("", None),
        ] {
            let problem = read(&GoogleAds, Some(&form), &[], body.as_bytes(), &["k"]).unwrap_err();
            assert_eq!(
                (
                    problem.status,
                    problem.code.as_str(),
                    problem.field.as_deref()
                ),
                (400, "malformed_body", field),
                "{body}"
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_values_arrive_as_they_were_sent(choices in proptest::collection::vec(any::<u8>(), 0..24)) {
            let sent = crate::testing::hostile(&choices);
            let body = serde_json::json!({"lead_id": "1", "google_key": "k", "user_column_data": [{"column_id": "A", "string_value": sent}]});
            let answers = taken(&body.to_string()).answers.unwrap();
            prop_assert_eq!(&answers[0], &Field::answer("A", sent));
        }

        #[test]
        fn any_text_is_read_or_refused(body in "\\PC{0,300}") {
            let form = form(FormKind::GoogleAds);
            if let Err(problem) = read(&GoogleAds, Some(&form), &[], body.as_bytes(), &["k"]) {
                prop_assert!((400..500).contains(&problem.status));
            }
        }
    }
}
