//! Open work on CRM connections: imports and link passes that wait, and connections that are being ended. One
//! index partition over all contracts, sorted by the time it is due, so that one query a minute finds the
//! work that no worker holds.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::batch::{Write, count};
use super::{Item, Store, StoreError, keys, page_of, read_each, text};
use domain::clock::Millis;
use domain::connection_kind::ConnectionKind;
use domain::environment::Environment;
use domain::ids::ContractId;
use domain::run::RunKind;

/// Partitions that are counted at once.
const COUNTS_AT_ONCE: usize = 16;
/// Partitions that are emptied at once.
const DELETES_AT_ONCE: usize = 8;
/// Calls in flight that delete items of one partition.
pub(super) const DELETES_OF_PARTITION: usize = 4;
/// Number of items of a partition between two checks of the time.
const DELETE_PAGE: i32 = 1000;
/// Maximum number of pages of due work that are looked through at a time.
const DUE_PAGES: u32 = 10;
/// The name of [`WorkKind::Link`].
const LINK: &str = "link";
/// The name of [`WorkKind::Erase`].
const ERASE: &str = "erase";
/// The name of [`WorkKind::Save`].
const SAVE: &str = "save";

/// Progress of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Items counted.
    pub items: u64,
    /// The partition to continue with; `None` when all are counted.
    pub next: Option<usize>,
}

/// The result of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Number of deleted items.
    pub items: u64,
    /// True if nothing is left: every partition was read and held nothing.
    pub all: bool,
}

/// The kind of work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// Import from the environment's CRM.
    Sync(Environment),
    /// End a connection.
    Disconnect(ConnectionKind),
    /// Link the directory with the production environment's records.
    Link,
    /// Work on a run of another kind.
    Run(RunKind),
    /// Erase the data of people (OP-3).
    Erase,
    /// Save what open opportunities are about to their owners' lists.
    Save,
}

impl WorkKind {
    /// Puts an item into the index.
    pub(super) fn index(self, item: &mut Item, contract: &ContractId, due: Millis) {
        let name = match self {
            Self::Sync(environment) => format!("sync.{environment}"),
            Self::Disconnect(kind) => format!("disconnect.{kind}"),
            Self::Link => LINK.to_owned(),
            Self::Run(kind) => format!("run.{kind}"),
            Self::Erase => ERASE.to_owned(),
            Self::Save => SAVE.to_owned(),
        };
        let order = keys::work_order(due, Some(contract));
        keys::OPEN_WORK.enter(item, keys::WORK, order);
        item.insert("work".to_owned(), text(name));
        item.insert("work_contract".to_owned(), text(contract.as_str()));
    }

    fn parse(name: &str) -> Option<Self> {
        if name == LINK {
            return Some(Self::Link);
        }
        if name == ERASE {
            return Some(Self::Erase);
        }
        if name == SAVE {
            return Some(Self::Save);
        }
        let (work, rest) = name.split_once('.')?;
        match work {
            "sync" => rest.parse().ok().map(Self::Sync),
            "disconnect" => rest.parse().ok().map(Self::Disconnect),
            "run" => rest.parse().ok().map(Self::Run),
            _ => None,
        }
    }
}

impl Store {
    /// Work that was due before `now`, the longest due first, at most `limit` items.
    pub async fn due_work(
        &self,
        now: Millis,
        limit: i32,
    ) -> Result<Vec<(ContractId, WorkKind)>, StoreError> {
        let before = keys::work_order(now, None);
        let query = self.query_index_before(&keys::OPEN_WORK, keys::WORK, before);
        let query = query.limit(limit);
        let wanted = usize::try_from(limit).unwrap_or_default();
        let mut due: Vec<(ContractId, WorkKind)> = Vec::new();
        let mut start = None;
        // What cannot be read, such as work of a later version, stays due: the rest is found behind it.
        for _ in 0..DUE_PAGES {
            let page = page_of(&query, start).await?;
            due.extend(read_each("piece of work", page.items, |item| {
                let name = |field: &str| item.get(field)?.as_s().ok();
                let work = || {
                    Some((
                        name("work_contract")?.parse::<ContractId>().ok()?,
                        WorkKind::parse(name("work")?)?,
                    ))
                };
                work().ok_or_else(|| StoreError::corrupt("piece of work"))
            }));
            start = page.next;
            if start.is_none() || due.len() >= wanted {
                break;
            }
        }
        due.truncate(wanted);
        Ok(due)
    }

