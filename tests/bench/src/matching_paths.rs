//! Links as users get them: a labelled set as a directory and a mirrored CRM, linked by the product's own
//! link pass and, in another contract, entry by entry; in the embedded table, with every call counted.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use local::demo::SimulatorAddresses;
use local::seed::Made;
use matching::assign::Link;
use matching::{Bits, Kind, Record};
use serde::{Deserialize, Serialize};
use shared::clock::{Clock as _, Millis, SystemClock};
use shared::domain::contract::Contract;
use shared::domain::directory::{Entry, EntryId, EntryKind, Match, NewEntry, Origin};
use shared::domain::environment::Environment;
use shared::domain::ids::ContractId;
use shared::domain::linked_record::{account_object, linked_objects};
use shared::domain::match_keys::lead_object;
use shared::domain::mirror::{self, Change, Value, Values};
use shared::domain::schema::CrmKind;
use shared::linking::{Linking, request_link_pass};
use shared::queue::{ImportMessage, ImportQueue};
use shared::store::{DIRECTORY_SHARDS, Mirror, Store, WorkKind};

use crate::matching_sets::{Cut, Judge, Mode, Rows, kind, read, read_truth};
use crate::meter::thread_cpu;
use crate::rig::{Rig, Watch};
use crate::usage::Usage;

/// Records that are written, and entries that are added, in one go.
const AT_ONCE: usize = 1_000;
/// Entries that are linked at once; those that meet are decided on one after the other.
const LINKED_AT_ONCE: usize = 16;

/// The result of a way of linking.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Way {
    /// The CRM whose fields the records have.
    pub(crate) crm: CrmKind,
    /// True for linking entry by entry, false for a pass.
    pub(crate) online: bool,
    /// At our threshold, and at the best.
    pub(crate) own: Cut,
    pub(crate) best: Cut,
    /// Share of the truth that is among the candidates that entries keep.
    pub(crate) candidate_recall: f64,
    pub(crate) entries: usize,
    pub(crate) records: usize,
    /// Calls and capacity of the table, and what else is billed.
    pub(crate) usage: Usage,
    /// Match keys of a record.
    pub(crate) keys: f64,
    /// Processor seconds: of the thread that asks, the engine's own threads left out.
    pub(crate) processor: f64,
    /// Seconds until everything was linked.
    pub(crate) seconds: f64,
}

/// Links the set of a folder in both ways, with each CRM's fields.
pub(crate) fn run(folder: &Path) -> Result<Vec<Way>> {
    let (set, judge) = labelled(folder)?;
    let mut ways = Vec::new();
    for crm in [CrmKind::Salesforce, CrmKind::Dynamics365] {
        ways.extend(ways_of(crm, &set, &judge)?);
    }
    Ok(ways)
}

/// Links the set of a folder in both ways, with the fields of one CRM.
pub(crate) fn of_one_crm(folder: &Path, crm: CrmKind) -> Result<[Way; 2]> {
    let (set, judge) = labelled(folder)?;
    ways_of(crm, &set, &judge)
}

/// Two tables to link: the directory, and what the CRM has.
struct Set {
    kind: Kind,
    left: Rows,
    right: Rows,
}

/// A labelled set, with the judge of its links.
fn labelled(folder: &Path) -> Result<(Set, Judge)> {
    let kind = kind(&folder.join("left.csv"))?;
    let set = Set {
        kind,
        left: read(&folder.join("left.csv"), kind)?,
        right: read(&folder.join("right.csv"), kind)?,
    };
    let (left, right) = (&set.left.ids, &set.right.ids);
    let truth = read_truth(&folder.join("truth.csv"), left, right)?;
    let judge = Judge::new(truth, left, right);
    Ok((set, judge))
}

