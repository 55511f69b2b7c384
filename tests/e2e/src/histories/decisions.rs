//! Decisions (MA-4): imports and computed links never undo a person's decision.
//!
//! Records are made, changed, deleted and merged in the CRM; people are added to the directory; imports, link
//! passes and links of single entries follow; users confirm, choose, refuse and ask for automatic matching
//! again; and processes die on the way. A reference model stores the decisions, and follows merges; after
//! every step the directory is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::json;
use shared::domain::directory::{Decision, EntryId, EntryKind, How, MatchState, RecordRef};
use shared::linking::{Act, Linking};
use shared::random::SystemRandom;
use shared::testing::{Cut, Tripwire};

use super::{Dice, History, Tally};
use crate::Harness;
use crate::directory_world::DirectoryWorld;
use crate::worker::process;

const PROFILE: EntryKind = EntryKind::Profile;
/// Steps of a history.
const STEPS: usize = 50;

/// The decisions of people on an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Decided {
    is: Option<Is>,
    refused: BTreeSet<RecordRef>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    Matched(RecordRef),
    Unmatched,
}

/// The reference: the decisions, and the fate of the records.
#[derive(Default)]
struct Reference {
    entries: BTreeMap<EntryId, Decided>,
    /// Records of the CRM that are there.
    records: Vec<RecordRef>,
    /// Those that the mirror has.
    imported: BTreeSet<RecordRef>,
    merged: BTreeMap<RecordRef, RecordRef>,
    /// A process died after it stored a decision, perhaps before it linked the entry that gains by that. The
    /// next pass does.
    died: bool,
    log: Vec<String>,
}

impl Reference {
    /// The record that the merges of this one led to.
    fn survivor(&self, record: &RecordRef) -> RecordRef {
        let mut record = record.clone();
        while let Some(next) = self.merged.get(&record) {
            record = next.clone();
        }
        record
    }

    /// After an import and a pass.
    fn follow(&mut self) {
        self.died = false;
        self.imported = self.records.iter().cloned().collect();
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            let mut decided = self.entries[&id].clone();
            if let Some(Is::Matched(record)) = &decided.is {
                let survivor = self.survivor(record);
                decided.is = Some(Is::Matched(survivor));
            }
            decided.refused = decided
                .refused
                .iter()
                .map(|record| self.survivor(record))
                .collect();
            if let Some(Is::Matched(record)) = &decided.is {
                decided.refused.remove(&record.clone());
            }
            self.entries.insert(id, decided);
        }
    }
}

const FIRSTS: &[&str] = &["Ada", "Grace", "Emmy"];
const LASTS: &[&str] = &["Byron", "Hopper", "Noether"];
const COMPANIES: &[&str] = &["Works", "Works Ltd", "Globex", "Initech"];

struct Run<'a> {
    world: DirectoryWorld<'a>,
    dice: Dice,
    tally: &'a Tally,
    reference: Reference,
}

/// Runs a history.
pub(super) async fn run(history: History, tally: &Tally) {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(history.crm()).await;
    let mut run = Run {
        world: DirectoryWorld::of(&tenant).await,
        dice: history.dice(),
        tally,
        reference: Reference::default(),
    };
    run.reference.log.push(history.to_string());
    for _ in 0..6 {
        run.new_record().await;
        run.new_entry().await;
    }
    run.import().await;
    for _ in 0..STEPS {
        tally.step();
        match run.dice.roll(15) {
            0 => run.new_record().await,
            1 => run.new_entry().await,
            2 => run.change_record().await,
            3 => run.delete_record().await,
            4 => run.merge_records().await,
            5 | 6 => run.import().await,
            7 => run.link_one().await,
            8 => run.confirm().await,
            9 | 10 => run.choose().await,
            11 | 12 => run.unmatch().await,
            13 => run.pass_that_dies().await,
            _ => run.automatic().await,
        }
        run.hold().await;
    }
    run.import().await;
    run.hold().await;
    tally.faults(&harness.control(Method::GET, "/ledger/summary", None).await);
    harness.stop().await;
}

