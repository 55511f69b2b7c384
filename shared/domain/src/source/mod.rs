//! Lead-form sources (LG-9). A source is one file: it proves who sent a request, reads it, and
//! hands over a [`NewSubmission`]. Everything after that is the same for all of them.

pub mod google_ads;
pub mod linkedin;
pub mod website;

use http::HeaderMap;

use crate::clock::Millis;
use crate::field::{Field, has_control_characters};
use crate::form::{Form, MAX_NAME_CHARS, MAX_VALUE_CHARS};
use crate::ids::ContractId;
use crate::problem::Problem;
use crate::submission::{NewSubmission, SourceKind};

/// A request as a source sees it.
#[derive(Clone, Copy)]
pub struct Inbound<'a> {
    /// The contract that the request was made to.
    pub contract: &'a ContractId,
    /// The form that it was made to, where the address names one.
    pub form: Option<&'a Form>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, exactly as received.
    pub body: &'a [u8],
    /// The secrets that may have signed it: the current one, then the previous one.
    pub secrets: &'a [&'a str],
    /// A fresh id, for a response to which the sender gave none.
    pub fresh_id: &'a str,
    /// When it arrived.
    pub now: Millis,
}

/// What a request turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A form response, or the withdrawal of one.
    Submission(Box<NewSubmission>),
    /// Nothing to store, and nothing the sender should know: a bot's post, a notice of a kind
    /// that is not about leads.
    Ignored,
}

/// A lead-form source.
pub trait LeadSource: Sync {
    /// Its kind.
    fn kind(&self) -> SourceKind;

    /// Checks who sent the request and reads it.
    ///
    /// # Errors
    /// A problem for the sender; then nothing is stored.
    fn read(&self, inbound: Inbound<'_>) -> Result<Delivery, Problem>;
}

/// 401 for a missing or wrong proof of origin. Says no more than that.
fn unauthentic(header: &str) -> Problem {
    Problem::new(
        401,
        "invalid_signature",
        "The request is not signed, or not with this contract's secret.",
        "Check that the secret in the settings is the sender's, and that the body is signed exactly as it is sent.",
    )
    .with_field(header)
}

fn broken_json() -> Problem {
    Problem::new(
        400,
        "malformed_body",
        "The body is not valid JSON of the expected form.",
        "Send one JSON object.",
    )
}

/// The body as text.
fn utf8(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| {
        Problem::new(
            400,
            "invalid_encoding",
            "The body is not valid UTF-8.",
            "Send the form as UTF-8.",
        )
    })
}

/// Checks one answer's name and value against what any form may send.
fn check_field(field: &Field) -> Result<(), Problem> {
    let wrong = |code, detail: String, next: &str| {
        // A name that is itself the problem is not repeated at length.
        let shown: String = field
            .name
            .chars()
            .filter(|c| !c.is_control())
            .take(80)
            .collect();
        Problem::new(422, code, detail, next).with_field(shown)
    };
    if field.name.trim().is_empty() || field.name.chars().count() > MAX_NAME_CHARS {
        return Err(wrong(
            "invalid_field_name",
            format!("A field's name has 1 to {MAX_NAME_CHARS} characters."),
            "Rename the field on the form.",
        ));
    }
    if field.name.starts_with("leadbridge:") {
        return Err(wrong(
            "reserved_field_name",
            "Names that start with leadbridge: are ours.".to_owned(),
            "Rename the field on the form.",
        ));
    }
    if has_control_characters(&field.name) || has_control_characters(&field.value) {
        return Err(wrong(
            "control_character",
            "The field holds a control character.".to_owned(),
            "Remove characters below U+0020 other than tab and line breaks.",
        ));
    }
    if field.value.chars().count() > MAX_VALUE_CHARS {
        return Err(wrong(
            "value_too_long",
            format!("The value is longer than {MAX_VALUE_CHARS} characters."),
            "Shorten it.",
        ));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::form::FormKind;

    /// When the requests of tests arrive.
    pub(crate) const NOW: Millis = Millis(1_800_000_000_000);

    pub(crate) fn form(kind: FormKind) -> Form {
        Form {
            id: "demo-form-1".parse().unwrap(),
            kind,
            name: "Demo".into(),
            enabled: true,
            campaign: None,
            allowed_origins: vec![],
            redirect_urls: vec!["https://www.example.com/thanks".into()],
            required_fields: vec!["email".into()],
            multi_value_fields: vec!["interest".into()],
            honeypot_field: Some("website_url".into()),
            max_body_bytes: 65_536,
            max_fields: 50,
            sealed_secret: None,
            sealed_previous_secret: None,
            body_signatures_until: None,
            posts_per_minute: 1_200,
            created_at: Millis(0),
            updated_at: Millis(0),
        }
    }

    pub(crate) fn read(
        source: &dyn LeadSource,
        form: Option<&Form>,
        headers: &[(&'static str, &str)],
        body: &[u8],
        secrets: &[&str],
    ) -> Result<Delivery, Problem> {
        let contract = "acme".parse().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        source.read(Inbound {
            contract: &contract,
            form,
            headers: &headers,
            body,
            secrets,
            fresh_id: "fresh",
            now: NOW,
        })
    }
}