/// A pass, and then in another contract entry by entry with the model that the pass learned.
fn ways_of(crm: CrmKind, set: &Set, judge: &Judge) -> Result<[Way; 2]> {
    let rig = Rig::start()?;
    let watch = Watch::default();
    let _logs = watch.meter.logs();
    let clients = rig.clients(Some(&watch));
    let remote = clients.remote(&rig.stack, Some(&watch), None)?;
    let queue = rig.stack.apps().import.queue.clone();
    let addresses = SimulatorAddresses::of(&rig.stack)?;
    let passed = World::new(&rig, crm, set, &addresses)?;
    let online = World::new(&rig, crm, set, &addresses)?;
    let app = crm_import::App::new(remote.clone(), queue.clone());
    let (keys, ways) = rig.front.block_on(async {
        let keys = Box::pin(passed.fill(set, crm)).await?;
        Box::pin(online.fill(set, crm)).await?;
        let by_pass = watch.measured(Box::pin(passed.pass(&app, &queue))).await?;
        let by_pass = (by_pass, passed.found(set, judge).await?);
        let store = &remote.store;
        let entry_kind = entry_kind(set.kind);
        if let Some(mut model) = store.model(&passed.id, entry_kind).await? {
            model.version = 1;
            store
                .put_model(&online.id, entry_kind, &model, SystemClock.now())
                .await?;
        }
        let alone = watch
            .measured(Box::pin(online.one_by_one(store, entry_kind)))
            .await?;
        let alone = (alone, online.found(set, judge).await?);
        Ok::<_, anyhow::Error>((keys, [by_pass, alone]))
    })?;
    rig.stop();
    Ok([false, true].map(|online| {
        let [by_pass, alone] = &ways;
        let ((usage, processor, seconds), (own, best, candidate_recall)) =
            if online { alone } else { by_pass };
        Way {
            crm,
            online,
            own: *own,
            best: *best,
            candidate_recall: *candidate_recall,
            entries: set.left.ids.len(),
            records: set.right.ids.len(),
            usage: usage.clone(),
            keys,
            processor: *processor,
            seconds: *seconds,
        }
    }))
}

impl Watch {
    /// Runs work; gives what is billed of it, processor seconds of the thread, and seconds.
    async fn measured(&self, work: impl Future<Output = Result<()>>) -> Result<(Usage, f64, f64)> {
        self.reset();
        let (start, before) = (Instant::now(), thread_cpu());
        work.await?;
        let took = thread_cpu().saturating_sub(before);
        let seconds = start.elapsed().as_secs_f64();
        Ok((self.meter.usage(), took.as_secs_f64(), seconds))
    }
}

const fn entry_kind(kind: Kind) -> EntryKind {
    match kind {
        Kind::Person => EntryKind::Profile,
        Kind::Company => EntryKind::Company,
    }
}

/// A contract with a mirrored CRM and a directory.
struct World {
    id: ContractId,
    contract: Contract,
    store: Store,
    kind: EntryKind,
}

impl World {
    fn new(rig: &Rig, crm: CrmKind, set: &Set, addresses: &SimulatorAddresses) -> Result<Self> {
        let Made { id, .. } = rig.tenant(crm, addresses)?;
        let store = rig.stack.store().clone();
        let config = rig.behind(store.config(&id))?.context("a contract")?;
        let mut contract = config.contract;
        // As the other ways of linking read phone numbers.
        contract.settings.default_region = Some("US".to_owned());
        Ok(Self {
            id,
            contract,
            store,
            kind: entry_kind(set.kind),
        })
    }

    fn mirror<'m>(&'m self, object: &'m str) -> Mirror<'m> {
        Mirror {
            contract: &self.id,
            environment: Environment::Production,
            crm: self.contract.crm,
            object,
            default_region: Some("US"),
        }
    }

