//! Salesforce: two organisations behind one sign-in.

mod bulk;
pub(crate) mod composite;
pub(crate) mod describe;
mod generate;
pub(crate) mod ids;
mod life;
mod notes;
pub(crate) mod oauth;
pub(crate) mod query;
pub(crate) mod records;
pub(crate) mod rest;
mod samples;
pub(crate) mod schema;
pub(crate) mod soql;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::schema::{Field, ObjectType};
use crate::http::{At as _, Call, Reply};
use crate::jwt::key_set;
use crate::record::Record;
use crate::store::Store;

/// An error, in the shape of one element of the error array.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) fields: Vec<String>,
    /// True if the element carries `fields` even when there are none.
    write: bool,
    extra: Option<(&'static str, Value)>,
}

impl Error {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            code,
            message,
            fields: Vec::new(),
            write: false,
            extra: None,
        }
    }

    /// An error of a write, naming fields.
    pub(crate) fn on(code: &'static str, message: impl Into<String>, fields: &[&str]) -> Self {
        let fields = fields.iter().map(|&field| field.to_owned()).collect();
        Self {
            fields,
            write: true,
            ..Self::new(400, code, message)
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    fn value(&self) -> Value {
        let mut out = json!({ "message": self.message, "errorCode": self.code });
        if let Value::Object(out) = &mut out {
            if self.write {
                out.insert("fields".into(), json!(self.fields));
            }
            if let Some((name, value)) = &self.extra {
                out.insert((*name).into(), value.clone());
            }
        }
        out
    }

    /// The shape inside a collection's row.
    fn row_value(&self) -> Value {
        json!({ "statusCode": self.code, "message": self.message, "fields": self.fields })
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply::json(self.status, &Value::Array(vec![self.value()]))
    }
}

/// The switches of an organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the control API"
)]
pub(crate) struct Settings {
    /// True if the product's own metadata package is installed.
    pub(crate) leadbridge_fields_installed: bool,
    /// True if Enhanced Notes are switched on.
    pub(crate) enhanced_notes: bool,
    /// `off`, `alert` (overridable) or `block`.
    pub(crate) duplicate_rule: String,
    /// The user that an assignment rule hands leads to, created or changed; empty: there is no rule.
    pub(crate) assignment_owner: String,
    pub(crate) api_limit: u64,
    pub(crate) session_seconds: i64,
    /// Each refresh gives a new refresh token and kills the old one.
    pub(crate) refresh_rotation: bool,
    pub(crate) deny_consent: bool,
    /// The administrator's decision on the use of the app.
    pub(crate) app_access: oauth::AppAccess,
    /// True if the edition has the API at all.
    pub(crate) api_enabled: bool,
    /// User names without the permission *API Enabled*.
    pub(crate) api_disabled_users: BTreeSet<String>,
    /// True if identity tokens describe the user (the app's *Include Standard Claims*).
    pub(crate) standard_claims: bool,
    /// Further required fields, by object.
    pub(crate) extra_required: BTreeMap<String, BTreeSet<String>>,
    /// True if the organisation has several currencies.
    pub(crate) multi_currency: bool,
    /// The one currency of an organisation that does not have several.
    pub(crate) default_currency: String,
    /// The restrictions of single users, by user name; they add to those of all users.
    pub(crate) users: BTreeMap<String, UserSettings>,
    /// Fields the user may not see, by object.
    pub(crate) hidden_fields: BTreeMap<String, BTreeSet<String>>,
    /// Fields the user may not write, by object.
    pub(crate) read_only: BTreeMap<String, BTreeSet<String>>,
    /// Operations the user may not do, by object: read, create, update, delete.
    pub(crate) denied: BTreeMap<String, BTreeSet<String>>,
    /// Rows of a query page when the caller does not ask for fewer.
    pub(crate) page_size: usize,
    /// Queries by REST over more rows end with `QUERY_TIMEOUT`; 0 is off.
    pub(crate) query_timeout_rows: usize,
    /// The error of the approximate counts of `limits/recordCount`, in records too many: the real ones lag
    /// behind.
    pub(crate) record_count_lag: usize,
    /// Looks at a query job that find it unfinished.
    pub(crate) bulk_polls: u32,
    /// The most rows of a page of a query job's results.
    pub(crate) bulk_page_rows: usize,
    /// Query jobs with more rows end as failed; 0 is off.
    pub(crate) bulk_timeout_rows: usize,
    /// The number of the next query jobs that end as failed.
    pub(crate) bulk_fail_jobs: u32,
    /// Query jobs that may be made in 24 hours.
    pub(crate) bulk_job_limit: u64,
    /// Objects that query jobs do not support.
    pub(crate) bulk_unsupported: BTreeSet<String>,
}

