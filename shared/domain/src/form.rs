//! Website and other lead forms: what their owner allows.

use serde::{Deserialize, Serialize};

use super::ids::FormId;
use crate::clock::Millis;

/// Where a form's responses come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FormKind {
    /// `POST /forms/{form_key}`, JSON or urlencoded.
    Website,
    /// `POST /webhooks/google-ads/{form_key}`.
    GoogleAds,
}

/// The most a form may allow for one post, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// The most fields a form may allow for one post.
pub const MAX_FIELDS: usize = 500;
/// The longest value of one field, in characters.
pub const MAX_VALUE_CHARS: usize = 32_000;
/// The longest field name, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// A form and its rules. Secrets are sealed before they reach the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Its id; with the contract's it makes the public form key.
    pub id: FormId,
    /// Where its responses come from.
    pub kind: FormKind,
    /// What people call it.
    pub name: String,
    /// Off: posts are answered as if the form did not exist.
    pub enabled: bool,
    /// The campaign that its submissions belong to.
    #[serde(default)]
    pub campaign: Option<String>,
    /// Origins of pages that may post it from a browser; `*` allows all.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// Where a plain HTML post may be sent on to; the first is the default.
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
    /// The sealed secret that posts are signed with, where the form asks for a signature; for
    /// Google Ads the sealed `google_key`.
    #[serde(default)]
    pub sealed_secret: Option<String>,
    /// The sealed secret before the last change: still accepted.
    #[serde(default)]
    pub sealed_previous_secret: Option<String>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

impl Form {
    /// Whether a page of `origin` may post this form from a browser.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}
