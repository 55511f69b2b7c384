//! Submissions: accepted once, taken by one worker at a time, finished once.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::attachments::Attachment;
use super::claims::ClaimWrite;
use super::schema::{self, Index};
use super::transaction::Assumption;
use super::{
    Item, Store, StoreError, expire, keys, number, page_of, read, read_each, size_of_item, text,
    write,
};
use domain::clock::Millis;
use domain::ids::{ContractId, SubmissionId};
use domain::mapping::{FieldOutcome, FieldReport};
use domain::submission::{SWEEP_AFTER_SECONDS, SourceKind, State, Submission};

const ENTITY: &str = "submission";

/// The outcome of an attempt to store something that is stored once.
#[derive(Debug)]
pub enum Accepted<T> {
    /// It is stored.
    New,
    /// It was stored before; this is its current state.
    Repeat(Box<T>),
}

/// The outcome of an attempt to take a submission.
#[derive(Debug)]
pub enum Taken {
    /// It is the caller's until its lease ends.
    Mine(Box<Submission>),
    /// Another worker holds it until that time.
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
    /// The start of the next page; `None` after the last.
    pub next: Option<String>,
}

/// A filter for the list of a contract's submissions.
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
    /// With this text in their answers, names or ids, in any case.
    pub text: Option<String>,
    /// Received at or after this.
    pub from: Option<Millis>,
    /// Received before this.
    pub to: Option<Millis>,
}

/// Writes that a worker makes together with the final state of a submission.
#[derive(Debug, Default)]
pub struct Finish {
    /// Its attachment to the lead.
    pub attachment: Option<Attachment>,
    /// The claim it held, with the resulting lead.
    pub claim: Option<ClaimWrite>,
}

/// Largest size of an item, in bytes: DynamoDB's 400 KB less a reserve for the index attributes and the size
/// rules.
const MAX_ITEM_BYTES: usize = 390_000;
/// Number of items of the index that a page of the list examines in one call.
const LIST_SCAN: i32 = 1000;
/// Maximum number of calls to the index for one page of the list: a search without a hit ends there, with a
/// cursor to continue.
const LIST_SCANS: usize = 10;

/// A submission as an item. If it does not fit into one item, notes about it are dropped, the least needed
/// first; the answers never are.
fn item(submission: &Submission) -> Result<Item, StoreError> {
    let item = item_of(submission)?;
    if size_of_item(&item) <= MAX_ITEM_BYTES {
        return Ok(item);
    }
    let mut less = submission.clone();
    let steps: [fn(&mut Submission); 3] = [
        // An unmapped name is also in the answers.
        |less| {
            let mapped = |field: &FieldReport| field.outcome != FieldOutcome::Unmapped;
            less.mapping.retain(mapped);
        },
        |less| {
            let old = less.failures.len().saturating_sub(1);
            less.failures.drain(..old);
        },
        |less| less.mapping.clear(),
    ];
    for step in steps {
        step(&mut less);
        let item = item_of(&less)?;
        if size_of_item(&item) <= MAX_ITEM_BYTES {
            tracing::warn!(contract = %less.contract, submission.id = %less.id,
                "what was noted of a submission does not fit beside its answers, and is shortened");
            return Ok(item);
        }
    }
    Err(StoreError::malformed(
        "a submission is larger than an item of the table",
    ))
}

fn item_of(submission: &Submission) -> Result<Item, StoreError> {
    let contract = &submission.contract;
    let mut item = write(
        ENTITY,
        submission,
        &keys::submission(contract, submission.id),
    )?;
    let id = Some(submission.id);
    let order = keys::submission_order(submission.received_at, id);
    keys::LISTS.enter(&mut item, keys::submissions_index(contract), order);
    let work = match submission.state {
        _ if submission.is_due() => Some(keys::open_index(contract)),
        State::NeedsAttention => Some(keys::failed_index(contract)),
        _ => None,
    };
    if let Some(partition) = work {
        let order = keys::submission_order(submission.due_at, id);
        keys::OPEN_WORK.enter(&mut item, partition, order);
    }
    item.insert("search".to_owned(), text(search_text(submission)));
    if let Some(until) = submission.expires_at() {
        expire(&mut item, until);
    }
    Ok(item)
}

