//! Website forms: `POST /forms/{form_key}` with JSON or `application/x-www-form-urlencoded`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use http::header;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Delivery, Inbound, LeadSource, broken_json, check_field, clean_name, decoded, readable_json,
    shown, unauthentic,
};
use crate::field::Field;
use crate::form::Form;
use crate::normalize::invisible::is_blank;
use crate::problem::Problem;
use crate::signature::{self, Timed};
use crate::submission::{NewSubmission, Origin, SourceKind};

/// The header that identifies repeats of a post: the same key within a form is the same submission.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The signature header: `t=<seconds>,v1=<hex HMAC-SHA256(form secret, t.form key.body)>`, if the form
/// requires a signature; `sha256=<hex HMAC-SHA256(form secret, body)>` for as long as the form accepts it.
pub const SIGNATURE: &str = "x-leadbridge-signature";
/// The code of the problem of a correct signature that was made too long ago.
pub const SIGNATURE_EXPIRED: &str = "signature_expired";
/// The form field that replaces the `Idempotency-Key` header, which plain HTML cannot send.
pub const IDEMPOTENCY_FIELD: &str = "_idempotency_key";
/// The form field that names the redirect target of a plain HTML post.
pub const REDIRECT_FIELD: &str = "_redirect";

/// The website-form source.
pub struct Website;

/// The form field that browsers fill with the name of the page's encoding (HTML, "_charset_").
pub const CHARSET_FIELD: &str = "_charset_";

/// The encoding of a form post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The syntax of its fields.
    pub syntax: Syntax,
    /// The encoding of its text, if the sender names one other than UTF-8.
    pub charset: Option<&'static encoding_rs::Encoding>,
}

/// The two syntaxes of a form's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    UrlEncoded,
}

impl Encoding {
    /// JSON in UTF-8.
    pub const JSON: Self = Self {
        syntax: Syntax::Json,
        charset: None,
    };
    /// A urlencoded form in UTF-8.
    pub const URL_ENCODED: Self = Self {
        syntax: Syntax::UrlEncoded,
        charset: None,
    };

    /// Reads the encoding from the `Content-Type` header. Names of encodings are those that browsers know
    /// (WHATWG Encoding): `utf8`, `latin1`, `us-ascii`, `shift_jis`.
    ///
    /// # Errors
    /// Returns 415 for any other type, or none, or an unknown encoding.
    pub fn of(headers: &http::HeaderMap) -> Result<Self, Problem> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let syntax = match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Some(Syntax::Json),
            "application/x-www-form-urlencoded" => Some(Syntax::UrlEncoded),
            _ => None,
        };
        let label = parameters.split(';').find_map(|parameter| {
            let (name, label) = parameter.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("charset");
            named.then(|| label.trim().trim_matches(['"', '\'']))
        });
        let charset = label.map(charset);
        match (syntax, charset) {
            (Some(syntax), None) => Ok(Self {
                syntax,
                charset: None,
            }),
            (Some(syntax), Some(Some(charset))) => Ok(Self {
                syntax,
                charset: Some(charset).filter(|charset| *charset != encoding_rs::UTF_8),
            }),
            _ => Err(Problem::new(
                415,
                "unsupported_media_type",
                "The form is sent as JSON or as application/x-www-form-urlencoded, in UTF-8 or in an encoding whose name browsers know.",
                "Set the Content-Type header to one of the two, and its charset, where it has one, to the text's.",
            )
            .with_field("content-type")),
        }
    }
}

/// The encoding of a label; `None` for an unknown one, and for labels that do not stand for text.
fn charset(label: &str) -> Option<&'static encoding_rs::Encoding> {
    encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())
}

impl LeadSource for Website {
    fn kind(&self) -> SourceKind {
        SourceKind::Website
    }

