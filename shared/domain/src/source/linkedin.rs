//! LinkedIn Lead Sync: the webhook's challenge and notifications, and how a fetched response is
//! joined to its form.
//!
//! Sources: learn.microsoft.com/linkedin/shared/api-guide/webhook-validation and
//! /linkedin/marketing/lead-sync/leadsync. A notification carries no answers; they are fetched by
//! id later. Answers carry question ids only; their meaning comes from the form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delivery, Inbound, LeadSource, broken_json, clean_name, decoded, unauthentic};
use crate::clock::Millis;
use crate::field::{Field, FieldKind};
use crate::normalize::invisible::is_blank;
use crate::problem::Problem;
use crate::signature;
use crate::submission::{NewSubmission, Origin, SourceKind};

/// The header that carries a delivery's signature.
pub const SIGNATURE: &str = "x-li-signature";
/// Prefix of the signed text, not of the header.
const SIGNED_PREFIX: &[u8] = b"hmacsha256=";

/// The LinkedIn source.
pub struct LinkedIn;

/// Checks that a challenge may be signed.
///
/// The key that signs it also signs deliveries, so only a UUID v4 is answered: anything else could be the
/// text of a forged delivery.
///
/// # Errors
/// Returns 400 for a challenge that is not a UUID v4.
pub fn check_challenge(challenge: &str) -> Result<(), Problem> {
    let is_uuid_v4 = challenge.len() == 36
        && uuid::Uuid::try_parse(challenge).is_ok_and(|id| {
            id.get_version_num() == 4 && matches!(id.get_variant(), uuid::Variant::RFC4122)
        });
    if !is_uuid_v4 {
        return Err(Problem::new(
            400,
            "invalid_challenge",
            "challengeCode is not a version 4 UUID.",
            "Validate the webhook from LinkedIn's Developer Portal.",
        )
        .with_field("challengeCode"));
    }
    Ok(())
}

/// The answer to the validation handshake: the HMAC of the challenge.
///
/// # Errors
/// Returns the errors of [`check_challenge`], and 401 if there is no client secret.
pub fn challenge_response(challenge: &str, client_secret: Option<&str>) -> Result<String, Problem> {
    check_challenge(challenge)?;
    let secret = client_secret
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| {
            Problem::new(
                401,
                "linkedin_not_configured",
                "This contract has no LinkedIn client secret.",
                "Enter the LinkedIn app's client secret in the LinkedIn settings.",
            )
        })?;
    Ok(hex::encode(signature::hmac_sha256(
        secret.as_bytes(),
        &[challenge.as_bytes()],
    )))
}

