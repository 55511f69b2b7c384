//! The directory page by page: entries and their matches side by side (SV-3).

use std::collections::HashMap;

use futures::future::{try_join, try_join_all};

use super::super::{
    Page, QueryPage, Store, StoreError, keys, page_of, read, read_each, size_of_item, text,
};
use super::{DIRECTORY_SHARDS, ENTITY, EntryWithMatch, MATCH, id_of};
use domain::directory::{DirectoryCursor, Entry, EntryId, EntryKind, Filter, Match};
use domain::environment::Environment;
use domain::ids::ContractId;

/// Approximate number of bytes of the table that are read for one page of a search.
const SEARCH_BYTES: usize = 4 << 20;
/// Number of items that a search with filters requests from a partition at once.
const SCAN_ITEMS: usize = 250;
/// Shards that are read at once while they are short.
const SHARDS_AT_ONCE: u32 = 4;

/// A part of a shard.
#[derive(Debug)]
pub struct ShardPage {
    /// Entries in the order of their ids, with their matches.
    pub rows: Vec<EntryWithMatch>,
    /// The entry to continue after; `None` at the shard's end.
    pub next: Option<EntryId>,
}

/// A part of a shard, with its approximate size in bytes.
struct Scanned {
    page: ShardPage,
    bytes: usize,
}

impl Store {
    /// Entries of a shard with their matches, from its beginning or after an entry: up to 1 MB of each.
    pub async fn directory_shard(
        &self,
        contract: &ContractId,
        environment: Environment,
        kind: EntryKind,
        shard: u32,
        after: Option<EntryId>,
    ) -> Result<ShardPage, StoreError> {
        let scanned = self.scan(contract, environment, kind, shard, after, None);
        Ok(scanned.await?.page)
    }

    /// Finds entries that pass a filter, at most `limit`, in no particular order. Reads at most about 4 MB of
    /// the table; then the page holds the entries found, possibly none, and a cursor to continue. Concurrent
    /// writes may be seen or not; no entry is returned twice.
    pub async fn search_directory(
        &self,
        contract: &ContractId,
        environment: Environment,
        kind: EntryKind,
        filter: &Filter,
        limit: usize,
        cursor: Option<&DirectoryCursor>,
    ) -> Result<Page<EntryWithMatch>, StoreError> {
        let mut at = cursor.copied().unwrap_or(DirectoryCursor {
            shard: 0,
            after: None,
        });
        let items = if filter.is_empty() {
            limit + 1
        } else {
            SCAN_ITEMS
        };
        let mut found: Vec<EntryWithMatch> = Vec::new();
        let (mut bytes, mut at_once) = (0, SHARDS_AT_ONCE);
        while at.shard < DIRECTORY_SHARDS {
            let shards = at.shard..(at.shard + at_once).min(DIRECTORY_SHARDS);
            let scans = shards.map(|shard| {
                let after = at.after.filter(|_| shard == at.shard);
                self.scan(contract, environment, kind, shard, after, Some(items))
            });
            let scanned = try_join_all(scans).await?;
            bytes += scanned.iter().map(|scanned| scanned.bytes).sum::<usize>();
            for Scanned { page, .. } in scanned {
                for (entry, matched) in page.rows {
                    if !filter.matches(&entry, matched.as_ref()) {
                        continue;
                    }
                    if found.len() == limit {
                        let next = Some(at.to_string());
                        return Ok(Page { items: found, next });
                    }
                    at.after = Some(entry.id);
                    found.push((entry, matched));
                }
                if let Some(next) = page.next {
                    // A long shard: the items already read from the shards behind it are not used.
                    (at.after, at_once) = (Some(next), 1);
                    break;
                }
                at = DirectoryCursor {
                    shard: at.shard + 1,
                    after: None,
                };
            }
            if bytes >= SEARCH_BYTES {
                break;
            }
        }
        let next = (at.shard < DIRECTORY_SHARDS).then(|| at.to_string());
        Ok(Page { items: found, next })
    }

    async fn scan(
        &self,
        contract: &ContractId,
        environment: Environment,
        kind: EntryKind,
        shard: u32,
        after: Option<EntryId>,
        items: Option<usize>,
    ) -> Result<Scanned, StoreError> {
        let part = |pk: String| async move {
            let mut query = self.query_partition(pk);
            if let Some(after) = after {
                query = query
                    .key_condition_expression("PK = :pk AND SK > :after")
                    .expression_attribute_values(":after", text(after.to_string()));
            }
            let items = items.map(|items| i32::try_from(items).unwrap_or(i32::MAX));
            page_of(&query.set_limit(items), None).await
        };
        let (entries, computed) = try_join(
            part(keys::entry_partition(contract, kind, shard)),
            part(keys::match_partition(contract, environment, kind, shard)),
        )
        .await?;
        // If one of them continues, only the part before that position was read of both.
        let ends = [&entries, &computed].into_iter().filter_map(end_of);
        let next = ends.min();
        let read_to_end = |id: &EntryId| next.is_none_or(|end| *id <= end);
        let bytes = [&entries, &computed].into_iter().map(size_of_page).sum();
        let mut matched: HashMap<EntryId, Match> = HashMap::with_capacity(computed.items.len());
        matched.extend(read_each(MATCH, computed.items, |item| {
            let id = id_of(&item).ok_or_else(|| StoreError::corrupt(MATCH))?;
            Ok((id, read(MATCH, item)?))
        }));
        let found = entries.items.into_iter();
        let found = found.filter(|item| id_of(item).is_none_or(|id| read_to_end(&id)));
        let rows = read_each(ENTITY, found.collect(), |item| {
            let entry: Entry = read(ENTITY, item)?;
            let matched = matched.remove(&entry.id);
            Ok((entry, matched))
        });
        let page = ShardPage { rows, next };
        Ok(Scanned { page, bytes })
    }
}

/// The last id of a page that is not the last one.
fn end_of(page: &QueryPage) -> Option<EntryId> {
    id_of(page.next.as_ref()?)
}

fn size_of_page(page: &QueryPage) -> usize {
    page.items.iter().map(size_of_item).sum()
}
