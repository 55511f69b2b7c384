//! Dataverse: one organisation, and the sign-in in front of it.

pub(crate) mod batch;
pub(crate) mod entra;
mod generate;
mod life;
pub(crate) mod metadata;
pub(crate) mod odata;
mod pages;
pub(crate) mod privileges;
pub(crate) mod rest;
pub(crate) mod rows;
mod samples;
pub(crate) mod schema;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::schema::{Column, TableType};
use crate::clock::dataverse_time;
use crate::http::{Call, Reply, Row, decode};
use crate::store::Store;

/// An error of the Web API.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        Self::new(400, "0x80060888", message)
    }

    /// Something that the real one may know and the simulator does not do: refused, never ignored.
    pub(crate) fn unserved(message: impl Into<String>) -> Self {
        Self::new(501, "NOT_SERVED_BY_SIMULATOR", message)
    }

    pub(crate) fn no_resource(name: &str) -> Self {
        Self::new(
            404,
            "0x8006088a",
            format!("Resource not found for the segment '{name}'."),
        )
    }

    pub(crate) fn reply(&self) -> Reply {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        with_type(Reply::json(self.status, &body))
            .with("req_id", "00000000-0000-0000-0000-000000000000")
    }
}

/// The headers every answer with JSON has.
pub(crate) fn with_type(reply: Reply) -> Reply {
    reply
        .with(
            "content-type",
            "application/json; odata.metadata=minimal; charset=utf-8",
        )
        .with("odata-version", "4.0")
}

/// The switches of the organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the control API"
)]
pub(crate) struct Settings {
    /// Duplicate rules on the address of leads, contacts and accounts; they speak only when the
    /// caller asks (`MSCRM.SuppressDuplicateDetection: false`).
    pub(crate) duplicate_detection: bool,
    pub(crate) session_seconds: i64,
    pub(crate) deny_consent: bool,
    /// The state of consent to the app, of the user or an administrator.
    pub(crate) consent: entra::Consent,
    /// Using a refresh token a second time ends its chain. Off, as at Entra today: old tokens stay valid
    /// beside the new ones.
    pub(crate) refresh_rotation: bool,
    /// User names of another tenant; they sign in at `/organizations`.
    pub(crate) foreign_tenant_users: BTreeSet<String>,
    /// User names of this tenant that the organisation does not know, whether or not it has a row.
    pub(crate) not_members: BTreeSet<String>,
    /// User names of members without any security role.
    pub(crate) without_roles: BTreeSet<String>,
    /// True if client credentials have an application user here.
    pub(crate) application_user: bool,
    /// Columns without create and update, by table.
    pub(crate) read_only: BTreeMap<String, BTreeSet<String>>,
    /// Columns that are not there, by table.
    pub(crate) hidden_fields: BTreeMap<String, BTreeSet<String>>,
    /// Further columns a create needs, by table (business rules).
    pub(crate) extra_required: BTreeMap<String, BTreeSet<String>>,
    /// Operations no user may do, by table: read, create, update, delete.
    pub(crate) denied: BTreeMap<String, BTreeSet<String>>,
    /// The depth of privileges, by user name (`*`: all) and privilege. A privilege that is not listed reaches
    /// everything.
    pub(crate) privileges: BTreeMap<String, BTreeMap<String, privileges::Depth>>,
    /// Columns with column-level security, by table, and the user names that see them.
    pub(crate) secured_fields: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    pub(crate) page_size: usize,
    /// Days a change-tracking token lives.
    pub(crate) change_tracking_days: i64,
    /// Tables without change tracking.
    pub(crate) untracked_tables: BTreeSet<String>,
    pub(crate) delta_token_from: DeltaFrom,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            duplicate_detection: true,
            session_seconds: 3599,
            deny_consent: false,
            consent: entra::Consent::Granted,
            refresh_rotation: false,
            foreign_tenant_users: ["visitor@elsewhere.example".to_owned()].into(),
            not_members: BTreeSet::new(),
            without_roles: BTreeSet::new(),
            application_user: true,
            read_only: BTreeMap::new(),
            hidden_fields: BTreeMap::new(),
            extra_required: BTreeMap::new(),
            denied: BTreeMap::new(),
            privileges: BTreeMap::new(),
            secured_fields: BTreeMap::new(),
            page_size: 5000,
            change_tracking_days: 7,
            untracked_tables: BTreeSet::new(),
            delta_token_from: DeltaFrom::First,
        }
    }
}

/// The version that the token of a delta link stands for, when pages were read before it. The documentation
/// does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeltaFrom {
    /// The first page's version: rows that changed meanwhile come again.
    #[default]
    First,
    /// The last page's version: rows that changed meanwhile on pages already read do not come.
    Last,
}