    fn read(&self, inbound: Inbound<'_>) -> Result<Delivery, Problem> {
        let form = inbound.form.ok_or_else(|| Problem::not_found("form"))?;
        let encoding = Encoding::of(inbound.headers)?;
        let mut signed = None;
        if form.sealed_secret.is_some() {
            let given = inbound
                .headers
                .get(SIGNATURE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            signed = Some(check_signature(given, &inbound, form)?);
        }
        let mut fields = parse(inbound.body, encoding, form)?;
        if let Some(honeypot) = &form.honeypot_field {
            if fields
                .iter()
                .any(|field| field.name == *honeypot && !is_blank(&field.value))
            {
                return Ok(Delivery::Ignored);
            }
            fields.retain(|field| field.name != *honeypot);
        }
        let key_field = take(&mut fields, IDEMPOTENCY_FIELD);
        let redirect = take(&mut fields, REDIRECT_FIELD);
        if let Some(redirect) = &redirect
            && !form.redirect_urls.contains(redirect)
        {
            return Err(Problem::new(
                422,
                "redirect_not_allowed",
                "The form does not list this redirect URL.",
                "Add the URL to the form's redirect URLs, or leave the field out.",
            )
            .with_field(REDIRECT_FIELD));
        }
        for required in &form.required_fields {
            if !fields
                .iter()
                .any(|field| field.name == *required && !is_blank(&field.value))
            {
                return Err(Problem::new(
                    422,
                    "required_field_missing",
                    format!("The field {required} is required."),
                    "Fill it in and send the form again.",
                )
                .with_field(required));
            }
        }
        if fields.iter().all(|field| is_blank(&field.value)) {
            return Err(Problem::new(
                422,
                "empty_submission",
                "The form has no field with a value.",
                "Fill it in and send it again.",
            ));
        }
        let header_key = inbound
            .headers
            .get(IDEMPOTENCY_KEY)
            .map(|value| value.to_str().unwrap_or_default().to_owned());
        // A signed key cannot be changed; the header can be changed by anyone who has recorded the post.
        let key = match signed {
            None => header_key.or(key_field),
            Some(Signed::Body) => key_field.or(header_key),
            Some(Signed::All { digest }) => Some(key_field.unwrap_or(digest)),
        };
        if key
            .as_ref()
            .is_some_and(|key| key.is_empty() || key.len() > 255 || has_invisible(key))
        {
            return Err(Problem::new(
                400,
                "invalid_idempotency_key",
                "An idempotency key has 1 to 255 visible ASCII characters.",
                "Send for example a UUID, the same for every try of one submission.",
            )
            .with_field(IDEMPOTENCY_KEY));
        }
        let response_id = key.unwrap_or_else(|| inbound.fresh_id.to_owned());
        Ok(Delivery::Submission(Box::new(NewSubmission {
            contract: inbound.contract.clone(),
            source: SourceKind::Website,
            // Keys are the sender's own: two forms may use the same one.
            response_id: format!("{}/{response_id}", form.id),
            origin: Origin {
                form_id: form.id.to_string(),
                form_name: Some(form.name.clone()),
                campaign: form.campaign.clone(),
                details: BTreeMap::new(),
            },
            answers: Some(with_context(fields, form)),
            submitted_at: None,
            test: false,
            withdrawn: false,
        })))
    }
}

/// The part of a post that a signature covers.
enum Signed {
    /// The body alone.
    Body,
    /// Time, form and body. Without an idempotency key the post is identified by the digest of the signed
    /// text.
    All { digest: String },
}

/// Checks the signature of a post.
///
/// # Errors
/// Returns 401 for a signature that is missing or wrong, and for a correct one that is not of the present
/// time.
fn check_signature(given: &str, inbound: &Inbound<'_>, form: &Form) -> Result<Signed, Problem> {
    if let Some(timed) = Timed::parse(given) {
        let form_key = format!("{}.{}", inbound.contract, form.id);
        if !timed.verify(inbound.secrets, &form_key, inbound.body) {
            return Err(unauthentic(SIGNATURE));
        }
        if !timed.is_near(inbound.now.epoch_seconds()) {
            return Err(Problem::new(
                401,
                SIGNATURE_EXPIRED,
                format!(
                    "The signature is not of the present time: it may be {} seconds off.",
                    signature::TOLERANCE_SECONDS
                ),
                "Sign each try anew with the present time, and check the sender's clock.",
            )
            .with_field(SIGNATURE));
        }
        return Ok(Signed::All {
            digest: timed.digest(inbound.body),
        });
    }
    let body_alone = given.strip_prefix("sha256=").unwrap_or_default();
    let accepted = form
        .body_signatures_until
        .is_some_and(|until| until > inbound.now);
    if accepted && signature::verify_hex(body_alone, inbound.secrets, &[inbound.body]) {
        return Ok(Signed::Body);
    }
    Err(unauthentic(SIGNATURE))
}

/// True if a key has control characters, or white space around it.
fn has_invisible(key: &str) -> bool {
    key.trim() != key || key.chars().any(char::is_control)
}

/// The answers, with the form's own context added.
pub(super) fn with_context(mut fields: Vec<Field>, form: &Form) -> Vec<Field> {
    fields.push(Field::context("form_name", &form.name));
    fields.push(Field::context("form_id", form.id.as_str()));
    fields.extend(
        form.campaign
            .as_ref()
            .map(|campaign| Field::context("campaign", campaign)),
    );
    fields
}

fn take(fields: &mut Vec<Field>, name: &str) -> Option<String> {
    let index = fields.iter().position(|field| field.name == name)?;
    Some(fields.remove(index).value).filter(|value| !value.is_empty())
}

/// The redirect target of a plain HTML post: the one that it names, or the form's first. The caller has read
/// the post before, so a named target is known to be on the form's list.
#[must_use]
pub fn redirect_target<'a>(body: &[u8], encoding: Encoding, form: &'a Form) -> Option<&'a str> {
    let named = parse(body, encoding, form)
        .ok()
        .and_then(|mut fields| take(&mut fields, REDIRECT_FIELD));
    match named {
        Some(named) => form
            .redirect_urls
            .iter()
            .find(|url| **url == named)
            .map(String::as_str),
        None => form.redirect_urls.first().map(String::as_str),
    }
}