/// The text that the list's search examines: lowercase, and short enough to add little.
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
    /// Stores a submission unless it is already stored. One call.
    pub async fn accept_submission(
        &self,
        submission: &Submission,
    ) -> Result<Accepted<Submission>, StoreError> {
        let stored = self.put_new(ENTITY, item(submission)?).await?;
        Ok(stored.map_or(Accepted::New, |stored| Accepted::Repeat(Box::new(stored))))
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
                "SET #state = :processing, due_at = :lease, #sort = :order ADD version :one, attempts :one",
            )
            .condition_expression(
                "attribute_exists(PK) AND (#state IN (:received, :waiting) OR (#state = :processing AND due_at <= :now))",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
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
                    // Reopened between the two calls: treated like a submission that a worker has just left.
                    Some(stored) if stored.state.is_open() => Taken::Busy(now),
                    Some(stored) => Taken::Settled(stored.state),
                })
            }
        }
    }

    /// Writes a submission over the version it was read at, and raises its version.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if it was written meanwhile (withdrawn, taken by another worker).
    pub async fn save_submission(&self, submission: &mut Submission) -> Result<(), StoreError> {
        self.finish_submission(submission, Finish::default()).await
    }

    /// Writes a submission with its attachment and claim, all or nothing.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if the submission or the claim was written meanwhile.
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
        let contract = &submission.contract;
        let as_read = Assumption::version(expected);
        if with.attachment.is_none() && with.claim.is_none() {
            return self.put_assuming(item, Some(as_read)).await;
        }
        let mut actions = vec![self.put_action(item, Some(as_read))?];
        if let Some(attachment) = with.attachment {
            let item = attachment.item(contract, submission.id)?;
            actions.push(self.put_action(item, None)?);
        }
        if let Some(claim) = with.claim {
            actions.push(self.claim_action(contract, &claim)?);
        }
        self.transact(actions).await
    }

    /// Records that a submission was withdrawn at its source and reopens it, so that a worker handles the
    /// lead it became. Returns `false` if that was already recorded.
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
                "SET #state = :received, withdrawn_at = :now, due_at = :due, #partition = :open, #sort = :order \
                 REMOVE #expires ADD version :one",
            )
            .condition_expression("attribute_exists(PK) AND attribute_not_exists(withdrawn_at)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#expires", schema::TTL_ATTRIBUTE)
            .expression_attribute_names("#partition", keys::OPEN_WORK.partition)
            .expression_attribute_names("#sort", keys::OPEN_WORK.sort)
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
        let partition = keys::submissions_index(contract);
        let (from, to) = keys::submission_period(filter.from, filter.to);
        // Nothing was received in a period that ends before it begins, or before the position where a page
        // begins.
        let begins = |cursor: &str| cursor >= from.as_str();
        if from > to || cursor.is_some_and(|cursor| !begins(cursor)) {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let mut query = self
            .query_index(&keys::LISTS, &partition)
            .key_condition_expression("#partition = :pk AND #sort BETWEEN :from AND :to")
            .expression_attribute_names("#sort", keys::LISTS.sort)
            .expression_attribute_values(":from", text(&from))
            .expression_attribute_values(":to", text(&to))
            .scan_index_forward(false)
            .limit(if conditions.is_empty() {
                i32::try_from(limit + 1).unwrap_or(LIST_SCAN)
            } else {
                LIST_SCAN
            });
        if !conditions.is_empty() {
            query = query.filter_expression(conditions.join(" AND "));
        }
        for (name, attribute) in names {
            query = query.expression_attribute_names(name, attribute);
        }
        for (name, value) in values {
            query = query.expression_attribute_values(name, value);
        }
        let mut start = cursor
            .filter(|cursor| *cursor < to.as_str())
            .map(|order| start_at(contract, order, &keys::LISTS, &partition));
        let mut found: Vec<Item> = Vec::new();
        for _ in 0..LIST_SCANS {
            let page = page_of(&query, start).await?;
            found.extend(page.items);
            start = page.next;
            if start.is_none() || found.len() > limit {
                break;
            }
        }
        let last = if found.len() > limit {
            found.truncate(limit);
            found.last()
        } else {
            start.as_ref()
        };
        let next = last.and_then(|last| keys::sort_key_of(last, &keys::LISTS));
        let mut items = self.read_listed(&found).await?;
        // The index lags slightly behind the items.
        items.retain(|submission| filter.state.is_none_or(|state| submission.state == state));
        Ok(Page { items, next })
    }

    /// The submissions of the keys found in an index, in its order.
    async fn read_listed(&self, found: &[Item]) -> Result<Vec<Submission>, StoreError> {
        let listed = self.read_in_order(keys::of_items(found)).await?;
        Ok(read_each(ENTITY, listed, |item| read(ENTITY, item)))
    }

    /// Open submissions that were due before `now`: no worker holds them, whatever happened to their message.
    /// Their content is not read, so that an unreadable one does not block the others.
    pub async fn due_submissions(
        &self,
        contract: &ContractId,
        now: Millis,
        limit: i32,
    ) -> Result<Vec<SubmissionId>, StoreError> {
        let before = keys::submission_order(now, None);
        let partition = keys::open_index(contract);
        let query = self.query_index_before(&keys::OPEN_WORK, partition, before);
        let found = page_of(&query.limit(limit), None).await?.items;
        Ok(read_each(ENTITY, found, |item| {
            let id = item.get("PK").and_then(|key| key.as_s().ok());
            id.and_then(|key| keys::submission_of(key))
                .ok_or_else(|| StoreError::corrupt(ENTITY))
        }))
    }

    /// Submissions that need a person, longest waiting first.
    pub async fn failed_submissions(
        &self,
        contract: &ContractId,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Submission>, StoreError> {
        let partition = keys::failed_index(contract);
        let start = cursor.map(|order| start_at(contract, order, &keys::OPEN_WORK, &partition));
        let query = self
            .query_index(&keys::OPEN_WORK, &partition)
            .limit(i32::try_from(limit).unwrap_or(100));
        let page = page_of(&query, start).await?;
        let next = page.next.as_ref();
        Ok(Page {
            next: next.and_then(|last| keys::sort_key_of(last, &keys::OPEN_WORK)),
            items: self.read_listed(&page.items).await?,
        })
    }
}

/// The start key of a page of an index, rebuilt from the contract and the cursor: a cursor from
/// outside can only ever point into its caller's own contract.
fn start_at(contract: &ContractId, order: &str, index: &Index, partition: &str) -> Item {
    let id = order
        .split_once('#')
        .and_then(|(_, id)| id.parse().ok())
        .unwrap_or(SubmissionId(uuid::Uuid::nil()));
    index.start(&keys::submission(contract, id), partition, order)
}
