//! Who may call which route of the API, as the README's table has it.

use reqwest::Method;

/// What is everybody's who is signed in.
const OWN: [&str; 5] = ["/me", "/health", "/session", "/session/renew", "/sessions"];

/// Whether a salesperson may call a route; `path` is below `/api/v1`.
#[must_use]
pub fn salesperson_may(method: &Method, path: &str) -> bool {
    let reads = *method == Method::GET;
    OWN.contains(&path)
        || path.starts_with("/me/")
        || ["/notices", "/linkedin/disconnect"].contains(&path)
        || reads && (path.starts_with("/submissions") || path == "/linkedin")
        || is_of_directory(path) && (reads || decides(path))
}

/// Whether a service may call a route; `path` is below `/api/v1`. What is a person's own is refused to
/// API tokens, for another reason than their role.
#[must_use]
pub fn service_may(method: &Method, path: &str) -> bool {
    OWN.contains(&path)
        || *method == Method::POST && path == "/sweep"
        || is_of_directory(path) && !decides(path)
}

fn is_of_directory(path: &str) -> bool {
    let of = path.split('/').nth(1);
    matches!(of, Some("profiles" | "companies"))
}

fn decides(path: &str) -> bool {
    let act = path.rsplit('/').next();
    matches!(act, Some("match" | "unmatch" | "rematch" | "create"))
}