/// The restrictions of a single user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UserSettings {
    /// Fields the user may not see, by object.
    hidden_fields: BTreeMap<String, BTreeSet<String>>,
    /// Fields the user may not write, by object.
    read_only: BTreeMap<String, BTreeSet<String>>,
    /// Operations the user may not do, by object: read, create, update, delete.
    denied: BTreeMap<String, BTreeSet<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            leadbridge_fields_installed: true,
            enhanced_notes: true,
            duplicate_rule: "off".into(),
            assignment_owner: String::new(),
            api_limit: 100_000,
            session_seconds: 7200,
            refresh_rotation: false,
            deny_consent: false,
            app_access: oauth::AppAccess::Allowed,
            api_enabled: true,
            api_disabled_users: BTreeSet::new(),
            standard_claims: true,
            extra_required: BTreeMap::new(),
            multi_currency: false,
            default_currency: "EUR".into(),
            users: BTreeMap::new(),
            hidden_fields: BTreeMap::new(),
            read_only: BTreeMap::new(),
            denied: BTreeMap::new(),
            page_size: 2000,
            query_timeout_rows: 0,
            bulk_polls: 0,
            bulk_page_rows: 100_000,
            record_count_lag: 0,
            bulk_timeout_rows: 0,
            bulk_fail_jobs: 0,
            bulk_job_limit: 10_000,
            bulk_unsupported: BTreeSet::new(),
        }
    }
}

/// One organisation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Org {
    pub(crate) name: String,
    pub(crate) sandbox: bool,
    pub(crate) id: String,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) custom: BTreeMap<String, Vec<Field>>,
    pub(crate) api_used: u64,
    /// Query jobs made.
    #[serde(default)]
    bulk_used: u64,
    counters: BTreeMap<String, u64>,
    cursors: BTreeMap<String, query::Cursor>,
    #[serde(skip)]
    jobs: BTreeMap<String, bulk::Job>,
    #[serde(skip)]
    types: Types,
    /// The objects as the users with settings of their own see them, by user id.
    #[serde(skip)]
    own_types: BTreeMap<String, (UserSettings, Types)>,
    /// The user on whose behalf the current call is answered.
    #[serde(skip)]
    acting: Option<String>,
}

type Types = BTreeMap<String, Arc<ObjectType>>;

/// The users every organisation starts with: user name, first, last, active.
const USERS: &[(&str, &str, &str, bool)] = &[
    ("admin", "Ada", "Admin", true),
    ("seller", "Sol", "Seller", true),
    ("former", "Fay", "Former", false),
];

/// Their roles, each under the one before: name and developer name.
const ROLES: &[(&str, &str)] = &[
    ("Sales Director", "SalesDirector"),
    ("Account Executive", "AccountExecutive"),
];

/// The statuses of tasks, in their order; the first is the default.
const TASK_STATUSES: &[&str] = &[
    "Not Started",
    "In Progress",
    "Completed",
    "Waiting on someone else",
    "Deferred",
];