/// The organisation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dataverse {
    pub(crate) organization: String,
    pub(crate) business_unit: String,
    pub(crate) tenant: String,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) custom: BTreeMap<String, Vec<Column>>,
    pub(crate) auth: entra::Auth,
    version: u64,
    counter: u64,
    /// The deleted rows, by table.
    #[serde(default)]
    gone: BTreeMap<String, life::Gone>,
    /// Delta tokens of versions before this one are expired.
    #[serde(default)]
    delta_floor: u64,
    /// Skip tokens of another epoch are not good any more.
    #[serde(default)]
    skip_epoch: u64,
    /// Ordered results that are being paged through.
    #[serde(skip)]
    cursors: BTreeMap<u64, Vec<String>>,
    /// The times of the calls of the last five minutes.
    #[serde(skip)]
    calls: VecDeque<i64>,
    #[serde(skip)]
    tables: BTreeMap<String, Arc<TableType>>,
}

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    /// The user who acts for `user`, if any.
    pub(crate) actor: Option<String>,
    pub(crate) now_ms: i64,
    /// `https://host/api/data/v9.2`
    pub(crate) service: String,
}

const USERS: &[(&str, &str, &str, bool)] = &[
    ("admin", "Ada", "Admin", false),
    ("seller", "Sol", "Seller", false),
    ("former", "Fay", "Former", true),
];

/// Id, name and parent: the director's before the executive's, as the users stand.
const POSITIONS: &[(&str, &str, Option<&str>)] = &[
    (
        "5f1d0000-0000-4000-8000-00000000e001",
        "Sales Director",
        None,
    ),
    (
        "5f1d0000-0000-4000-8000-00000000e002",
        "Account Executive",
        Some("5f1d0000-0000-4000-8000-00000000e001"),
    ),
];

/// Id, code, name, symbol and rate; the first is the organisation's own.
const CURRENCIES: &[(&str, &str, &str, &str, f64)] = &[
    (
        "5f1d0000-0000-4000-8000-00000000f001",
        "EUR",
        "Euro",
        "€",
        1.0,
    ),
    (
        "5f1d0000-0000-4000-8000-00000000f002",
        "USD",
        "US Dollar",
        "$",
        1.1,
    ),
    (
        "5f1d0000-0000-4000-8000-00000000f003",
        "GBP",
        "Pound Sterling",
        "£",
        0.86,
    ),
];

impl Dataverse {
    pub(crate) fn new(now_ms: i64) -> Self {
        let mut out = Self {
            organization: "5f1d0000-0000-4000-8000-00000000a001".into(),
            business_unit: "5f1d0000-0000-4000-8000-00000000b001".into(),
            tenant: "5f1d0000-0000-4000-8000-00000000c001".into(),
            settings: Settings::default(),
            store: Store::default(),
            custom: BTreeMap::new(),
            auth: entra::Auth::default(),
            version: 2_264_000,
            counter: 0,
            gone: BTreeMap::new(),
            delta_floor: 0,
            skip_epoch: 0,
            cursors: BTreeMap::new(),
            calls: VecDeque::new(),
            tables: BTreeMap::new(),
        };
        out.rebuild();
        let (organization, unit) = (out.organization.clone(), out.business_unit.clone());
        out.seed_setup(now_ms);
        let base = CURRENCIES.first().map(|(id, ..)| *id);
        out.seed(
            "organization",
            &organization,
            json!({ "name": "Leadbridge Demo", "_basecurrencyid_value": base }),
            now_ms,
        );
        out.seed(
            "businessunit",
            &unit,
            json!({ "name": "Leadbridge Demo" }),
            now_ms,
        );
        for (at, (name, first, last, disabled)) in USERS.iter().enumerate() {
            let id = format!("5f1d0000-0000-4000-8000-{:012}", at + 1);
            out.seed("systemuser", &id, json!({
                "firstname": first, "lastname": last, "fullname": format!("{first} {last}"),
                "domainname": format!("{name}@leadbridge.example"),
                "internalemailaddress": format!("{name}@leadbridge.example"),
                "azureactivedirectoryobjectid": format!("5f1d0000-0000-4000-9000-{:012}", at + 1),
                "isdisabled": disabled, "_businessunitid_value": unit,
                "title": POSITIONS.get(at).map(|(_, name, _)| *name),
                "_positionid_value": POSITIONS.get(at).map(|(id, ..)| *id),
            }), now_ms);
        }
        out.seed(
            "team",
            "5f1d0000-0000-4000-8000-00000000d001",
            json!({ "name": "Leadbridge Demo" }),
            now_ms,
        );
        out
    }

