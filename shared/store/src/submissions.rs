//! Submissions: accepted once, taken by one worker at a time, finished once.

use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use super::claims::ClaimWrite;
use super::misc::Attachment;
use super::{Item, Store, StoreError, keys, number, read, text, write};
use domain::clock::Millis;
use domain::ids::{ContractId, SubmissionId};
use domain::submission::{SWEEP_AFTER_SECONDS, SourceKind, State, Submission};

const ENTITY: &str = "submission";

/// What became of an attempt to store a submission.
#[derive(Debug)]
pub enum Accepted {
    /// It is stored.
    New,
    /// It was stored before: this is how it stands.
    Repeat(Box<Submission>),
}

/// What became of an attempt to take a submission.
#[derive(Debug)]
pub enum Taken {
    /// It is the caller's until its lease ends.
    Mine(Box<Submission>),
    /// Another worker holds it until then.
    Busy(Millis),
    /// There is nothing to do: it is finished, or waits for a person.
    Settled(State),
    /// There is no such submission.
    Missing,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The page's items.
    pub items: Vec<T>,
    /// Where the next page starts; none after the last.
    pub next: Option<String>,
}

/// Which submissions of a contract to list.
#[derive(Debug, Clone, Default)]
pub struct SubmissionFilter {
    /// In this state only.
    pub state: Option<State>,
    /// From this source only.
    pub source: Option<SourceKind>,
    /// Of this form only (the source's form id).
    pub form: Option<String>,
    /// Of this campaign only.
    pub campaign: Option<String>,
    /// Whose answers, names or ids contain this text, in any case.
    pub text: Option<String>,
    /// Received at or after this.
    pub from: Option<Millis>,
    /// Received before this.
    pub to: Option<Millis>,
}

/// What a worker writes when it is done with a submission.
#[derive(Debug, Default)]
pub struct Finish {
    /// Its attachment to the lead.
    pub attachment: Option<Attachment>,
    /// The claim it held, with the lead that came of it.
    pub claim: Option<ClaimWrite>,
}

fn item(submission: &Submission) -> Result<Item, StoreError> {
    let contract = &submission.contract;
    let mut item = write(
        ENTITY,
        submission,
        &keys::submission(contract, submission.id),
    )?;
    item.insert("GSI1PK".to_owned(), text(keys::submissions_index(contract)));
    item.insert(
        "GSI1SK".to_owned(),
        text(keys::submission_order(
            submission.received_at,
            Some(submission.id),
        )),
    );
    let work = match submission.state {
        _ if submission.is_due() => Some(keys::open_index(contract)),
        State::NeedsAttention => Some(keys::failed_index(contract)),
        _ => None,
    };
    if let Some(partition) = work {
        item.insert("GSI2PK".to_owned(), text(partition));
        item.insert(
            "GSI2SK".to_owned(),
            text(keys::submission_order(
                submission.due_at,
                Some(submission.id),
            )),
        );
    }
    item.insert("search".to_owned(), text(search_text(submission)));
    Ok(item)
}

/// The text that the list's search looks in: lowercase, and short enough to add little.
fn search_text(submission: &Submission) -> String {
    let mut parts = vec![submission.response_id.as_str(), submission.form_label()];
    parts.extend(submission.origin.campaign.as_deref());
    parts.extend(submission.lead.as_ref().map(|lead| lead.id.as_str()));
    let answers = submission.answers.iter().flatten();
    parts.extend(
        answers
            .map(|field| field.value.as_str())
            .filter(|value| value.len() <= 200),
    );
    let joined = parts.join("\n").to_lowercase();
    joined.chars().take(2000).collect()
}

