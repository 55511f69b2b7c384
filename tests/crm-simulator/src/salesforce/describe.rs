//! An organisation's descriptions of itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::records::is_deleted;
use super::schema::{ObjectType, describe_field, is_kept, is_setup};
use super::{Caller, Org};
use crate::http::Reply;

/// `/services/data/`
pub(crate) fn versions() -> Reply {
    const SEASONS: &[(&str, u32)] = &[("Spring", 0), ("Summer", 1), ("Winter", 2)];
    let all: Vec<Value> = (58..=67_u32)
        .map(|number| {
            // Spring '23 was v57.0; three releases a year, winter named after the next one.
            let (season, shift) = SEASONS
                .get(usize::try_from((number - 57) % 3).unwrap_or(0))
                .copied()
                .unwrap_or(("", 0));
            let year = 23 + (number - 57) / 3 + u32::from(shift == 2);
            json!({
                "label": format!("{season} '{year}"), "url": format!("/services/data/v{number}.0"),
                "version": format!("{number}.0"),
            })
        })
        .collect();
    Reply::json(200, &Value::Array(all))
}

/// The resources of a version.
pub(crate) fn resources(org: &Org, caller: &Caller, version: &str) -> Reply {
    let mut out = serde_json::Map::new();
    let identity = format!("{}/id/{}/{}", caller.base, org.id, caller.user);
    out.insert("identity".into(), json!(identity));
    for name in [
        "limits",
        "sobjects",
        "query",
        "queryAll",
        "composite",
        "jobs",
    ] {
        out.insert(
            name.into(),
            json!(format!("/services/data/{version}/{name}")),
        );
    }
    Reply::json(200, &Value::Object(out))
}

/// The limits, of which the API calls and the query jobs are counted.
pub(crate) fn limits(org: &Org) -> Reply {
    let max = org.settings.api_limit;
    let left = max.saturating_sub(org.api_used);
    let jobs = org.settings.bulk_job_limit;
    let full = |max: u64| json!({ "Max": max, "Remaining": max });
    Reply::json(
        200,
        &json!({
            "DailyApiRequests": { "Max": max, "Remaining": left },
            "DailyBulkApiBatches": full(15_000),
            "DailyBulkV2QueryJobs": {
                "Max": jobs, "Remaining": jobs.saturating_sub(org.bulk_used),
            },
            "DailyBulkV2QueryFileStorageMB": full(976_562), "DailyAsyncApexExecutions": full(250_000),
            "DataStorageMB": full(1_024), "FileStorageMB": full(1_024), "SingleEmail": full(5_000),
            "ConcurrentAsyncGetReportInstances": full(200), "HourlyODataCallout": full(20_000),
        }),
    )
}

/// `connect/organization`: the organisation as the user sees it. Of its many features, those about
/// currencies; the default currency is given only if there are not several.
pub(crate) fn organization(org: &Org, caller: &Caller) -> Reply {
    let several = org.settings.multi_currency;
    let row = org.store.get("User", &caller.user);
    let user = |field: &str| row.and_then(|row| row.get(field)).cloned();
    let own = several.then(|| org.currencies().into_iter().next());
    Reply::json(
        200,
        &json!({
            "accessTimeout": org.settings.session_seconds / 60, "name": org.name, "orgId": org.id,
            "features": {
                "chatter": false, "multiCurrency": several,
                "defaultCurrencyIsoCode": (!several).then_some(&org.settings.default_currency),
            },
            "userSettings": {
                "userId": caller.user, "hasApiEnabled": true, "currencySymbol": null,
                "timeZone": { "name": user("TimeZoneSidKey") },
                "userDefaultCurrencyIsoCode": user("DefaultCurrencyIsoCode").or(own.map(|code| json!(code))),
            },
        }),
    )
}

/// `limits/recordCount`
pub(crate) fn record_count(org: &Org, wanted: Option<&str>) -> Reply {
    let wanted: Option<Vec<&str>> = wanted.map(|list| list.split(',').map(str::trim).collect());
    let rows: Vec<Value> = org
        .objects()
        .filter(|ty| {
            wanted
                .as_ref()
                .is_none_or(|names| names.contains(&ty.name.as_str()))
        })
        .map(|ty| {
            let count = org
                .store
                .rows(&ty.name)
                .filter(|(_, row)| !is_deleted(row))
                .count();
            json!({ "count": count + org.settings.record_count_lag, "name": ty.name })
        })
        .collect();
    Reply::json(200, &json!({ "sObjects": rows }))
}