    /// Currencies and positions.
    fn seed_setup(&mut self, now_ms: i64) {
        for (id, code, name, symbol, rate) in CURRENCIES {
            let row = json!({
                "isocurrencycode": code, "currencyname": name, "currencysymbol": symbol,
                "currencyprecision": 2, "exchangerate": rate, "statecode": 0, "statuscode": 1,
            });
            self.seed("transactioncurrency", id, row, now_ms);
        }
        for (id, name, parent) in POSITIONS {
            let row = json!({ "name": name, "_parentpositionid_value": parent });
            self.seed("position", id, row, now_ms);
        }
    }

    /// Restores the state that is not saved, and adds parts that a state of an earlier version lacks.
    pub(crate) fn restore(&mut self, now_ms: i64) {
        self.rebuild();
        if self.store.len("transactioncurrency") == 0 {
            self.seed_setup(now_ms);
        }
    }

    fn seed(&mut self, table: &str, id: &str, row: Value, now_ms: i64) {
        let Value::Object(mut row) = row else { return };
        let Some(ty) = self.tables.get(table).cloned() else {
            return;
        };
        row.insert(ty.primary_id.clone(), json!(id));
        row.insert("createdon".into(), json!(dataverse_time(now_ms)));
        self.put(&ty, id, row, now_ms);
    }

    /// Stores a row under a new version.
    pub(crate) fn put(&mut self, ty: &TableType, id: &str, mut row: Row, now_ms: i64) {
        self.version += 1;
        row.insert("versionnumber".into(), json!(self.version));
        row.insert("modifiedon".into(), json!(dataverse_time(now_ms)));
        self.store.put(&ty.name, id, row);
    }

    /// A fresh id, in the way the server makes them: ascending.
    pub(crate) fn next_id(&mut self) -> String {
        self.counter += 1;
        format!(
            "{:08x}-5f1d-f111-8407-000d3abf969a",
            0x4d00_0000 + self.counter
        )
    }

    /// Works the tables out again from the base, the custom columns and the settings.
    pub(crate) fn rebuild(&mut self) {
        let mut tables = BTreeMap::new();
        for table in schema::base() {
            let mut columns = table.columns.clone();
            for column in self.custom.get(&table.name).into_iter().flatten() {
                columns.retain(|known| known.name != column.name);
                columns.push(column.clone());
            }
            let listed = |set: &BTreeMap<String, BTreeSet<String>>, column: &Column| {
                set.get(&table.name)
                    .is_some_and(|names| names.contains(&column.name))
            };
            columns.retain(|column| !listed(&self.settings.hidden_fields, column));
            for column in &mut columns {
                if listed(&self.settings.read_only, column) {
                    (column.create, column.update) = (false, false);
                }
                if listed(&self.settings.extra_required, column) {
                    column.required = true;
                }
                let secured = self.settings.secured_fields.get(&table.name);
                column.secured = secured.is_some_and(|names| names.contains_key(&column.name));
            }
            let looked_up = [
                "emailaddress1",
                "internalemailaddress",
                "domainname",
                "telephone1",
            ];
            self.store.index(
                &table.name,
                looked_up.map(str::to_owned),
                Some("versionnumber"),
            );
            let mut table = schema::with_columns(&table, columns);
            table.tracked = !self.settings.untracked_tables.contains(&table.name);
            tables.insert(table.name.clone(), Arc::new(table));
        }
        self.tables = tables;
    }

