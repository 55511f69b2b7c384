//! Users' privileges on tables, their depth, and the profiles for secured columns.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::metadata_id;
use super::rest::Request;
use super::schema::{Column, TableType};
use super::{Caller, Dataverse, Error, with_type};
use crate::http::Reply;
use crate::record::Record;

/// The depth of a privilege. There is one business unit, so that `Local` and `Deep` allow as much as
/// `Global`, except for change tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Depth {
    /// Not at all.
    None,
    /// The user's own rows.
    Basic,
    /// The business unit.
    Local,
    /// The business unit and those below it.
    Deep,
    /// The organisation.
    Global,
}

const VERBS: [&str; 8] = [
    "Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share",
];

/// Acting for another user.
pub(super) const ACT: &str = "prvActOnBehalfOfAnotherUser";

/// `prvReadLead`. Most tables give their schema name, some another one.
fn name_of(verb: &str, ty: &TableType) -> String {
    let noun = match ty.name.as_str() {
        "systemuser" => "User",
        "businessunit" => "BusinessUnit",
        "transactioncurrency" => "TransactionCurrency",
        "connectionrole" => "ConnectionRole",
        "annotation" => "Note",
        "task" | "phonecall" => "Activity",
        _ => ty.schema.as_str(),
    };
    format!("prv{verb}{noun}")
}

/// A privilege's id; in a real organisation, the ids for standard tables are the same everywhere.
fn id_of(privilege: &str) -> String {
    metadata_id(&format!("privilege/{privilege}"))
}

fn verb_of(operation: &str) -> &'static str {
    match operation {
        "create" => "Create",
        "update" => "Write",
        "delete" => "Delete",
        "append" => "Append",
        "append_to" => "AppendTo",
        "assign" => "Assign",
        _ => "Read",
    }
}

/// `Privileges` of a table's definition.
pub(super) fn definitions(ty: &TableType) -> Value {
    let owned = ty.column("ownerid").is_some();
    VERBS
        .map(|verb| {
            let name = name_of(verb, ty);
            json!({
                "CanBeBasic": owned, "CanBeLocal": owned, "CanBeDeep": owned, "CanBeGlobal": true,
                "CanBeEntityReference": false, "CanBeParentEntityReference": false,
                "PrivilegeId": id_of(&name), "Name": name, "PrivilegeType": verb,
            })
        })
        .to_vec()
        .into()
}

/// True if a privilege of this depth reaches a row.
pub(super) fn reaches(caller: &Caller, ty: &TableType, depth: Depth, row: &Record) -> bool {
    let is_caller = |field: &str| {
        let value = row.get(field).and_then(Value::as_str);
        value == Some(caller.user.as_str())
    };
    match depth {
        Depth::None => false,
        Depth::Basic if ty.column("ownerid").is_some() => is_caller("_ownerid_value"),
        Depth::Basic if ty.name == "systemuser" => is_caller("systemuserid"),
        _ => true,
    }
}

