//! The permissions of each role on the API's routes, as in the README's table.

use reqwest::Method;

/// The routes open to everybody who is signed in.
const OWN: [&str; 5] = ["/me", "/health", "/session", "/session/renew", "/sessions"];

/// True if a salesperson may call a route; `path` is below `/api/v1`.
#[must_use]
pub fn salesperson_may(method: &Method, path: &str) -> bool {
    let reads = *method == Method::GET;
    OWN.contains(&path)
        || path.starts_with("/me/")
        || path.starts_with("/activities")
        || path.starts_with("/champions")
        || path.starts_with("/lists")
        || path.starts_with("/data-validation")
        || path.starts_with("/crm/")
        || ["/notices", "/linkedin/disconnect"].contains(&path)
        || reads && (path.starts_with("/submissions") || path == "/linkedin")
        || ["/roi", "/roi/opportunities"].contains(&path)
        || is_of_directory(path) && (reads || decides(path))
}

/// True if a service may call a route; `path` is below `/api/v1`. A person's own routes are refused to API
/// tokens for another reason than their role.
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
