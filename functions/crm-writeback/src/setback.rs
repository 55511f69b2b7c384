//! Setbacks: what an error means for a submission. Either it waits and is tried again, or a person is
//! asked; in both cases it says what happened and what to do next.

use std::error::Error;

use shared::cached::SchemaError;
use shared::clock::Millis;
use shared::crm::CrmError;
use shared::linkedin::{FormError, LinkedInError};
use shared::problem::Problem;
use shared::session::SessionError;
use shared::store::StoreError;
use shared::texts::{self, Audience};

/// Tries in a row after which a person is asked to look at what usually passes. With the longest
/// back-off that is about two days.
pub(crate) const MAX_TRIES: u32 = 200;
/// Tries in a row with one problem that may pass or stay, until a person is asked: three quarters of an
/// hour.
pub(crate) const FEW_TRIES: u32 = 12;

/// The next step for the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is tried again: at that time, or after a growing back-off.
    Wait(Option<Millis>),
    /// As before, but only a few times: nobody can tell whether it passes.
    WaitBriefly,
    /// A person has to do something first.
    Person,
    /// Somebody else changed the submission: the message is delivered again and sees what it is now.
    Redeliver,
}

/// An obstacle between a submission and its lead.
#[derive(Debug)]
pub(crate) struct Setback {
    pub(crate) fate: Fate,
    /// For the submission's trail.
    pub(crate) problem: Problem,
    /// The time until which a call without an outcome may still take effect.
    pub(crate) quiet: Option<Millis>,
    /// True if the trail shows it while the submission waits; delays of the normal course are left out.
    pub(crate) told: bool,
    /// For the log.
    pub(crate) cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Setback {
    /// A person has to act.
    pub(crate) const fn person(problem: Problem) -> Self {
        Self::new(Fate::Person, problem)
    }

    const fn new(fate: Fate, problem: Problem) -> Self {
        Self {
            fate,
            problem,
            quiet: None,
            told: true,
            cause: None,
        }
    }

    /// It is decided anew shortly from what is there then: at that time, or after a back-off.
    pub(crate) fn soon(until: Option<Millis>) -> Self {
        Self {
            told: false,
            ..Self::new(Fate::Wait(until), texts::always_in_motion())
        }
    }

    /// A CRM, or the way to it, that took longer than a batch may.
    pub(crate) fn too_slow() -> Self {
        Self::new(Fate::Wait(None), texts::too_slow())
    }

    /// A copy for another item of the same call. Only the original carries the cause, so it is logged once.
    pub(crate) fn shared(&self) -> Self {
        Self {
            fate: self.fate,
            problem: self.problem.clone(),
            quiet: self.quiet,
            told: self.told,
            cause: None,
        }
    }

    fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same, but not tried again before that time, unless the CRM said that nothing was done.
    pub(crate) fn not_before(mut self, until: Millis) -> Self {
        match self.fate {
            Fate::Wait(None) => {
                self.fate = Fate::Wait(Some(until));
                self.quiet = Some(until);
            }
            Fate::WaitBriefly => self.quiet = Some(until),
            Fate::Wait(Some(_)) | Fate::Person | Fate::Redeliver => {}
        }
        self
    }

    /// An error of a connection while a submission is written; `remote` is its name for people.
    pub(crate) fn session(error: SessionError, remote: &str) -> Self {
        Self::session_for(error, remote, Audience::Trail)
    }

    /// An error of a connection, in the words for an audience.
    pub(crate) fn session_for(error: SessionError, remote: &str, audience: Audience) -> Self {
        let fate = match &error {
            SessionError::Paused(until) => Fate::Wait(Some(*until)),
            SessionError::NotSent(_) | SessionError::Unknown(_) => Fate::Wait(None),
            SessionError::NotRenewed(_) | SessionError::Ours(_) => Fate::WaitBriefly,
            SessionError::NotConnected
            | SessionError::SignInNeeded(_)
            | SessionError::AppRefused(_)
            | SessionError::Forbidden => Fate::Person,
        };
        let problem = texts::session(&error, remote, audience);
        Self::new(fate, problem).because(error)
    }

    /// An error of the CRM while a submission is written; `remote` is its name for people.
    pub(crate) fn crm(error: CrmError, remote: &str) -> Self {
        Self::crm_for(error, remote, Audience::Trail)
    }

    /// An error of the CRM, in the words for an audience.
    pub(crate) fn crm_for(error: CrmError, remote: &str, audience: Audience) -> Self {
        let fate = match error {
            CrmError::Session(error) => return Self::session_for(error, remote, audience),
            // Decided anew from what the CRM has then.
            CrmError::Exists | CrmError::Missing | CrmError::Changed | CrmError::RolledBack => {
                return Self::soon(None);
            }
            CrmError::Refused(_) => Fate::Person,
            CrmError::Unavailable(_) => Fate::Wait(None),
            CrmError::Unclear(_) => Fate::WaitBriefly,
        };
        let problem = texts::crm(&error, remote, audience);
        Self::new(fate, problem).because(error)
    }

    /// An error of LinkedIn.
    pub(crate) fn linkedin(error: LinkedInError) -> Self {
        let fate = match error {
            LinkedInError::Session(error) => return Self::session(error, "LinkedIn"),
            LinkedInError::Unavailable(status) if status.is_server_error() => Fate::Wait(None),
            // Nobody can tell whether another answer that is none of the documented ones passes. A notification
            // can be ahead of the API; after some tries it is not.
            LinkedInError::Unavailable(_) | LinkedInError::NotFound => Fate::WaitBriefly,
            LinkedInError::RoleMissing
            | LinkedInError::VersionSunset
            | LinkedInError::RequestRefused => Fate::Person,
        };
        let problem = texts::linkedin(&error, Audience::Trail);
        Self::new(fate, problem).because(error)
    }

    /// An error of a response's form.
    pub(crate) fn form(error: FormError) -> Self {
        match error {
            FormError::Store(error) => error.into(),
            FormError::LinkedIn(error) => Self::linkedin(error),
        }
    }

    /// An error of the metadata.
    pub(crate) fn schema(error: SchemaError, remote: &str) -> Self {
        match error {
            SchemaError::Store(error) => error.into(),
            SchemaError::Crm(error) => Self::crm(error, remote),
        }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        let (fate, problem) = match &error {
            StoreError::Conflict => (Fate::Redeliver, texts::always_in_motion()),
            StoreError::Unavailable(_) => (Fate::Wait(None), texts::table_unavailable()),
            // An item that cannot be read or written is a fault of ours, and stays one until we mend it.
            _ => (Fate::WaitBriefly, texts::ours(Audience::Trail)),
        };
        Self::new(fate, problem).because(error)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use shared::crm::{Reason, Record, Refusal};
    use shared::oauth::{ClientFault, OAuthError};
    use shared::outbound::Provider;
    use shared::store::SignInReason;
    use shared::vault::VaultError;

    use super::*;

    const LATER: Fate = Fate::Wait(None);

    fn lost() -> Box<dyn Error + Send + Sync> {
        Box::from("reset")
    }

    fn crm(error: impl Into<CrmError>) -> Setback {
        Setback::crm(error.into(), "Salesforce")
    }

    fn token(error: OAuthError) -> Setback {
        Setback::session(error.into(), "Salesforce")
    }

    fn vault(error: VaultError) -> Setback {
        Setback::session(error.into(), "Salesforce")
    }

    fn refused(reason: Reason) -> Setback {
        crm(Refusal::new(Record::Lead, reason, "CODE"))
    }

    /// Every error on the way of a submission, what becomes of it, and the code that its trail shows.
    #[expect(clippy::too_many_lines, reason = "a table: one row for each error")]
    fn all() -> Vec<(Setback, Fate, &'static str)> {
        let code = || "some_code".to_owned();
        let client = |fault| OAuthError::Client {
            fault,
            code: code(),
        };
        let over = |reason| OAuthError::SignInNeeded {
            reason,
            code: code(),
        };
        let until = Fate::Wait(Some(Millis(7)));
        let mut all = vec![
            // The table.
            (
                StoreError::Unavailable(lost()).into(),
                LATER,
                "temporarily_unavailable",
            ),
            (
                StoreError::Conflict.into(),
                Fate::Redeliver,
                "changed_meanwhile",
            ),
            (
                StoreError::Malformed(lost()).into(),
                Fate::WaitBriefly,
                "internal_error",
            ),
            // The vault.
            (vault(VaultError::Unavailable(lost())), LATER, "unreachable"),
            (
                vault(VaultError::Refused(lost())),
                Fate::WaitBriefly,
                "internal_error",
            ),
            (
                vault(VaultError::KeyFile(code())),
                Fate::WaitBriefly,
                "internal_error",
            ),
            (
                vault(VaultError::DoesNotOpen),
                Fate::Person,
                "sign_in_needed",
            ),
            // The secret of the apps, and the token endpoint.
            (token(OAuthError::Apps(lost())), LATER, "unreachable"),
            (
                token(OAuthError::AppsUnusable(lost())),
                Fate::WaitBriefly,
                "internal_error",
            ),
            (
                token(OAuthError::NoApp(Provider::Salesforce)),
                Fate::Person,
                "oauth_app_refused",
            ),
            (token(OAuthError::Unavailable(None)), LATER, "unreachable"),
            (token(OAuthError::Passing(code())), LATER, "unreachable"),
            (token(OAuthError::Throttled(9)), LATER, "unreachable"),
            (
                token(OAuthError::Unclear(code())),
                Fate::WaitBriefly,
                "sign_in_refused",
            ),
            (
                token(OAuthError::AppNotAllowed(code())),
                Fate::Person,
                "app_blocked",
            ),
            (
                token(client(ClientFault::Secret)),
                Fate::Person,
                "oauth_app_refused",
            ),
            (
                token(client(ClientFault::Unknown)),
                Fate::Person,
                "oauth_app_refused",
            ),
            (
                token(client(ClientFault::Settings)),
                Fate::Person,
                "oauth_app_refused",
            ),
            (
                token(over(SignInReason::Ended)),
                Fate::Person,
                "sign_in_needed",
            ),
            (
                token(over(SignInReason::UserInactive)),
                Fate::Person,
                "sign_in_needed",
            ),
            (
                token(over(SignInReason::OrganizationInactive)),
                Fate::Person,
                "sign_in_needed",
            ),
            (
                token(over(SignInReason::Restricted)),
                Fate::Person,
                "sign_in_needed",
            ),
            (
                token(over(SignInReason::NotApproved)),
                Fate::Person,
                "sign_in_needed",
            ),
            // The connection.
            (
                crm(SessionError::NotConnected),
                Fate::Person,
                "not_connected",
            ),
            (
                crm(SessionError::Forbidden),
                Fate::Person,
                "address_not_allowed",
            ),
            (crm(SessionError::Paused(Millis(7))), until, "throttled"),
            (crm(SessionError::NotSent(lost())), LATER, "unreachable"),
            (crm(SessionError::Unknown(lost())), LATER, "no_answer"),
            (
                crm(SessionError::Ours(lost())),
                Fate::WaitBriefly,
                "internal_error",
            ),
            // The CRM.
            (crm(CrmError::Exists), LATER, "changed_meanwhile"),
            (crm(CrmError::Missing), LATER, "changed_meanwhile"),
            (crm(CrmError::Changed), LATER, "changed_meanwhile"),
            (crm(CrmError::RolledBack), LATER, "changed_meanwhile"),
            (
                crm(CrmError::Unavailable(StatusCode::BAD_GATEWAY)),
                LATER,
                "crm_unavailable",
            ),
            (
                crm(CrmError::Unclear(code())),
                Fate::WaitBriefly,
                "crm_unavailable",
            ),
            // LinkedIn.
            (
                Setback::linkedin(LinkedInError::NotFound),
                Fate::WaitBriefly,
                "linkedin_lead_not_found",
            ),
            (
                Setback::linkedin(LinkedInError::RoleMissing),
                Fate::Person,
                "linkedin_role_missing",
            ),
            (
                Setback::linkedin(LinkedInError::VersionSunset),
                Fate::Person,
                "linkedin_version_sunset",
            ),
            (
                Setback::linkedin(LinkedInError::RequestRefused),
                Fate::Person,
                "linkedin_request_refused",
            ),
            (
                Setback::linkedin(LinkedInError::Unavailable(StatusCode::BAD_GATEWAY)),
                LATER,
                "linkedin_unavailable",
            ),
            (
                Setback::linkedin(LinkedInError::Unavailable(StatusCode::OK)),
                Fate::WaitBriefly,
                "linkedin_unavailable",
            ),
            (
                Setback::linkedin(LinkedInError::Unavailable(StatusCode::GONE)),
                Fate::WaitBriefly,
                "linkedin_unavailable",
            ),
        ];
        for (reason, code) in [
            (Reason::Values, "crm_rejected_value"),
            (Reason::ValidationRule, "crm_rejected_value"),
            (Reason::UniqueValue, "crm_rejected_value"),
            (Reason::Reference, "crm_rejected_value"),
            (Reason::Automation, "crm_automation_refused"),
            (Reason::DuplicateRule, "crm_duplicate_rule"),
            (Reason::Permission, "crm_permission_missing"),
            (Reason::Locked, "crm_record_locked"),
            (Reason::Storage, "crm_storage_full"),
            (Reason::ObjectHidden, "crm_object_not_readable"),
            (Reason::NoApi, "crm_api_access_missing"),
            (Reason::NoIdentityField, "crm_identity_field_missing"),
        ] {
            all.push((refused(reason), Fate::Person, code));
        }
        all
    }

    #[test]
    fn each_error_has_its_fate_its_problem_and_a_next_step() {
        for (setback, fate, code) in all() {
            let about = format!("{setback:?}");
            assert_eq!(setback.fate, fate, "{about}");
            assert_eq!(setback.problem.code, code, "{about}");
            assert!(!setback.problem.detail.is_empty(), "{about}");
            let next = setback.problem.next_step.as_str();
            match fate {
                // What a person has to do says so, and what follows.
                Fate::Person => {
                    let by_hand = code == "crm_identity_field_missing";
                    assert!(
                        next.contains("send the submission again") || by_hand,
                        "{about}"
                    );
                }
                Fate::Wait(_) => assert!(next.starts_with("Nothing to do"), "{about}"),
                Fate::WaitBriefly | Fate::Redeliver => assert!(!next.is_empty(), "{about}"),
            }
            // Whatever waits in vain ends with something that a person can do.
            let end =
                texts::given_up(setback.problem.clone(), MAX_TRIES, Audience::Trail).next_step;
            assert!(!end.starts_with("Nothing to do"), "{about}: {end}");
        }
    }

    #[test]
    fn passing_trouble_is_never_put_down_to_the_clients_secret() {
        for (setback, fate, _) in all() {
            if fate != Fate::Person {
                let problem = setback.problem;
                let text = format!("{} {}", problem.detail, problem.next_step);
                assert!(!text.contains("secret"), "{text}");
            }
        }
    }
}
