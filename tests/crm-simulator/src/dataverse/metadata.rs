//! Tables and columns as metadata describes them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::odata;
use super::rest::Request;
use super::schema::{Column, Kind, TableType};
use super::{Caller, Dataverse, Error, privileges, with_type};
use crate::http::{Reply, Row};

/// A stable id for a piece of metadata.
pub(super) fn metadata_id(name: &str) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

fn label(text: &str) -> Value {
    let one = json!({
        "Label": text, "LanguageCode": 1033, "IsManaged": true,
        "MetadataId": metadata_id(&format!("label/{text}")), "HasChanged": null,
    });
    json!({ "LocalizedLabels": [one], "UserLocalizedLabel": one })
}

fn managed(value: bool, name: &str) -> Value {
    json!({ "Value": value, "CanBeChanged": true, "ManagedPropertyLogicalName": name })
}

fn table_value(ty: &TableType) -> Row {
    let value = json!({
        "LogicalName": ty.name, "SchemaName": ty.schema, "EntitySetName": ty.set,
        "LogicalCollectionName": ty.set, "CollectionSchemaName": ty.schema,
        "PrimaryIdAttribute": ty.primary_id, "PrimaryNameAttribute": ty.primary_name,
        "ObjectTypeCode": ty.code, "MetadataId": metadata_id(&ty.name), "HasChanged": null,
        "IsCustomEntity": false, "IsActivity": matches!(ty.name.as_str(), "task" | "phonecall"),
        "IsManaged": true, "ChangeTrackingEnabled": ty.tracked, "IsOptimisticConcurrencyEnabled": true,
        "IsDuplicateDetectionEnabled": managed(true, "canmodifyduplicatedetectionsettings"),
        "OwnershipType": if ty.column("ownerid").is_some() { "UserOwned" } else { "OrganizationOwned" },
        "TableType": "Standard", "HasNotes": true, "HasActivities": true, "DataProviderId": null,
        "DisplayName": label(&ty.label), "DisplayCollectionName": label(&format!("{}s", ty.label)),
        "Description": label(&ty.label), "Privileges": privileges::definitions(ty),
    });
    value.as_object().cloned().unwrap_or_default()
}

fn option(value: i64, text: &str) -> Row {
    let value = json!({
        "Value": value, "Color": null, "IsManaged": true, "ExternalValue": "", "ParentValues": [],
        "Tag": null, "IsHidden": false, "MetadataId": null, "HasChanged": null,
        "Label": label(text), "Description": { "LocalizedLabels": [], "UserLocalizedLabel": null },
    });
    value.as_object().cloned().unwrap_or_default()
}

fn option_set(ty: &TableType, column: &Column) -> Value {
    let name = format!("{}_{}", ty.name, column.name);
    let mut out = json!({
        "MetadataId": metadata_id(&format!("set/{name}")), "HasChanged": null,
        "IsCustomOptionSet": false, "IsGlobal": false, "IsManaged": true, "Name": name,
        "OptionSetType": column.kind.cast(), "DisplayName": label(&column.label),
    });
    let Value::Object(set) = &mut out else {
        return out;
    };
    if column.kind == Kind::Boolean {
        set.insert("TrueOption".into(), Value::Object(option(1, "Yes")));
        set.insert("FalseOption".into(), Value::Object(option(0, "No")));
        return out;
    }
    let options: Vec<Value> = column
        .choices
        .iter()
        .map(|choice| {
            let mut row = option(choice.value, &choice.label);
            if let (Some(state), Kind::Status) = (choice.state, column.kind) {
                row.insert("State".into(), json!(state));
                row.insert("TransitionData".into(), Value::Null);
            }
            if column.kind == Kind::State {
                let reasons = ty
                    .column("statuscode")
                    .map(|c| c.choices.as_slice())
                    .unwrap_or_default();
                let first = reasons
                    .iter()
                    .find(|reason| reason.state == Some(choice.value));
                row.insert(
                    "DefaultStatus".into(),
                    json!(first.map(|reason| reason.value)),
                );
                row.insert("InvariantName".into(), json!(choice.label));
            }
            Value::Object(row)
        })
        .collect();
    set.insert("Options".into(), Value::Array(options));
    out
}

