//! Misbehaviour on request, as of networks and busy services.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::{Call, Reply};

/// The effect of a fault on a matching call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An error answer, without effect.
    Status,
    /// Takes effect, then the connection closes.
    LostReply,
    /// Takes effect and answers, late.
    Slow,
    /// Takes effect; half of the body arrives.
    Truncate,
    /// The caller's token stops being good just before the call.
    ExpiredToken,
    /// 200 with a page of HTML, without effect.
    Garbage,
    /// The connection closes, without effect.
    Drop,
}

/// A fault that waits for calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    #[serde(default)]
    pub(crate) id: u64,
    pub(crate) system: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path_contains: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_contains: Option<String>,
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) retry_after_s: Option<u64>,
    #[serde(default)]
    pub(crate) body: Option<Value>,
    #[serde(default)]
    pub(crate) skip: u64,
    #[serde(default = "once")]
    pub(crate) times: i64,
    #[serde(default)]
    pub(crate) delay_ms: u64,
    /// The number of calls that it struck.
    #[serde(default)]
    pub(crate) hits: u64,
}

fn once() -> i64 {
    1
}

impl Fault {
    fn matches(&self, system: &str, call: &Call) -> bool {
        let path = format!("{}?{}", call.path, call.query);
        let holds = |wanted: &Option<String>, text: &str| {
            wanted
                .as_ref()
                .is_none_or(|part| text.contains(part.as_str()))
        };
        self.system == system
            && self
                .method
                .as_ref()
                .is_none_or(|m| m.eq_ignore_ascii_case(&call.method))
            && (holds(&self.path_contains, &path)
                || holds(&self.path_contains, &crate::http::decode(&path)))
            && holds(&self.body_contains, &String::from_utf8_lossy(&call.body))
    }

    /// The name the ledger shows.
    pub(crate) fn label(&self) -> String {
        let kind = serde_json::to_value(self.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        match self.status.filter(|_| self.kind == Kind::Status) {
            Some(status) => format!("{kind}:{status}"),
            None => kind.to_owned(),
        }
    }

    /// The answer of a status fault, in the system's own words.
    pub(crate) fn reply(&self) -> Reply {
        let status = self.status.unwrap_or(503);
        let body = self
            .body
            .clone()
            .unwrap_or_else(|| words(&self.system, status));
        let reply = match &body {
            Value::String(text) => Reply::text(status, "text/html", text.clone()),
            body => Reply::json(status, body),
        };
        match self.retry_after_s {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        }
    }
}

fn words(system: &str, status: u16) -> Value {
    match system {
        "salesforce" => {
            let (code, message) = match status {
                401 => ("INVALID_SESSION_ID", "Session expired or invalid"),
                403 | 429 => ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
                400 => (
                    "UNABLE_TO_LOCK_ROW",
                    "unable to obtain exclusive access to this record",
                ),
                503 => (
                    "SERVER_UNAVAILABLE",
                    "Server is too busy. Please try again later.",
                ),
                _ => (
                    "UNKNOWN_EXCEPTION",
                    "An unexpected error occurred. Please include this ErrorId if you contact support: 1-1 (1)",
                ),
            };
            json!([{ "message": message, "errorCode": code }])
        }
        "dataverse" => {
            let (code, message) = match status {
                429 => (
                    "0x80072322",
                    "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
                ),
                403 => (
                    "0x80040220",
                    "Principal user is missing prvCreateLead privilege.",
                ),
                503 => ("0x80072ee7", "The service is temporarily unavailable."),
                _ => ("0x80040216", "An unexpected error occurred."),
            };
            json!({ "error": { "code": code, "message": message } })
        }
        "entra" => json!({
            "error": if status >= 500 { "temporarily_unavailable" } else { "invalid_grant" },
            "error_description": "AADSTS90033: A transient error has occurred. Please try again.",
            "error_codes": [90033],
        }),
        _ => {
            let (code, message) = match status {
                429 => (
                    101,
                    "Resource level throttle limit for calls to this resource is reached.",
                ),
                401 => (65_600, "Invalid access token"),
                403 => (100, "Not enough permissions to access this resource"),
                _ => (0, "Internal Server Error"),
            };
            json!({ "status": status, "serviceErrorCode": code, "message": message })
        }
    }
}

/// The waiting faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next: u64,
    list: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, mut fault: Fault) -> u64 {
        self.next += 1;
        fault.id = self.next;
        self.list.push(fault);
        self.next
    }

    pub(crate) fn list(&self) -> Value {
        json!(self.list)
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.list.len();
        self.list.retain(|fault| fault.id != id);
        self.list.len() < before
    }

    /// The first fault this call meets; every fault before it that only skips counts the call.
    pub(crate) fn take(&mut self, system: &str, call: &Call) -> Option<Fault> {
        for fault in &mut self.list {
            if fault.times == 0 || !fault.matches(system, call) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times > 0 {
                fault.times -= 1;
            }
            fault.hits += 1;
            return Some(fault.clone());
        }
        None
    }
}
