//! Users of the CRM as the mirror has them: their place in the tree of roles or positions, and whether they can
//! hold a seat (SV-6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::linked_record::Values;
use super::schema::CrmKind;
use super::vocabulary::{ObjectSpec, Role, vocabulary};

/// The types of Salesforce's users who see nothing but Chatter.
const CHATTER_ONLY: [&str; 2] = ["CsnOnly", "CsnExternal"];
/// The types of Salesforce's users as whom nobody signs in.
const AUTOMATED: [&str; 3] = ["AutomatedProcess", "CloudIntegrationUser", "Guest"];

/// The reason why a user of the CRM cannot hold a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http-api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoSeat {
    /// The user is disabled in the CRM.
    Disabled,
    /// The user's licence is for Chatter only (Salesforce).
    ChatterOnly,
    /// The user stands for a program, a site or a process: nobody signs in as it.
    Application,
    /// The user is one of Microsoft's support or of a partner who administers (Dynamics 365).
    Support,
}

/// A user of the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrmUser {
    /// The CRM's id.
    pub id: String,
    /// The user's name; empty if there is none.
    pub name: String,
    /// The user's e-mail address, as the CRM has it.
    pub email: Option<String>,
    /// The user's job title.
    pub title: Option<String>,
    /// The CRM's id of the user's role or position.
    pub position: Option<String>,
    /// True if the user can sign in to the CRM.
    pub active: bool,
    /// The reason why the user cannot hold a seat; `None` if they can.
    pub no_seat: Option<NoSeat>,
}

fn text(spec: &ObjectSpec, values: &Values, role: Role) -> Option<String> {
    let text = values.get(spec.read_as(role))?.as_str()?.trim();
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

impl CrmUser {
    /// The user of these values.
    #[must_use]
    pub fn of(crm: CrmKind, id: &str, values: &Values) -> Self {
        let spec = vocabulary(crm).user;
        let text = |role: Role| text(spec, values, role);
        let flag = |role: Role| values.get(spec.read_as(role)).and_then(Value::as_bool);
        let active = match crm {
            CrmKind::Salesforce => flag(Role::Active) != Some(false),
            CrmKind::Dynamics365 => flag(Role::Disabled) != Some(true),
        };
        let user_type = text(Role::UserType);
        let is_one_of =
            |types: &[&str]| user_type.as_deref().is_some_and(|own| types.contains(&own));
        let mode = values.get(spec.read_as(Role::AccessMode));
        let mode = mode.and_then(Value::as_f64).map(|mode| format!("{mode}"));
        let no_seat = if is_one_of(&AUTOMATED) || text(Role::Application).is_some() {
            Some(NoSeat::Application)
        } else if is_one_of(&CHATTER_ONLY) {
            Some(NoSeat::ChatterOnly)
        } else {
            match mode.as_deref() {
                Some("3" | "5") => Some(NoSeat::Support),
                Some("4") => Some(NoSeat::Application),
                _ => (!active).then_some(NoSeat::Disabled),
            }
        };
        Self {
            id: id.to_owned(),
            name: text(Role::Name).unwrap_or_default(),
            email: text(Role::Email),
            title: text(Role::JobTitle),
            position: text(Role::Position),
            active,
            no_seat,
        }
    }
}

/// The object that roles or positions are records of.
#[must_use]
pub fn position_object(crm: CrmKind) -> Option<&'static ObjectSpec> {
    let mut objects = vocabulary(crm).objects.iter();
    objects.find(|spec| spec.of_role(Role::ParentPosition).is_some())
}

/// A role (Salesforce) or position (Dynamics 365).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Its name; its id if it has none.
    pub name: String,
    /// The CRM's id of the one above it.
    pub parent: Option<String>,
}

/// The tree of roles or positions, by the CRM's id. What the CRM has as a circle has an end here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Positions(pub BTreeMap<String, Position>);

