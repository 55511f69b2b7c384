//! Answers as they arrived: names and values of a form response.

use serde::{Deserialize, Serialize};

/// The kind of form field that an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// The person's answer to a question.
    #[default]
    Answer,
    /// A consent the person gave (`true`) or did not (`false`).
    Consent,
    /// A hidden field of the form: set by its owner, not by the person.
    Hidden,
    /// Known from the source itself (campaign, form name, …); its name starts with `leadbridge:`.
    Context,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct Field {
    /// The name a mapping refers to, exactly as on the form.
    pub name: String,
    /// Further names the same answer goes by (LinkedIn: the question's name and label beside its
    /// predefined field). A mapping for any of them applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The value as text; several choices are joined with `;`.
    pub value: String,
    /// The kind of form field that the answer comes from.
    #[serde(default)]
    pub kind: FieldKind,
    /// Repair that made the value storable, with its reason; most values are as they arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Field {
    /// An answer under one name.
    #[must_use]
    pub fn answer(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            value: value.into(),
            kind: FieldKind::Answer,
            note: None,
        }
    }

    /// A value known to the source; `name` without the `leadbridge:` prefix.
    #[must_use]
    pub fn context(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: format!("leadbridge:{name}"),
            aliases: Vec::new(),
            value: value.into(),
            kind: FieldKind::Context,
            note: None,
        }
    }

    /// Appends a remark about a change to the answer's remarks.
    #[must_use]
    pub fn noted(mut self, remark: &str) -> Self {
        self.note = Some(match self.note {
            None => remark.to_owned(),
            Some(earlier) => format!("{earlier} {remark}"),
        });
        self
    }

    /// Every name the answer goes by, the primary one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// True if `text` contains a character that no name should hold: a control character other than tab, line
/// feed and carriage return, or a Unicode non-character that CRMs refuse.
#[must_use]
pub fn has_control_characters(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || c == '\u{FFFE}' || c == '\u{FFFF}'
    })
}