/// A new organisation's stages: name, forecast category, its name, probability.
const STAGES: &[(&str, &str, &str, u8)] = &[
    ("Prospecting", "Pipeline", "Pipeline", 10),
    ("Qualification", "Pipeline", "Pipeline", 10),
    ("Needs Analysis", "Pipeline", "Pipeline", 20),
    ("Value Proposition", "Pipeline", "Pipeline", 50),
    ("Id. Decision Makers", "Pipeline", "Pipeline", 60),
    ("Perception Analysis", "BestCase", "Best Case", 70),
    ("Proposal/Price Quote", "BestCase", "Best Case", 75),
    ("Negotiation/Review", "BestCase", "Best Case", 90),
    ("Closed Won", "Closed", "Closed", 100),
    ("Closed Lost", "Omitted", "Omitted", 0),
];

/// Code, rate and places; the first is the corporate one.
const CURRENCIES: &[(&str, f64, u8)] = &[("EUR", 1.0, 2), ("USD", 1.1, 2), ("GBP", 0.86, 2)];

impl Org {
    fn new(sandbox: bool, now_ms: i64) -> Self {
        let pod = pod(sandbox);
        let mut org = Self {
            name: if sandbox {
                "Leadbridge Demo (Sandbox)"
            } else {
                "Leadbridge Demo"
            }
            .into(),
            sandbox,
            id: ids::make("00D", pod, 4711),
            settings: Settings::default(),
            store: Store::default(),
            custom: BTreeMap::new(),
            api_used: 0,
            bulk_used: 0,
            counters: BTreeMap::new(),
            cursors: BTreeMap::new(),
            jobs: BTreeMap::new(),
            types: BTreeMap::new(),
            own_types: BTreeMap::new(),
            acting: None,
        };
        org.rebuild();
        org.seed(now_ms);
        // The picklists of stages and currencies come from the rows.
        org.rebuild();
        org
    }

    /// The rows that every organisation starts with.
    fn seed(&mut self, now_ms: i64) {
        let mut rows = self.setup_rows();
        let roles: Vec<(Value, Value)> = rows
            .iter()
            .filter(|(object, _)| *object == "UserRole")
            .map(|(_, row)| (row.at("Name").clone(), row.at("Id").clone()))
            .collect();
        let domain = if self.sandbox {
            "sandbox.leadbridge.example"
        } else {
            "leadbridge.example"
        };
        for (at, (user, first, last, active)) in USERS.iter().enumerate() {
            // The sandbox's first user is the one the sign-in hint of the examples names.
            let login = if self.sandbox && *user == "admin" {
                "sandbox-user"
            } else {
                user
            };
            rows.push(("User", json!({
                "Username": format!("{login}@{domain}"), "Email": format!("{user}@{domain}"),
                "FirstName": first, "LastName": last, "Name": format!("{first} {last}"),
                "Alias": user, "IsActive": active, "UserType": "Standard",
                "Title": roles.get(at).map(|(name, _)| name), "UserRoleId": roles.get(at).map(|(_, id)| id),
                "TimeZoneSidKey": "Europe/Berlin", "LanguageLocaleKey": "en_US", "LocaleSidKey": "en_US",
            })));
        }
        rows.push(("Organization", json!({
            "Id": self.id, "Name": self.name, "IsSandbox": self.sandbox, "Country": "DE",
            "OrganizationType": "Enterprise Edition", "InstanceName": if self.sandbox { "DEU9S" } else { "DEU5" },
            "DefaultLocaleSidKey": "en_US", "TimeZoneSidKey": "Europe/Berlin", "LanguageLocaleKey": "en_US",
            "PrimaryContact": "Ada Admin", "FiscalYearStartMonth": 1, "SignupCountryIsoCode": "DE",
            "DefaultAccountAccess": "Edit", "DefaultContactAccess": "ControlledByParent",
            "DefaultOpportunityAccess": "Edit", "DefaultLeadAccess": "ReadEditTransfer",
        })));
        self.put_rows(rows, now_ms);
    }