/// The value of [`SIGNATURE`] for a body.
#[must_use]
pub fn sign(client_secret: &str, body: &[u8]) -> String {
    hex::encode(signature::hmac_sha256(
        client_secret.as_bytes(),
        &[SIGNED_PREFIX, body],
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    lead_gen_form_response: String,
    #[serde(default)]
    lead_gen_form: String,
    #[serde(default)]
    owner: BTreeMap<String, Value>,
    #[serde(default)]
    associated_entity: BTreeMap<String, Value>,
    #[serde(default)]
    lead_type: String,
    #[serde(default)]
    lead_action: String,
    #[serde(default)]
    occurred_at: Option<i64>,
}

impl LeadSource for LinkedIn {
    fn kind(&self) -> SourceKind {
        SourceKind::LinkedIn
    }

    fn read(&self, inbound: Inbound<'_>) -> Result<Delivery, Problem> {
        let given = inbound
            .headers
            .get(SIGNATURE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        // LinkedIn's text leaves open whether the header repeats the prefix; with or without it
        // the digits must be right.
        let given = given.strip_prefix("hmacsha256=").unwrap_or(given);
        if !signature::verify_hex(given, inbound.secrets, &[SIGNED_PREFIX, inbound.body]) {
            return Err(unauthentic(SIGNATURE));
        }
        let sent: Notification =
            serde_json::from_str(&decoded(inbound.body)?).map_err(|_| broken_json())?;
        // Kinds and actions that are not about leads are acknowledged: an error would make
        // LinkedIn block the webhook.
        let withdrawn = match (sent.kind.as_str(), sent.lead_action.as_str()) {
            ("LEAD_ACTION", "CREATED") => false,
            ("LEAD_ACTION", "DELETED") => true,
            _ => return Ok(Delivery::Ignored),
        };
        let response_id = urn_id(&sent.lead_gen_form_response, "leadGenFormResponse")
            .filter(|id| is_response_id(id))
            .ok_or_else(|| broken_json().with_field("leadGenFormResponse"))?;
        let mut origin = Origin {
            form_id: form_id(&sent.lead_gen_form),
            ..Origin::default()
        };
        let details = &mut origin.details;
        for (name, value) in sent.owner.iter().chain(&sent.associated_entity) {
            let urn = value.as_str().filter(|urn| urn.len() <= 200);
            if let Some(urn) = urn.filter(|_| (1..=100).contains(&name.len())) {
                details.insert(name.clone(), urn.to_owned());
            }
        }
        details.insert(
            "leadType".to_owned(),
            sent.lead_type.chars().take(40).collect(),
        );
        Ok(Delivery::Submission(Box::new(NewSubmission {
            contract: inbound.contract.clone(),
            source: SourceKind::LinkedIn,
            response_id: response_id.to_owned(),
            origin,
            answers: None,
            submitted_at: sent.occurred_at.map(Millis),
            test: false,
            withdrawn,
        })))
    }
}

/// Response ids go into the path of a later request: letters, digits, `-` and `_` only.
fn is_response_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 128
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn urn_id<'a>(urn: &'a str, kind: &str) -> Option<&'a str> {
    urn.strip_prefix("urn:li:")?
        .strip_prefix(kind)?
        .strip_prefix(':')
}

/// The form id in `urn:li:versionedLeadGenForm:(urn:li:leadGenForm:1, 1)`, with or without the blank after
/// the comma that LinkedIn documents; empty if there is none.
#[must_use]
pub fn form_id(urn: &str) -> String {
    let inner = urn_id(urn, "versionedLeadGenForm")
        .unwrap_or(urn)
        .trim_start_matches('(')
        .trim_end_matches(')');
    let form = inner.split(',').next().unwrap_or_default().trim();
    let id = urn_id(form, "leadGenForm").unwrap_or_default();
    if id.len() <= 40 && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        id.to_owned()
    } else {
        String::new()
    }
}

/// The owner of a submission, as its source names it, if it is not one of the contract's owners.
///
/// One LinkedIn app signs the notifications of every owner that it was given access to, so a signature does
/// not identify the lead's owner. A source that names no owner is trusted, and a contract that lists none
/// takes the leads of all.
#[must_use]
pub fn foreign_owner(named: &BTreeMap<String, String>, owners: &[String]) -> Option<String> {
    if owners.is_empty() {
        return None;
    }
    let named: Vec<&String> = ["sponsoredAccount", "organization"]
        .iter()
        .filter_map(|kind| named.get(*kind))
        .collect();
    let own = named.iter().any(|owner| owners.contains(owner));
    named.first().filter(|_| !own).map(|owner| (*owner).clone())
}

/// A response as `/rest/leadFormResponses` gives it.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct LeadFormResponse {
    /// The response's id.
    pub id: String,
    /// Time of the member's submission, in milliseconds since the epoch.
    pub submitted_at: Option<i64>,
    /// A test lead.
    pub test_lead: bool,
    /// URN of the form and its version.
    pub versioned_lead_gen_form_urn: String,
    /// `sponsoredAccount` or `organization`.
    pub owner: BTreeMap<String, Value>,
    /// Creative, event, …
    pub associated_entity: BTreeMap<String, Value>,
    /// Campaign.
    pub lead_metadata: Value,
    /// Answers and consents.
    pub form_response: FormResponse,
    /// The form, where the request asked for it.
    pub form: Option<LeadForm>,
    /// True if LinkedIn gave it in a form that cannot be read: then only its id is known.
    #[serde(skip)]
    pub unreadable: bool,
}

/// Answers and consents of a response.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct FormResponse {
    /// By question id.
    pub answers: Vec<Answer>,
    /// By consent id.
    pub consent_responses: Vec<Consent>,
}

/// One answer.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// The question's id on the form.
    pub question_id: i64,
    /// `textQuestionAnswer` or `multipleChoiceAnswer`.
    pub answer_details: AnswerDetails,
}

