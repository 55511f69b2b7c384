//! The pages for administrators and sellers: static files, compiled in.
//!
//! Every page is the same document, whose script asks the API for the data to show; so nothing here depends
//! on the user. Names of pages are one level below `/app/`, and the document names its parts relative to
//! itself: it works below a path of a public address too. Files are compressed here, as neither API Gateway
//! nor a distribution that keeps nothing does it.

use std::io::Write;
use std::sync::{Arc, LazyLock, OnceLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use shared::problem::Problem;
use shared::signature::sha256_hex;

use crate::App;

/// The document of every page.
const DOCUMENT: (&str, &str) = ("text/html; charset=utf-8", include_str!("pages/index.html"));

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files that the document loads: name, type, content.
const FILES: &[(&str, &str, &str)] = &[
    (
        "app.css",
        "text/css; charset=utf-8",
        include_str!("pages/app.css"),
    ),
    ("icon.svg", "image/svg+xml", include_str!("pages/icon.svg")),
    ("app.js", SCRIPT, include_str!("pages/app.js")),
    ("activities.js", SCRIPT, include_str!("pages/activities.js")),
    ("activity.js", SCRIPT, include_str!("pages/activity.js")),
    ("add.js", SCRIPT, include_str!("pages/add.js")),
    ("api.js", SCRIPT, include_str!("pages/api.js")),
    ("archive.js", SCRIPT, include_str!("pages/archive.js")),
    (
        "archive-read.js",
        SCRIPT,
        include_str!("pages/archive-read.js"),
    ),
    (
        "connections.js",
        SCRIPT,
        include_str!("pages/connections.js"),
    ),
    ("crm-card.js", SCRIPT, include_str!("pages/crm-card.js")),
    ("crm-users.js", SCRIPT, include_str!("pages/crm-users.js")),
    ("crm.js", SCRIPT, include_str!("pages/crm.js")),
    ("csv.js", SCRIPT, include_str!("pages/csv.js")),
    ("de.js", SCRIPT, include_str!("pages/de.js")),
    ("directory.js", SCRIPT, include_str!("pages/directory.js")),
    ("disk.js", SCRIPT, include_str!("pages/disk.js")),
    ("dom.js", SCRIPT, include_str!("pages/dom.js")),
    ("entry.js", SCRIPT, include_str!("pages/entry.js")),
    ("form.js", SCRIPT, include_str!("pages/form.js")),
    ("champions.js", SCRIPT, include_str!("pages/champions.js")),
    ("export.js", SCRIPT, include_str!("pages/export.js")),
    ("forms.js", SCRIPT, include_str!("pages/forms.js")),
    ("home.js", SCRIPT, include_str!("pages/home.js")),
    (
        "import-runs.js",
        SCRIPT,
        include_str!("pages/import-runs.js"),
    ),
    ("imports.js", SCRIPT, include_str!("pages/imports.js")),
    (
        "lead-settings.js",
        SCRIPT,
        include_str!("pages/lead-settings.js"),
    ),
    (
        "linkedin-sync.js",
        SCRIPT,
        include_str!("pages/linkedin-sync.js"),
    ),
    ("list.js", SCRIPT, include_str!("pages/list.js")),
    ("lists.js", SCRIPT, include_str!("pages/lists.js")),
    ("log.js", SCRIPT, include_str!("pages/log.js")),
    ("mapping.js", SCRIPT, include_str!("pages/mapping.js")),
    (
        "mapping-preview.js",
        SCRIPT,
        include_str!("pages/mapping-preview.js"),
    ),
    ("matching.js", SCRIPT, include_str!("pages/matching.js")),
    (
        "matching-try.js",
        SCRIPT,
        include_str!("pages/matching-try.js"),
    ),
    ("privacy.js", SCRIPT, include_str!("pages/privacy.js")),
    (
        "person-data.js",
        SCRIPT,
        include_str!("pages/person-data.js"),
    ),
    (
        "opportunities.js",
        SCRIPT,
        include_str!("pages/opportunities.js"),
    ),
    (
        "out-of-date.js",
        SCRIPT,
        include_str!("pages/out-of-date.js"),
    ),
    ("question.js", SCRIPT, include_str!("pages/question.js")),
    ("rates.js", SCRIPT, include_str!("pages/rates.js")),
    ("record.js", SCRIPT, include_str!("pages/record.js")),
    ("reference.js", SCRIPT, include_str!("pages/reference.js")),
    ("roi.js", SCRIPT, include_str!("pages/roi.js")),
    ("scoring.js", SCRIPT, include_str!("pages/scoring.js")),
    ("search.js", SCRIPT, include_str!("pages/search.js")),
    ("seats.js", SCRIPT, include_str!("pages/seats.js")),
    ("settings.js", SCRIPT, include_str!("pages/settings.js")),
    (
        "submission-states.js",
        SCRIPT,
        include_str!("pages/submission-states.js"),
    ),
    ("submission.js", SCRIPT, include_str!("pages/submission.js")),
    (
        "submissions.js",
        SCRIPT,
        include_str!("pages/submissions.js"),
    ),
    ("update.js", SCRIPT, include_str!("pages/update.js")),
    (
        "opportunity.js",
        SCRIPT,
        include_str!("pages/opportunity.js"),
    ),
    ("upload.js", SCRIPT, include_str!("pages/upload.js")),
    ("views.js", SCRIPT, include_str!("pages/views.js")),
    ("words.js", SCRIPT, include_str!("pages/words.js")),
    ("zip.js", SCRIPT, include_str!("pages/zip.js")),
];

/// The names of the pages, as the script has them.
const PAGES: &[&str] = &[
    "sign-in",
    "home",
    "submissions",
    "submission",
    "forms",
    "form",
    "mapping",
    "matching",
    "scoring",
    "lead-settings",
    "crm-production",
    "crm-sandbox",
    "linkedin",
    "my-settings",
    "people",
    "person",
    "add-to-crm",
    "update-in-crm",
    "add-to-opportunity",
    "upload-people",
    "companies",
    "company",
    "upload-companies",
    "out-of-date",
    "champions",
    "my-lists",
    "activities",
    "activity",
    "log-activity",
    "linkedin-archive",
    "match-rates",
    "imports",
    "roi",
    "seats",
    "crm-users",
    "api-tokens",
    "api-reference",
    "audit-log",
    "privacy",
    "person-data",
];

/// Nothing but our own files, by no other document; and no text that becomes markup or script, where
/// browsers know trusted types.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// One tag for all files: they are used together, so they change together. Made when a page is first
/// asked for.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut texts = vec![DOCUMENT.1.as_bytes()];
    texts.extend(FILES.iter().map(|(_, _, text)| text.as_bytes()));
    tag_of(&texts)
});

