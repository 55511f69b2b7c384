//! The guided connection of a CRM (CN-1, CN-2): four steps for each environment, resumable at any time.

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::schema::CrmKind;
use crate::clock::Millis;
use crate::problem::Problem;

/// Longest name of a CRM that people type, in characters.
const MAX_NAME: usize = 100;

/// A step of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 1: choose the CRM, sign in to it, have its permissions checked.
    Connect,
    /// 2: the sync settings (CN-9).
    SyncSettings,
    /// 3: ROI reporting (CN-10).
    RoiReporting,
    /// 4: advanced features.
    AdvancedFeatures,
    /// All four are done.
    Finished,
}

impl Step {
    /// 1 to 4; 5 once finished.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    const fn next(self) -> Self {
        match self {
            Self::Connect => Self::SyncSettings,
            Self::SyncSettings => Self::RoiReporting,
            Self::RoiReporting => Self::AdvancedFeatures,
            Self::AdvancedFeatures | Self::Finished => Self::Finished,
        }
    }
}

/// The CRM that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(tag = "crm", rename_all = "snake_case", deny_unknown_fields)]
pub enum CrmChoice {
    /// Salesforce.
    Salesforce,
    /// Dynamics 365 Sales.
    #[serde(rename = "dynamics365")]
    Dynamics365,
    /// A different one, which cannot be connected yet.
    Other {
        /// Its name: 1 to 100 characters.
        name: String,
    },
}

impl CrmChoice {
    /// The CRM, if it can be connected.
    #[must_use]
    pub const fn kind(&self) -> Option<CrmKind> {
        match self {
            Self::Salesforce => Some(CrmKind::Salesforce),
            Self::Dynamics365 => Some(CrmKind::Dynamics365),
            Self::Other { .. } => None,
        }
    }

    /// The choice of a CRM that can be connected.
    #[must_use]
    pub const fn of(kind: CrmKind) -> Self {
        match kind {
            CrmKind::Salesforce => Self::Salesforce,
            CrmKind::Dynamics365 => Self::Dynamics365,
        }
    }

    /// The choice with its text cleaned.
    ///
    /// # Errors
    /// Returns `invalid_crm_name` for a different CRM without a name.
    pub fn checked(self) -> Result<Self, Problem> {
        let Self::Other { name } = self else {
            return Ok(self);
        };
        let name = name.trim().to_owned();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control)
        {
            return Err(Problem::new(
                422,
                "invalid_crm_name",
                format!("The name of the CRM has 1 to {MAX_NAME} characters."),
                "Say which CRM you use.",
            )
            .with_field("name"));
        }
        Ok(Self::Other { name })
    }
}

/// The last failure, as the guide shows it to a user who returns to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
pub struct LastProblem {
    /// Time of the failure.
    #[cfg_attr(feature = "http-api", schema(value_type = i64))]
    pub at: Millis,
    /// The problem, with its next step.
    pub problem: Problem,
}

/// Progress of connecting an environment to its CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guide {
    /// The environment.
    pub environment: Environment,
    /// The next step.
    pub step: Step,
    /// The chosen CRM; `None` until one is chosen.
    #[serde(default)]
    pub choice: Option<CrmChoice>,
    /// The failure of the last attempt to connect; `None` if that attempt did not fail.
    #[serde(default)]
    pub last_problem: Option<LastProblem>,
    /// Time of the last user action.
    pub updated_at: Millis,
    /// Counts its changes.
    pub version: u64,
}

impl Guide {
    /// The guide before the first user action.
    #[must_use]
    pub const fn new(environment: Environment) -> Self {
        Self {
            environment,
            step: Step::Connect,
            choice: None,
            last_problem: None,
            updated_at: Millis(0),
            version: 0,
        }
    }

    /// Advances to the next step if `done` is the current one: repeating a step later, from the settings,
    /// changes nothing.
    pub fn done(&mut self, done: Step) {
        if self.step == done {
            self.step = self.step.next();
        }
    }

    /// Starts over after the end of a connection, and keeps the choices made.
    pub fn restart(&mut self) {
        self.step = Step::Connect;
        self.last_problem = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{CrmChoice, Guide, Step};
    use crate::environment::Environment;

    #[test]
    fn steps_are_done_in_order_and_once() {
        let mut guide = Guide::new(Environment::Sandbox);
        guide.done(Step::RoiReporting);
        assert_eq!(guide.step, Step::Connect);
        for (done, next) in [
            (Step::Connect, Step::SyncSettings),
            (Step::SyncSettings, Step::RoiReporting),
            (Step::SyncSettings, Step::RoiReporting),
            (Step::RoiReporting, Step::AdvancedFeatures),
            (Step::AdvancedFeatures, Step::Finished),
            (Step::Finished, Step::Finished),
        ] {
            guide.done(done);
            assert_eq!(guide.step, next);
        }
        guide.restart();
        assert_eq!(guide.step.number(), 1);
    }

    #[test]
    fn a_different_crm_has_a_name() {
        let other = |name: &str| CrmChoice::Other {
            name: name.to_owned(),
        };
        assert_eq!(other(" HubSpot ").checked().unwrap(), other("HubSpot"));
        assert!(other(" ").checked().is_err());
        let read: CrmChoice = serde_json::from_str(r#"{"crm":"other","name":"HubSpot"}"#).unwrap();
        assert_eq!(read, other("HubSpot"));
        assert_eq!(read.kind(), None);
        let read: CrmChoice = serde_json::from_str(r#"{"crm":"dynamics365"}"#).unwrap();
        assert_eq!(CrmChoice::of(read.kind().unwrap()), read);
        assert!(serde_json::from_str::<CrmChoice>(r#"{"crm":"other"}"#).is_err());
    }
}