    /// Roles, stages and currencies.
    fn setup_rows(&mut self) -> Vec<(&'static str, Value)> {
        let mut rows = Vec::new();
        let mut parent = Value::Null;
        for (name, developer) in ROLES {
            let id = self.next_id("UserRole");
            let role = json!({
                "Id": id, "Name": name, "DeveloperName": developer, "ParentRoleId": parent,
                "OpportunityAccessForAccountOwner": "Edit", "PortalType": "None",
            });
            rows.push(("UserRole", role));
            parent = json!(id);
        }
        for (at, (name, category, label, probability)) in STAGES.iter().enumerate() {
            let stage = json!({
                "MasterLabel": name, "ApiName": name, "IsActive": true, "SortOrder": at + 1,
                "IsClosed": name.starts_with("Closed"), "IsWon": *name == "Closed Won",
                "ForecastCategory": category, "ForecastCategoryName": label,
                "DefaultProbability": probability,
            });
            rows.push(("OpportunityStage", stage));
        }
        for (at, (code, rate, places)) in CURRENCIES.iter().enumerate() {
            let currency = json!({
                "IsoCode": code, "ConversionRate": rate, "DecimalPlaces": places,
                "IsActive": true, "IsCorporate": at == 0,
            });
            rows.push(("CurrencyType", currency));
        }
        rows.extend(Self::task_statuses());
        rows
    }

    /// The statuses of a task.
    fn task_statuses() -> impl Iterator<Item = (&'static str, Value)> {
        TASK_STATUSES.iter().enumerate().map(|(at, name)| {
            let status = json!({
                "MasterLabel": name, "ApiName": name, "SortOrder": at + 1,
                "IsDefault": at == 0, "IsClosed": *name == "Completed",
            });
            ("TaskStatus", status)
        })
    }

    /// Adds parts that a state of an earlier version lacks.
    fn complete(&mut self, now_ms: i64) {
        if self.store.len("OpportunityStage") == 0 {
            let rows = self.setup_rows();
            self.put_rows(rows, now_ms);
            self.rebuild();
        } else if self.store.len("TaskStatus") == 0 {
            self.put_rows(Self::task_statuses().collect(), now_ms);
        }
    }

    fn put_rows(&mut self, rows: Vec<(&str, Value)>, now_ms: i64) {
        for (object, row) in rows {
            let Value::Object(mut row) = row else {
                continue;
            };
            let id = match row.get("Id").and_then(Value::as_str) {
                Some(id) => id.to_owned(),
                None => self.next_id(object),
            };
            let admin = ids::make("005", pod(self.sandbox), 1);
            records::stamp(&mut row, &id, &admin, now_ms, true);
            self.store.put(object, &id, row);
        }
    }

    /// Works the objects out again from the base, the custom fields, the rows and the settings.
    pub(crate) fn rebuild(&mut self) {
        self.types = self.types_for(&UserSettings::default());
        for (object, ty) in &self.types {
            self.store.index(object, ty.indexed(), None);
        }
        let own = self.settings.users.iter().filter_map(|(name, own)| {
            let user = self.user_named(name)?;
            Some((user, (own.clone(), self.types_for(own))))
        });
        self.own_types = own.collect();
    }

