//! Website and other lead forms, with the rules that their owner sets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::FormId;
use crate::clock::Millis;

/// The source of a form's responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FormKind {
    /// `POST /forms/{form_key}`, JSON or urlencoded.
    Website,
    /// `POST /webhooks/google-ads/{form_key}`.
    GoogleAds,
}

/// Largest body that a form may allow for one post, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Largest number of fields that a form may allow for one post.
pub const MAX_FIELDS: usize = 500;
/// Default number of posts that a form takes in a minute: twenty a second.
pub const DEFAULT_POSTS_PER_MINUTE: u32 = 1_200;
/// Largest number of posts that a form may take in a minute.
pub const MAX_POSTS_PER_MINUTE: u32 = 60_000;
/// Longest time ahead for which signatures over the body alone may be accepted, in seconds: 90 days.
pub const MAX_BODY_SIGNATURES_SECONDS: i64 = 90 * 24 * 3600;
/// The longest value of one field, in characters.
pub const MAX_VALUE_CHARS: usize = 32_000;
/// The longest field name, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// The audit log's text for a secret: only whether it is set, and whether this change replaced it. `before`
/// is the sealed secret before the change, if this is one.
#[must_use]
pub fn secret_logged(now: Option<&str>, before: Option<Option<&str>>) -> &'static str {
    match (now, before) {
        (None, _) => "not set",
        (Some(now), Some(Some(before))) if now != before => "changed",
        (Some(_), _) => "set",
    }
}

/// A form and its rules. Secrets are sealed before they reach the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Its id; with the contract's it makes the public form key.
    pub id: FormId,
    /// The source of its responses.
    pub kind: FormKind,
    /// Display name.
    pub name: String,
    /// False: posts are answered as if the form did not exist.
    pub enabled: bool,
    /// The campaign that its submissions belong to.
    #[serde(default)]
    pub campaign: Option<String>,
    /// Origins of pages that may post it from a browser; `*` allows all.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// Redirect targets for plain HTML posts; the first is the default.
    #[serde(default)]
    pub redirect_urls: Vec<String>,
    /// Fields without which a post is refused.
    #[serde(default)]
    pub required_fields: Vec<String>,
    /// Fields that may be sent several times; their values are joined with `;`.
    #[serde(default)]
    pub multi_value_fields: Vec<String>,
    /// A field that people never see; a post that fills it is a bot's.
    #[serde(default)]
    pub honeypot_field: Option<String>,
    /// Largest body, in bytes.
    pub max_body_bytes: usize,
    /// Most fields in one post.
    pub max_fields: usize,
    /// The sealed secret that signs posts, if the form requires a signature; for Google Ads the sealed
    /// `google_key`.
    #[serde(default)]
    pub sealed_secret: Option<String>,
    /// The sealed secret before the last change; still accepted.
    #[serde(default)]
    pub sealed_previous_secret: Option<String>,
    /// End of the period in which signatures over the body alone are accepted beside those over time, form
    /// and body.
    #[serde(default)]
    pub body_signatures_until: Option<Millis>,
    /// Posts taken in a minute; a large one counts several times.
    #[serde(default = "default_posts_per_minute")]
    pub posts_per_minute: u32,
    /// Time of creation.
    pub created_at: Millis,
    /// Time of the last change.
    pub updated_at: Millis,
}

const fn default_posts_per_minute() -> u32 {
    DEFAULT_POSTS_PER_MINUTE
}

impl Form {
    /// The form as the audit log shows it outside a change: all of it, but of its secrets only whether they
    /// are set.
    #[must_use]
    pub fn logged(&self) -> Value {
        self.logged_over(None)
    }

    /// The form as the audit log shows it after a change of `before`; a replaced secret is shown as changed.
    #[must_use]
    pub fn logged_over(&self, before: Option<&Self>) -> Value {
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        if let Some(shown) = shown.as_object_mut() {
            shown.remove("sealed_secret");
            shown.remove("sealed_previous_secret");
            let was = before.map(|form| form.sealed_secret.as_deref());
            let secret = secret_logged(self.sealed_secret.as_deref(), was);
            shown.insert("secret".to_owned(), secret.into());
            let previous = secret_logged(self.sealed_previous_secret.as_deref(), None);
            shown.insert("previous_secret".to_owned(), previous.into());
        }
        shown
    }

    /// True if a page of `origin` may post this form from a browser.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}