fn column_value(ty: &TableType, column: &Column) -> Row {
    let kind = column.kind;
    let type_name = kind.name();
    let primary = column.name == ty.primary_id;
    let level = if primary {
        "SystemRequired"
    } else if column.required {
        "ApplicationRequired"
    } else {
        "None"
    };
    let value = json!({
        "@odata.type": format!("#Microsoft.Dynamics.CRM.{}AttributeMetadata", kind.cast()),
        "LogicalName": column.name, "SchemaName": column.schema, "AttributeType": type_name,
        "AttributeTypeName": { "Value": format!("{type_name}Type") },
        "MetadataId": metadata_id(&format!("{}/{}", ty.name, column.name)), "HasChanged": null,
        "EntityLogicalName": ty.name, "AttributeOf": null, "ColumnNumber": 1,
        "IsCustomAttribute": column.custom(), "IsManaged": !column.custom(),
        "IsPrimaryId": primary, "IsPrimaryName": column.name == ty.primary_name,
        "IsValidForCreate": column.create, "IsValidForUpdate": column.update,
        "IsValidForRead": true, "IsValidODataAttribute": true, "IsLogical": false,
        "IsFilterable": true, "IsSearchable": true, "IsRetrievable": true, "IsSecured": column.secured,
        "SourceType": 0, "DeprecatedVersion": null, "IntroducedVersion": "5.0.0.0",
        "DisplayName": label(&column.label), "Description": label(&column.label),
        "RequiredLevel": managed_level(level),
    });
    let mut out = value.as_object().cloned().unwrap_or_default();
    let more = match kind {
        Kind::String => json!({
            "MaxLength": column.max_length, "Format": column.format,
            "FormatName": { "Value": column.format }, "DatabaseLength": column.max_length * 2,
            "ImeMode": "Auto", "YomiOf": null, "IsLocalizable": false, "AutoNumberFormat": "",
        }),
        Kind::Memo => json!({
            "MaxLength": column.max_length, "Format": column.format,
            "FormatName": { "Value": column.format }, "ImeMode": "Auto", "IsLocalizable": false,
        }),
        Kind::Integer => json!({
            "MinValue": column.min.map(whole), "MaxValue": column.max.map(whole), "Format": "None",
            "SourceTypeMask": 0, "FormulaDefinition": "",
        }),
        Kind::BigInt => json!({ "MinValue": i64::MIN, "MaxValue": i64::MAX }),
        Kind::Decimal | Kind::Double => json!({
            "MinValue": column.min, "MaxValue": column.max, "Precision": column.precision,
            "ImeMode": "Auto",
        }),
        Kind::Money => json!({
            "MinValue": column.min, "MaxValue": column.max, "Precision": column.precision,
            "PrecisionSource": 2, "CalculationOf": null, "IsBaseCurrency": false, "ImeMode": "Auto",
        }),
        Kind::DateTime => json!({
            "Format": column.format, "ImeMode": "Auto", "CanChangeDateTimeBehavior": managed(false, "canchangedatetimebehavior"),
            "DateTimeBehavior": { "Value": if column.is_date_only() { "DateOnly" } else { "UserLocal" } },
            "MinSupportedValue": "1753-01-01T00:00:00Z", "MaxSupportedValue": "9999-12-30T23:59:59Z",
        }),
        Kind::Boolean => json!({ "DefaultValue": column.default == Some(json!(true)) }),
        Kind::Picklist | Kind::State | Kind::Status => json!({
            "DefaultFormValue": column.default.as_ref().and_then(Value::as_i64).unwrap_or(-1),
        }),
        Kind::Lookup | Kind::Owner | Kind::Customer => {
            json!({ "Targets": column.targets, "Format": "None" })
        }
        Kind::Uniqueidentifier => json!({}),
    };
    if let Value::Object(more) = more {
        out.extend(more);
    }
    if kind.has_options() || kind == Kind::Boolean {
        out.insert("OptionSet".into(), option_set(ty, column));
        out.insert("GlobalOptionSet".into(), Value::Null);
    }
    out
}

fn managed_level(level: &str) -> Value {
    json!({ "Value": level, "CanBeChanged": level != "SystemRequired", "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings" })
}

fn whole(value: f64) -> Value {
    format!("{value:.0}")
        .parse::<i64>()
        .map(Value::from)
        .unwrap_or_default()
}

