//! The ledger of every call, in order: tests prove by it which calls were made, and how often.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// One call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) at_ms: i64,
    pub(crate) system: &'static str,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) template: String,
    /// 0 when the caller got no answer.
    pub(crate) status: u16,
    pub(crate) bytes_in: usize,
    pub(crate) bytes_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    /// The effects of a bundled call, part by part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<String>,
}

/// The calls so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    seq: u64,
    entries: Vec<Entry>,
}

impl Ledger {
    pub(crate) fn push(&mut self, mut entry: Entry) {
        self.seq += 1;
        entry.seq = self.seq;
        self.entries.push(entry);
    }

    pub(crate) fn list(&self, system: Option<&str>, since: u64) -> Value {
        let found: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.seq > since && system.is_none_or(|name| name == entry.system))
            .collect();
        json!(found)
    }

    /// Counts by system and `METHOD template`, and by status.
    pub(crate) fn summary(&self) -> Value {
        let mut calls: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        let mut statuses: BTreeMap<&str, BTreeMap<u16, u64>> = BTreeMap::new();
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        let mut faults: BTreeMap<String, u64> = BTreeMap::new();
        for entry in &self.entries {
            let key = format!("{} {}", entry.method, entry.template);
            *calls
                .entry(entry.system)
                .or_default()
                .entry(key)
                .or_default() += 1;
            *statuses
                .entry(entry.system)
                .or_default()
                .entry(entry.status)
                .or_default() += 1;
            *totals.entry(entry.system).or_default() += 1;
            if let Some(fault) = &entry.fault {
                *faults.entry(fault.clone()).or_default() += 1;
            }
        }
        json!({ "calls": calls, "statuses": statuses, "totals": totals, "faults": faults, "last_seq": self.seq })
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// The path with names in place of ids.
pub(crate) fn template(system: &str, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let shown: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(at, part)| {
            let before = at
                .checked_sub(1)
                .and_then(|b| parts.get(b))
                .copied()
                .unwrap_or_default();
            match system {
                "salesforce" => salesforce_part(&parts, at, part, before),
                "entra" if at == 0 => "{tenant}".to_owned(),
                "linkedin" if before.starts_with("lead") => "{id}".to_owned(),
                "dataverse" => match part.split_once('(') {
                    Some((set, key)) if is_guid(key.trim_end_matches(')')) => {
                        format!("{set}({{id}})")
                    }
                    Some((set, key)) if set != "EntityDefinitions" && key.contains('=') => {
                        format!("{set}({{key}})")
                    }
                    _ => (*part).to_owned(),
                },
                _ => (*part).to_owned(),
            }
        })
        .collect();
    format!("/{}", shown.join("/"))
}

fn salesforce_part(parts: &[&str], at: usize, part: &str, before: &str) -> String {
    let is_version = part.starts_with('v') && part.ends_with(".0");
    if is_version {
        return "vXX.0".into();
    }
    if parts.first() == Some(&"id") {
        return ["id", "{org}", "{user}"]
            .get(at)
            .map_or_else(|| part.into(), |&p| p.into());
    }
    if parts.contains(&"jobs") && before == "query" {
        return "{id}".into();
    }
    if matches!(before, "query" | "queryAll") {
        return "{locator}".into();
    }
    if parts.contains(&"composite") {
        return part.into();
    }
    match parts.iter().position(|name| *name == "sobjects") {
        Some(start) if at == start + 2 && parts.len() == start + 3 => match part {
            "describe" | "deleted" | "updated" => part.into(),
            _ => "{id}".into(),
        },
        Some(start) if at == start + 3 => "{value}".into(),
        _ => part.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn templates_hide_ids() {
        let cases = [
            (
                "salesforce",
                "/services/data/v67.0/sobjects/Lead/00Q5f000000000BEAQ",
                "/services/data/vXX.0/sobjects/Lead/{id}",
            ),
            (
                "salesforce",
                "/services/data/v67.0/sobjects/Lead/Leadbridge_Id__c/abc",
                "/services/data/vXX.0/sobjects/Lead/Leadbridge_Id__c/{value}",
            ),
            (
                "salesforce",
                "/services/data/v67.0/sobjects/Lead/describe",
                "/services/data/vXX.0/sobjects/Lead/describe",
            ),
            (
                "dataverse",
                "/api/data/v9.2/leads(4d8f1a6e-0000-4000-8000-000000000001)",
                "/api/data/v9.2/leads({id})",
            ),
            (
                "linkedin",
                "/rest/leadFormResponses/abc-1",
                "/rest/leadFormResponses/{id}",
            ),
            (
                "entra",
                "/contoso/oauth2/v2.0/token",
                "/{tenant}/oauth2/v2.0/token",
            ),
        ];
        for (system, path, wanted) in cases {
            assert_eq!(template(system, path), wanted);
        }
    }
}
