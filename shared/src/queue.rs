//! The queues. A message carries ids, not data: the table is the truth.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{ActivityId, ContractId, SeatId, SubmissionId};
use crate::store::WorkKind;

/// Maximum delay of an SQS message, in seconds.
pub const MAX_DELAY_SECONDS: i64 = 900;

/// A message that belongs to one contract.
pub trait OfContract {
    /// The contract. SQS's fair queues use it as the tenant: if one tenant's messages take more than their
    /// share of the workers, those of the others are delivered first.
    fn contract(&self) -> &ContractId;
}

impl OfContract for WritebackMessage {
    fn contract(&self) -> &ContractId {
        match self {
            Self::Submission(work) => &work.contract,
            Self::Activities(work) => &work.contract,
        }
    }
}

impl OfContract for ImportMessage {
    fn contract(&self) -> &ContractId {
        &self.contract
    }
}

/// A message that a submission or activities have work to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WritebackMessage {
    /// A submission.
    Submission(SubmissionWork),
    /// Activities of one seat holder.
    Activities(ActivitiesWork),
}

/// A message that a submission has work to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmissionWork {
    /// The contract.
    pub contract: ContractId,
    /// The submission.
    pub submission: SubmissionId,
}

/// A message that activities of a seat holder have work to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivitiesWork {
    /// The contract.
    pub contract: ContractId,
    /// Their seat holder.
    pub seat: SeatId,
    /// The activities.
    pub activities: Vec<ActivityId>,
    /// The number of further activities of the contract that their worker then announces, if more are due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<u16>,
}

/// Maximum number of activities in a message.
pub const ACTIVITIES_OF_MESSAGE: usize = 100;

impl WritebackMessage {
    /// A message about a submission.
    #[must_use]
    pub fn submission(contract: &ContractId, submission: SubmissionId) -> Self {
        Self::Submission(SubmissionWork {
            contract: contract.clone(),
            submission,
        })
    }

    /// Messages about activities, grouped by seat holder.
    #[must_use]
    pub fn activities(
        contract: &ContractId,
        all: impl IntoIterator<Item = (SeatId, ActivityId)>,
    ) -> Vec<Self> {
        let mut by_seat: BTreeMap<SeatId, Vec<ActivityId>> = BTreeMap::new();
        for (seat, id) in all {
            by_seat.entry(seat).or_default().push(id);
        }
        let of_seat = |(seat, ids): (SeatId, Vec<ActivityId>)| {
            let chunks = ids.chunks(ACTIVITIES_OF_MESSAGE);
            let message = |activities: &[ActivityId]| {
                Self::Activities(ActivitiesWork {
                    contract: contract.clone(),
                    seat,
                    activities: activities.to_vec(),
                    then: None,
                })
            };
            chunks.map(message).collect::<Vec<_>>()
        };
        by_seat.into_iter().flat_map(of_seat).collect()
    }

    /// Messages about activities that are due. If they are as many as were asked for, there may be more, and
    /// the worker of the last message announces these.
    #[must_use]
    pub fn due_activities(
        contract: &ContractId,
        due: Vec<(SeatId, ActivityId)>,
        limit: u16,
    ) -> Vec<Self> {
        let goes_on = due.len() >= usize::from(limit);
        let mut messages = Self::activities(contract, due);
        if let Some(Self::Activities(last)) = messages.last_mut() {
            last.then = goes_on.then_some(limit);
        }
        messages
    }
}

/// A message that a CRM connection has work to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportMessage {
    /// The contract.
    pub contract: ContractId,
    /// The work to do.
    pub work: WorkKind,
}

/// The queue of submissions and activities.
pub type WritebackQueue = Queue<WritebackMessage>;

/// The queue of imports, and of connections that are being ended.
pub type ImportQueue = Queue<ImportMessage>;

/// The queue did not take a message. Nothing is lost: a schedule sends it.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take the message")]
pub struct QueueError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Sends messages of one kind to a queue.
pub struct Queue<M> {
    client: Client,
    url: String,
    kind: PhantomData<fn(M)>,
}

impl<M> Clone for Queue<M> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            url: self.url.clone(),
            kind: PhantomData,
        }
    }
}

impl<M: Serialize + OfContract> Queue<M> {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: String) -> Self {
        Self {
            client,
            url,
            kind: PhantomData,
        }
    }

    /// Sends one message, visible after `delay_seconds` (0 to 900, cut to that range).
    pub async fn send(&self, message: &M, delay_seconds: i64) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|error| QueueError(Box::new(error)))?;
        let delay = i32::try_from(delay_seconds.clamp(0, MAX_DELAY_SECONDS)).unwrap_or(0);
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .message_group_id(message.contract().as_str())
            .set_delay_seconds((delay > 0).then_some(delay))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError(Box::new(error)))
    }

    /// Sends up to ten messages in one call; returns the index of each message that the queue refused.
    pub async fn send_batch(&self, messages: &[M]) -> Result<Vec<usize>, QueueError> {
        use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let body =
                serde_json::to_string(message).map_err(|error| QueueError(Box::new(error)))?;
            entries.push(
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(body)
                    .message_group_id(message.contract().as_str())
                    .build()
                    .map_err(|error| QueueError(Box::new(error)))?,
            );
        }
        let answer = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| QueueError(Box::new(error)))?;
        Ok(answer
            .failed()
            .iter()
            .filter_map(|failed| failed.id().parse().ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn messages_are_read_as_what_they_are_about() {
        let contract: ContractId = "acme".parse().unwrap();
        let submission = WritebackMessage::submission(&contract, SubmissionId(Uuid::nil()));
        let text = serde_json::to_string(&submission).unwrap();
        let plain = r#"{"contract":"acme","submission":"00000000-0000-0000-0000-000000000000"}"#;
        assert_eq!(text, plain);
        let seats = [SeatId(Uuid::from_u128(1)), SeatId(Uuid::from_u128(2))];
        let all = (0..250).map(|n: u32| {
            (
                seats[(n % 2) as usize],
                ActivityId(Uuid::from_u128(n.into())),
            )
        });
        let messages = WritebackMessage::activities(&contract, all);
        let counts = messages.iter().map(|message| match message {
            WritebackMessage::Activities(work) => (work.seat, work.activities.len()),
            WritebackMessage::Submission(_) => panic!("these are activities"),
        });
        let expected = [
            (seats[0], 100),
            (seats[0], 25),
            (seats[1], 100),
            (seats[1], 25),
        ];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        for message in messages.into_iter().chain([submission]) {
            let text = serde_json::to_string(&message).unwrap();
            let read: WritebackMessage = serde_json::from_str(&text).unwrap();
            assert_eq!(read, message);
        }
        for odd in [
            r#"{"contract":"acme"}"#,
            r#"{"contract":"acme","submission":"x"}"#,
        ] {
            assert!(
                serde_json::from_str::<WritebackMessage>(odd).is_err(),
                "{odd}"
            );
        }
    }
}