/// Properties that stay out unless they are expanded.
const EXPANDED: &[&str] = &["OptionSet", "GlobalOptionSet"];

/// Reduces a row to its selected and expanded properties.
fn shown(mut row: Row, select: Option<&str>, expand: &[(String, Option<String>)]) -> Row {
    let expanded = |name: &String| expand.iter().any(|(nav, _)| nav == name);
    let selected: Option<BTreeSet<String>> =
        select.map(|list| odata::split(list, ',').into_iter().collect());
    row.retain(|name, _| {
        if EXPANDED.contains(&name.as_str()) {
            return expanded(name);
        }
        name.starts_with("@odata")
            || name == "MetadataId"
            || selected.as_ref().is_none_or(|names| names.contains(name))
    });
    for (nav, inner) in expand {
        if let (Some(Value::Object(value)), Some(list)) = (row.get_mut(nav), inner) {
            let names: BTreeSet<String> = odata::split(list, ',').into_iter().collect();
            value.retain(|name, _| name == "MetadataId" || names.contains(name));
        }
    }
    row
}

fn expansions(text: &str) -> Result<Vec<(String, Option<String>)>, Error> {
    odata::split(text, ',')
        .iter()
        .map(|item| match item.split_once('(') {
            Some((nav, options)) => {
                let options = options.strip_suffix(')').unwrap_or(options);
                let select = odata::inner_select(options).map_err(Error::unserved)?;
                Ok((nav.to_owned(), select))
            }
            None => Ok((item.clone(), None)),
        })
        .collect()
}

/// `Name='value'` or `'value'` or a bare id between the parentheses.
fn key_of(text: &str) -> Option<String> {
    let (_, key) = text.split_once('(')?;
    let key = key.strip_suffix(')')?;
    let key = key.split_once('=').map_or(key, |(_, value)| value);
    Some(key.trim().trim_matches('\'').to_owned())
}

fn filtered(rows: Vec<Row>, request: &Request) -> Result<Vec<Row>, Error> {
    let Some(text) = request.param("$filter") else {
        return Ok(rows);
    };
    let filter = odata::parse(text).map_err(Error::syntax)?;
    let known = |name: &str| {
        let first = name.split('/').next().unwrap_or(name);
        rows.is_empty() || rows.iter().any(|row| row.contains_key(first))
    };
    if let Some((name, ..)) = filter.tests().into_iter().find(|(name, ..)| !known(name)) {
        return Err(Error::syntax(format!(
            "Could not find a property named '{name}'."
        )));
    }
    let kept = rows.into_iter().filter(|row| {
        filter.holds(&|name| {
            let mut value = row
                .get(name.split('/').next().unwrap_or(name))
                .unwrap_or(&Value::Null);
            for step in name.split('/').skip(1) {
                value = value.get(step).unwrap_or(&Value::Null);
            }
            value.clone()
        })
    });
    Ok(kept.collect())
}

impl Dataverse {
    fn columns_of(ty: &TableType, cast: Option<&str>) -> Result<Vec<Row>, Error> {
        let wanted = match cast {
            None => None,
            Some(name) => {
                let kind = name
                    .strip_prefix("Microsoft.Dynamics.CRM.")
                    .and_then(|name| name.strip_suffix("AttributeMetadata"))
                    .ok_or_else(|| Error::no_resource(name))?;
                Some(kind)
            }
        };
        Ok(ty
            .columns
            .iter()
            .filter(|column| match wanted {
                None => true,
                Some("Enum") => column.kind.has_options(),
                Some(kind) => column.kind.cast() == kind,
            })
            .map(|column| column_value(ty, column))
            .collect())
    }

