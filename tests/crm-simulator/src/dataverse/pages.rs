//! Pages of a table and of its changes: next links, delta links, and the tokens in them.
//!
//! After learn.microsoft.com's *Use change tracking to synchronize data with external systems* and *Page
//! results*. Both kinds of token are opaque to the caller.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::privileges::{Depth, reaches};
use super::rest::Request;
use super::schema::TableType;
use super::{Caller, Dataverse, DeltaFrom, Error};

/// Ordered results that are kept to page through; a token of an older one reads the rows again.
const CURSORS: usize = 16;

/// The start of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Cookie {
    /// The page is of a read that ends with a delta link.
    pub(super) tracking: bool,
    epoch: u64,
    /// The last id that was read.
    after: String,
    /// Rows that were read.
    given: usize,
    /// Rows there were in all; only counted when asked.
    total: usize,
    /// The organisation's version at the first page.
    version: u64,
    /// The ordered result, by number.
    cursor: u64,
    /// The versions up to which changes and deletes were read.
    changed: u64,
    deleted: u64,
}

impl Cookie {
    pub(super) fn encode(&self) -> String {
        let text = format!(
            "<cookie after=\"{}\" given=\"{}\" total=\"{}\" version=\"{}\" cursor=\"{}\" \
             changed=\"{}\" deleted=\"{}\" epoch=\"{}\" istracking=\"{}\" />",
            self.after,
            self.given,
            self.total,
            self.version,
            self.cursor,
            self.changed,
            self.deleted,
            self.epoch,
            if self.tracking { "True" } else { "False" },
        );
        URL_SAFE_NO_PAD.encode(text)
    }

    fn decode(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let field = |name: &str| text.split_once(&format!(" {name}=\""))?.1.split('"').next();
        Some(Self {
            tracking: field("istracking")? == "True",
            epoch: field("epoch")?.parse().ok()?,
            after: field("after")?.to_owned(),
            given: field("given")?.parse().ok()?,
            total: field("total")?.parse().ok()?,
            version: field("version")?.parse().ok()?,
            cursor: field("cursor")?.parse().ok()?,
            changed: field("changed")?.parse().ok()?,
            deleted: field("deleted")?.parse().ok()?,
        })
    }
}

/// A page that is asked for.
pub(super) struct Page {
    pub(super) cookie: Cookie,
    pub(super) size: usize,
}

/// A page that was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: Vec<String>,
    pub(super) deleted: Vec<String>,
    pub(super) total: usize,
    /// The start of the next page; without, this is the last one.
    pub(super) next: Option<Cookie>,
    /// The version that a delta link stands for.
    pub(super) version: u64,
}

fn expired() -> Error {
    // ExpiredVersionStamp in learn.microsoft.com's *Web service error codes*.
    Error::new(
        400,
        "0x80044352",
        "Version stamp associated with the client has expired. Please perform a full sync.",
    )
}

impl Dataverse {
    pub(super) fn first_cookie(&self, tracking: bool, since: Option<u64>) -> Cookie {
        let since = since.unwrap_or(0);
        Cookie {
            tracking,
            epoch: self.skip_epoch,
            version: self.last_version(),
            changed: since,
            deleted: since,
            ..Cookie::default()
        }
    }

    pub(super) fn cookie(&self, token: &str) -> Result<Cookie, Error> {
        Cookie::decode(token)
            .filter(|cookie| cookie.epoch == self.skip_epoch)
            .ok_or_else(|| Error::new(400, "0x80060888", "Skip token is malformed."))
    }

    /// Ends every page sequence that is under way.
    pub(crate) fn expire_skip_tokens(&mut self) {
        self.skip_epoch += 1;
    }

    /// Ends every delta token there is.
    pub(crate) fn expire_deltas(&mut self) {
        self.version += 1;
        self.delta_floor = self.version;
    }

    /// Checks that the caller may track the table's changes.
    pub(super) fn may_track(&self, caller: &Caller, ty: &TableType) -> Result<(), Error> {
        if !ty.tracked {
            // ChangeTrackingNotEnabledForEntity in *Web service error codes*.
            let message = format!("Entity {} isn't enabled for change tracking.", ty.name);
            return Err(Error::new(400, "0x80072491", message));
        }
        if self.may(caller, ty, "read")? != Depth::Global {
            return Err(Error::new(
                403,
                "0x80040220",
                "Tracking changes needs read privilege at organization level on the table.",
            ));
        }
        Ok(())
    }

    /// The version a delta token stands for.
    pub(super) fn delta(&self, caller: &Caller, token: &str) -> Result<u64, Error> {
        let (version, time) = token.split_once('!').ok_or_else(expired)?;
        let (date, hour) = time.split_once(' ').ok_or_else(expired)?;
        let mut parts = date.split('/');
        let (month, day, year) = (parts.next(), parts.next(), parts.next());
        let text = format!(
            "{}-{}-{}T{hour}Z",
            year.unwrap_or_default(),
            month.unwrap_or_default(),
            day.unwrap_or_default()
        );
        let made = crate::clock::parse_time(&text).ok_or_else(expired)?;
        if caller.now_ms - made > self.settings.change_tracking_days * 86_400_000 {
            return Err(expired());
        }
        let version = version.parse().map_err(|_| expired())?;
        if version < self.delta_floor {
            return Err(expired());
        }
        Ok(version)
    }