/// Reads the fields of a post.
///
/// # Errors
/// Returns 400 for a body that cannot be read or that names a field twice, and 422 for names, values or a
/// number of fields beyond the limits of any form.
pub fn parse(body: &[u8], encoding: Encoding, form: &Form) -> Result<Vec<Field>, Problem> {
    let pairs = match encoding.syntax {
        Syntax::Json => {
            let text = match encoding.charset {
                Some(charset) if encoding_rs::Encoding::for_bom(body).is_none() => {
                    in_charset(body, charset).ok_or_else(broken_json)?
                }
                _ => decoded(body)?,
            };
            parse_json(&readable_json(&text), form.max_fields)?
        }
        Syntax::UrlEncoded => parse_urlencoded(body, encoding.charset, form.max_fields)?,
    };
    let mut fields: Vec<Field> = Vec::with_capacity(pairs.len());
    let mut seen = HashSet::with_capacity(pairs.len());
    for (name, value) in pairs {
        let field = Field::answer(clean_name(&name), value);
        check_field(&field)?;
        if seen.insert(field.name.clone()) {
            fields.push(field);
        } else if form.multi_value_fields.contains(&field.name) {
            if let Some(first) = fields.iter_mut().find(|earlier| earlier.name == field.name)
                && !field.value.is_empty()
            {
                if !first.value.is_empty() {
                    first.value.push(';');
                }
                first.value.push_str(&field.value);
                check_field(first)?;
            }
        } else {
            return Err(Problem::new(
                400,
                "duplicate_field",
                "The post names a field twice.",
                "Send each field once, or list it among the form's multi-value fields.",
            )
            .with_field(shown(&field.name)));
        }
    }
    Ok(fields)
}

/// Decodes text in a named encoding. Programs often name an encoding that has ASCII's letters, or one of
/// western Europe, without checking: text that is valid UTF-8 nevertheless is read as UTF-8.
fn in_charset<'b>(
    bytes: &'b [u8],
    charset: &'static encoding_rs::Encoding,
) -> Option<Cow<'b, str>> {
    if charset == encoding_rs::WINDOWS_1252
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Some(Cow::Borrowed(text));
    }
    charset.decode_without_bom_handling_and_without_replacement(bytes)
}

fn too_many_fields(max_fields: usize) -> Problem {
    Problem::new(
        422,
        "too_many_fields",
        format!("The form takes at most {max_fields} fields."),
        "Send fewer fields, or raise the form's limit.",
    )
}

type Pairs = Vec<(String, String)>;