    /// Mirrors the right table, and adds the left one to the directory. Gives match keys for each record.
    async fn fill(&self, set: &Set, crm: CrmKind) -> Result<f64> {
        let mut keys = 0;
        let mut by_object: HashMap<&str, Vec<Change>> = HashMap::new();
        let mut accounts: HashMap<(String, String), String> = HashMap::new();
        for (at, record) in set.right.records.iter().enumerate() {
            let object = object_of(crm, set.kind, at);
            let mut values = values(crm, object, record);
            if object != lead_object(crm) && set.kind == Kind::Person && !record.company.is_empty()
            {
                let number = accounts.len();
                let account = (record.company.clone(), record.website.clone());
                let account = accounts
                    .entry(account)
                    .or_insert_with(|| record_id(crm, "001", number));
                values.push((account_field(crm), account.clone()));
            }
            let change = present(record_id(crm, prefix(object), at), values);
            by_object.entry(object).or_default().push(change);
        }
        for ((name, website), id) in accounts {
            let account = Record {
                name,
                website,
                ..Record::default()
            };
            let object = account_object(crm);
            let change = present(id, values(crm, object, &account));
            by_object.entry(object).or_default().push(change);
        }
        for (object, changes) in &by_object {
            let mirror = self.mirror(object);
            for changes in changes.chunks(AT_ONCE) {
                mirror.put_new(&self.store, changes).await?;
                if linked_objects(crm, self.kind).contains(object) {
                    keys += changes
                        .iter()
                        .map(|change| self.keys(object, change))
                        .sum::<usize>();
                }
            }
        }
        let now = SystemClock.now();
        let ids = self.ids(set)?;
        for entries in ids.chunks(AT_ONCE) {
            let entries: Vec<NewEntry> = entries.iter().map(|(new, _)| new.clone()).collect();
            let added = self.store.add_entries(&self.id, &entries, now).await;
            ensure!(added.iter().all(Option::is_some), "entries were not added");
        }
        Ok(decimal(keys) / decimal(set.right.ids.len().max(1)))
    }

    fn keys(&self, object: &str, change: &Change) -> usize {
        match change {
            Change::Present(record) => shared::domain::match_keys::keys(
                self.contract.crm,
                object,
                &record.values,
                Some("US"),
            )
            .len(),
            Change::Gone { .. } => 0,
        }
    }

    /// The entries of the left table, with the numbers of their rows.
    fn ids(&self, set: &Set) -> Result<Vec<(NewEntry, u32)>> {
        let rows = set.left.ids.iter().zip(&set.left.records).zip(0..);
        let entries = rows.map(|((id, record), row)| {
            let mut record = record.clone();
            // The directory takes no address that is none.
            record
                .emails
                .retain(|email| email.contains('.') && email.contains('@'));
            if self.kind == EntryKind::Company {
                record.emails.clear();
            }
            let new = |record: Record| {
                NewEntry::new(
                    &self.id,
                    self.kind,
                    Some(id),
                    record,
                    Origin::Api,
                    Some("US"),
                )
            };
            // Nor numbers that a spreadsheet has rounded.
            let new = new(record.clone()).or_else(|_| {
                record.phones.clear();
                new(record)
            });
            let new = new.map_err(|problem| anyhow::anyhow!("{id}: {problem:?}"))?;
            Ok((new, row))
        });
        entries.collect()
    }

    /// Makes a whole link pass, with what follows it.
    async fn pass(&self, app: &crm_import::App, queue: &ImportQueue) -> Result<()> {
        let now = SystemClock.now();
        request_link_pass(&self.store, queue, &self.id, "bench", now).await?;
        let message = ImportMessage {
            contract: self.id.clone(),
            work: WorkKind::Link,
        };
        for _ in 0..100 {
            ensure!(
                crm_import::work(app, &message).await,
                "the table does not answer"
            );
            let pass = self.store.link_pass(&self.id).await?.context("a pass")?;
            if !pass.is_open() {
                ensure!(pass.problem.is_none(), "{:?}", pass.problem);
                return Ok(());
            }
        }
        anyhow::bail!("the pass does not end")
    }