impl Dataverse {
    /// The names of all privileges, each once.
    fn privilege_names(&self) -> Vec<String> {
        let tables = self.tables();
        let mut names: Vec<String> = tables
            .flat_map(|ty| VERBS.map(|verb| name_of(verb, ty)))
            .chain([ACT.to_owned()])
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// A name in the settings that is no privilege.
    pub(crate) fn unknown_privilege(&self) -> Option<&str> {
        let known = self.privilege_names();
        let mut named = self.settings.privileges.values().flat_map(|own| own.keys());
        named.find(|name| !known.contains(name)).map(String::as_str)
    }

    /// A name in the settings that is no user's.
    pub(crate) fn unknown_user(&self) -> Option<&str> {
        let set = &self.settings;
        let columns = set.secured_fields.values().flat_map(|own| own.values());
        let mut names = set
            .privileges
            .keys()
            .filter(|name| *name != "*")
            .chain(columns.flatten())
            .chain(&set.without_roles);
        names
            .find(|name| self.user_named(name).is_none())
            .map(String::as_str)
    }

    /// The depth of a user's privilege: as set for the user, else for all (`*`), else everything.
    fn depth(&self, user: &str, privilege: &str) -> Depth {
        let taken = self.settings.denied.iter().any(|(table, operations)| {
            self.table(table).is_some_and(|ty| {
                let mut verbs = operations.iter().map(|operation| verb_of(operation));
                verbs.any(|verb| name_of(verb, &ty) == privilege)
            })
        });
        if taken {
            return Depth::None;
        }
        let settings = &self.settings.privileges;
        let own = settings.iter().find(|(name, own)| {
            own.contains_key(privilege) && self.user_named(name).as_deref() == Some(user)
        });
        own.map(|(_, own)| own)
            .or_else(|| settings.get("*"))
            .and_then(|own| own.get(privilege).copied())
            .unwrap_or(Depth::Global)
    }

    /// The depth to which a caller may do something; an error if not at all. Acting for another user, the
    /// lesser of both counts.
    pub(crate) fn may(
        &self,
        caller: &Caller,
        ty: &TableType,
        operation: &str,
    ) -> Result<Depth, Error> {
        let privilege = name_of(verb_of(operation), ty);
        let users = [Some(caller.user.as_str()), caller.actor.as_deref()];
        for user in users.into_iter().flatten() {
            if self.depth(user, &privilege) == Depth::None {
                let about = format!(
                    " on OTC={} for entity '{}' (LocalizedName='{}')",
                    ty.code, ty.name, ty.label
                );
                return Err(self.missing(user, &privilege, &about, caller));
            }
        }
        let depths = users.into_iter().flatten();
        Ok(depths
            .map(|user| self.depth(user, &privilege))
            .min()
            .unwrap_or(Depth::None))
    }

    /// Checks that the user may act for others.
    pub(super) fn may_act(&self, caller: &Caller) -> Result<(), Error> {
        if self.depth(&caller.user, ACT) == Depth::None {
            return Err(self.missing(&caller.user, ACT, "", caller));
        }
        Ok(())
    }

    /// The refusal, in the words of the real one.
    fn missing(&self, user: &str, privilege: &str, about: &str, caller: &Caller) -> Error {
        let row = self.store.get("systemuser", user);
        let object_id = row
            .and_then(|row| row.get("azureactivedirectoryobjectid")?.as_str())
            .unwrap_or_default();
        Error::new(
            403,
            "0x80040220",
            format!(
                "Principal user (Id={user}, type=8, roleCount=1, privilegeCount={}, accessMode='0 \
                 Read-Write', AADObjectId='{object_id}', MetadataCachePrivilegesCount={}, \
                 businessUnitId={}), is missing {privilege} privilege (Id={}){about}. \
                 context.Caller={}. Consider adding missed privilege to one of the principal \
                 (user/team) roles.",
                self.privileges(user, |_| true).len(),
                self.privilege_names().len(),
                self.business_unit,
                id_of(privilege),
                caller.user
            ),
        )
    }

    /// Refuses a single row that the caller's privilege does not reach.
    pub(crate) fn may_with(
        &self,
        caller: &Caller,
        ty: &TableType,
        operation: &str,
        row: &Record,
    ) -> Result<(), Error> {
        let depth = self.may(caller, ty, operation)?;
        if reaches(caller, ty, depth, row) {
            return Ok(());
        }
        let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
        Err(Error::new(
            403,
            "0x80048306",
            format!(
                "SecLib::AccessCheckEx failed. Returned hr = -2147187962, ObjectID: {}, OwnerId: {}, \
                 OwnerIdType: 8 and CallingUser: {}. ObjectTypeCode: {}, objectBusinessUnitId: {}, \
                 AccessRights: {}Access",
                text(&ty.primary_id),
                text("_ownerid_value"),
                caller.user,
                ty.code,
                self.business_unit,
                verb_of(operation)
            ),
        ))
    }

    /// The privileges that a user holds, as the functions tell them.
    fn privileges(&self, user: &str, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        let names = self.privilege_names().into_iter();
        names
            .filter(|name| wanted(name))
            .filter_map(|name| {
                let depth = self.depth(user, &name);
                (depth != Depth::None).then(|| {
                    json!({
                        "Depth": depth, "PrivilegeId": id_of(&name),
                        "BusinessUnitId": self.business_unit, "PrivilegeName": name,
                        "RecordFilterId": "00000000-0000-0000-0000-000000000000",
                        "RecordFilterUniqueName": null,
                    })
                })
            })
            .collect()
    }

    /// True if a user may read and write a column; for a secured one, only by a profile.
    pub(super) fn sees(&self, user: &str, ty: &TableType, column: &Column) -> bool {
        let tables = &self.settings.secured_fields;
        let profile = tables
            .get(&ty.name)
            .and_then(|columns| columns.get(&column.name));
        !column.secured
            || profile.is_some_and(|names| {
                let mut names = names.iter();
                names.any(|name| self.user_named(name).as_deref() == Some(user))
            })
    }

    /// Answers a function bound to a user; nothing when there is none of this name.
    pub(super) fn user_function(
        &self,
        caller: &Caller,
        request: &Request,
        user: &str,
        property: &str,
    ) -> Option<Result<Reply, Error>> {
        let call = property.strip_prefix("Microsoft.Dynamics.CRM.")?;
        let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
        // An argument stands in the parentheses, or there is an alias for it in the query.
        let argument = |wanted: &str| -> Option<&str> {
            let (key, value) = arguments.strip_suffix(')')?.split_once('=')?;
            let value = if value.starts_with('@') {
                request.param(value)?
            } else {
                value
            };
            (key.trim() == wanted).then_some(value)
        };
        let (field, rows) = match name {
            "RetrieveUserPrivileges" => ("RolePrivileges", self.privileges(user, |_| true)),
            "RetrieveUserPrivilegeByPrivilegeName" => {
                let wanted = argument("PrivilegeName").unwrap_or_default();
                let wanted = wanted.trim_matches('\'');
                let rows = self.privileges(user, |name| name == wanted);
                ("RolePrivileges", rows)
            }
            "RetrieveUserSetOfPrivilegesByNames" => {
                let list = argument("PrivilegeNames").unwrap_or_default();
                let Ok(wanted) = serde_json::from_str::<Vec<String>>(&list.replace('\'', "\""))
                else {
                    return Some(Err(Error::syntax("Bad Request - Error in query syntax.")));
                };
                let rows = self.privileges(user, |name| wanted.iter().any(|one| one == name));
                ("RolePrivileges", rows)
            }
            "RetrievePrincipalAttributePrivileges" => {
                let tables = self.tables();
                let rows = tables
                    .flat_map(|ty| ty.columns.iter().map(move |column| (ty, column)))
                    .filter(|(ty, column)| column.secured && self.sees(user, ty, column))
                    .map(|(ty, column)| {
                        // 4 is allowed, 0 is not: the values of a profile's choices.
                        json!({
                            "AttributeId": metadata_id(&format!("{}/{}", ty.name, column.name)),
                            "CanCreate": 4, "CanRead": 4, "CanReadUnMasked": 0, "CanUpdate": 4,
                        })
                    })
                    .collect();
                ("AttributePrivileges", rows)
            }
            _ => return None,
        };
        let context = format!(
            "{}/$metadata#Microsoft.Dynamics.CRM.{name}Response",
            caller.service
        );
        let body = json!({ "@odata.context": context, field: rows });
        Some(Ok(with_type(Reply::json(200, &body))))
    }
}