    /// Answers `EntityDefinitions…`.
    pub(crate) fn definitions(&self, caller: &Caller, request: &Request) -> Result<Reply, Error> {
        let steps: Vec<&str> = request.path.split('/').collect();
        let (head, tail) = steps.split_first().ok_or_else(|| Error::no_resource(""))?;
        let select = request.param("$select");
        let expand = expansions(request.param("$expand").unwrap_or_default())?;
        let context =
            |tail: String| format!("{}/$metadata#EntityDefinitions{tail}", caller.service);
        if *head == "EntityDefinitions" {
            let rows = self.tables().map(|ty| table_value(ty)).collect();
            let rows: Vec<Row> = filtered(rows, request)?
                .into_iter()
                .map(|row| {
                    let ty = row
                        .get("LogicalName")
                        .and_then(Value::as_str)
                        .and_then(|name| self.table(name));
                    let row = shown(row, select, &[]);
                    match ty {
                        Some(ty) => self.expanded(&ty, row, &expand),
                        None => Ok(row),
                    }
                })
                .collect::<Result<_, _>>()?;
            return Ok(with_type(Reply::json(
                200,
                &json!({ "@odata.context": context(String::new()), "value": rows }),
            )));
        }
        if !head.starts_with("EntityDefinitions(") {
            return Err(Error::no_resource(head));
        }
        let name = key_of(head).ok_or_else(|| Error::no_resource(head))?;
        let ty = self
            .tables()
            .find(|ty| ty.name == name || metadata_id(&ty.name) == name)
            .cloned()
            .ok_or_else(|| Error::new(404, "0x80060888", format!("Could not find an entity with name {name} and id 00000000-0000-0000-0000-000000000000.")))?;
        match tail {
            [] => {
                let row = shown(table_value(&ty), select, &[]);
                let mut row = self.expanded(&ty, row, &expand)?;
                row.insert("@odata.context".into(), json!(context("/$entity".into())));
                Ok(with_type(Reply::json(200, &Value::Object(row))))
            }
            ["Attributes", rest @ ..] => {
                let cast = match rest {
                    [] => None,
                    [cast] => Some(*cast),
                    _ => return Err(Error::no_resource(rest.last().copied().unwrap_or_default())),
                };
                let rows = filtered(Self::columns_of(&ty, cast)?, request)?;
                let rows: Vec<Row> = rows
                    .into_iter()
                    .map(|mut row| {
                        // A cast collection needs no type on each row.
                        if cast.is_some_and(|cast| !cast.ends_with(".EnumAttributeMetadata")) {
                            row.remove("@odata.type");
                        }
                        shown(row, select, &expand)
                    })
                    .collect();
                let cast = cast.map(|cast| format!("/{cast}")).unwrap_or_default();
                let fields = select.map(|names| format!("({names})")).unwrap_or_default();
                let tail = format!("('{}')/Attributes{cast}{fields}", ty.name);
                Ok(with_type(Reply::json(
                    200,
                    &json!({ "@odata.context": context(tail), "value": rows }),
                )))
            }
            [attribute, rest @ ..] if attribute.starts_with("Attributes(") => {
                let name = key_of(attribute).ok_or_else(|| Error::no_resource(attribute))?;
                let rows = Self::columns_of(&ty, rest.first().copied())?;
                let row = rows
                    .into_iter()
                    .find(|row| {
                        row.get("LogicalName") == Some(&json!(name))
                            || row.get("MetadataId") == Some(&json!(name))
                    })
                    .ok_or_else(|| {
                        Error::new(
                            404,
                            "0x80060888",
                            format!("Could not find an attribute with specified name: {name}."),
                        )
                    })?;
                if rest.get(1) == Some(&"OptionSet") {
                    let set = row.get("OptionSet").cloned().unwrap_or_default();
                    return Ok(with_type(Reply::json(200, &set)));
                }
                let mut row = shown(row, select, &expand);
                row.insert(
                    "@odata.context".into(),
                    json!(context(format!("('{}')/Attributes/$entity", ty.name))),
                );
                Ok(with_type(Reply::json(200, &Value::Object(row))))
            }
            ["ManyToOneRelationships"] => {
                let rows = filtered(self.relationships(&ty), request)?;
                let rows: Vec<Row> = rows
                    .into_iter()
                    .map(|row| shown(row, select, &[]))
                    .collect();
                let tail = format!("('{}')/ManyToOneRelationships", ty.name);
                Ok(with_type(Reply::json(
                    200,
                    &json!({ "@odata.context": context(tail), "value": rows }),
                )))
            }
            ["OneToManyRelationships" | "ManyToManyRelationships" | "Keys"] => {
                Ok(with_type(Reply::json(
                    200,
                    &json!({ "@odata.context": context(String::new()), "value": [] }),
                )))
            }
            [other, ..] => Err(Error::no_resource(other)),
        }
    }

