//! The directory: the person of a submission, and their company, once the lead is final (MA-1).
//!
//! A separate step: the write that makes the submission's lead final also marks this step as due. The
//! submission counts as done even if this step fails, and the sweep announces the step again until it is
//! done. The step is idempotent, because an entry's id is derived from the person's values.

use matching::Record;
use shared::domain::contract::ContractConfig;
use shared::domain::directory::{EntryKind, EntryRef, MAX_TEXT, NewEntry, Origin, RecordRef};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::linked_record;
use shared::domain::match_keys::lead_object;
use shared::domain::normalize::{self, invisible, stop_gap};
use shared::domain::submission::{InDirectory, Submission};
use shared::linking::Linking;
use shared::store::StoreError;

use crate::App;
use crate::decide::Case;

/// Longest website, in characters.
const MAX_WEBSITE: usize = 500;

impl Case<'_> {
    /// The submission's person as the directory's work; `None` for a test.
    pub(crate) fn due(&self, submission: &Submission) -> Option<InDirectory> {
        if submission.test {
            return None;
        }
        let contract = &self.config.contract;
        let given = self.lead.values.iter();
        let values = given
            .filter(|(name, _)| !self.lead.filled_in.contains(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let object = lead_object(contract.crm);
        let placeholder = &contract.settings.placeholder;
        let record = linked_record::record(contract.crm, object, &values, None, placeholder)?;
        (record != Record::default()).then(|| InDirectory::Due(Box::new(record)))
    }
}

impl App {
    /// Does what is due for the directory of a submission whose lead is final. What fails is logged: it
    /// stays due.
    pub(crate) async fn enter(&self, submission: &mut Submission) {
        if let Err(error) = self.try_enter(submission).await {
            tracing::warn!(contract = %submission.contract, submission.id = %submission.id,
                error = &error as &dyn std::error::Error, "not in the directory yet: the sweep comes back to it");
        }
    }

    /// The same for a message about a submission that is done: this may be left of it.
    pub(crate) async fn enter_settled(
        &self,
        contract: &ContractId,
        id: shared::domain::ids::SubmissionId,
    ) -> Result<(), StoreError> {
        if let Some(mut submission) = self.remote.store.submission(contract, id).await?
            && !submission.state.is_open()
        {
            self.enter(&mut submission).await;
        }
        Ok(())
    }

    async fn try_enter(&self, submission: &mut Submission) -> Result<(), StoreError> {
        let Some(InDirectory::Due(record)) = submission.directory.clone() else {
            return Ok(());
        };
        let contract = submission.contract.clone();
        let now = self.clock.now();
        let Some(config) = self.cached.config(&contract, now).await? else {
            return Ok(());
        };
        let linking = Linking::new(&self.remote.store, &config.contract, now).with(&self.cached);
        let new = |kind, record| new_entry(&config, submission, kind, record);
        let company = company(&record).and_then(|company| new(EntryKind::Company, company));
        if let Some(new) = &company {
            linking.add(new, None).await?;
        }
        let profile = new(EntryKind::Profile, tidy(*record));
        if let Some(new) = &profile {
            let lead = submission.lead.as_ref();
            let lead = lead.map(|lead| RecordRef::new(lead_object(config.contract.crm), &lead.id));
            linking.add(new, lead.as_ref()).await?;
        }
        let (profile, company) = (profile.map(|new| new.id), company.map(|new| new.id));
        submission.directory = Some(InDirectory::Added { profile, company });
        match self.remote.store.save_submission(submission).await {
            Err(StoreError::Conflict) => {
                // Withdrawn meanwhile, maybe by somebody who found nothing in the directory yet.
                let stored = self
                    .remote
                    .store
                    .submission(&contract, submission.id)
                    .await?;
                if stored.is_none_or(|stored| stored.withdrawn_at.is_some()) {
                    self.leave(submission).await?;
                }
                Ok(())
            }
            saved => saved,
        }
    }

    /// Takes what a withdrawn submission brought into the directory out of it, where nothing else brought
    /// it too.
    pub(crate) async fn leave(&self, submission: &mut Submission) -> Result<(), StoreError> {
        let (contract, id) = (submission.contract.clone(), submission.id);
        let (profile, company) = match submission.directory.take() {
            None => return Ok(()),
            Some(InDirectory::Added { profile, company }) => (profile, company),
            // A worker that died may have added them.
            Some(InDirectory::Due(record)) => {
                let now = self.clock.now();
                let Some(config) = self.cached.config(&contract, now).await? else {
                    return Ok(());
                };
                let of = |kind, record| Some(new_entry(&config, submission, kind, record)?.id);
                let company = company(&record).and_then(|company| of(EntryKind::Company, company));
                (of(EntryKind::Profile, tidy(*record)), company)
            }
        };
        let entries = [(EntryKind::Profile, profile), (EntryKind::Company, company)];
        for (kind, entry) in entries {
            if let Some(entry) = entry {
                let of = EntryRef { kind, id: entry };
                let store = &self.remote.store;
                let freed = store.withdraw_entry(&contract, Environment::Production, of, id);
                if let Some(record) = freed.await? {
                    let now = self.clock.now();
                    if let Some(config) = self.cached.config(&contract, now).await? {
                        let linking = Linking::new(store, &config.contract, now);
                        linking.hand_over(kind, record).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// An entry to add; `None` if the values are not enough to identify it, or are not valid.
fn new_entry(
    config: &ContractConfig,
    submission: &Submission,
    kind: EntryKind,
    record: Record,
) -> Option<NewEntry> {
    let (contract, region) = (
        &submission.contract,
        config.contract.settings.default_region.as_deref(),
    );
    let origin = Origin::Submission(submission.id);
    match NewEntry::new(contract, kind, None, record, origin, region) {
        Ok(new) => Some(new),
        Err(problem) => {
            tracing::info!(%contract, submission.id = %submission.id, code = problem.code, field = problem.field, "no {kind} comes of it");
            None
        }
    }
}

/// The employer that a person names.
fn company(person: &Record) -> Option<Record> {
    if person.company.trim().is_empty() || stop_gap::of_company(&person.company).is_some() {
        return None;
    }
    Some(tidy(Record {
        name: person.company.clone(),
        website: person.website.clone(),
        country: person.country.clone(),
        ..Record::default()
    }))
}

/// Cuts a form's answers to the directory's limits: people type anything.
fn tidy(mut record: Record) -> Record {
    let cut = |text: &mut String, most: usize| {
        if let Some((end, _)) = text.char_indices().nth(most) {
            text.truncate(end);
        }
    };
    for text in [
        &mut record.first_name,
        &mut record.last_name,
        &mut record.name,
        &mut record.title,
        &mut record.company,
        &mut record.street,
        &mut record.city,
        &mut record.state,
        &mut record.postcode,
        &mut record.country,
    ] {
        cut(text, MAX_TEXT);
    }
    if record.website.chars().count() > MAX_WEBSITE {
        record.website.clear();
    }
    record
        .emails
        .retain(|email| normalize::email(email).is_some());
    record
        .phones
        .retain(|phone| phone.chars().count() <= 60 && has_digits(phone));
    record
}

fn has_digits(text: &str) -> bool {
    invisible::plain_digits(text).contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_brought_within_limits() {
        let record = tidy(Record {
            company: "äö".repeat(300),
            website: format!("https://example.com/{}", "x".repeat(600)),
            emails: vec!["ada".to_owned(), "ada@example.com".to_owned()],
            phones: vec![
                "none".to_owned(),
                "1".repeat(80),
                "+1 415 555 2671".to_owned(),
            ],
            ..Record::default()
        });
        assert_eq!(record.company.chars().count(), MAX_TEXT);
        assert_eq!(record.website, "");
        assert_eq!(record.emails, ["ada@example.com"]);
        assert_eq!(record.phones, ["+1 415 555 2671"]);
        assert_eq!(company(&Record::default()), None);
        for text in ["Self-employed", "n/a", "[object Object]", "privat"] {
            let person = Record {
                company: text.to_owned(),
                ..Record::default()
            };
            assert_eq!(company(&person), None, "{text}");
        }
        assert_eq!(
            company(&record).map(|company| company.name),
            Some(record.company)
        );
    }
}