    /// Links entry by entry, as if each had just been added.
    async fn one_by_one(&self, store: &Store, kind: EntryKind) -> Result<()> {
        let ids: Vec<EntryId> = self.directory().await?.into_keys().collect();
        let cached = shared::cached::Cached::new(store.clone());
        let linking = Linking::new(store, &self.contract, SystemClock.now()).with(&cached);
        stream::iter(ids)
            .map(|id| async move { Box::pin(linking.link_entry(kind, id)).await })
            .buffer_unordered(LINKED_AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    async fn directory(&self) -> Result<HashMap<EntryId, (Entry, Option<Match>)>> {
        let mut all = HashMap::new();
        for shard in 0..DIRECTORY_SHARDS {
            let mut after = None;
            loop {
                let environment = Environment::Production;
                let page = self
                    .store
                    .directory_shard(&self.id, environment, self.kind, shard, after)
                    .await?;
                let rows = page.rows.into_iter();
                all.extend(rows.map(|(entry, matched)| (entry.id, (entry, matched))));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Quality of the links at our threshold and at the best one, and the recall of the candidates.
    async fn found(&self, set: &Set, judge: &Judge) -> Result<(Cut, Cut, f64)> {
        let crm = self.contract.crm;
        let rows: HashMap<EntryId, u32> = self
            .ids(set)?
            .into_iter()
            .map(|(new, row)| (new.id, row))
            .collect();
        let records: HashMap<String, u32> = (0..set.right.ids.len())
            .map(|at| {
                let object = object_of(crm, set.kind, at);
                (record_id(crm, prefix(object), at), number(at))
            })
            .collect();
        let (mut links, mut candidates) = (Vec::new(), Vec::new());
        for (id, (_, matched)) in self.directory().await? {
            let (Some(left), Some(matched)) = (rows.get(&id), matched) else {
                continue;
            };
            let pair = |record: &str, score: Bits| {
                records.get(record).map(|right| Link {
                    left: *left,
                    right: *right,
                    score,
                })
            };
            if let Some(link) = &matched.link {
                links.extend(pair(&link.record.id, link.score));
            }
            let kept = matched.candidates.iter();
            candidates.extend(kept.filter_map(|one| pair(&one.record.id, one.score)));
        }
        let own = Cut {
            threshold: 0,
            quality: judge.all(&links, Mode::OneToOne),
        };
        let best = judge.best(&candidates, Mode::OneToOne);
        Ok((own, best, judge.recall(&candidates)))
    }
}

fn present(id: String, values: Vec<(&'static str, String)>) -> Change {
    let values = values.into_iter().filter(|(_, text)| !text.is_empty());
    Change::Present(mirror::Record {
        id,
        modified: Millis(1_700_000_000_000),
        merged_into: None,
        values: Values(
            values
                .map(|(name, text)| (name, Value::Text(text)))
                .collect(),
        ),
    })
}

/// People are contacts and leads in turns.
fn object_of(crm: CrmKind, kind: Kind, at: usize) -> &'static str {
    let objects = linked_objects(crm, entry_kind(kind));
    objects.get(at % objects.len()).copied().unwrap_or_default()
}

fn prefix(object: &str) -> &'static str {
    match object {
        "Contact" | "contact" => "003",
        "Account" | "account" => "001",
        _ => "00Q",
    }
}

/// An id as the CRM has them.
fn record_id(crm: CrmKind, prefix: &str, at: usize) -> String {
    match crm {
        CrmKind::Salesforce => format!("{prefix}5e{at:010}AAA"),
        CrmKind::Dynamics365 => format!("00000000-0000-4000-8{prefix}-{at:012}")
            .to_lowercase()
            .replace('q', "b"),
    }
}

const fn account_field(crm: CrmKind) -> &'static str {
    match crm {
        CrmKind::Salesforce => "AccountId",
        CrmKind::Dynamics365 => "_parentcustomerid_value",
    }
}

/// A record by the CRM's field names.
fn values(crm: CrmKind, object: &str, record: &Record) -> Vec<(&'static str, String)> {
    let names: &[&'static str] = match (crm, object) {
        (CrmKind::Salesforce, "Lead") => &[
            "FirstName",
            "LastName",
            "Title",
            "Company",
            "Website",
            "Email",
            "Phone",
            "MobilePhone",
            "Street",
            "City",
            "State",
            "PostalCode",
            "Country",
        ],
        (CrmKind::Salesforce, "Contact") => &[
            "FirstName",
            "LastName",
            "Title",
            "",
            "",
            "Email",
            "Phone",
            "",
            "MailingStreet",
            "MailingCity",
            "MailingState",
            "MailingPostalCode",
            "MailingCountry",
        ],
        (CrmKind::Salesforce, _) => &[
            "",
            "",
            "",
            "Name",
            "Website",
            "",
            "Phone",
            "",
            "BillingStreet",
            "BillingCity",
            "BillingState",
            "BillingPostalCode",
            "BillingCountry",
        ],
        (CrmKind::Dynamics365, "lead") => &[
            "firstname",
            "lastname",
            "jobtitle",
            "companyname",
            "websiteurl",
            "emailaddress1",
            "telephone1",
            "mobilephone",
            "address1_line1",
            "address1_city",
            "address1_stateorprovince",
            "address1_postalcode",
            "address1_country",
        ],
        (CrmKind::Dynamics365, "contact") => &[
            "firstname",
            "lastname",
            "jobtitle",
            "",
            "",
            "emailaddress1",
            "telephone1",
            "",
            "address1_line1",
            "address1_city",
            "address1_stateorprovince",
            "address1_postalcode",
            "address1_country",
        ],
        (CrmKind::Dynamics365, _) => &[
            "",
            "",
            "",
            "name",
            "websiteurl",
            "",
            "telephone1",
            "",
            "address1_line1",
            "address1_city",
            "address1_stateorprovince",
            "address1_postalcode",
            "address1_country",
        ],
    };
    let at = |texts: &[String], at: usize| texts.get(at).cloned().unwrap_or_default();
    let company = if object == account_object(crm) {
        &record.name
    } else {
        &record.company
    };
    let texts = [
        record.first_name.clone(),
        record.last_name.clone(),
        record.title.clone(),
        company.clone(),
        record.website.clone(),
        at(&record.emails, 0),
        at(&record.phones, 0),
        at(&record.phones, 1),
        record.street.clone(),
        record.city.clone(),
        record.state.clone(),
        record.postcode.clone(),
        record.country.clone(),
    ];
    let fields = names.iter().copied().zip(texts);
    fields.filter(|(name, _)| !name.is_empty()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn decimal(count: usize) -> f64 {
    count as f64
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use local::people::{Tables, companies, people};
    use matching::Kind;
    use matching::bulk::{Options, link};
    use shared::domain::schema::CrmKind;

    use super::{labelled, ways_of};
    use crate::matching::write;
    use crate::matching_sets::Mode;

    /// Nobody tuned anything to these.
    fn holds(kind: Kind, crm: CrmKind, tables: &Tables) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), tables, true).unwrap();
        let (set, judge) = labelled(folder.path()).unwrap();
        assert_eq!(set.kind, kind);
        let (left, right) = (&set.left.records, &set.right.records);
        let linked = link(kind, left, right, Some("US"), &Options::default());
        let engine = judge.all(&linked.links, Mode::OneToOne);
        let [pass, online] = ways_of(crm, &set, &judge).unwrap();
        // Enough of each to tell a threshold from candidates that are missing or taken.
        let all = format!(
            "{kind:?} {crm:?}:\nengine {engine:?}, candidates {}, bar {}, threshold {}\npass {pass:?}\nonline {online:?}",
            judge.recall(&linked.pairs),
            linked.bar,
            linked.model.threshold,
        );
        println!("{all}");
        let (pass, online) = (pass.own.quality.f1, online.own.quality.f1);
        assert!(pass >= engine.f1 - 0.01, "{all}");
        assert!(online >= pass - 0.015, "{all}");
    }

    // A CRM each, for time; `cargo xtask bench matching` measures both kinds in both.

    #[test]
    fn a_pass_links_people_as_the_engine_does_and_linking_online_nearly_so() {
        holds(Kind::Person, CrmKind::Salesforce, &people(31, 400));
    }

    #[test]
    fn a_pass_links_companies_as_the_engine_does_and_linking_online_nearly_so() {
        holds(Kind::Company, CrmKind::Dynamics365, &companies(32, 400));
    }
}