    /// The objects for a user to whom these settings apply besides the common ones.
    fn types_for(&self, own: &UserSettings) -> Types {
        let mut types = schema::base();
        let several = self.settings.multi_currency;
        if !several {
            types.remove("CurrencyType");
        }
        if !self.settings.enhanced_notes {
            types.remove("ContentNote");
        }
        let (stages, currencies) = (self.stages(), self.currencies());
        for (object, ty) in &mut types {
            let mut fields = ty.fields.clone();
            let lines = |lines: &[(&str, &str)]| -> Vec<Field> {
                let own = lines.iter().filter(|(name, _)| name == object);
                own.filter_map(|(_, line)| Field::parse(line)).collect()
            };
            if several {
                let mut more = lines(schema::SEVERAL_CURRENCIES);
                for field in &mut more {
                    field.default = currencies.first().map(|code| json!(code));
                    field.defaulted = true;
                    field.values.clone_from(&currencies);
                }
                fields.extend(more);
            }
            if self.settings.leadbridge_fields_installed {
                fields.extend(lines(schema::PACKAGE));
            }
            for field in self.custom.get(object).into_iter().flatten() {
                fields.retain(|known| !known.name.eq_ignore_ascii_case(&field.name));
                fields.push(field.clone());
            }
            let listed = |set: &BTreeMap<String, BTreeSet<String>>, field: &Field| {
                set.get(object)
                    .is_some_and(|names| names.contains(&field.name))
            };
            let common = &self.settings;
            fields.retain(|field| {
                !listed(&common.hidden_fields, field) && !listed(&own.hidden_fields, field)
            });
            for field in &mut fields {
                if listed(&common.read_only, field) || listed(&own.read_only, field) {
                    (field.createable, field.updateable) = (false, false);
                }
                if listed(&common.extra_required, field) {
                    field.nillable = false;
                }
                if object == "Opportunity" && field.name == "StageName" && !stages.is_empty() {
                    field.values.clone_from(&stages);
                }
            }
            *ty = ObjectType::new(object, &ty.plural, &ty.prefix, fields);
        }
        types
            .into_iter()
            .map(|(name, ty)| (name, Arc::new(ty)))
            .collect()
    }

    /// The API names of the active opportunity stages, in their order.
    fn stages(&self) -> Vec<String> {
        let rows = self.store.rows("OpportunityStage").map(|(_, row)| row);
        let mut stages: Vec<&Record> = rows.filter(|row| is_active(row)).collect();
        stages.sort_by_key(|row| row.get("SortOrder").and_then(Value::as_i64));
        texts(&stages, "ApiName")
    }

    /// The codes of the active currencies, the corporate one first.
    fn currencies(&self) -> Vec<String> {
        let rows = self.store.rows("CurrencyType").map(|(_, row)| row);
        let mut currencies: Vec<&Record> = rows.filter(|row| is_active(row)).collect();
        currencies.sort_by_key(|row| row.get("IsCorporate") != Some(&json!(true)));
        texts(&currencies, "IsoCode")
    }

    /// Sets the acting user, who determines the objects and rights from here on; without one, those of
    /// everybody.
    pub(crate) fn act_as(&mut self, user: Option<String>) {
        self.acting = user;
    }

    /// The restrictions and types of the acting user alone.
    fn own(&self) -> Option<&(UserSettings, Types)> {
        self.own_types.get(self.acting.as_deref()?)
    }

    fn seen(&self) -> &Types {
        self.own().map_or(&self.types, |(_, types)| types)
    }

    /// Rebuilds after a row was written that objects or settings look at.
    pub(crate) fn rebuild_for(&mut self, object: &str) {
        if schema::is_setup(object) || object == "User" {
            self.rebuild();
        }
    }

