//! The CRM's own lead fields, from its metadata, in one form for every CRM.

use serde::{Deserialize, Serialize};
use url::Url;

use super::normalize::Comparison;
use crate::clock::Millis;

/// A contract's CRM product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CrmKind {
    /// Salesforce Sales Cloud.
    Salesforce,
    /// Microsoft Dynamics 365 Sales (Dataverse).
    Dynamics365,
}

impl CrmKind {
    /// The name in addresses, answers and the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Dynamics365 => "dynamics365",
        }
    }

    /// The name people know.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Salesforce => "Salesforce",
            Self::Dynamics365 => "Dynamics 365",
        }
    }

    /// The other CRM.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Salesforce => Self::Dynamics365,
            Self::Dynamics365 => Self::Salesforce,
        }
    }

    /// The address of a record's own page, for people who are signed in to the organisation at
    /// `organization`: Salesforce's Lightning record page, a model-driven app's form ("Open apps, forms,
    /// views, dialogs, and reports with a URL").
    #[must_use]
    pub fn record_url(self, organization: &Url, object: &str, id: &str) -> Url {
        let mut url = organization.clone();
        url.set_fragment(None);
        url.set_query(None);
        match self {
            Self::Salesforce => {
                url.set_path("/");
                if let Ok(mut path) = url.path_segments_mut() {
                    path.clear().extend(["lightning", "r", object, id, "view"]);
                }
            }
            Self::Dynamics365 => {
                url.set_path("/main.aspx");
                let mut query = url.query_pairs_mut();
                query.append_pair("pagetype", "entityrecord");
                query.append_pair("etn", object).append_pair("id", id);
            }
        }
        url
    }
}

/// One choice of a picklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct PicklistOption {
    /// The value that is sent to the CRM (Dataverse: the number, as text).
    pub value: String,
    /// Display name.
    pub label: String,
}

/// The type of a lead field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldType {
    /// Text in one line.
    Text {
        /// Longest value, in characters.
        max_length: u32,
    },
    /// Text in several lines.
    LongText {
        /// Longest value, in characters.
        max_length: u32,
    },
    /// An e-mail address.
    Email {
        /// Longest value, in characters.
        max_length: u32,
    },
    /// A phone number.
    Phone {
        /// Longest value, in characters.
        max_length: u32,
    },
    /// A web address.
    Url {
        /// Longest value, in characters.
        max_length: u32,
    },
    /// A whole number.
    Integer {
        /// Smallest value.
        min: Option<f64>,
        /// Largest value.
        max: Option<f64>,
    },
    /// A number with decimals, money and percentages included.
    Decimal {
        /// Smallest value.
        min: Option<f64>,
        /// Largest value.
        max: Option<f64>,
    },
    /// Yes or no.
    Boolean,
    /// A date without a time or zone.
    Date,
    /// An instant.
    DateTime,
    /// One of several choices.
    Picklist {
        /// The choices.
        options: Vec<PicklistOption>,
        /// True if the CRM refuses other values.
        restricted: bool,
        /// True if choices are sent as numbers (Dataverse) rather than text.
        numeric: bool,
    },
    /// Any of several choices, joined with `;`.
    MultiPicklist {
        /// The choices.
        options: Vec<PicklistOption>,
        /// True if the CRM refuses other values.
        restricted: bool,
    },
    /// A type that no form value can be stored in (look-ups, ids, computed values).
    Unsupported {
        /// The CRM's own name for it.
        crm_type: String,
    },
}

/// One lead field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct LeadField {
    /// The CRM's name for it (`Email`, `emailaddress1`).
    pub name: String,
    /// Display name.
    pub label: String,
    /// Its type.
    #[serde(flatten)]
    pub field_type: FieldType,
    /// True if the CRM refuses a lead without it.
    pub required: bool,
    /// True if it can be set when a lead is created.
    pub createable: bool,
    /// True if it can be changed later.
    pub updateable: bool,
}

impl LeadField {
    /// True if a form value can be mapped to the field.
    #[must_use]
    pub fn is_mappable(&self) -> bool {
        self.createable && !matches!(self.field_type, FieldType::Unsupported { .. })
    }

    /// The way to compare its values when leads are matched.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match self.field_type {
            FieldType::Email { .. } => Comparison::Email,
            FieldType::Phone { .. } => Comparison::Phone,
            FieldType::Url { .. } => Comparison::Url,
            FieldType::Text { .. } | FieldType::LongText { .. } => Comparison::Text,
            _ => Comparison::Exact,
        }
    }

    /// True if the field holds the name of the lead's company.
    #[must_use]
    pub fn is_company(&self) -> bool {
        matches!(self.name.as_str(), "Company" | "companyname")
    }

    /// True if leads can be matched by the field: the CRM must be able to filter on it.
    #[must_use]
    pub fn is_matchable(&self) -> bool {
        self.is_mappable()
            && !matches!(
                self.field_type,
                FieldType::LongText { .. } | FieldType::MultiPicklist { .. } | FieldType::DateTime
            )
    }
}

/// The lead's fields in one organisation, with the parts of Leadbridge's package that are installed there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct LeadSchema {
    /// The CRM that this describes.
    pub crm: CrmKind,
    /// Lead fields in the CRM's order.
    pub fields: Vec<LeadField>,
    /// Names of the contact fields that can be set.
    pub contact_fields: Vec<String>,
    /// True if leads and contacts have a field for Leadbridge's identity that the CRM keeps unique: always in
    /// Dataverse (the primary key), in Salesforce if the fields of Leadbridge's package are installed.
    pub has_identity: bool,
    /// True if a lead can point to its contact in the CRM itself.
    pub has_contact_link: bool,
    /// Time of the request to the CRM.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub fetched_at: Millis,
}

impl LeadSchema {
    /// The field of that name. Salesforce itself ignores case in names; this lookup compares exactly, with
    /// the spelling that the CRM sends, so that one field has one spelling in mappings.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&LeadField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::CrmKind;

    #[test]
    fn a_record_has_an_address_at_its_organisation() {
        let url = |crm: CrmKind, organization: &str, object, id| {
            let organization = Url::parse(organization).unwrap();
            crm.record_url(&organization, object, id).to_string()
        };
        assert_eq!(
            url(
                CrmKind::Salesforce,
                "https://acme.my.salesforce.com",
                "Contact",
                "003000000000001AAA"
            ),
            "https://acme.my.salesforce.com/lightning/r/Contact/003000000000001AAA/view"
        );
        let guid = "00aa00aa-bb11-cc22-dd33-44ee44ee44ee";
        assert_eq!(
            url(
                CrmKind::Dynamics365,
                "https://acme.crm4.dynamics.com/?x=1#y",
                "account",
                guid
            ),
            format!(
                "https://acme.crm4.dynamics.com/main.aspx?pagetype=entityrecord&etn=account&id={guid}"
            )
        );
        // The address stays on the organisation's host for any text in an id.
        assert_eq!(
            url(
                CrmKind::Salesforce,
                "https://acme.my.salesforce.com/",
                "a/b",
                "?#"
            ),
            "https://acme.my.salesforce.com/lightning/r/a%2Fb/%3F%23/view"
        );
    }
}