fn summary(org: &Org, version: &str, ty: &ObjectType) -> Value {
    let base = format!("/services/data/{version}/sobjects/{}", ty.name);
    let (fixed, setup) = (is_kept(&ty.name), is_setup(&ty.name));
    let may = |operation: &str| !org.is_denied(&ty.name, operation);
    json!({
        "activateable": false, "associateEntityType": null, "associateParentEntity": null,
        "createable": may("create") && !setup, "custom": false,
        "customSetting": false, "deepCloneable": false, "deletable": may("delete") && !fixed,
        "deprecatedAndHidden": false, "feedEnabled": !fixed, "hasSubtypes": false,
        "isInterface": false, "isSubtype": false, "keyPrefix": ty.prefix, "label": ty.name,
        "labelPlural": ty.plural, "layoutable": true, "mergeable": !fixed && ty.is_person(),
        "mruEnabled": true, "name": ty.name, "queryable": true, "replicateable": true,
        "retrieveable": true, "searchable": true, "triggerable": true,
        "undeletable": !fixed, "updateable": may("update") && !setup,
        "urls": {
            "sobject": base, "describe": format!("{base}/describe"),
            "rowTemplate": format!("{base}/{{ID}}"), "layouts": format!("{base}/describe/layouts"),
        },
    })
}

fn readable(org: &Org) -> impl Iterator<Item = &Arc<ObjectType>> {
    org.objects().filter(|ty| !org.is_denied(&ty.name, "read"))
}

/// Every object in short.
pub(crate) fn global(org: &Org, version: &str) -> Reply {
    let all: Vec<Value> = readable(org).map(|ty| summary(org, version, ty)).collect();
    Reply::json(
        200,
        &json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all }),
    )
}

/// `sobjects/{T}`
pub(crate) fn basic(org: &Org, version: &str, ty: &ObjectType) -> Reply {
    let body = json!({ "objectDescribe": summary(org, version, ty), "recentItems": [] });
    Reply::json(200, &body)
}

/// `sobjects/{T}/describe`
pub(crate) fn object(org: &Org, version: &str, ty: &ObjectType) -> Reply {
    let fields: Vec<Value> = ty.fields.iter().map(describe_field).collect();
    let children: Vec<Value> = org
        .objects()
        .flat_map(|child| child.fields.iter().map(move |field| (child, field)))
        .filter(|(_, field)| field.reference_to.contains(&ty.name))
        .map(|(child, field)| {
            json!({
                "cascadeDelete": false, "childSObject": child.name, "deprecatedAndHidden": false,
                "field": field.name, "junctionIdListNames": [], "junctionReferenceTo": [],
                "relationshipName": null, "restrictedDelete": false,
            })
        })
        .collect();
    let mut out = summary(org, version, ty);
    if let (Value::Object(out), Value::Object(more)) = (
        &mut out,
        json!({
            "actionOverrides": [], "childRelationships": children, "compactLayoutable": true,
            "defaultImplementation": null, "extendedBy": null, "extendsInterfaces": null,
            "fields": fields, "implementedBy": null, "implementsInterfaces": null,
            "listviewable": null, "lookupLayoutable": null, "namedLayoutInfos": [],
            "networkScopeFieldName": null, "searchLayoutable": true, "sobjectDescribeOption": "FULL",
            "supportedScopes": [{ "label": format!("All {}", ty.plural.to_lowercase()), "name": "everything" }],
            "recordTypeInfos": [{
                "active": true, "available": true, "defaultRecordTypeMapping": true,
                "developerName": "Master", "master": true, "name": "Master",
                "recordTypeId": "012000000000000AAA",
                "urls": { "layout": format!("/services/data/{version}/sobjects/{}/describe/layouts/012000000000000AAA", ty.name) },
            }],
        }),
    ) {
        out.extend(more);
    }
    Reply::json(200, &out)
}