    /// The object of this name, case ignored.
    pub(crate) fn object(&self, name: &str) -> Option<Arc<ObjectType>> {
        let types = self.seen();
        types
            .get(name)
            .or_else(|| types.values().find(|ty| ty.name.eq_ignore_ascii_case(name)))
            .cloned()
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<ObjectType>> {
        self.seen().values()
    }

    pub(crate) fn next_id(&mut self, object: &str) -> String {
        let counter = self.counters.entry(object.to_owned()).or_default();
        *counter += 1;
        let number = *counter;
        let prefix = self
            .types
            .get(object)
            .map_or("a00", |ty| ty.prefix.as_str());
        ids::make(prefix, pod(self.sandbox), number)
    }

    pub(crate) fn is_denied(&self, object: &str, operation: &str) -> bool {
        let lists = |denied: &BTreeMap<String, BTreeSet<String>>| {
            denied
                .get(object)
                .is_some_and(|set| set.contains(operation))
        };
        lists(&self.settings.denied) || self.own().is_some_and(|(own, _)| lists(&own.denied))
    }

    /// The reason that a user may not call the API at all.
    fn no_api(&self, user: &str) -> Option<Error> {
        let (code, message) = if !self.settings.api_enabled {
            (
                "API_DISABLED_FOR_ORG",
                "The REST API is not enabled for this Organization.",
            )
        } else if self.is_named(user, &self.settings.api_disabled_users) {
            ("API_CURRENTLY_DISABLED", "API is disabled for this User")
        } else {
            return None;
        };
        Some(Error::new(403, code, message))
    }

    /// True if a list of user names has the user of this id.
    fn is_named(&self, user: &str, names: &BTreeSet<String>) -> bool {
        names
            .iter()
            .any(|name| self.user_named(name).as_deref() == Some(user))
    }

    /// The user of this name, or the first one.
    pub(crate) fn user(&self, name: Option<&str>) -> Option<String> {
        name.and_then(|name| self.user_named(name))
            .or_else(|| self.store.rows("User").next().map(|(id, _)| id.clone()))
    }

    /// User names and names of the users who can sign in.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (String, String)> {
        let users = self.store.rows("User");
        users
            .filter(|(_, row)| is_active(row))
            .map(|(_, row)| account(row))
    }

    /// The user with this user name, address, alias or id.
    pub(crate) fn user_named(&self, wanted: &str) -> Option<String> {
        let holds = |row: &Record, field: &str| {
            row.get(field)
                .and_then(Value::as_str)
                .is_some_and(|v| v.eq_ignore_ascii_case(wanted))
        };
        let mut users = self.store.rows("User");
        users
            .find(|(id, row)| {
                id.as_str() == wanted
                    || ["Username", "Email", "Alias"].iter().any(|f| holds(row, f))
            })
            .map(|(id, _)| id.clone())
    }
}

fn account(row: &Record) -> (String, String) {
    let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
    (text("Username").to_owned(), text("Name").to_owned())
}

fn is_active(row: &Record) -> bool {
    row.get("IsActive") == Some(&json!(true))
}

fn texts(rows: &[&Record], field: &str) -> Vec<String> {
    rows.iter()
        .filter_map(|row| row.get(field)?.as_str().map(str::to_owned))
        .collect()
}

fn pod(sandbox: bool) -> &'static str {
    if sandbox { "9S" } else { "5f" }
}

/// Both organisations and their sign-in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Salesforce {
    pub(crate) production: Org,
    pub(crate) sandbox: Org,
    pub(crate) auth: oauth::Auth,
}

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) now_ms: i64,
    /// Scheme and authority as the caller used them.
    pub(crate) base: String,
    /// `allowSave` and `includeRecordDetails` of the duplicate-rule header.
    pub(crate) allow_save: bool,
    pub(crate) details: bool,
    pub(crate) batch_size: Option<usize>,
    /// True if an assignment rule may choose the owner of what is written (`Sforce-Auto-Assign`).
    pub(crate) auto_assign: bool,
    /// A change of one record is refused if the record was changed after this (`If-Unmodified-Since`).
    pub(crate) unmodified_since: Option<i64>,
}

/// Unset it is *TRUE*, on create and on update; the id of a rule is as good.
pub(crate) fn auto_assign(header: Option<&str>) -> bool {
    header.is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"))
}

/// A date of an HTTP header, in milliseconds.
fn http_date(text: &str) -> Option<i64> {
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?;
    let date = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(date.timestamp().as_millisecond())
}

