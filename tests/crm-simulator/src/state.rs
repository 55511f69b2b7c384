//! Everything the simulator knows, and keeping it in a file.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::clock::{Clock, Source};
use crate::dataverse::Dataverse;
use crate::fault::Faults;
use crate::ledger::Ledger;
use crate::linkedin::LinkedIn;
use crate::salesforce::Salesforce;

/// Locks a mutex, also after a panic elsewhere: the simulator goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The systems, the clock, the faults and the ledger.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) salesforce: Mutex<Salesforce>,
    pub(crate) dataverse: Mutex<Dataverse>,
    pub(crate) linkedin: Mutex<LinkedIn>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) signer: KeyPair,
    pub(crate) changed: Notify,
    urls: Mutex<Urls>,
    /// Held while the file is written, so that two writers do not mix.
    saving: Mutex<()>,
}

/// The addresses of the systems, for tokens that are minted rather than signed in for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Urls {
    pub(crate) salesforce: String,
    pub(crate) dataverse: String,
    pub(crate) linkedin: String,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    clock: Source,
    salesforce: Salesforce,
    dataverse: Dataverse,
    linkedin: LinkedIn,
}

#[derive(Serialize)]
struct Saving {
    clock: Source,
    salesforce: Box<RawValue>,
    dataverse: Box<RawValue>,
    linkedin: Box<RawValue>,
}

impl World {
    /// A new world, or the one of the file when there is one.
    pub(crate) fn load(file: Option<&Path>, signer: KeyPair) -> anyhow::Result<Self> {
        let saved: Option<Saved> = match file.filter(|file| file.exists()) {
            Some(file) => {
                let bytes = std::fs::read(file)?;
                let saved = serde_json::from_slice(&bytes);
                Some(saved.with_context(|| format!("reading {}", file.display()))?)
            }
            None => None,
        };
        let clock = Clock::new(saved.as_ref().map_or(Source::Unset, |saved| saved.clock));
        let now = clock.now_ms();
        let (mut salesforce, mut dataverse, linkedin) = match saved {
            Some(saved) => (saved.salesforce, saved.dataverse, saved.linkedin),
            None => (
                Salesforce::new(now),
                Dataverse::new(now),
                LinkedIn::new(now),
            ),
        };
        salesforce.rebuild(now);
        dataverse.restore(now);
        Ok(Self {
            clock,
            salesforce: Mutex::new(salesforce),
            dataverse: Mutex::new(dataverse),
            linkedin: Mutex::new(linkedin),
            faults: Mutex::default(),
            ledger: Mutex::default(),
            signer,
            changed: Notify::new(),
            urls: Mutex::default(),
            saving: Mutex::default(),
        })
    }

    /// Adds rows to look at to the CRMs.
    pub(crate) fn add_samples(&self) {
        let now = self.clock.now_ms();
        lock(&self.salesforce).add_samples(now);
        lock(&self.dataverse).add_samples(now);
    }

    pub(crate) fn urls(&self) -> Urls {
        lock(&self.urls).clone()
    }

    pub(crate) fn set_urls(&self, urls: &Urls) {
        *lock(&self.urls) = urls.clone();
    }

    /// Writes everything into the file, in one step.
    pub(crate) fn save(&self, file: &Path) -> anyhow::Result<()> {
        fn raw<T: Serialize>(mutex: &Mutex<T>) -> serde_json::Result<Box<RawValue>> {
            serde_json::value::to_raw_value(&*lock(mutex))
        }
        let _alone = lock(&self.saving);
        let saving = Saving {
            clock: self.clock.source(),
            salesforce: raw(&self.salesforce)?,
            dataverse: raw(&self.dataverse)?,
            linkedin: raw(&self.linkedin)?,
        };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let fresh = file.with_extension("tmp");
        std::fs::write(&fresh, serde_json::to_vec(&saving)?)?;
        std::fs::rename(&fresh, file).with_context(|| format!("saving {}", file.display()))
    }
}
