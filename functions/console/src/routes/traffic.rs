//! The traffic of forms in the last weeks, and the pulls from LinkedIn (LG-9).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use shared::clock::Millis;
use shared::domain::submission::SourceKind;
use shared::problem::Problem;
use shared::store::Arrival;
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Caller, ReadConfiguration};
use crate::described::{Routes, routes};
use crate::extract::Json;

/// Number of weeks that are counted.
const WEEKS: usize = 8;
/// Length of a week, in milliseconds.
const WEEK: i64 = 7 * 24 * 60 * 60 * 1000;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(form_traffic))
}

#[derive(Serialize, ToSchema)]
struct Traffic {
    /// Beginning of the first of the eight weeks; the last one ends now.
    #[schema(value_type = i64)]
    since: Millis,
    /// False if there were more than 10,000 submissions: then the newest of them are counted.
    complete: bool,
    /// The forms that had submissions, the one with the newest first.
    items: Vec<FormTraffic>,
    /// The scheduled pulls of the owners in the LinkedIn settings.
    linkedin: Vec<LinkedInPull>,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct FormTraffic {
    source: SourceKind,
    /// The form's id at the source.
    form_id: String,
    /// The form's name at its newest submission, where known.
    form_name: Option<String>,
    /// Number of submissions in each of the weeks, the oldest first.
    weeks: Vec<u32>,
    /// Number of submissions in all of them.
    total: u32,
    /// Arrival of the newest.
    #[schema(value_type = i64)]
    last_received_at: Millis,
}

#[derive(Serialize, ToSchema)]
struct LinkedInPull {
    /// The owner: an ad account or an organization.
    owner: String,
    /// End of its last pull; none before the first.
    #[schema(value_type = Option<i64>)]
    pulled_at: Option<Millis>,
}

/// Submissions of each form and week in the last eight weeks, and the last pull of each LinkedIn owner.
#[utoipa::path(get, path = "/forms/traffic", responses((status = 200, body = Traffic)))]
async fn form_traffic(
    State(app): State<Arc<App>>,
    caller: Caller<ReadConfiguration>,
) -> Result<Json<Traffic>, Problem> {
    let contract = &caller.contract;
    let owners = app.config(contract).await?.linkedin.owners;
    let store = &app.remote.store;
    let now = app.remote.clock.now();
    let since = Millis(now.0 - WEEK * 8);
    let read = store.submission_traffic(contract, since).await;
    let (arrivals, complete) = read.map_err(|error| error.problem())?;
    let mut linkedin = Vec::new();
    for owner in owners {
        let cursor = store.pull_cursor(contract, &owner).await;
        let cursor = cursor.map_err(|error| error.problem())?;
        linkedin.push(LinkedInPull {
            owner,
            pulled_at: cursor.map(|cursor| cursor.pulled_at),
        });
    }
    Ok(Json(Traffic {
        since,
        complete,
        items: counted(arrivals, since),
        linkedin,
    }))
}

/// The arrivals, newest first, by form and week.
fn counted(arrivals: Vec<Arrival>, since: Millis) -> Vec<FormTraffic> {
    let mut forms: BTreeMap<(&'static str, String), FormTraffic> = BTreeMap::new();
    for arrival in arrivals {
        let key = (arrival.source.as_str(), arrival.form_id.clone());
        let form = forms.entry(key).or_insert_with(|| FormTraffic {
            source: arrival.source,
            form_id: arrival.form_id,
            form_name: arrival.form_name.clone(),
            weeks: vec![0; WEEKS],
            total: 0,
            last_received_at: arrival.at,
        });
        if form.form_name.is_none() {
            form.form_name = arrival.form_name;
        }
        let week = usize::try_from((arrival.at.0 - since.0) / WEEK).unwrap_or_default();
        // Arrivals during the count are of the last week.
        if let Some(count) = form.weeks.get_mut(week.min(WEEKS - 1)) {
            *count += 1;
        }
        form.total += 1;
    }
    let mut forms: Vec<FormTraffic> = forms.into_values().collect();
    forms.sort_by_key(|form| std::cmp::Reverse(form.last_received_at));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_counted_by_form_and_week() {
        let arrival = |at: i64, source, form_id: &str, name: Option<&str>| Arrival {
            at: Millis(at),
            source,
            form_id: form_id.to_owned(),
            form_name: name.map(str::to_owned),
        };
        let since = Millis(1_000);
        let end = since.0 + 8 * WEEK;
        let found = counted(
            vec![
                arrival(end + 5, SourceKind::LinkedIn, "7", None),
                arrival(end - 1, SourceKind::Website, "a", Some("Demo")),
                arrival(since.0 + WEEK, SourceKind::LinkedIn, "7", Some("Spring")),
                arrival(since.0, SourceKind::Website, "7", None),
            ],
            since,
        );
        let told: Vec<_> = found
            .iter()
            .map(|form| (form.source, form.form_id.as_str(), form.total))
            .collect();
        assert_eq!(
            told,
            [
                (SourceKind::LinkedIn, "7", 2),
                (SourceKind::Website, "a", 1),
                (SourceKind::Website, "7", 1),
            ]
        );
        assert_eq!(found[0].form_name.as_deref(), Some("Spring"));
        assert_eq!(found[0].weeks, [0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(found[2].weeks, [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