fn parse_urlencoded(
    body: &[u8],
    named: Option<&'static encoding_rs::Encoding>,
    max_fields: usize,
) -> Result<Pairs, Problem> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut pairs = Vec::new();
    for pair in body.split(|byte| *byte == b'&') {
        if pair.is_empty() {
            continue;
        }
        if pairs.len() >= max_fields {
            return Err(too_many_fields(max_fields));
        }
        let end = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = pair.split_at(end.unwrap_or(pair.len()));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        pairs.push((unescaped(name)?, unescaped(value)?));
    }
    // A browser names the encoding of the other fields in this one.
    let told = pairs
        .iter()
        .find(|(name, _)| name.as_ref() == CHARSET_FIELD.as_bytes())
        .and_then(|(_, label)| charset(std::str::from_utf8(label).ok()?));
    let charset = told.or(named).unwrap_or(encoding_rs::UTF_8);
    pairs.retain(|(name, _)| name.as_ref() != CHARSET_FIELD.as_bytes());
    let text = |bytes: Cow<'_, [u8]>| {
        in_charset(&bytes, charset)
            .map(Cow::into_owned)
            .ok_or_else(malformed_form)
    };
    pairs
        .into_iter()
        .map(|(name, value)| Ok((text(name)?, text(value)?)))
        .collect()
}

fn malformed_form() -> Problem {
    Problem::new(
        400,
        "malformed_body",
        "The body is not valid application/x-www-form-urlencoded text in its encoding, which is UTF-8 where no other is named.",
        "Encode each % as %25, and every character as the percent-encoded bytes of its UTF-8.",
    )
}

/// Decodes strictly: a `%` that starts no byte, and bytes that are no text (see [`in_charset`]), are errors
/// and not characters that the person never wrote.
fn unescaped(text: &[u8]) -> Result<Cow<'_, [u8]>, Problem> {
    if !text.contains(&b'%') && !text.contains(&b'+') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                high.zip(low)
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                    .ok_or_else(malformed_form)?
            }
            other => other,
        });
    }
    Ok(Cow::Owned(bytes))
}

