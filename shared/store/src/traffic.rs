//! The traffic of forms: which submissions arrived when, read from the index alone.

use serde::Deserialize;

use super::{Store, StoreError, keys, page_of, read, read_each, text};
use domain::clock::Millis;
use domain::ids::ContractId;
use domain::submission::{Origin, SourceKind};

/// Maximum number of calls to the index.
const MAX_CALLS: usize = 10;
/// Number of submissions of a call.
const AT_ONCE: i32 = 1000;

/// The arrival of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Time of its arrival.
    pub at: Millis,
    /// Its source.
    pub source: SourceKind,
    /// The source's id of the form.
    pub form_id: String,
    /// The form's name, where known.
    pub form_name: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    source: SourceKind,
    #[serde(default)]
    origin: Origin,
}

impl Store {
    /// The submissions that arrived at or after `from`, newest first, at most 10,000; and whether these are all.
    pub async fn submission_traffic(
        &self,
        contract: &ContractId,
        from: Millis,
    ) -> Result<(Vec<Arrival>, bool), StoreError> {
        let (from, to) = keys::submission_period(Some(from), None);
        let query = self
            .query_index(&keys::LISTS, keys::submissions_index(contract))
            .key_condition_expression("#partition = :pk AND #sort BETWEEN :from AND :to")
            .projection_expression("#sort, #source, #origin")
            .expression_attribute_names("#sort", keys::LISTS.sort)
            .expression_attribute_names("#source", "source")
            .expression_attribute_names("#origin", "origin")
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to))
            .scan_index_forward(false)
            .limit(AT_ONCE);
        let mut start = None;
        let mut found = Vec::new();
        for _ in 0..MAX_CALLS {
            let page = page_of(&query, start).await?;
            found.extend(page.items);
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        let arrivals = read_each("submission", found, |item| {
            let order = keys::sort_key_of(&item, &keys::LISTS);
            let at = order.and_then(|order| order.split('#').next()?.parse().ok());
            let at = at.ok_or_else(|| StoreError::corrupt("submission"))?;
            let Listed { source, origin } = read("submission", item)?;
            Ok(Arrival {
                at: Millis(at),
                source,
                form_id: origin.form_id,
                form_name: origin.form_name,
            })
        });
        Ok((arrivals, start.is_none()))
    }
}