    /// A table with its expanded properties.
    fn expanded(
        &self,
        ty: &TableType,
        mut row: Row,
        expand: &[(String, Option<String>)],
    ) -> Result<Row, Error> {
        for (nav, inner) in expand {
            let columns: Vec<Row> = match nav.as_str() {
                "Attributes" => Self::columns_of(ty, None)?,
                "ManyToOneRelationships" => self.relationships(ty),
                "OneToManyRelationships" | "ManyToManyRelationships" | "Keys" => Vec::new(),
                other => {
                    return Err(Error::syntax(format!(
                        "Could not find a property named '{other}' on type 'Microsoft.Dynamics.CRM.EntityMetadata'."
                    )));
                }
            };
            let columns: Vec<Row> = columns
                .into_iter()
                .map(|column| shown(column, inner.as_deref(), &[]))
                .collect();
            row.insert(nav.clone(), json!(columns));
        }
        Ok(row)
    }

    /// The look-ups of a table, with the names of their navigation properties.
    fn relationships(&self, ty: &TableType) -> Vec<Row> {
        let mut out = Vec::new();
        for column in ty.columns.iter().filter(|column| column.kind.is_lookup()) {
            for (target, nav) in column.targets.iter().zip(&column.nav) {
                let key = self.table(target).map(|t| t.primary_id.clone());
                let value = json!({
                    "SchemaName": format!("{target}_{}_{}", ty.name, column.name),
                    "RelationshipType": "OneToManyRelationship", "IsCustomRelationship": false,
                    "ReferencedEntity": target, "ReferencedAttribute": key,
                    "ReferencingEntity": ty.name, "ReferencingAttribute": column.name,
                    "ReferencingEntityNavigationPropertyName": nav,
                    "ReferencedEntityNavigationPropertyName": format!("{target}_{}s", ty.name),
                    "MetadataId": metadata_id(&format!("rel/{}/{nav}/{target}", ty.name)), "HasChanged": null,
                });
                out.extend(value.as_object().cloned());
            }
        }
        out
    }

    /// `$metadata`: types, keys, properties and navigation.
    pub(crate) fn csdl(&self) -> Reply {
        use std::fmt::Write as _;
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><edmx:Edmx Version=\"4.0\" \
             xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\"><edmx:DataServices><Schema \
             Namespace=\"Microsoft.Dynamics.CRM\" Alias=\"mscrm\" \
             xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">",
        );
        for ty in self.tables() {
            let _ = write!(
                out,
                "<EntityType Name=\"{}\"><Key><PropertyRef Name=\"{}\" /></Key>",
                ty.name, ty.primary_id
            );
            for column in &ty.columns {
                let edm = match column.kind {
                    Kind::Uniqueidentifier | Kind::Lookup | Kind::Owner | Kind::Customer => {
                        "Edm.Guid"
                    }
                    Kind::String | Kind::Memo => "Edm.String",
                    Kind::Boolean => "Edm.Boolean",
                    Kind::BigInt => "Edm.Int64",
                    Kind::Decimal | Kind::Money => "Edm.Decimal",
                    Kind::Double => "Edm.Double",
                    Kind::DateTime if column.is_date_only() => "Edm.Date",
                    Kind::DateTime => "Edm.DateTimeOffset",
                    _ => "Edm.Int32",
                };
                let _ = write!(
                    out,
                    "<Property Name=\"{}\" Type=\"{edm}\" />",
                    column.wire()
                );
                for (nav, target) in column.nav.iter().zip(&column.targets) {
                    if column.kind == Kind::Owner && target != "systemuser" {
                        continue;
                    }
                    let target = if column.kind == Kind::Owner {
                        "principal"
                    } else {
                        target
                    };
                    let _ = write!(
                        out,
                        "<NavigationProperty Name=\"{nav}\" Type=\"mscrm.{target}\"><ReferentialConstraint \
                         Property=\"{}\" ReferencedProperty=\"{target}id\" /></NavigationProperty>",
                        column.wire()
                    );
                }
            }
            out.push_str("</EntityType>");
        }
        out.push_str("<EntityContainer Name=\"System\">");
        for ty in self.tables() {
            let _ = write!(
                out,
                "<EntitySet Name=\"{}\" EntityType=\"Microsoft.Dynamics.CRM.{}\" />",
                ty.set, ty.name
            );
        }
        out.push_str("</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>");
        Reply::text(200, "application/xml", out).with("odata-version", "4.0")
    }
}