    /// A token for the changes after a version.
    pub(super) fn delta_token(&self, caller: &Caller, version: u64) -> String {
        let version = match self.settings.delta_token_from {
            DeltaFrom::First => version,
            DeltaFrom::Last => self.last_version(),
        };
        let time = crate::clock::format_ms(caller.now_ms, "%m/%d/%Y %H:%M:%S");
        format!("{version}!{time}")
    }

    /// Rows in the order of their ids, read on from the last one.
    pub(super) fn plain_page(
        &self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        page: Page,
    ) -> Result<Found, Error> {
        let Page { cookie, size } = page;
        let depth = self.may(caller, ty, "read")?;
        let filter = self.filter(request, ty)?;
        let left = top(request)?.map_or(usize::MAX, |top| top.saturating_sub(cookie.given));
        let total = match request.param("$count") {
            Some("true") if cookie.given == 0 => self.found(caller, request, ty)?.len(),
            _ => cookie.total,
        };
        let equals = filter
            .as_ref()
            .is_some_and(|filter| !filter.required_equals().is_empty());
        let wanted = size.saturating_add(1).min(left);
        let mut rows: Vec<String> = if equals {
            // An index may know them.
            let ids = self.found(caller, request, ty)?;
            let rest = ids.into_iter().filter(|id| *id > cookie.after);
            rest.take(wanted).collect()
        } else {
            let after = (!cookie.after.is_empty()).then_some(cookie.after.as_str());
            self.store
                .after(&ty.name, after)
                .filter(|(_, row)| {
                    reaches(caller, ty, depth, row)
                        && filter
                            .as_ref()
                            .is_none_or(|filter| filter.holds(&|name| self.value(ty, row, name)))
                })
                .take(wanted)
                .map(|(id, _)| id.clone())
                .collect()
        };
        let more = rows.len() > size;
        rows.truncate(size);
        let next = more.then(|| Cookie {
            after: rows.last().cloned().unwrap_or_default(),
            given: cookie.given + rows.len(),
            total,
            ..cookie.clone()
        });
        Ok(Found {
            rows,
            total,
            next,
            version: cookie.version,
            ..Found::default()
        })
    }

    /// Rows in an order of the caller's: sorted once, then kept while they are paged through.
    pub(super) fn ordered_page(
        &mut self,
        caller: &Caller,
        request: &Request,
        ty: &Arc<TableType>,
        page: Page,
    ) -> Result<Found, Error> {
        let Page { mut cookie, size } = page;
        if !self.cursors.contains_key(&cookie.cursor) {
            let mut ids = self.found(caller, request, ty)?;
            cookie.total = ids.len();
            ids.truncate(top(request)?.unwrap_or(usize::MAX));
            self.counter += 1;
            cookie.cursor = self.counter;
            self.cursors.insert(cookie.cursor, ids);
        }
        let (number, given) = (cookie.cursor, cookie.given);
        let ids = self
            .cursors
            .get(&number)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let end = (given + size).min(ids.len());
        let rows = ids.get(given..end).unwrap_or_default().to_vec();
        let (total, version, last) = (cookie.total, cookie.version, end >= ids.len());
        if last {
            self.cursors.remove(&number);
        }
        while self.cursors.len() > CURSORS {
            self.cursors.pop_first();
        }
        cookie.given = end;
        Ok(Found {
            rows,
            total,
            next: (!last).then_some(cookie),
            version,
            ..Found::default()
        })
    }

    /// The changed rows, then the deleted ones, each in the order of their changes.
    pub(super) fn changed_page(&self, ty: &Arc<TableType>, page: Page) -> Found {
        let Page { mut cookie, size } = page;
        let mut found = Found {
            version: cookie.version,
            ..Found::default()
        };
        let mut more = false;
        for (version, id) in self.store.changed(&ty.name, cookie.changed) {
            if found.rows.len() == size {
                more = true;
                break;
            }
            cookie.changed = version;
            found.rows.push(id.to_owned());
        }
        if !more {
            for (version, id) in self.deleted_after(ty, cookie.deleted) {
                if found.rows.len() + found.deleted.len() == size {
                    more = true;
                    break;
                }
                cookie.deleted = version;
                found.deleted.push(id.to_owned());
            }
        }
        found.total = found.rows.len() + found.deleted.len();
        found.next = more.then_some(cookie);
        found
    }
}

fn top(request: &Request) -> Result<Option<usize>, Error> {
    let top = request.param("$top").map(str::parse::<usize>).transpose();
    top.map_err(|_| Error::syntax("Invalid value for $top query option found."))
}
