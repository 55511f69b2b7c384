//! Notes of Salesforce read as its tasks are, for tests that look for activities whatever their form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Notes with their links, in the fields of tasks: `Subject`, `Description`, `WhoId`, and `IsClosed` if they
/// are linked to a record. A note that is linked to several records ends the test.
#[must_use]
pub fn as_tasks(notes: &Value, links: &Value) -> Vec<Value> {
    let links = links.as_array().expect("a list of links");
    let task = |note: &Value| {
        let content = note["Content"].as_str().expect("a content");
        let content = STANDARD.decode(content).expect("base64");
        let own = links
            .iter()
            .filter(|link| link["ContentDocumentId"] == note["Id"])
            .filter_map(|link| link["LinkedEntityId"].as_str());
        // Each note is linked to its owner, too.
        let records: Vec<&str> = own.filter(|id| !id.starts_with("005")).collect();
        assert!(records.len() <= 1, "{note} is linked to {records:?}");
        let mut task = note.clone();
        task["Subject"] = note["Title"].clone();
        task["Description"] = json!(String::from_utf8(content).expect("a text"));
        task["WhoId"] = json!(records.first());
        task["IsClosed"] = json!(!records.is_empty());
        task
    };
    let notes = notes.as_array().expect("a list of notes");
    notes.iter().map(task).collect()
}
