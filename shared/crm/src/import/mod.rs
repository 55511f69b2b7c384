//! Reading a CRM's records in bulk (IM-2, IM-3): the port, and its two sources.
//!
//! A reading is cut into turns, each at most one call to the CRM. Between two turns everything that
//! is needed to go on is in a [`Cursor`]: a worker that died is followed by another that goes on
//! from the last one that was kept.

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

/// Why a turn did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// As with any other call: the connection, a pause, passing trouble, an answer that is not as
    /// documented or was cut short. The same turn again does no harm.
    #[error(transparent)]
    Crm(#[from] CrmError),
    /// The CRM no longer knows from where to tell changes: everything has to be read.
    #[error("the changes are no longer told")]
    ChangesExpired,
    /// The job, locator or page is gone: this pass begins again.
    #[error("the pages are gone")]
    PagesGone,
    /// The object or some fields cannot be read any more: what can be read has to be looked up.
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
    /// Salesforce's query jobs for an object fail, however few records they are asked for.
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

/// What is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The object.
    pub object: &'static ObjectSpec,
    /// The inventory's fields that can be read, in its order.
    pub fields: &'a [&'static str],
    /// Only changes since; none: everything there is.
    pub since: Option<&'a Resume>,
    /// About how many records the object has, where known.
    pub about: Option<u64>,
    /// Where the pass has come.
    pub cursor: &'a Cursor,
    /// Rows of a [stable](Page::stable) page that were applied before; they are left out.
    pub skip: u64,
}

/// What a turn came to.
pub enum Turn {
    /// Go on from here.
    Next(Cursor),
    /// Go on from here, but not before so many seconds.
    Wait(Cursor, i64),
    /// Rows. What comes after them is known when they are all read.
    Page(Box<dyn Page>),
    /// Everything is read. Dataverse with change tracking: the delta link.
    End(Option<String>),
}

/// Rows that are being read.
#[async_trait]
pub trait Page: Send {
    /// The next rows, a few hundred at most; none when all are read and their number is the one
    /// that the CRM told.
    ///
    /// # Errors
    /// [`ImportError`]: also when the answer was cut short.
    async fn rows(&mut self) -> Result<Option<Vec<Change>>, ImportError>;

    /// About how many rows the pass has in all, where the CRM tells.
    fn of(&self) -> Option<u64>;

    /// Whether the same turn again gives the same rows in the same order, whatever happens in the
    /// CRM: then [`Reading::skip`] leaves out those that were applied. Otherwise the page is read
    /// whole again, as what is missing in front moves others up.
    fn stable(&self) -> bool {
        false
    }

    /// What comes after this page; asked once [`Self::rows`] gave none.
    fn next(self: Box<Self>) -> Turn;
}

/// A CRM whose records can be read in bulk.
#[async_trait]
pub trait Source: Send + Sync {
    /// About how many records objects have, where the CRM tells (Salesforce; one call).
    ///
    /// # Errors
    /// [`ImportError::Crm`].
    async fn sizes(
        &self,
        objects: &[&'static ObjectSpec],
    ) -> Result<BTreeMap<&'static str, u64>, ImportError>;

    /// Exactly how many records the user can read now, where the CRM can count them (Salesforce; one
    /// call; not when the object is too large for it).
    ///
    /// # Errors
    /// [`ImportError`].
    async fn count(&self, object: &'static ObjectSpec) -> Result<Option<u64>, ImportError>;

    /// Whether the CRM tells of records that were deleted, when changes are read from `since`.
    fn tells_deletions(&self, object: &'static ObjectSpec, since: &Resume) -> bool;

    /// Makes one turn. At most one call.
    ///
    /// # Errors
    /// [`ImportError`].
    async fn turn(&self, reading: &Reading<'_>) -> Result<Turn, ImportError>;
}

/// The source behind a session.
#[must_use]
pub fn open(session: Arc<Session>) -> Box<dyn Source> {
    match session.provider {
        Provider::Salesforce => Box::new(crate::salesforce::SalesforceSource::new(session)),
        _ => Box::new(crate::dataverse::DataverseSource::new(session)),
    }
}
