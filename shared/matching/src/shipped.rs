//! What is known before anything is learned.

use std::sync::LazyLock;

use crate::Kind;
use crate::model::Model;

/// The models of a first start. Their frequencies are those of labelled pairs of people and companies of
/// several sources, smoothed; a contract's own data moves them.
static SHIPPED: LazyLock<[Model; 2]> = LazyLock::new(|| {
    [
        include_str!("shipped/person.json"),
        include_str!("shipped/company.json"),
    ]
    .map(read)
});

#[expect(clippy::expect_used, reason = "a file of the source that a test reads")]
fn read(document: &str) -> Model {
    serde_json::from_str(document).expect("a shipped model")
}

pub(crate) fn model(kind: Kind) -> Model {
    let [person, company] = &*SHIPPED;
    match kind {
        Kind::Person => person.clone(),
        Kind::Company => company.clone(),
    }
}