impl Salesforce {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            production: Org::new(false, now_ms),
            sandbox: Org::new(true, now_ms),
            auth: oauth::Auth::default(),
        }
    }

    /// Restores the state that is not saved.
    pub(crate) fn rebuild(&mut self, now_ms: i64) {
        for org in [&mut self.production, &mut self.sandbox] {
            org.rebuild();
            org.complete(now_ms);
        }
    }

    /// Adds rows to look at, where they are not there yet.
    pub(crate) fn add_samples(&mut self, now_ms: i64) {
        for org in [&mut self.production, &mut self.sandbox] {
            org.add_samples(now_ms);
        }
    }

    pub(crate) fn org(&mut self, sandbox: bool) -> &mut Org {
        if sandbox {
            &mut self.sandbox
        } else {
            &mut self.production
        }
    }

    pub(crate) fn org_ref(&self, sandbox: bool) -> &Org {
        if sandbox {
            &self.sandbox
        } else {
            &self.production
        }
    }

    /// Answers one call.
    pub(crate) fn handle(&mut self, call: &Call, now_ms: i64, signer: &KeyPair) -> Reply {
        let segments = call.segments();
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["services", "oauth2", tail @ ..] => self.oauth(call, tail, now_ms, signer),
            [".well-known", "openid-configuration"] => oauth::discovery(&call.base),
            ["id", "keys"] => Reply::json(200, &key_set(signer)),
            ["id", org, user] => self.identity(call, org, user, now_ms),
            ["services", "data"] if call.method == "GET" => describe::versions(),
            ["services", "data", version, tail @ ..] => self.rest(call, version, tail, now_ms),
            _ => Error::not_found().reply(),
        }
    }

    fn rest(&mut self, call: &Call, version: &str, tail: &[&str], now_ms: i64) -> Reply {
        let session = call
            .bearer()
            .and_then(|token| self.auth.session(token, now_ms))
            .filter(|session| self.app_access(session.sandbox) == oauth::AppAccess::Allowed);
        let Some(session) = session else {
            return Error::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
                .reply()
                .with("www-authenticate", "Token");
        };
        if !session.may_call_api() {
            let message = "This session is not valid for use with the REST API";
            return Error::new(401, "INVALID_SESSION_ID", message).reply();
        }
        let org = self.org(session.sandbox);
        if let Some(error) = org.no_api(&session.user) {
            return error.reply();
        }
        let limit = org.settings.api_limit;
        if org.api_used >= limit {
            return Error::new(
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "TotalRequests Limit exceeded.",
            )
            .reply()
            .with(
                "sforce-limit-info",
                format!("api-usage={}/{limit}", org.api_used),
            );
        }
        org.api_used += 1;
        let used = org.api_used;
        let duplicates = call
            .header("sforce-duplicate-rule-header")
            .unwrap_or_default()
            .to_lowercase();
        let options = call
            .header("sforce-query-options")
            .unwrap_or_default()
            .to_lowercase();
        let caller = Caller {
            user: session.user,
            now_ms,
            base: call.base.clone(),
            allow_save: duplicates.replace(' ', "").contains("allowsave=true"),
            details: duplicates
                .replace(' ', "")
                .contains("includerecorddetails=true"),
            batch_size: options
                .replace(' ', "")
                .split_once("batchsize=")
                .and_then(|(_, n)| n.split(',').next().and_then(|n| n.parse().ok()))
                .map(|n: usize| n.clamp(200, 2000)),
            auto_assign: auto_assign(call.header("sforce-auto-assign")),
            unmodified_since: call.header("if-unmodified-since").and_then(http_date),
        };
        let reply = match rest::version(version) {
            Some(number) => {
                let request = rest::Request {
                    method: call.method.clone(),
                    version: version.to_owned(),
                    number,
                    path: tail.iter().map(|&part| part.to_owned()).collect(),
                    params: call.params(),
                    body: rest::Body::read(&call.body),
                };
                org.act_as(Some(caller.user.clone()));
                let reply = rest::answer(org, &caller, &request);
                org.act_as(None);
                reply
            }
            None => Error::not_found().reply(),
        };
        reply.with("sforce-limit-info", format!("api-usage={used}/{limit}"))
    }
}
