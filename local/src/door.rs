//! The door at the product's address: closed while the state of a first start is made.
//!
//! The company's two months are made with the clocks in the past, when nobody can sign in. The pages are given
//! meanwhile, and show the problem that their first call is answered with, until it is gone.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use shared::problem::Problem;
use tokio::sync::watch;

/// Seconds until another attempt is worthwhile.
const PAUSE: u32 = 2;

/// The door, open at first.
#[derive(Debug)]
pub struct Door(watch::Sender<Option<(i64, i64)>>);

impl Default for Door {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Door {
    /// Closes it, at a day of the days that are made.
    pub fn close(&self, day: i64, of: i64) {
        self.0.send_replace(Some((day, of)));
    }

    /// Opens it.
    pub fn open(&self) {
        self.0.send_replace(None);
    }

    /// The 503 `starting` for a path; none for the pages, or if the door is open.
    fn refusal(&self, path: &str) -> Option<Problem> {
        let (day, of) = (*self.0.borrow())?;
        let first = path.split('/').nth(1).unwrap_or_default();
        if matches!(first, "" | "app") {
            return None;
        }
        let problem = Problem::new(
            503,
            "starting",
            format!("The demo company is being made: day {day} of {of}."),
            "Wait a little: the page opens by itself as soon as the company is there.",
        );
        Some(problem.with_retry_after(PAUSE))
    }

    /// The product behind the door.
    pub(crate) fn before(self: &Arc<Self>, product: Router) -> Router {
        let door = Arc::clone(self);
        product.layer(middleware::from_fn(move |request: Request, next: Next| {
            let refusal = door.refusal(request.uri().path());
            async move {
                match refusal {
                    Some(problem) => problem.into_response(),
                    None => next.run(request).await,
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Door;

    #[test]
    fn only_the_pages_are_given_while_the_door_is_closed() {
        let door = Door::default();
        assert_eq!(door.refusal("/api/v1/health"), None);
        door.close(12, 61);
        for path in ["/", "/app", "/app/home"] {
            assert_eq!(door.refusal(path), None, "{path}");
        }
        for path in ["/api/v1/health", "/oauth/sign-in/entra", "/forms/key"] {
            let refusal = door.refusal(path).unwrap();
            assert_eq!((refusal.status, &*refusal.code), (503, "starting"));
            assert!(refusal.detail.contains("day 12 of 61"), "{path}");
            assert!(refusal.retry_after.is_some());
        }
        door.open();
        assert_eq!(door.refusal("/api/v1/health"), None);
    }
}