impl Run<'_> {
    fn person(&mut self) -> (&'static str, &'static str, String) {
        let (first, last) = (
            self.dice.one(FIRSTS).unwrap(),
            self.dice.one(LASTS).unwrap(),
        );
        let number = self.dice.roll(2);
        let email = format!("{first}.{last}{number}").to_lowercase();
        (first, last, self.world.tenant.email(&email))
    }

    fn entry(&mut self) -> Option<EntryId> {
        let ids: Vec<EntryId> = self.reference.entries.keys().copied().collect();
        self.dice.one(&ids)
    }

    async fn new_record(&mut self) {
        let (first, last, email) = self.person();
        let record = if self.dice.roll(2) == 0 {
            self.world.lead(first, last, &email, "Works").await
        } else {
            self.world.contact(first, last, &email, None).await
        };
        self.reference
            .log
            .push(format!("new {record} {first} {last} {email}"));
        self.reference.records.push(record);
    }

    async fn new_entry(&mut self) {
        let (first, last, email) = self.person();
        // Often a person who is there already: the decisions on them stay, and now and then the employer is
        // another one.
        let at = self.reference.log.len() % COMPANIES.len();
        let company = COMPANIES.get(at).copied().unwrap_or_default();
        let id = self.world.profile(first, last, &email, company).await;
        self.reference
            .log
            .push(format!("add {} {first} {last} {email}", id.0));
        self.reference.entries.entry(id).or_default();
    }

    async fn change_record(&mut self) {
        let Some(record) = self.dice.one(&self.reference.records) else {
            return;
        };
        let (first, _, email) = self.person();
        let (name, mail) = (
            self.world.name("FirstName", "firstname"),
            self.world.name("Email", "emailaddress1"),
        );
        self.reference
            .log
            .push(format!("change {record} {first} {email}"));
        self.world
            .change(&record, json!({name: first, mail: email}))
            .await;
    }

    async fn delete_record(&mut self) {
        let Some(record) = self.dice.one(&self.reference.records) else {
            return;
        };
        self.reference.log.push(format!("delete {record}"));
        self.world.delete(&record).await;
        self.reference.records.retain(|other| *other != record);
    }

    async fn merge_records(&mut self) {
        let (Some(loser), Some(winner)) = (
            self.dice.one(&self.reference.records),
            self.dice.one(&self.reference.records),
        ) else {
            return;
        };
        if loser == winner || loser.object != winner.object {
            return;
        }
        self.reference
            .log
            .push(format!("merge {loser} into {winner}"));
        self.world.merge(&loser, &winner).await;
        self.reference.records.retain(|other| *other != loser);
        self.reference.merged.insert(loser, winner);
    }

    async fn import(&mut self) {
        self.reference.log.push("import".to_owned());
        self.world.import().await;
        self.reference.follow();
    }

    /// Imports, and has workers of the link pass die at some call before one lives.
    async fn pass_that_dies(&mut self) {
        self.reference
            .log
            .push("import, and a pass whose workers die".to_owned());
        self.world.import_only().await;
        self.world.ask_for_pass().await;
        for _ in 0..2 {
            let wire = self.wire();
            let stack = self.world.tenant.harness.embedded_stack();
            let apps = process(stack, &wire, &self.world.clock);
            crm_import::work(&apps.import, &self.world.message()).await;
            self.tally.cut(&wire);
            // Longer than the dead one's lease.
            self.world.advance(200).await;
        }
        self.world.finish_pass(&self.world.apps, 100).await;
        self.reference.follow();
    }

    /// A wire that cuts at one of the first calls.
    fn wire(&mut self) -> std::sync::Arc<Tripwire> {
        let at = self.dice.roll(40);
        Tripwire::cutting(match self.dice.roll(2) {
            0 => Cut::Before(at),
            _ => Cut::After(at),
        })
    }

    async fn link_one(&mut self) {
        let Some(id) = self.entry() else { return };
        self.reference.log.push(format!("link {}", id.0));
        self.world.linking().link_entry(PROFILE, id).await.unwrap();
    }

    /// Takes a decision; whether it was taken. Now and then the process dies on the way, and the user
    /// asks again.
    async fn decide(&mut self, id: EntryId, act: Act) -> bool {
        if self.dice.roll(5) == 0 {
            let wire = self.wire();
            let stack = self.world.tenant.harness.embedded_stack();
            let apps = process(stack, &wire, &self.world.clock);
            let (store, now) = (&apps.import.remote.store, self.world.linking().now);
            let done = Linking::new(store, &self.world.contract, now)
                .decide(PROFILE, id, act.clone(), "ann", &SystemRandom)
                .await;
            self.tally.cut(&wire);
            self.reference.died |= wire.has_cut();
            let died = wire.has_cut();
            self.reference.log.push(format!(
                "{} {act:?}, died: {died}, done: {}",
                id.0,
                done.is_ok()
            ));
        }
        let done = self
            .world
            .linking()
            .decide(PROFILE, id, act.clone(), "ann", &SystemRandom)
            .await;
        let problem = done.err().map(|error| error.problem().code);
        self.reference
            .log
            .push(format!("{} {act:?}: {problem:?}", id.0));
        match (problem.as_deref(), &act) {
            (None, _) => true,
            (Some("record_taken"), Act::Match(record)) => {
                let other = self.reference.entries.iter().any(|(other, decided)| {
                    *other != id && decided.is == Some(Is::Matched(record.clone()))
                });
                assert!(other, "nobody chose {record}: {:#?}", self.reference.log);
                false
            }
            (Some("record_not_found"), Act::Match(record)) => {
                let there = self.reference.imported.contains(record);
                assert!(!there, "{record}: {:#?}", self.reference.log);
                false
            }
            (Some(code), _) => panic!("{code}: {:#?}", self.reference.log),
        }
    }

    async fn matched(&mut self, id: EntryId, record: RecordRef) {
        if self.decide(id, Act::Match(record.clone())).await {
            let decided = self.reference.entries.get_mut(&id).unwrap();
            decided.refused.remove(&record);
            decided.is = Some(Is::Matched(record));
        }
    }

    async fn confirm(&mut self) {
        let Some(id) = self.entry() else { return };
        if let Some(record) = self.world.link_of(PROFILE, id).await {
            self.matched(id, record).await;
        }
    }

    async fn choose(&mut self) {
        let imported: Vec<RecordRef> = self.reference.imported.iter().cloned().collect();
        let (Some(id), Some(record)) = (self.entry(), self.dice.one(&imported)) else {
            return;
        };
        self.matched(id, record).await;
    }

    async fn unmatch(&mut self) {
        let Some(id) = self.entry() else { return };
        let link = self.world.link_of(PROFILE, id).await;
        if self.decide(id, Act::Unmatch).await {
            let decided = self.reference.entries.get_mut(&id).unwrap();
            if let Some(Is::Matched(record)) = decided.is.take() {
                decided.refused.insert(record);
            }
            decided.refused.extend(link);
            decided.is = Some(Is::Unmatched);
        }
    }

    async fn automatic(&mut self) {
        let Some(id) = self.entry() else { return };
        if self.decide(id, Act::Automatic).await {
            self.reference.entries.get_mut(&id).unwrap().is = None;
        }
    }

    /// Compares the directory with the decisions. `directory` checks that links are one to one.
    async fn hold(&mut self) {
        let found = self.world.directory(PROFILE).await;
        // Findings go with the links (SV-8).
        self.world.outdated(&found).await;
        let log = &self.reference.log;
        assert_eq!(found.len(), self.reference.entries.len(), "{log:#?}");
        for (id, decided) in &self.reference.entries {
            let (entry, matched) = &found[id];
            let link = matched.link.as_ref();
            let refused: BTreeSet<RecordRef> = entry.refused.iter().cloned().collect();
            assert_eq!(refused, decided.refused, "{}: {log:#?}", id.0);
            match (&decided.is, &entry.decision) {
                (
                    Some(Is::Matched(record)),
                    Decision::Matched {
                        record: stored, by, ..
                    },
                ) => {
                    assert_eq!((record, by.as_str()), (stored, "ann"), "{}: {log:#?}", id.0);
                    let rival = self.reference.entries.iter().any(|(other, decided)| {
                        other != id && decided.is == Some(Is::Matched(record.clone()))
                    });
                    // Two records that people chose were merged: one of the two entries has the survivor.
                    if let Some(link) = link {
                        assert_eq!(&link.record, record, "{}: {log:#?}", id.0);
                        assert_eq!(link.how, How::Person);
                    } else {
                        let rival = rival || self.reference.died;
                        self.tally.lost(usize::from(!rival));
                        assert!(rival, "{} lost {record}: {log:#?}", id.0);
                    }
                }
                (Some(Is::Unmatched), Decision::Unmatched { .. }) => {
                    assert_eq!(link, None, "{}: {log:#?}", id.0);
                    assert_eq!(MatchState::of(entry, Some(matched)), MatchState::Refused);
                }
                (None, Decision::None) => {
                    let Some(link) = link else { continue };
                    assert!(!refused.contains(&link.record), "{}: {log:#?}", id.0);
                    assert_eq!(link.how, How::Score, "{}: {log:#?}", id.0);
                }
                (decided, stored) => panic!("{}: {stored:?}, not {decided:?}: {log:#?}", id.0),
            }
        }
        // An entry that has another person's decided record has it by a decision, too.
        for (id, decided) in &self.reference.entries {
            let Some(Is::Matched(record)) = &decided.is else {
                continue;
            };
            let holders = found
                .iter()
                .filter(|(_, (_, matched))| matched.record() == Some(record));
            for (holder, (entry, _)) in holders {
                assert!(holder == id || entry.is_manual(), "{record}: {log:#?}");
            }
        }
    }
}