/// An answer's value.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct AnswerDetails {
    /// Free text.
    pub text_question_answer: Option<TextAnswer>,
    /// Chosen options.
    pub multiple_choice_answer: Option<ChoiceAnswer>,
}

/// Free text.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
pub struct TextAnswer {
    /// The text.
    pub answer: String,
}

/// Chosen options.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
pub struct ChoiceAnswer {
    /// Option ids.
    pub options: Vec<i64>,
}

/// One consent.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Consent {
    /// True if consent was given.
    pub accepted: bool,
    /// The consent's id on the form.
    pub consent_id: i64,
}

/// A form as `/rest/leadForms/{id}` gives it.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct LeadForm {
    /// The form's id.
    pub id: Value,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version_id: Value,
    /// Hidden fields set by its owner.
    pub hidden_fields: Vec<HiddenField>,
    /// Questions and consents.
    pub content: FormContent,
}

/// A hidden field.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct HiddenField {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A form's questions and consents.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct FormContent {
    /// The questions.
    pub questions: Vec<Question>,
    /// Consents.
    pub legal_info: LegalInfo,
}

/// A form's legal part.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct LegalInfo {
    /// Consents asked for.
    pub consents: Vec<Value>,
}

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Question {
    /// Its id within the form.
    pub question_id: i64,
    /// Its name, in the form owner's language.
    pub name: String,
    /// The predefined field that it asks for, the same in every language; custom questions have none.
    pub predefined_field: Option<String>,
    /// Its text by language.
    pub question: Value,
    /// Options of a multiple choice question.
    pub question_details: Value,
}

impl LeadForm {
    /// Joins a response to this form: answers, consents, hidden fields and campaign data, all of them
    /// mappable.
    #[must_use]
    pub fn fields(&self, response: &LeadFormResponse) -> Vec<Field> {
        let mut fields = Vec::new();
        for answer in &response.form_response.answers {
            let question = self
                .content
                .questions
                .iter()
                .find(|q| q.question_id == answer.question_id);
            let Some(value) = answer_text(&answer.answer_details, question) else {
                continue;
            };
            let mut names: Vec<String> = Vec::new();
            if let Some(question) = question {
                names.extend(question.predefined_field.clone());
                names.push(question.name.clone());
                names.extend(localized(&question.question));
            }
            // A question that the form no longer has is kept under its id: nothing is dropped.
            names.push(format!("question:{}", answer.question_id));
            for name in &mut names {
                *name = clean_name(name).into_owned();
            }
            names.retain(|name| !is_blank(name));
            let name = names.remove(0);
            names.dedup();
            names.retain(|alias| *alias != name);
            fields.push(Field {
                name,
                aliases: names,
                value,
                kind: FieldKind::Answer,
                note: None,
            });
        }
        for consent in &response.form_response.consent_responses {
            fields.push(Field {
                name: format!("consent:{}", consent.consent_id),
                aliases: Vec::new(),
                value: consent.accepted.to_string(),
                kind: FieldKind::Consent,
                note: None,
            });
        }
        for hidden in &self.hidden_fields {
            fields.push(Field {
                name: clean_name(&hidden.name).into_owned(),
                aliases: Vec::new(),
                value: hidden.value.clone(),
                kind: FieldKind::Hidden,
                note: None,
            });
        }
        fields.push(Field::context("form_name", &self.name));
        fields.push(Field::context(
            "form_id",
            form_id(&response.versioned_lead_gen_form_urn),
        ));
        if let Some(campaign) = response.campaign() {
            fields.push(Field::context("campaign", campaign));
        }
        for (name, value) in response.owner.iter().chain(&response.associated_entity) {
            if let Some(urn) = value.as_str() {
                fields.push(Field::context(&snake_case(name), urn));
            }
        }
        fields
    }
}

impl LeadFormResponse {
    /// The campaign's URN.
    #[must_use]
    pub fn campaign(&self) -> Option<&str> {
        self.lead_metadata
            .pointer("/sponsoredLeadMetadata/campaign")
            .and_then(Value::as_str)
    }

    /// The URNs of its owner by their kind.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<String, String> {
        let urns = self.owner.iter();
        urns.filter_map(|(kind, urn)| Some((kind.clone(), urn.as_str()?.to_owned())))
            .collect()
    }

    /// True if the response can be fetched and keyed by its id.
    #[must_use]
    pub fn has_valid_id(&self) -> bool {
        is_response_id(&self.id)
    }
}