    /// Counts the items that a clean-up of an environment deletes, from a partition on: 0 at first, and then
    /// the one where the count before it ended. Takes about `within`, and always makes some progress.
    pub async fn count_imported(
        &self,
        contract: &ContractId,
        environment: Environment,
        from: usize,
        within: Duration,
    ) -> Result<Counted, StoreError> {
        let since = Instant::now();
        let partitions = keys::imported_partitions(contract, environment);
        let mut counted = Counted::default();
        for (index, chunk) in partitions.chunks(COUNTS_AT_ONCE).enumerate() {
            let first = index * COUNTS_AT_ONCE;
            if first < from {
                continue;
            }
            if first > from && since.elapsed() >= within {
                counted.next = Some(first);
                break;
            }
            let counts = chunk.iter().map(|pk| count(self.query_partition(pk)));
            counted.items += try_join_all(counts).await?.iter().sum::<u64>();
        }
        Ok(counted)
    }

    /// Deletes everything that was imported of an environment. Takes about `within`, and deletes at least
    /// something; repeating it continues. No import may run meanwhile.
    pub async fn delete_imported(
        &self,
        contract: &ContractId,
        environment: Environment,
        within: Duration,
    ) -> Result<Deleted, StoreError> {
        let since = Instant::now();
        let partitions = keys::imported_partitions(contract, environment);
        let mut done = Deleted {
            items: 0,
            all: true,
        };
        // The last partition, which records the import itself, is begun when the others are empty.
        let (rest, last) = partitions.split_at(partitions.len().saturating_sub(1));
        for chunk in rest.chunks(DELETES_AT_ONCE).chain([last]) {
            let deletes = chunk
                .iter()
                .map(|pk| self.empty_partition(pk, since, within));
            for deleted in try_join_all(deletes).await? {
                done.items += deleted.items;
                done.all &= deleted.all;
            }
            if !done.all {
                break;
            }
        }
        Ok(done)
    }

    /// Deletes the items of a partition, until a read finds none.
    async fn empty_partition(
        &self,
        pk: &str,
        since: Instant,
        within: Duration,
    ) -> Result<Deleted, StoreError> {
        let mut items = 0;
        loop {
            let query = self
                .query_partition(pk)
                .projection_expression("PK, SK")
                .limit(DELETE_PAGE);
            let page = page_of(&query, None).await?;
            if page.items.is_empty() && page.next.is_none() {
                return Ok(Deleted { items, all: true });
            }
            let count = page.items.len() as u64;
            let deletes: Result<_, _> = page.items.into_iter().map(Write::delete).collect();
            self.write_all(deletes?, DELETES_OF_PARTITION).await?;
            items += count;
            if since.elapsed() >= within {
                return Ok(Deleted { items, all: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WorkKind;
    use domain::connection_kind::ConnectionKind;
    use domain::environment::Environment;
    use domain::run::RunKind;

    #[test]
    fn work_reads_back_from_its_name() {
        assert_eq!(
            WorkKind::parse("sync.sandbox"),
            Some(WorkKind::Sync(Environment::Sandbox))
        );
        assert_eq!(
            WorkKind::parse("disconnect.linkedin"),
            Some(WorkKind::Disconnect(ConnectionKind::LinkedIn))
        );
        assert_eq!(WorkKind::parse("link"), Some(WorkKind::Link));
        assert_eq!(
            WorkKind::parse("run.keep-answers"),
            Some(WorkKind::Run(RunKind::KeepAnswers))
        );
        assert_eq!(WorkKind::parse("erase"), Some(WorkKind::Erase));
        assert_eq!(WorkKind::parse("save"), Some(WorkKind::Save));
        for bad in [
            "",
            "link.",
            "sync",
            "sync.",
            "sync.crm",
            "disconnect.production",
        ] {
            assert_eq!(WorkKind::parse(bad), None, "{bad}");
        }
    }
}