/// Parses one object of scalars; a list of scalars is a field sent several times. Numbers keep their original
/// text, so that 64-bit ids survive.
fn parse_json(text: &str, max_fields: usize) -> Result<Pairs, Problem> {
    struct Object {
        max_fields: usize,
    }
    impl<'de> Visitor<'de> for Object {
        type Value = Result<Vec<(String, &'de RawValue)>, Problem>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            let mut seen = HashSet::new();
            let mut duplicate = None;
            while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                if !seen.insert(name.clone()) {
                    duplicate = Some(name.clone());
                }
                if entries.len() <= self.max_fields {
                    entries.push((name, value));
                }
            }
            if entries.len() > self.max_fields {
                return Ok(Err(too_many_fields(self.max_fields)));
            }
            Ok(match duplicate {
                // In JSON a repeated name is always a mistake, because lists exist.
                Some(name) => Err(Problem::new(
                    400,
                    "duplicate_field",
                    "The JSON object names a field twice.",
                    "Send each name once; send several values as a list.",
                )
                .with_field(shown(&name))),
                None => Ok(entries),
            })
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    let entries = (&mut reader)
        .deserialize_map(Object { max_fields })
        .map_err(|_| broken_json())??;
    reader.end().map_err(|_| broken_json())?;
    let mut pairs = Vec::with_capacity(entries.len());
    for (name, raw) in entries {
        if raw.get().starts_with('[') {
            let items: Vec<&RawValue> =
                serde_json::from_str(raw.get()).map_err(|_| broken_json())?;
            if pairs.len() + items.len() > max_fields {
                return Err(too_many_fields(max_fields));
            }
            for item in items {
                pairs.push((name.clone(), scalar(&name, item)?));
            }
        } else {
            let value = scalar(&name, raw)?;
            pairs.push((name, value));
        }
    }
    Ok(pairs)
}

fn scalar(name: &str, raw: &RawValue) -> Result<String, Problem> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map_err(|_| broken_json()),
        Some(b'{' | b'[') => Err(Problem::new(
            400,
            "nested_value",
            "A field's value is text, a number, true, false, null, or a list of those.",
            "Send the form's fields as one flat object.",
        )
        .with_field(shown(name))),
        _ if text == "null" => Ok(String::new()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{NOW, form, read};
    use super::*;
    use crate::form::FormKind;

    fn post(content_type: &str, body: &[u8]) -> Result<Delivery, Problem> {
        read(
            &Website,
            Some(&form(FormKind::Website)),
            &[("content-type", content_type)],
            body,
            &[],
        )
    }

    fn answers(delivery: Delivery) -> Vec<(String, String)> {
        let Delivery::Submission(submission) = delivery else {
            panic!("ignored")
        };
        let fields = submission.answers.unwrap();
        fields
            .into_iter()
            .filter(|f| !f.name.starts_with("leadbridge:"))
            .map(|f| (f.name, f.value))
            .collect()
    }

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

    #[test]
    fn both_encodings_give_the_same_answers() {
        let json = post(JSON, br#"{"email":"a@b.example","n":12345678901234567890123,"ok":true,"interest":["x","y"],"none":null}"#);
        let form = post(
            FORM,
            b"email=a%40b.example&n=12345678901234567890123&ok=true&interest=x&interest=y&none=",
        );
        assert_eq!(answers(json.unwrap()), answers(form.unwrap()));
    }

    #[test]
    fn bad_input_has_its_status_and_code() {
        let check = |content_type: &str, body: &[u8], status: u16, code: &str| {
            let problem = post(content_type, body).unwrap_err();
            assert_eq!(
                (problem.status, problem.code.as_str()),
                (status, code),
                "{:?}",
                String::from_utf8_lossy(body)
            );
            assert!(!problem.next_step.is_empty());
        };
        check("text/plain", b"email=a", 415, "unsupported_media_type");
        check(
            "application/json; charset=klingon",
            b"{}",
            415,
            "unsupported_media_type",
        );
        check(
            "application/json; charset=utf-7",
            b"{}",
            415,
            "unsupported_media_type",
        );
        check("", b"{}", 415, "unsupported_media_type");
        check(JSON, b"{\"email\":", 400, "malformed_body");
        check(JSON, b"[1]", 400, "malformed_body");
        check(JSON, b"{\"email\":\"a\"} x", 400, "malformed_body");
        check(JSON, b"", 400, "malformed_body");
        check(JSON, b"{\"email\":\"\xff\"}", 400, "invalid_encoding");
        check(FORM, b"email=%ff", 400, "malformed_body");
        check(FORM, b"email=%4", 400, "malformed_body");
        check(FORM, b"email=%zz", 400, "malformed_body");
        check(
            JSON,
            br#"{"email":"a","email":"b"}"#,
            400,
            "duplicate_field",
        );
        check(FORM, b"email=a&email=b", 400, "duplicate_field");
        check(JSON, br#"{"email":{"a":1}}"#, 400, "nested_value");
        check(
            JSON,
            format!("{{\"email\":{}1{}}}", "[".repeat(5000), "]".repeat(5000)).as_bytes(),
            400,
            "nested_value",
        );
        check(FORM, b"%E2%80%8B=a&email=b", 422, "invalid_field_name");
        check(JSON, br#"{"name":"x"}"#, 422, "required_field_missing");
        check(JSON, br#"{"email":" "}"#, 422, "required_field_missing");
        check(
            JSON,
            "{\"email\":\"\u{200b}\u{feff}\"}".as_bytes(),
            422,
            "required_field_missing",
        );
        check(
            JSON,
            format!(r#"{{"email":"{}"}}"#, "x".repeat(32_001)).as_bytes(),
            422,
            "value_too_long",
        );
        check(
            JSON,
            format!(r#"{{"{}":"a"}}"#, "x".repeat(201)).as_bytes(),
            422,
            "invalid_field_name",
        );
        check(FORM, b"=a&email=b", 422, "invalid_field_name");
        check(FORM, b"leadbridge:x=a&email=b", 422, "reserved_field_name");
        let many = (0..10_000)
            .map(|i| format!("f{i}=1&"))
            .collect::<Vec<_>>()
            .concat();
        check(FORM, many.as_bytes(), 422, "too_many_fields");
        check(
            FORM,
            b"email=a&_redirect=https%3A%2F%2Fevil.example",
            422,
            "redirect_not_allowed",
        );
    }

    #[test]
    fn text_is_read_in_the_encoding_that_its_sender_names() {
        let read = |content_type: &str, body: &[u8]| answers(post(content_type, body).unwrap());
        let expected = [("email".to_owned(), "José".to_owned())];
        for (content_type, body) in [
            (
                "application/json; charset=utf8",
                "{\"email\":\"José\"}".as_bytes(),
            ),
            (
                "application/json;Charset=\"UTF-8\"",
                "{\"email\":\"José\"}".as_bytes(),
            ),
            (
                "application/json; charset=us-ascii",
                b"{\"email\":\"Jos\\u00e9\"}",
            ),
            (
                "application/json; charset=latin1",
                b"{\"email\":\"Jos\xE9\"}",
            ),
            // Named wrongly, as many do.
            (
                "application/json; charset=iso-8859-1",
                "{\"email\":\"José\"}".as_bytes(),
            ),
            (
                "application/json",
                "\u{feff}{\"email\":\"José\"}".as_bytes(),
            ),
            (
                "application/x-www-form-urlencoded; charset=iso-8859-1",
                b"email=Jos%E9",
            ),
            (
                "application/x-www-form-urlencoded; charset=windows-1252",
                b"email=Jos%C3%A9",
            ),
            (
                "application/x-www-form-urlencoded",
                b"email=Jos%E9&_charset_=windows-1252",
            ),
            (
                "application/x-www-form-urlencoded",
                b"email=Jos%C3%A9&_charset_=UTF-8",
            ),
        ] {
            assert_eq!(
                read(content_type, body),
                expected,
                "{content_type} {}",
                String::from_utf8_lossy(body)
            );
        }
        let read = read(
            "application/x-www-form-urlencoded; charset=shift_jis",
            b"email=%8E%52%93%63",
        );
        assert_eq!(read, [("email".to_owned(), "山田".to_owned())]);
    }

    #[test]
    fn characters_that_cannot_be_seen_lose_no_post() {
        assert_eq!(
            answers(
                post(
                    JSON,
                    br#"{"email":"a\u0000b","na\u000bme\ufeff":"\u0007\ud83d"}"#
                )
                .unwrap()
            ),
            [
                ("email".into(), "a\0b".into()),
                ("na me".into(), "\u{7}\u{fffd}".into())
            ]
        );
        assert_eq!(
            answers(post(FORM, b"em%07ail%E2%80%8B=a%00b").unwrap()),
            [("email".into(), "a\0b".into())]
        );
    }

    #[test]
    fn a_filled_honeypot_is_ignored_and_an_empty_one_is_dropped() {
        assert_eq!(
            post(FORM, b"email=a&website_url=spam").unwrap(),
            Delivery::Ignored
        );
        assert_eq!(
            answers(post(FORM, b"email=a&website_url=").unwrap()),
            [("email".into(), "a".into())]
        );
    }

    #[test]
    fn the_idempotency_key_makes_the_response_id() {
        let id = |headers: &[(&'static str, &str)], body: &[u8]| {
            let Delivery::Submission(submission) =
                read(&Website, Some(&form(FormKind::Website)), headers, body, &[]).unwrap()
            else {
                panic!()
            };
            submission.response_id
        };
        let form_type = ("content-type", FORM);
        assert_eq!(
            id(&[form_type, ("idempotency-key", "k1")], b"email=a"),
            "demo-form-1/k1"
        );
        assert_eq!(
            id(&[form_type], b"email=a&_idempotency_key=k2"),
            "demo-form-1/k2"
        );
        assert_eq!(id(&[form_type], b"email=a"), "demo-form-1/fresh");
    }

    #[test]
    fn a_form_with_a_secret_wants_a_signature() {
        let mut signed = form(FormKind::Website);
        signed.sealed_secret = Some("sealed".into());
        signed.body_signatures_until = Some(NOW.plus_seconds(1));
        let body = b"email=a";
        let good = format!(
            "sha256={}",
            hex::encode(signature::hmac_sha256(b"old", &[body]))
        );
        let try_with = |value: &str| {
            read(
                &Website,
                Some(&signed),
                &[("content-type", FORM), (SIGNATURE, value)],
                body,
                &["new", "old"],
            )
        };
        assert!(try_with(&good).is_ok());
        for bad in [
            "",
            "sha256=",
            "sha256=00",
            good.trim_start_matches("sha256="),
        ] {
            assert_eq!(try_with(bad).unwrap_err().status, 401);
        }
        signed.body_signatures_until = Some(NOW);
        let late = read(
            &Website,
            Some(&signed),
            &[("content-type", FORM), (SIGNATURE, &good)],
            body,
            &["new", "old"],
        );
        assert_eq!(late.unwrap_err().status, 401, "no longer accepted");
    }

    #[test]
    fn a_signed_post_is_one_submission_whatever_its_headers() {
        let mut signed = form(FormKind::Website);
        signed.sealed_secret = Some("sealed".into());
        let key = "acme.demo-form-1";
        let now = NOW.epoch_seconds();
        let post = |body: &[u8], header: &str, key: Option<&str>| -> Result<String, Problem> {
            let mut headers = vec![("content-type", FORM), (SIGNATURE, header)];
            headers.extend(key.map(|key| ("idempotency-key", key)));
            match read(&Website, Some(&signed), &headers, body, &["new", "old"])? {
                Delivery::Submission(submission) => Ok(submission.response_id),
                Delivery::Ignored => panic!("a form's post"),
            }
        };
        for secret in ["new", "old"] {
            let body = b"email=a&_idempotency_key=own";
            let header = signature::sign_post(secret, key, now, body);
            for other in [None, Some("k1"), Some("k2")] {
                assert_eq!(post(body, &header, other).unwrap(), "demo-form-1/own");
            }
            let body = b"email=a";
            let header = signature::sign_post(secret, key, now, body);
            let first = post(body, &header, None).unwrap();
            assert_eq!(post(body, &header, Some("k1")).unwrap(), first);
            assert_ne!(first, "demo-form-1/fresh");
            let later = signature::sign_post(secret, key, now + 1, body);
            assert_ne!(post(body, &later, None).unwrap(), first);
        }
        let body = b"email=a";
        for (secret, form_key, at, code) in [
            ("other", key, now, "invalid_signature"),
            ("new", "acme.demo-form-2", now, "invalid_signature"),
            ("new", key, now - 301, SIGNATURE_EXPIRED),
            ("new", key, now + 301, SIGNATURE_EXPIRED),
        ] {
            let header = signature::sign_post(secret, form_key, at, body);
            let problem = post(body, &header, None).unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (401, code));
        }
        let body_alone = hex::encode(signature::hmac_sha256(b"new", &[body]));
        let header = format!("sha256={body_alone}");
        assert_eq!(post(body, &header, None).unwrap_err().status, 401);
    }

    #[test]
    fn an_idempotency_key_is_visible() {
        for bad in ["a\tb", "\ta", "a ", " a", ""] {
            let post = read(
                &Website,
                Some(&form(FormKind::Website)),
                &[("content-type", FORM), ("idempotency-key", bad)],
                b"email=a",
                &[],
            );
            assert_eq!(post.unwrap_err().code, "invalid_idempotency_key", "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for encoding in [Encoding::JSON, Encoding::URL_ENCODED] {
                if let Err(problem) = parse(&body, encoding, &form(FormKind::Website)) {
                    prop_assert!((400..500).contains(&problem.status));
                }
            }
        }

        #[test]
        fn hostile_values_arrive_as_they_were_sent(choices in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 1..6)) {
            let pairs: Vec<(String, String)> = choices.iter().enumerate()
                .map(|(index, choices)| (format!("f{index}"), crate::testing::hostile(choices))).collect();
            let mut encoder = form_urlencoded::Serializer::new(String::new());
            encoder.extend_pairs(&pairs);
            let object: serde_json::Map<_, _> = pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
            let json = serde_json::to_vec(&object).unwrap();
            for (body, encoding) in [(encoder.finish().into_bytes(), Encoding::URL_ENCODED), (json, Encoding::JSON)] {
                let fields = parse(&body, encoding, &form(FormKind::Website)).unwrap();
                let back: Vec<_> = fields.into_iter().map(|field| (field.name, field.value)).collect();
                prop_assert_eq!(&back, &pairs);
            }
        }

        #[test]
        fn what_a_browser_encodes_is_read_back(pairs in proptest::collection::btree_map("[a-z]{1,8}", "[^\\p{C}]{0,30}", 0..10)) {
            let mut encoder = form_urlencoded::Serializer::new(String::new());
            encoder.extend_pairs(&pairs);
            let fields = parse(encoder.finish().as_bytes(), Encoding::URL_ENCODED, &form(FormKind::Website)).unwrap();
            let back: std::collections::BTreeMap<_, _> = fields.into_iter().map(|f| (f.name, f.value)).collect();
            prop_assert_eq!(back, pairs.clone());
            let json = serde_json::to_vec(&pairs).unwrap();
            let fields = parse(&json, Encoding::JSON, &form(FormKind::Website)).unwrap();
            let back: std::collections::BTreeMap<_, _> = fields.into_iter().map(|f| (f.name, f.value)).collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