/// The files in gzip, in their order; each is compressed when it is first asked for.
static PACKED: LazyLock<Vec<OnceLock<Option<Vec<u8>>>>> =
    LazyLock::new(|| FILES.iter().map(|_| OnceLock::new()).collect());

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(first))
        .route("/app/{name}", get(file))
}

/// Leads to the first page, at the address that people use: sign-ins come back there.
async fn first(State(app): State<Arc<App>>) -> Response {
    let base = app.public_url.as_str().trim_end_matches('/');
    let Ok(location) = HeaderValue::try_from(format!("{base}/app/home")) else {
        return Problem::internal().into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut files = FILES.iter().zip(PACKED.iter());
    let found = files.find(|((known, ..), _)| *known == name);
    let (kind, text) = found.map_or(DOCUMENT, |((_, kind, text), _)| (*kind, *text));
    let packed = found
        .filter(|_| takes_gzip(&headers))
        .and_then(|((.., text), packed)| packed.get_or_init(|| gzip(text).ok()).as_deref());
    let is_known = found.is_some() || PAGES.contains(&name.as_str());
    let status = if is_known {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let mut response = if is_known && has_kept(&headers, &TAG) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if let Some(packed) = packed {
        let described = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_ENCODING, "gzip"),
        ];
        (status, described, packed).into_response()
    } else {
        (status, [(header::CONTENT_TYPE, kind)], text).into_response()
    };
    guard(response.headers_mut());
    response
}

/// The text as gzip (RFC 1952). Nothing in it is secret, so its length tells nothing.
fn gzip(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// True if the client takes gzip, as its `Accept-Encoding` says.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let taken = headers.get_all(header::ACCEPT_ENCODING).iter();
    taken
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|taken| {
            let (name, weight) = taken.split_once(';').unwrap_or((taken, ""));
            let weight = weight.trim();
            let weight = weight
                .strip_prefix("q=")
                .or_else(|| weight.strip_prefix("Q="));
            name.trim().eq_ignore_ascii_case("gzip")
                && weight
                    .and_then(|weight| weight.parse::<f32>().ok())
                    .is_none_or(|weight| weight > 0.0)
        })
}