impl Positions {
    /// The tree of these records.
    #[must_use]
    pub fn of<'v>(crm: CrmKind, records: impl Iterator<Item = (&'v str, &'v Values)>) -> Self {
        let Some(spec) = position_object(crm) else {
            return Self::default();
        };
        let position = |(id, values): (&str, &Values)| {
            let position = Position {
                name: text(spec, values, Role::Name).unwrap_or_else(|| id.to_owned()),
                parent: text(spec, values, Role::ParentPosition),
            };
            (id.to_owned(), position)
        };
        Self(records.map(position).collect())
    }

    /// The one above it, if the tree has that.
    fn parent(&self, position: &Position) -> Option<&str> {
        let parent = position.parent.as_deref()?;
        self.0.get_key_value(parent).map(|(id, _)| id.as_str())
    }

    /// For each one (`None`: those at the top), those directly below it, in the order of their names.
    fn children(&self) -> BTreeMap<Option<&str>, Vec<&str>> {
        let mut named: Vec<(&str, &Position)> =
            self.0.iter().map(|(id, one)| (id.as_str(), one)).collect();
        named.sort_by_key(|(id, one)| (one.name.to_lowercase(), *id));
        let mut children: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
        for (id, one) in named {
            children.entry(self.parent(one)).or_default().push(id);
        }
        children
    }

    /// The ids of one and of all below it.
    #[must_use]
    pub fn with_all_below(&self, id: &str) -> BTreeSet<String> {
        let children = self.children();
        let mut found = BTreeSet::from([id.to_owned()]);
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for below in children.get(&Some(next)).into_iter().flatten() {
                if found.insert((*below).to_owned()) {
                    open.push(below);
                }
            }
        }
        found
    }

    /// All ids with their depth, each before those below it.
    #[must_use]
    pub fn in_order(&self) -> Vec<(&str, usize)> {
        let children = self.children();
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let tops = children.get(&None).into_iter().flatten().copied();
        // Those of a circle are below nothing at the top.
        for top in tops.chain(self.0.keys().map(String::as_str)) {
            let mut open = vec![(top, 0)];
            while let Some((id, depth)) = open.pop() {
                if !seen.insert(id) {
                    continue;
                }
                found.push((id, depth));
                let below = children.get(&Some(id)).into_iter().flatten();
                open.extend(below.rev().map(|below| (*below, depth + 1)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Value, json};

    use super::{CrmUser, NoSeat, Position, Positions};
    use crate::schema::CrmKind;

    fn no_seat(crm: CrmKind, values: &Value) -> Option<NoSeat> {
        CrmUser::of(crm, "1", values.as_object().unwrap()).no_seat
    }

    #[test]
    fn only_people_with_access_to_the_crm_can_hold_a_seat() {
        for (values, expected) in [
            (json!({ "IsActive": true, "UserType": "Standard" }), None),
            (
                json!({ "IsActive": true, "UserType": "PowerPartner" }),
                None,
            ),
            (json!({ "IsActive": true }), None),
            (json!({ "IsActive": false }), Some(NoSeat::Disabled)),
            (
                json!({ "IsActive": true, "UserType": "CsnOnly" }),
                Some(NoSeat::ChatterOnly),
            ),
            (
                json!({ "IsActive": true, "UserType": "AutomatedProcess" }),
                Some(NoSeat::Application),
            ),
        ] {
            assert_eq!(no_seat(CrmKind::Salesforce, &values), expected, "{values}");
        }
        for (values, expected) in [
            (json!({ "isdisabled": false, "accessmode": 0 }), None),
            (json!({ "isdisabled": false, "accessmode": 2 }), None),
            (json!({ "isdisabled": true }), Some(NoSeat::Disabled)),
            (json!({ "accessmode": 3 }), Some(NoSeat::Support)),
            (json!({ "accessmode": 4 }), Some(NoSeat::Application)),
            (
                json!({ "isdisabled": false, "applicationid": "5f1d0000-0000-4000-8000-000000000001" }),
                Some(NoSeat::Application),
            ),
        ] {
            assert_eq!(no_seat(CrmKind::Dynamics365, &values), expected, "{values}");
        }
    }

    #[test]
    fn a_tree_has_an_end_and_leaves_nothing_out() {
        let parents = [
            ("ceo", None),
            ("sales", Some("ceo")),
            ("east", Some("sales")),
            ("west", Some("sales")),
            ("lost", Some("gone")),
            // A circle.
            ("egg", Some("hen")),
            ("hen", Some("egg")),
        ];
        let position = |(id, parent): (&str, Option<&str>)| {
            let name = id.to_owned();
            let parent = parent.map(str::to_owned);
            (id.to_owned(), Position { name, parent })
        };
        let tree = Positions(BTreeMap::from(parents.map(position)));
        let expected = [
            ("ceo", 0),
            ("sales", 1),
            ("east", 2),
            ("west", 2),
            ("lost", 0),
            ("egg", 0),
            ("hen", 1),
        ];
        assert_eq!(tree.in_order(), expected);
        let below = |id: &str| tree.with_all_below(id);
        let set = |ids: &[&str]| {
            ids.iter()
                .map(|id| (*id).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(below("sales"), set(&["sales", "east", "west"]));
        assert_eq!(below("hen"), set(&["egg", "hen"]));
        assert_eq!(below("none"), set(&["none"]));
    }
}
