//! Lead-form sources (LG-9). A source is one file: it proves who sent a request, reads it, and
//! hands over a [`NewSubmission`]. Everything after that is the same for all of them.

pub mod google_ads;
pub mod linkedin;
pub mod website;

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};
use http::HeaderMap;

use crate::clock::Millis;
use crate::field::Field;
use crate::form::{Form, MAX_NAME_CHARS, MAX_VALUE_CHARS};
use crate::ids::ContractId;
use crate::normalize::invisible::{Form as TextForm, clean, is_blank};
use crate::problem::Problem;
use crate::submission::{NewSubmission, SourceKind};

/// A request as a source sees it.
#[derive(Clone, Copy)]
pub struct Inbound<'a> {
    /// The contract that the request was made to.
    pub contract: &'a ContractId,
    /// The form that it was made to, if the address names one.
    pub form: Option<&'a Form>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, exactly as received.
    pub body: &'a [u8],
    /// The secrets that may have signed it: the current one, then the previous one.
    pub secrets: &'a [&'a str],
    /// A fresh id, for a response without an id from its sender.
    pub fresh_id: &'a str,
    /// Time of arrival.
    pub now: Millis,
}

/// The result of reading a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A form response, or the withdrawal of one.
    Submission(Box<NewSubmission>),
    /// Nothing to store, and nothing to tell the sender: a bot's post, or a notice of a kind that is not
    /// about leads.
    Ignored,
}

/// A lead-form source.
pub trait LeadSource: Sync {
    /// Its kind.
    fn kind(&self) -> SourceKind;

    /// Authenticates the request and reads it.
    ///
    /// # Errors
    /// Returns a problem for the sender; then nothing is stored.
    fn read(&self, inbound: Inbound<'_>) -> Result<Delivery, Problem>;
}

/// The 401 for a missing or wrong proof of origin. It gives no further detail.
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

/// The body as text. A byte order mark determines its encoding; without one it is UTF-8.
///
/// # Errors
/// Returns 400 `invalid_encoding`.
fn decoded(body: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let (encoding, mark) = Encoding::for_bom(body).unwrap_or((UTF_8, 0));
    let text = body.get(mark..).unwrap_or_default();
    encoding
        .decode_without_bom_handling_and_without_replacement(text)
        .ok_or_else(|| {
            Problem::new(
                400,
                "invalid_encoding",
                "The body is not valid UTF-8.",
                "Send the form as UTF-8, or name its encoding (charset) in the Content-Type header.",
            )
        })
}

/// Repairs JSON that is not valid to the letter: half of a surrogate pair, which a text cut in the middle of
/// an emoji leaves behind, becomes the replacement character; a control character inside a string is escaped.
fn readable_json(text: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let mut copied = 0;
    let mut replace = |range: Range<usize>, with: &str| {
        repaired.push_str(text.get(copied..range.start).unwrap_or_default());
        repaired.push_str(with);
        copied = range.end;
    };
    let bytes = text.as_bytes();
    let unit = |at: usize| -> Option<u16> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut at, mut inside) = (0, false);
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => {
                inside = !inside;
                1
            }
            b'\\' if inside => match unit(at) {
                Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => 12,
                Some(0xD800..=0xDFFF) => {
                    replace(at..at + 6, "\u{fffd}");
                    6
                }
                Some(_) => 6,
                None => 2,
            },
            0..=0x1F if inside => {
                replace(at..at + 1, &format!("\\u{byte:04x}"));
                1
            }
            _ => 1,
        };
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(repaired)
}

/// A field's name without characters that cannot be seen, because mappings refer to it. Otherwise it is
/// exactly as on the form.
fn clean_name(name: &str) -> Cow<'_, str> {
    let cleaned = clean(name, TextForm::Token);
    if cleaned.removed {
        Cow::Owned(cleaned.text)
    } else {
        Cow::Borrowed(name)
    }
}

/// Text of a request, short enough to be shown in an answer.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Checks one answer's name and value against the limits of any form.
fn check_field(field: &Field) -> Result<(), Problem> {
    let wrong = |code, detail: String, next: &str| {
        // A name that is itself the problem is shortened.
        Problem::new(422, code, detail, next).with_field(shown(&field.name))
    };
    if is_blank(&field.name) || field.name.chars().count() > MAX_NAME_CHARS {
        return Err(wrong(
            "invalid_field_name",
            format!("A field's name has 1 to {MAX_NAME_CHARS} characters."),
            "Rename the field on the form.",
        ));
    }
    if field.name.starts_with(OURS) {
        return Err(wrong(
            "reserved_field_name",
            format!("Names that start with {OURS} are ours."),
            "Rename the field on the form.",
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

/// Fits an answer to the limits of any form, for senders that do not send again: nothing is refused, and
/// every change is noted.
fn fitted(mut field: Field) -> Field {
    if field.name.starts_with(OURS) {
        field.name.insert(0, '_');
        field =
            field.noted("Its name was that of a field of Leadbridge's own, and got a _ before it.");
    }
    if cut(&mut field.name, MAX_NAME_CHARS) {
        field = field.noted("Its name was cut.");
    }
    for alias in &mut field.aliases {
        cut(alias, MAX_NAME_CHARS);
    }
    if cut(&mut field.value, MAX_VALUE_CHARS) {
        field = field.noted(&format!(
            "It was longer than {MAX_VALUE_CHARS} characters; the start was kept."
        ));
    }
    field
}

/// Cuts a text after so many characters; returns true if it was longer.
fn cut(text: &mut String, most: usize) -> bool {
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
    }
    end.is_some()
}

/// Prefix of the field names that the source itself uses.
const OURS: &str = "leadbridge:";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::form::FormKind;

    /// Time of arrival of the tests' requests.
    pub(crate) const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn json_is_read_as_senders_write_it() {
        for (text, expected) in [
            (r#"{"a":"x\ud83d"}"#, "x\u{fffd}"),
            (r#"{"a":"\udc00x\ud83d\ude00"}"#, "\u{fffd}x😀"),
            (r#"{"a":"\\ud83d"}"#, "\\ud83d"),
            ("{\"a\":\"x\ny\u{b}\"}", "x\ny\u{b}"),
            ("\n{\"a\":\t\"x\\\"\"}", "x\""),
        ] {
            let value: serde_json::Value = serde_json::from_str(&readable_json(text)).unwrap();
            assert_eq!(value["a"], expected, "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_says_how_a_body_is_encoded() {
        assert_eq!(decoded(b"\xEF\xBB\xBF{}").unwrap(), "{}");
        assert_eq!(decoded(b"\xFF\xFE{\0}\0").unwrap(), "{}");
        assert_eq!(decoded(b"\xFE\xFF\0{\0}").unwrap(), "{}");
        assert_eq!(decoded(b"\xFF{}").unwrap_err().code, "invalid_encoding");
    }

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