    pub(crate) fn table(&self, name: &str) -> Option<Arc<TableType>> {
        self.tables.get(name).cloned()
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableType>> {
        self.tables.values()
    }

    /// The table of an entity set's name.
    pub(crate) fn by_set(&self, set: &str) -> Option<Arc<TableType>> {
        self.tables.values().find(|table| table.set == set).cloned()
    }

    /// The user of this name, or the first one.
    pub(crate) fn user(&self, name: Option<&str>) -> Option<String> {
        let first = || {
            let mut users = self.store.rows("systemuser");
            users.next().map(|(id, _)| id.clone())
        };
        name.and_then(|name| self.user_named(name)).or_else(first)
    }

    /// The user with this id, object id, user name or address.
    pub(crate) fn user_named(&self, wanted: &str) -> Option<String> {
        let fields = [
            "domainname",
            "internalemailaddress",
            "azureactivedirectoryobjectid",
        ];
        let mut users = self.store.rows("systemuser");
        users
            .find(|(id, row)| {
                id.as_str() == wanted
                    || fields.iter().any(|field| {
                        row.get(field)
                            .and_then(Value::as_str)
                            .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
                    })
            })
            .map(|(id, _)| id.clone())
    }

    /// The user that an account is here; refused as the organisation refuses it.
    fn member(&self, account: &str) -> Result<String, Error> {
        let stranger = || {
            Error::new(
                403,
                "0x80072560",
                "The user is not a member of the organization.",
            )
        };
        let id = self.user_named(account).ok_or_else(stranger)?;
        let row = self.store.get("systemuser", &id).ok_or_else(stranger)?;
        let name = row
            .get("domainname")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let listed = |set: &BTreeSet<String>| set.iter().any(|one| one.eq_ignore_ascii_case(name));
        if listed(&self.settings.not_members) {
            return Err(stranger());
        }
        if row.get("isdisabled") == Some(&json!(true)) {
            return Err(Error::new(
                403,
                "0x80041d1f",
                format!("The specified user(Id = {id}) is disabled. Consider enabling this user."),
            ));
        }
        if listed(&self.settings.without_roles) {
            return Err(Error::new(
                403,
                "0x80042f09",
                format!(
                    "The user with id {id} has not been assigned any roles. They need a role with \
                     the prvReadUser privilege."
                ),
            ));
        }
        Ok(id)
    }

    /// Answers one call.
    pub(crate) fn handle(&mut self, call: &Call, now_ms: i64, signer: &KeyPair) -> Reply {
        let Some(tail) = call.path.strip_prefix("/api/data/") else {
            return self.entra(call, now_ms, signer);
        };
        let (version, tail) = tail.split_once('/').unwrap_or((tail, ""));
        if !matches!(version, "v9.0" | "v9.1" | "v9.2") {
            return Reply::text(404, "text/html", "The resource cannot be found.");
        }
        let session = call
            .bearer()
            .and_then(|token| self.auth.session(token, now_ms));
        let Some(session) = session else {
            let challenge = format!(
                "Bearer authorization_uri={}/{}/oauth2/authorize, resource_id={}/",
                call.base, self.tenant, call.base
            );
            return Reply::text(
                401,
                "text/html",
                "HTTP Error 401 - Unauthorized: Access is denied",
            )
            .with("www-authenticate", challenge);
        };
        let user = match self.member(&session.user) {
            Ok(user) => user,
            Err(error) => return error.reply(),
        };
        let mut caller = Caller {
            user,
            actor: None,
            now_ms,
            service: format!("{}/api/data/{version}", call.base),
        };
        for name in ["callerobjectid", "mscrmcallerid"] {
            if let Some(wanted) = call.header(name)
                && let Err(error) = self.act_for(&mut caller, wanted)
            {
                return error.reply();
            }
        }
        let (burst, time) = self.limits_left(now_ms);
        let reply = if decode(tail) == "$batch" {
            self.batch(&caller, call)
        } else {
            let request = rest::Request::of(call, tail);
            self.answer(&caller, &request)
        };
        reply
            .with(
                "x-ms-service-request-id",
                format!("{:08x}-0000-0000-0000-000000000000", self.version),
            )
            .with("x-ms-ratelimit-burst-remaining-xrm-requests", burst)
            .with("x-ms-ratelimit-time-remaining-xrm-requests", time)
    }

    /// The rest that the service-protection limits leave: calls and seconds in five minutes. The answers
    /// report the limits, but nothing enforces them: a fault does that.
    fn limits_left(&mut self, now_ms: i64) -> (String, String) {
        const WINDOW_MS: i64 = 300_000;
        self.calls.push_back(now_ms);
        while self.calls.front().is_some_and(|at| now_ms - at > WINDOW_MS) {
            self.calls.pop_front();
        }
        let left = 6000_usize.saturating_sub(self.calls.len());
        (left.to_string(), "1,200.00".to_owned())
    }

    /// Lets the caller act for another user.
    fn act_for(&self, caller: &mut Caller, wanted: &str) -> Result<(), Error> {
        if !self.knows_user(wanted) {
            let message = format!("Could not find the user with id {wanted}.");
            return Err(Error::new(403, "0x80048306", message));
        }
        self.may_act(caller)?;
        let actor = std::mem::replace(&mut caller.user, self.member(wanted)?);
        caller.actor = Some(actor);
        Ok(())
    }

    fn knows_user(&self, wanted: &str) -> bool {
        self.store.rows("systemuser").any(|(id, row)| {
            id == wanted
                || row
                    .get("azureactivedirectoryobjectid")
                    .is_some_and(|v| v == wanted)
        })
    }
}
