//! A page of JSON rows that was read whole.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;

use super::{ImportError, Page, Turn};
use crate::CrmError;
use domain::mirror::Change;
use domain::rows::csv::BATCH;
use domain::rows::{Layout, Malformed, json};

/// An answer that is not as documented.
pub(crate) fn malformed(error: Malformed) -> ImportError {
    tracing::warn!(
        reason = error.0,
        "the CRM answered something that is no page of rows"
    );
    not_as_documented()
}

/// As [`malformed`], without further detail.
pub(crate) fn not_as_documented() -> ImportError {
    CrmError::Unavailable(StatusCode::OK).into()
}

/// Logs the fields that had unreadable cells, with their number. Never their values.
pub(crate) fn report_unreadable(object: &str, layout: &Layout) {
    for (field, cells) in layout.unreadable() {
        tracing::warn!(
            object,
            field,
            cells,
            "cells that cannot be read are left out"
        );
    }
}

pub(crate) struct JsonPage {
    pub(crate) object: &'static str,
    pub(crate) layout: Layout,
    pub(crate) body: Bytes,
    pub(crate) rows: std::vec::IntoIter<Range<usize>>,
    pub(crate) of: Option<u64>,
    pub(crate) after: Turn,
}

#[async_trait]
impl Page for JsonPage {
    async fn rows(&mut self) -> Result<Option<Vec<Change>>, ImportError> {
        let mut out = Vec::with_capacity(self.rows.len().min(BATCH));
        for range in self.rows.by_ref().take(BATCH) {
            let text = self.body.get(range).unwrap_or_default();
            out.push(json::row(&mut self.layout, text).map_err(malformed)?);
        }
        if out.is_empty() {
            report_unreadable(self.object, &self.layout);
            return Ok(None);
        }
        Ok(Some(out))
    }

    fn of(&self) -> Option<u64> {
        self.of
    }

    fn next(self: Box<Self>) -> Turn {
        self.after
    }
}