fn answer_text(details: &AnswerDetails, question: Option<&Question>) -> Option<String> {
    if let Some(text) = &details.text_question_answer {
        return Some(text.answer.clone());
    }
    let chosen = details.multiple_choice_answer.as_ref()?;
    let options = question
        .and_then(|q| {
            q.question_details
                .pointer("/multipleChoiceQuestionDetails/options")
        })
        .and_then(Value::as_array);
    let labels = chosen.options.iter().map(|id| {
        options
            .and_then(|options| {
                options
                    .iter()
                    .find(|option| option.get("id").and_then(Value::as_i64) == Some(*id))
            })
            .and_then(|option| option.get("text").and_then(localized))
            .unwrap_or_else(|| format!("option:{id}"))
    });
    Some(labels.collect::<Vec<_>>().join(";"))
}

/// The text of `{"localized":{"en_US":"…"}}`: English where there is English, else the first.
fn localized(text: &Value) -> Option<String> {
    let languages = text.get("localized")?.as_object()?;
    languages
        .iter()
        .find(|(language, _)| language.starts_with("en"))
        .or_else(|| languages.iter().next())
        .and_then(|(_, text)| text.as_str())
        .map(str::to_owned)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::tests::read;
    use super::*;

    const BODY: &str = r#"{"type":"LEAD_ACTION","leadGenFormResponse":"urn:li:leadGenFormResponse:1a2b3c-4",
 "leadGenForm":"urn:li:versionedLeadGenForm:(urn:li:leadGenForm:7234246, 1)",
 "owner":{"sponsoredAccount":"urn:li:sponsoredAccount:123"},
 "associatedEntity":{"sponsoredCreative":"urn:li:sponsoredCreative:456"},
 "leadType":"SPONSORED","leadAction":"CREATED","occurredAt":1686182358881}"#;

    fn deliver(body: &str, signature: &str) -> Result<Delivery, Problem> {
        read(
            &LinkedIn,
            None,
            &[(SIGNATURE, signature)],
            body.as_bytes(),
            &["new", "old"],
        )
    }

    #[test]
    fn a_signed_notification_becomes_a_submission_without_answers() {
        for signature in [
            sign("new", BODY.as_bytes()),
            sign("old", BODY.as_bytes()),
            format!("hmacsha256={}", sign("new", BODY.as_bytes())),
        ] {
            let Delivery::Submission(submission) = deliver(BODY, &signature).unwrap() else {
                panic!()
            };
            assert_eq!(submission.response_id, "1a2b3c-4");
            assert_eq!(submission.origin.form_id, "7234246");
            assert_eq!(submission.answers, None);
            assert!(!submission.withdrawn);
        }
    }

    #[test]
    fn an_owner_that_is_none_of_the_contracts_is_told() {
        let Delivery::Submission(submission) =
            deliver(BODY, &sign("new", BODY.as_bytes())).unwrap()
        else {
            panic!()
        };
        let mut origin = submission.origin;
        let own = ["urn:li:sponsoredAccount:123".to_owned()];
        let other = ["urn:li:sponsoredAccount:456".to_owned()];
        assert_eq!(foreign_owner(&origin.details, &own), None);
        assert_eq!(foreign_owner(&origin.details, &other), Some(own[0].clone()));
        assert_eq!(foreign_owner(&origin.details, &[]), None);
        origin.details.clear();
        assert_eq!(foreign_owner(&origin.details, &other), None);
    }

    #[test]
    fn a_forged_notification_is_refused() {
        let other_body = BODY.replace("1a2b3c", "1a2b3d");
        for signature in [
            "",
            "00",
            &sign("wrong", BODY.as_bytes()),
            &sign("new", other_body.as_bytes()),
            &sign("", BODY.as_bytes()),
        ] {
            assert_eq!(deliver(BODY, signature).unwrap_err().status, 401);
        }
    }

    #[test]
    fn a_challenge_that_could_sign_a_body_is_not_answered() {
        let challenge = "890e4665-4dfe-4ab1-b689-ed553bceeed0";
        let response = challenge_response(challenge, Some("secret")).unwrap();
        assert_eq!(
            response,
            hex::encode(signature::hmac_sha256(b"secret", &[challenge.as_bytes()]))
        );
        for bad in [
            "",
            "hmacsha256={}",
            "890e4665-4dfe-1ab1-b689-ed553bceeed0",
            "890e46654dfe4ab1b689ed553bceeed0",
            "{890e4665-4dfe-4ab1-b689-ed553bceeed0}",
        ] {
            assert_eq!(
                challenge_response(bad, Some("secret")).unwrap_err().status,
                400,
                "{bad}"
            );
        }
        assert_eq!(challenge_response(challenge, None).unwrap_err().status, 401);
        assert_eq!(
            challenge_response(challenge, Some("")).unwrap_err().status,
            401
        );
    }

    #[test]
    fn unknown_actions_are_acknowledged_and_deletions_withdraw() {
        for (from, to) in [("CREATED", "UPDATED"), ("LEAD_ACTION", "SOMETHING")] {
            let body = BODY.replace(from, to);
            assert_eq!(
                deliver(&body, &sign("new", body.as_bytes())).unwrap(),
                Delivery::Ignored
            );
        }
        let body = BODY.replace("CREATED", "DELETED");
        let Delivery::Submission(submission) =
            deliver(&body, &sign("new", body.as_bytes())).unwrap()
        else {
            panic!()
        };
        assert!(submission.withdrawn);
        let body = BODY.replace("1a2b3c-4", "../../adAccounts");
        assert_eq!(
            deliver(&body, &sign("new", body.as_bytes()))
                .unwrap_err()
                .status,
            400
        );
    }

    #[test]
    fn a_response_is_joined_to_its_form() {
        let form: LeadForm = serde_json::from_value(json!({
            "id": 7_234_246, "name": "Demo request", "hiddenFields": [{"name": "utm", "value": "autumn"}],
            "content": {"questions": [
                {"questionId": 1, "name": "Vorname", "predefinedField": "FIRST_NAME", "question": {"localized": {"de_DE": "Vorname"}}},
                {"questionId": 8, "name": "Team", "question": {"localized": {"en_US": "Team size"}},
                 "questionDetails": {"multipleChoiceQuestionDetails": {"options": [{"id": 0, "text": {"localized": {"en_US": "1-10"}}}, {"id": 1, "text": {"localized": {"en_US": "11-50"}}}]}}}
            ]}
        })).unwrap();
        let response: LeadFormResponse = serde_json::from_value(json!({
            "id": "x-1", "submittedAt": 5, "testLead": true,
            "versionedLeadGenFormUrn": "urn:li:versionedLeadGenForm:(urn:li:leadGenForm:7234246,1)",
            "leadMetadata": {"sponsoredLeadMetadata": {"campaign": "urn:li:sponsoredCampaign:198"}},
            "formResponse": {"consentResponses": [{"accepted": true, "consentId": 0}],
              "answers": [{"questionId": 1, "answerDetails": {"textQuestionAnswer": {"answer": "Kevin"}}},
                          {"questionId": 8, "answerDetails": {"multipleChoiceAnswer": {"options": [0, 1]}}},
                          {"questionId": 99, "answerDetails": {"textQuestionAnswer": {"answer": "gone"}}}]}
        })).unwrap();
        let fields = form.fields(&response);
        assert_eq!(
            fields[0].names().collect::<Vec<_>>(),
            ["FIRST_NAME", "Vorname", "question:1"]
        );
        assert_eq!(
            (fields[1].name.as_str(), fields[1].value.as_str()),
            ("Team", "1-10;11-50")
        );
        assert_eq!(fields[2].name, "question:99");
        assert!(
            fields
                .iter()
                .any(|f| f.name == "consent:0" && f.value == "true")
        );
        assert!(
            fields
                .iter()
                .any(|f| f.name == "utm" && f.kind == FieldKind::Hidden)
        );
        assert!(fields.iter().any(|f| f.name == "leadbridge:campaign"));
    }

    proptest! {
        #[test]
        fn any_signed_text_is_read_or_refused(body in "\\PC{0,300}") {
            if let Err(problem) = deliver(&body, &sign("new", body.as_bytes())) {
                prop_assert!((400..500).contains(&problem.status));
            }
        }
    }
}