/// True if the client has kept the content of this tag, as its `If-None-Match` says.
pub(crate) fn has_kept(headers: &HeaderMap, tag: &str) -> bool {
    let kept = headers.get_all(header::IF_NONE_MATCH).iter();
    kept.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kept| kept.trim().trim_start_matches("W/") == tag)
}

/// The entity tag of content: a hash of its parts.
pub(crate) fn tag_of(parts: &[&[u8]]) -> String {
    let hash = sha256_hex(parts);
    format!("\"{}\"", hash.get(..32).unwrap_or(&hash))
}

fn guard(headers: &mut HeaderMap) {
    // Weak: the same for the plain and for the compressed form.
    if let Ok(tag) = HeaderValue::try_from(format!("W/{}", TAG.as_str())) {
        headers.insert(header::ETAG, tag);
    }
    for (name, value) in [
        // Kept, and asked about each time: files of two versions do not fit together.
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::{HeaderMap, HeaderValue, header};

    use super::{DOCUMENT, FILES, PAGES, gzip, takes_gzip};

    fn text_of(name: &str) -> &'static str {
        let found = FILES.iter().find(|(known, ..)| *known == name);
        found.map(|(_, _, text)| *text).expect(name)
    }

    /// The names of files behind each `before` in a script.
    fn named<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        let parts = text.split(before).skip(1);
        parts.filter_map(|part| part.split('"').next())
    }

    /// The file and all that it imports at once.
    fn with_imports(name: &'static str, all: &mut BTreeSet<&'static str>) {
        if all.insert(name) {
            for imported in named(text_of(name), " from \"./") {
                with_imports(imported, all);
            }
        }
    }

    #[test]
    fn gzip_is_for_clients_that_take_it() {
        for (taken, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0, identity", false),
            ("gzip; Q=0", false),
            ("x-gzip-like, br", false),
        ] {
            let value = HeaderValue::from_static(taken);
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
            assert_eq!(takes_gzip(&headers), expected, "{taken}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    /// In the language with the most to load: English needs no texts of its own.
    #[test]
    fn no_page_transfers_much() {
        let pages: BTreeSet<&str> = named(text_of("app.js"), "import(\"./").collect();
        assert!(pages.len() > 10, "{pages:?}");
        for page in pages {
            let mut files = BTreeSet::from(["app.css", "icon.svg", "de.js"]);
            with_imports("app.js", &mut files);
            with_imports(page, &mut files);
            // Pages of people and of companies are told apart by it.
            with_imports("directory.js", &mut files);
            let packed = |name: &&str| gzip(text_of(name)).unwrap().len();
            let size: usize = files.iter().map(packed).sum();
            assert!(size + DOCUMENT.1.len() <= 120 * 1024, "{page}: {size}");
        }
    }

    #[test]
    fn every_file_is_loaded_by_a_page() {
        let mut files = BTreeSet::from(["app.css", "icon.svg"]);
        with_imports("app.js", &mut files);
        for script in ["app.js", "words.js"] {
            for loaded in named(text_of(script), "import(\"./") {
                with_imports(loaded, &mut files);
            }
        }
        let served: BTreeSet<&str> = FILES.iter().map(|(name, ..)| *name).collect();
        assert_eq!(files, served);
    }

    #[test]
    fn the_script_has_the_pages_that_are_served() {
        let (_, _, script) = FILES.iter().find(|(name, ..)| *name == "app.js").unwrap();
        for page in PAGES {
            assert!(script.contains(&format!("\"{page}\"")), "{page}");
        }
    }

    #[test]
    fn what_a_file_names_is_served_and_nothing_is_of_elsewhere() {
        let served = |name: &str| FILES.iter().any(|(known, ..)| *known == name);
        let attributes = ["href=\"", "src=\""];
        for part in attributes
            .iter()
            .flat_map(|name| DOCUMENT.1.split(name).skip(1))
        {
            let name = part.split('"').next().unwrap();
            assert!(served(name) || name == "#main", "{name}");
        }
        for (name, kind, text) in FILES {
            for before in [" from \"./", "import(\"./"] {
                for imported in named(text, before) {
                    assert!(served(imported), "{name}: {imported}");
                }
            }
            if kind.starts_with("text/javascript") {
                for sink in [
                    "innerHTML",
                    "outerHTML",
                    "insertAdjacent",
                    "document.write",
                    "eval(",
                ] {
                    assert!(!text.contains(sink), "{name} has {sink}");
                }
            }
        }
    }
}
