//! Matching: finds the records that are the same person or company, and explains why (MA-1 to MA-3).
//!
//! Fellegi and Sunter's model: each field of a pair of records is compared and falls into a *level*. A level
//! has a weight for or against a match, in bits: the logarithm to base 2 of how much more often it is seen
//! among matches than among others. The weights of a pair's levels add up to its score. Agreement on a rare
//! value weighs more than agreement on a common one.
//!
//! Pure: no clock, no chance, no input or output. The same pair has the same score whichever record
//! comes first, and wherever it is computed, because weights are whole thousandths of a bit.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts and weights are far smaller than what a cast would cut; what may be larger is clamped first"
)]

mod address;
pub mod assign;
mod block;
pub mod bulk;
mod clean;
pub mod columns;
pub mod company;
mod compare;
pub mod contact;
pub mod country;
mod dates;
pub mod employer;
pub mod learn;
mod model;
pub mod person;
mod phone;
mod rarity;
mod shipped;
mod similar;
pub mod tables;
pub mod text;

use serde::{Deserialize, Serialize};

pub use clean::Clean;
pub use model::{Compared, Explanation, Model, Ranked};

/// Weights and scores: thousandths of a bit.
pub type Bits = i32;

/// The kind of thing that a record describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person.
    Person,
    /// A company.
    Company,
}

/// A record as it was entered. An empty value is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// A person's first name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub first_name: String,
    /// A person's last name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_name: String,
    /// A company's name; or a person's full name, if its parts are not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// E-mail addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// Phone numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<String>,
    /// A person's job title.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The name of a person's employer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub company: String,
    /// The company's website.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub website: String,
    /// House number and street; further lines of the address after a comma or on a line of their own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub street: String,
    /// City or suburb.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub city: String,
    /// State or province.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Postal code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub postcode: String,
    /// Country, by name or code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country: String,
    /// A person's date of birth, or the day a company was founded.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub birth_date: String,
    /// Further values on which two records may agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
}

/// A value without a field of its own in a [`Record`], such as a customer number. It is compared with the
/// other record's value of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Its name, such as the column's header.
    pub name: String,
    /// The rule for comparing its values.
    pub same: Same,
    /// The value as it was entered.
    pub value: String,
}

/// The rule by which two values of a column without a field of its own are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    /// The same text, ignoring case, accents and punctuation.
    Text,
    /// The same number, ignoring digit grouping.
    Number,
    /// The same day, in any notation.
    Date,
}
