//! Reading a CRM's records in bulk (IM-2, IM-3): the port, and its two sources.
//!
//! A reading is split into turns, each at most one call to the CRM. Between two turns a [`Cursor`] holds
//! everything needed to continue: if a worker dies, another continues from the last stored cursor.

pub(crate) mod page;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::CrmError;
use domain::inventory::ObjectSpec;
use domain::mirror::Change;
use domain::sync::{Cursor, Resume};
use remote::outbound::Provider;
use remote::session::Session;

/// The reason why a turn did not complete.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An error of any call: the connection, a pause, passing trouble, or an answer that is not as documented
    /// or was cut short. Repeating the turn does no harm.
    #[error(transparent)]
    Crm(#[from] CrmError),
    /// The CRM no longer has the starting point of the changes: everything has to be read.
    #[error("the changes are no longer told")]
    ChangesExpired,
    /// The job, locator or page is gone: this pass begins again.
    #[error("the pages are gone")]
    PagesGone,
    /// The object or some fields can no longer be read: the readable ones have to be looked up again.
    #[error("the schema changed")]
    SchemaChanged,
    /// The CRM refuses to read an object, with its code.
    #[error("the CRM refuses to read {object} ({code})")]
    Refused {
        /// The object.
        object: String,
        /// The CRM's code, an identifier.
        code: String,
    },
    /// Salesforce's query jobs for an object fail, even for very few records.
    #[error("the query jobs for {object} fail")]
    JobsFail {
        /// The object.
        object: String,
    },
}

impl From<remote::session::SessionError> for ImportError {
    fn from(error: remote::session::SessionError) -> Self {
        Self::Crm(error.into())
    }
}

/// The object to read, and the position to read from.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The object.
    pub object: &'static ObjectSpec,
    /// The inventory's fields that can be read, in its order.
    pub fields: &'a [&'static str],
    /// Reads only changes since then; `None` reads everything.
    pub since: Option<&'a Resume>,
    /// Approximate number of the object's records, if known.
    pub about: Option<u64>,
    /// Progress of the pass.
    pub cursor: &'a Cursor,
    /// Rows of a [stable](Page::stable) page that were applied before; they are left out.
    pub skip: u64,
}

/// The result of a turn.
pub enum Turn {
    /// Continue from here.
    Next(Cursor),
    /// Continue from here, but not before so many seconds.
    Wait(Cursor, i64),
    /// Rows. The next turn is known when they are all read.
    Page(Box<dyn Page>),
    /// Everything is read. Dataverse with change tracking: the delta link.
    End(Option<String>),
}

/// Rows to be read in portions.
#[async_trait]
pub trait Page: Send {
    /// Reads the next rows, a few hundred at most; `None` once all are read and their number is the one that
    /// the CRM reported.
    ///
    /// # Errors
    /// Returns [`ImportError`], also if the answer was cut short.
    async fn rows(&mut self) -> Result<Option<Vec<Change>>, ImportError>;

    /// Approximate number of rows of the whole pass, if the CRM reports it.
    fn of(&self) -> Option<u64>;

    /// True if repeating the turn gives the same rows in the same order, whatever happens in the CRM: then
    /// [`Reading::skip`] leaves out the rows that were applied. Otherwise the whole page is read again,
    /// because rows removed in front move others up.
    fn stable(&self) -> bool {
        false
    }

    /// The turn after this page; called once [`Self::rows`] returned `None`.
    fn next(self: Box<Self>) -> Turn;
}

/// A CRM whose records can be read in bulk.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads the approximate number of records of objects, if the CRM reports it (Salesforce; one call).
    ///
    /// # Errors
    /// Returns [`ImportError::Crm`].
    async fn sizes(
        &self,
        objects: &[&'static ObjectSpec],
    ) -> Result<BTreeMap<&'static str, u64>, ImportError>;

    /// Counts exactly the records that the user can read now, if the CRM can count them (Salesforce; one
    /// call; not if the object is too large for it).
    ///
    /// # Errors
    /// Returns [`ImportError`] if the call fails.
    async fn count(&self, object: &'static ObjectSpec) -> Result<Option<u64>, ImportError>;

    /// True if the CRM reports deleted records when changes are read from `since`.
    fn tells_deletions(&self, object: &'static ObjectSpec, since: &Resume) -> bool;

    /// Makes one turn. At most one call.
    ///
    /// # Errors
    /// Returns [`ImportError`] if the turn did not complete.
    async fn turn(&self, reading: &Reading<'_>) -> Result<Turn, ImportError>;
}

/// Opens the source behind a session.
#[must_use]
pub fn open(session: Arc<Session>) -> Box<dyn Source> {
    match session.provider {
        Provider::Salesforce => Box::new(crate::salesforce::SalesforceSource::new(session)),
        _ => Box::new(crate::dataverse::DataverseSource::new(session)),
    }
}