impl Store {
    /// Stores a submission unless it is stored already. One call.
    pub async fn accept_submission(&self, submission: &Submission) -> Result<Accepted, StoreError> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(submission)?))
            .condition_expression("attribute_not_exists(PK)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(_) => Ok(Accepted::New),
            Err(error) => {
                use aws_sdk_dynamodb::operation::put_item::PutItemError;
                if let Some(PutItemError::ConditionalCheckFailedException(failed)) =
                    error.as_service_error()
                {
                    let stored = match failed.item.clone().filter(|item| !item.is_empty()) {
                        Some(item) => read(ENTITY, item)?,
                        // An endpoint that does not return the old item costs one more call.
                        None => self
                            .submission(&submission.contract, submission.id)
                            .await?
                            .ok_or(StoreError::Conflict)?,
                    };
                    return Ok(Accepted::Repeat(Box::new(stored)));
                }
                Err(error.into())
            }
        }
    }

    /// A submission.
    pub async fn submission(
        &self,
        contract: &ContractId,
        id: SubmissionId,
    ) -> Result<Option<Submission>, StoreError> {
        self.get(ENTITY, keys::submission(contract, id), true).await
    }

    /// Takes a submission for one worker until `lease_until`. One call.
    pub async fn take_submission(
        &self,
        contract: &ContractId,
        id: SubmissionId,
        now: Millis,
        lease_until: Millis,
    ) -> Result<Taken, StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::submission(contract, id).attributes()))
            .update_expression(
                "SET #state = :processing, due_at = :lease, GSI2SK = :order ADD version :one, attempts :one",
            )
            .condition_expression(
                "attribute_exists(PK) AND (#state IN (:received, :waiting) OR (#state = :processing AND due_at <= :now))",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":processing", text(State::Processing.as_str()))
            .expression_attribute_values(":received", text(State::Received.as_str()))
            .expression_attribute_values(":waiting", text(State::Waiting.as_str()))
            .expression_attribute_values(":lease", number(lease_until.0))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":order", text(keys::submission_order(lease_until, Some(id))))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(answer) => {
                let item = answer.attributes.ok_or(StoreError::Conflict)?;
                Ok(Taken::Mine(Box::new(read(ENTITY, item)?)))
            }
            Err(error) => {
                use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
                let Some(UpdateItemError::ConditionalCheckFailedException(refused)) =
                    error.as_service_error()
                else {
                    return Err(error.into());
                };
                let stored: Option<Submission> = match refused.item.clone() {
                    Some(item) if !item.is_empty() => Some(read(ENTITY, item)?),
                    // An endpoint that does not return the old item costs one more call.
                    _ => self.submission(contract, id).await?,
                };
                Ok(match stored {
                    None => Taken::Missing,
                    Some(stored) if stored.state == State::Processing => Taken::Busy(stored.due_at),
                    // Set back to work between the two calls: like a worker that just left it.
                    Some(stored) if stored.state.is_open() => Taken::Busy(now),
                    Some(stored) => Taken::Settled(stored.state),
                })
            }
        }
    }

    /// Writes a submission over the version it was read at, and raises its version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was written meanwhile (withdrawn, taken by another).
    pub async fn save_submission(&self, submission: &mut Submission) -> Result<(), StoreError> {
        self.finish_submission(submission, Finish::default()).await
    }

    /// Writes a submission with what belongs to it, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the submission or the claim was written meanwhile.
    pub async fn finish_submission(
        &self,
        submission: &mut Submission,
        with: Finish,
    ) -> Result<(), StoreError> {
        let expected = submission.version;
        submission.version += 1;
        let result = self.write_version(submission, expected, with).await;
        if result.is_err() {
            submission.version = expected;
        }
        result
    }

    async fn write_version(
        &self,
        submission: &Submission,
        expected: u64,
        with: Finish,
    ) -> Result<(), StoreError> {
        let item = item(submission)?;
        let condition = "version = :expected";
        if with.attachment.is_none() && with.claim.is_none() {
            self.client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression(condition)
                .expression_attribute_values(":expected", number(expected))
                .send()
                .await?;
            return Ok(());
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .expression_attribute_values(":expected", number(expected));
        let mut transaction = self.client.transact_write_items().transact_items(
            TransactWriteItem::builder()
                .put(built(put.build())?)
                .build(),
        );
        if let Some(attachment) = with.attachment {
            let item = attachment.item(&submission.contract, submission.id)?;
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            transaction = transaction.transact_items(
                TransactWriteItem::builder()
                    .put(built(put.build())?)
                    .build(),
            );
        }
        if let Some(claim) = with.claim {
            transaction =
                transaction.transact_items(claim.into_item(&self.table, &submission.contract)?);
        }
        transaction.send().await?;
        Ok(())
    }

    /// Notes that a submission was withdrawn at its source and sets it back to work, so that a
    /// worker looks at the lead it became. `false` when that was noted before.
    pub async fn withdraw_submission(
        &self,
        contract: &ContractId,
        id: SubmissionId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let due = now.plus_seconds(SWEEP_AFTER_SECONDS);
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::submission(contract, id).attributes()))
            .update_expression(
                "SET #state = :received, withdrawn_at = :now, due_at = :due, GSI2PK = :open, GSI2SK = :order ADD version :one",
            )
            .condition_expression("attribute_exists(PK) AND attribute_not_exists(withdrawn_at)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":received", text(State::Received.as_str()))
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":due", number(due.0))
            .expression_attribute_values(":open", text(keys::open_index(contract)))
            .expression_attribute_values(":order", text(keys::submission_order(due, Some(id))))
            .expression_attribute_values(":one", number(1))
            .send()
            .await;
        match result.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A contract's submissions, newest first. `cursor` is a page's `next`.
    pub async fn list_submissions(
        &self,
        contract: &ContractId,
        filter: &SubmissionFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Submission>, StoreError> {
        let mut conditions = Vec::new();
        let mut values: Vec<(&str, AttributeValue)> = Vec::new();
        let mut names: Vec<(&str, &str)> = Vec::new();
        if let Some(state) = filter.state {
            conditions.push("#state = :state");
            names.push(("#state", "state"));
            values.push((":state", text(state.as_str())));
        }
        if let Some(source) = filter.source {
            conditions.push("#source = :source");
            names.push(("#source", "source"));
            values.push((":source", text(source.as_str())));
        }
        if let Some(form) = &filter.form {
            conditions.push("#origin.form_id = :form");
            values.push((":form", text(form)));
        }
        if let Some(campaign) = &filter.campaign {
            conditions.push("#origin.campaign = :campaign");
            values.push((":campaign", text(campaign)));
        }
        if filter.form.is_some() || filter.campaign.is_some() {
            names.push(("#origin", "origin"));
        }
        if let Some(wanted) = &filter.text {
            conditions.push("contains(#search, :text)");
            names.push(("#search", "search"));
            values.push((":text", text(wanted.to_lowercase())));
        }
        let from = keys::submission_order(filter.from.unwrap_or_default(), None);
        let to = keys::submission_order(filter.to.unwrap_or(Millis(9_999_999_999_999)), None);
        let mut found: Vec<Submission> = Vec::new();
        // A cursor from another period than the one asked for.
        if cursor.is_some_and(|cursor| cursor < from.as_str()) {
            return Ok(Page {
                items: found,
                next: None,
            });
        }
        let mut start = cursor
            .filter(|cursor| *cursor < to.as_str())
            .map(|order| submissions_start(contract, order));
        loop {
            let mut query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("GSI1")
                .key_condition_expression("GSI1PK = :pk AND GSI1SK BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(keys::submissions_index(contract)))
                .expression_attribute_values(":from", text(&from))
                .expression_attribute_values(":to", text(&to))
                .scan_index_forward(false)
                .limit(100)
                .set_exclusive_start_key(start);
            if !conditions.is_empty() {
                query = query.filter_expression(conditions.join(" AND "));
            }
            for (name, attribute) in &names {
                query = query.expression_attribute_names(*name, *attribute);
            }
            for (name, value) in &values {
                query = query.expression_attribute_values(*name, value.clone());
            }
            let answer = query.send().await?;
            for item in answer.items.unwrap_or_default() {
                found.push(read(ENTITY, item)?);
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || found.len() > limit {
                break;
            }
        }
        let more = found.len() > limit || start.is_some();
        found.truncate(limit);
        let next = found
            .last()
            .filter(|_| more)
            .map(|last| keys::submission_order(last.received_at, Some(last.id)));
        Ok(Page { items: found, next })
    }

    /// Open submissions that were due before `now`: nobody has them, whatever became of their
    /// message.
    pub async fn due_submissions(
        &self,
        contract: &ContractId,
        now: Millis,
        limit: i32,
    ) -> Result<Vec<SubmissionId>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("GSI2")
            .key_condition_expression("GSI2PK = :pk AND GSI2SK < :now")
            .expression_attribute_values(":pk", text(keys::open_index(contract)))
            .expression_attribute_values(":now", text(keys::submission_order(now, None)))
            .limit(limit)
            .send()
            .await?;
        answer
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| read::<Submission>(ENTITY, item).map(|submission| submission.id))
            .collect()
    }

    /// Submissions that need a person, longest waiting first.
    pub async fn failed_submissions(
        &self,
        contract: &ContractId,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Submission>, StoreError> {
        let start = cursor.map(|order| {
            let mut start = submissions_start(contract, order);
            start.remove("GSI1PK");
            start.remove("GSI1SK");
            start.insert("GSI2PK".to_owned(), text(keys::failed_index(contract)));
            start.insert("GSI2SK".to_owned(), text(order));
            start
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("GSI2")
            .key_condition_expression("GSI2PK = :pk")
            .expression_attribute_values(":pk", text(keys::failed_index(contract)))
            .limit(i32::try_from(limit).unwrap_or(100))
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let more = answer
            .last_evaluated_key
            .as_ref()
            .is_some_and(|key| !key.is_empty());
        let items: Vec<Submission> = answer
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| read(ENTITY, item))
            .collect::<Result<_, _>>()?;
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| keys::submission_order(last.due_at, Some(last.id)));
        Ok(Page { items, next })
    }
}

/// The start key of a page of GSI1, rebuilt from the contract and the cursor: a cursor from
/// outside can only ever point into its caller's own contract.
fn submissions_start(contract: &ContractId, order: &str) -> Item {
    let id = order
        .split_once('#')
        .and_then(|(_, id)| id.parse().ok())
        .unwrap_or(SubmissionId(uuid::Uuid::nil()));
    let mut start = keys::submission(contract, id).attributes();
    start.insert("GSI1PK".to_owned(), text(keys::submissions_index(contract)));
    start.insert("GSI1SK".to_owned(), text(order));
    start
}

pub(super) fn built<T>(
    result: Result<T, aws_sdk_dynamodb::error::BuildError>,
) -> Result<T, StoreError> {
    result.map_err(|error| StoreError::Unavailable(Box::new(error)))
}
