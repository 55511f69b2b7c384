//! Calls to Dataverse's Web API: single ones and batches.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use url::Url;

use super::errors::{classify, error_code};
use super::multipart::{self, PartAnswer};
use super::odata::{API, Query};
use crate::{CrmError, Record, no_api_access};
use remote::outbound::{Call, Provider};
use remote::session::Session;

/// A Dataverse organisation.
pub(crate) struct Dataverse {
    pub(super) session: Arc<Session>,
}

impl Dataverse {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    pub(super) fn request(&self, method: Method, query: &Query) -> Result<Call, CrmError> {
        let url = self.session.url(&query.to_string())?;
        Ok(read_call(method, url))
    }

    pub(super) async fn batch(&self, body: String) -> Result<Vec<PartAnswer>, CrmError> {
        let sets = self.batch_of_sets(body).await?;
        Ok(sets.into_iter().flatten().collect())
    }

    /// The answers of a batch, those of a change set together.
    pub(super) async fn batch_of_sets(
        &self,
        body: String,
    ) -> Result<Vec<Vec<PartAnswer>>, CrmError> {
        let url = self.session.url(&format!("{API}/$batch"))?;
        let mut call = Call::new(Provider::Dataverse, Method::POST, url)
            .header(header::ACCEPT, "application/json")
            .header(HeaderName::from_static("odata-version"), "4.0")
            .header(HeaderName::from_static("odata-maxversion"), "4.0")
            .header(HeaderName::from_static("prefer"), "odata.continue-on-error")
            .header(header::CONTENT_TYPE, multipart::content_type());
        call.body = Some(Bytes::from(body));
        let answer = self.session.send(call).await?;
        let content_type = answer.header("content-type").unwrap_or_default();
        // A failed batch answers with an error status and still with its parts, or with a plain
        // error when the batch itself was refused.
        match multipart::grouped(content_type, &answer.body) {
            Some(parts) if !parts.is_empty() => Ok(parts),
            _ if answer.status.is_success() => Err(CrmError::Unavailable(answer.status)),
            // Refused as a whole, before any part was looked at: the user is no member of the
            // organisation (0x80072560), or has no role in it.
            _ if answer.status == StatusCode::FORBIDDEN => Err(no_api_access(error_code(
                &answer.json().unwrap_or_default(),
            ))),
            _ => Err(classify(
                answer.status,
                &answer.json().unwrap_or_default(),
                Record::Lead,
                &[],
            )),
        }
    }
}

/// A call without a body.
pub(super) fn read_call(method: Method, url: Url) -> Call {
    Call::new(Provider::Dataverse, method, url)
        .header(header::ACCEPT, "application/json")
        .header(HeaderName::from_static("odata-version"), "4.0")
        .header(HeaderName::from_static("odata-maxversion"), "4.0")
        // Without it answers may come from a cache.
        .header(header::IF_NONE_MATCH, "null")
}
