//! The API's routes and its description.
//!
//! The description is a file, so that the function builds only routes at start: building both took most of
//! the start's time. The file is generated from the handlers' own annotations. A test checks that it is
//! current: after a change the test fails, and writes the file anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Map, Value, json};
use shared::problem::Problem;

use crate::App;
use crate::pages::{has_kept, tag_of};

/// The API's description: OpenAPI 3.1.
pub const DESCRIPTION: &str = include_str!("../openapi.json");

/// The description, read. Made when a part of it is first asked for.
static WHOLE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(DESCRIPTION).unwrap_or_default());

/// Serves the description to everybody; clients keep it, and ask whether it is still the one. `?index` is its
/// operations with their summaries, and `?part=` with the first name of a path everything about the paths of
/// that name: pages load no more than they show.
pub(crate) async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let query = uri.query().unwrap_or_default();
    let text = if query == "index" {
        Some(index_of(&WHOLE).to_string())
    } else if let Some(name) = query.strip_prefix("part=") {
        part_of(&WHOLE, name).map(|part| part.to_string())
    } else {
        // Without the indents that make the file's changes readable: no text in JSON has a line break.
        Some(DESCRIPTION.lines().map(str::trim_start).collect())
    };
    let Some(text) = text else {
        return Problem::not_found("part of the description").into_response();
    };
    let tag = tag_of(&[text.as_bytes()]);
    let kept = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    if has_kept(&headers, &tag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kept, kind, text).into_response()
}

/// The description without components, and with nothing of an operation but its summary, description and tags.
fn index_of(whole: &Value) -> Value {
    let mut index = whole.clone();
    if let Some(description) = index.as_object_mut() {
        description.remove("components");
    }
    let paths = index.get_mut("paths").and_then(Value::as_object_mut);
    for item in paths.into_iter().flat_map(Map::values_mut) {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(operation) = operation.as_object_mut() {
                operation
                    .retain(|name, _| matches!(name.as_str(), "summary" | "description" | "tags"));
            }
        }
    }
    index
}

/// The first name of a path below the API's root.
fn name_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/")?.split('/').next()
}

/// The paths of one name, with all components that they refer to.
fn part_of(whole: &Value, name: &str) -> Option<Value> {
    let paths = whole.get("paths")?.as_object()?;
    let paths: Map<String, Value> = paths
        .iter()
        .filter(|(path, _)| name_of(path) == Some(name))
        .map(|(path, item)| (path.clone(), item.clone()))
        .collect();
    if paths.is_empty() {
        return None;
    }
    let mut references: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Value> = paths.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                let reference = fields.get("$ref").and_then(Value::as_str);
                if let Some(reference) = reference
                    && references.insert(reference)
                {
                    open.extend(whole.pointer(reference.trim_start_matches('#')));
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    let mut components: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for reference in references {
        let names = reference.strip_prefix("#/components/");
        if let Some((kind, name)) = names.and_then(|names| names.split_once('/'))
            && let Some(component) = whole.pointer(reference.trim_start_matches('#'))
        {
            let of_kind = components.entry(kind).or_default();
            of_kind.insert(name.to_owned(), component.clone());
        }
    }
    Some(json!({ "paths": paths, "components": components }))
}

/// The handlers of one address, by method.
pub(crate) struct Address {
    pub(crate) path: String,
    pub(crate) methods: MethodRouter<Arc<App>>,
    #[cfg(test)]
    pub(crate) described: utoipa_axum::router::UtoipaMethodRouter<Arc<App>>,
}

/// The [`Address`] of handlers, which their `#[utoipa::path]` names: as `utoipa_axum::routes!`, without
/// building their description.
macro_rules! routes {
    ($($handler:ident),+ $(,)?) => {
        utoipa_axum::paste! {{
            use utoipa::Path as _;
            use utoipa_axum::PathItemExt as _;
            let mut methods = axum::routing::MethodRouter::new();
            let paths = [$({
                for method in [<__path_ $handler>]::methods() {
                    methods = methods.on(method.to_method_filter(), $handler);
                }
                [<__path_ $handler>]::path()
            }),+];
            let [path, ..] = paths;
            $crate::described::Address {
                path,
                methods,
                #[cfg(test)]
                described: utoipa_axum::routes!($($handler),+),
            }
        }}
    };
}
pub(crate) use routes;

/// Routes; in tests with their description.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Arc<App>>,
    #[cfg(test)]
    described: utoipa_axum::router::OpenApiRouter<Arc<App>>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn routes(self, address: Address) -> Self {
        Self {
            router: self.router.route(&address.path, address.methods),
            #[cfg(test)]
            described: self.described.routes(address.described),
        }
    }

    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            router: self.router.merge(other.router),
            #[cfg(test)]
            described: self.described.merge(other.described),
        }
    }

    /// The routes as they are served.
    pub(crate) fn router(self) -> Router<Arc<App>> {
        self.router
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Serialize as _;
    use serde_json::Value;
    use utoipa::OpenApi as _;
    use utoipa::openapi::header::HeaderBuilder;
    use utoipa::openapi::path::{Operation, ParameterIn};
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme,
    };
    use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
    use utoipa_axum::router::OpenApiRouter;

    use super::{DESCRIPTION, index_of, name_of, part_of};
    use crate::routes;

    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(title = "Leadbridge API", description = "Lead-gen forms to leads in the CRM. Times are milliseconds since 1970-01-01T00:00:00Z. Errors are RFC 9457 problem+json with a stable `code`, the `field`, and the `next_step`.", license(name = "Apache-2.0")),
        modifiers(&Credentials),
        components(schemas(shared::problem::Problem)),
        security(("bearer" = []), ("session" = [], "csrf" = []))
    )]
    struct Description;

    struct Credentials;

    impl utoipa::Modify for Credentials {
        fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An API token of one contract: `lbt.<contract>.<id>.<secret>`. Its role decides what it may do."))
                .build();
            let session = ApiKeyValue::with_description(
                "__Host-lb_session",
                "The cookie of somebody who signed in, at /oauth/sign-in/{salesforce|entra}?contract=….",
            );
            let csrf = ApiKeyValue::with_description(
                "X-CSRF-Token",
                "With the cookie, for everything but GET: the csrf_token of GET /api/v1/session.",
            );
            let components = openapi.components.get_or_insert_with(Default::default);
            components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
            components
                .add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
            components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
        }
    }

    /// The refusals that any route can answer with, and when.
    const REFUSALS: [(&str, &str); 12] = [
        ("400", "The body, the query or a cursor cannot be read"),
        ("401", "No valid API token or session"),
        (
            "403",
            "The role may not do this, or a session's CSRF token is missing",
        ),
        ("404", "There is no such thing, or it is another contract's"),
        (
            "409",
            "What is there now forbids it, or others are changing it",
        ),
        ("413", "The body is too large"),
        ("415", "The body has another media type"),
        ("422", "A value in the body is not allowed"),
        (
            "429",
            "Too many requests: by the service's own limit, or the provider's",
        ),
        (
            "502",
            "The CRM, LinkedIn or the sign-in server refuses, or answers with what is none of its answers",
        ),
        (
            "503",
            "The table, the key service or the CRM does not answer now",
        ),
        ("504", "The CRM or LinkedIn did not answer in time"),
    ];

    /// Describes the refusals of every route as problem details, and adds the refusals that a handler's
    /// extractors make, so that handlers need not name these.
    fn describe_refusals(description: &mut OpenApi) {
        for item in description.paths.paths.values_mut() {
            let (get, rest) = (
                &mut item.get,
                [
                    &mut item.post,
                    &mut item.put,
                    &mut item.patch,
                    &mut item.delete,
                ],
            );
            let reads = get.as_mut().into_iter().map(|operation| (operation, false));
            let writes = rest
                .into_iter()
                .flatten()
                .map(|operation| (operation, true));
            for (operation, writes) in reads.chain(writes) {
                describe_refusals_of(operation, writes);
            }
        }
        let components = description.components.get_or_insert_with(Default::default);
        for (status, when) in REFUSALS {
            let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let mut response = ResponseBuilder::new()
                .description(when)
                .content("application/problem+json", content);
            if matches!(status, "429" | "503") {
                let seconds = HeaderBuilder::new()
                    .description(Some("Seconds until it is worth another try"))
                    .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
                    .build();
                response = response.header("Retry-After", seconds);
            }
            components
                .responses
                .insert(format!("Problem{status}"), response.build().into());
        }
    }

    fn describe_refusals_of(operation: &mut Operation, writes: bool) {
        let has_parameter = |place: ParameterIn| {
            let mut all = operation.parameters.iter().flatten();
            all.any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == place))
        };
        // Only routes that declare it themselves are open to everybody.
        let for_callers = operation.security.is_none();
        let has_body = operation.request_body.is_some();
        let found = [
            ("400", has_body || has_parameter(ParameterIn::Query)),
            ("401", for_callers),
            ("403", for_callers),
            // A contract that was deleted since its token was read, too.
            ("404", for_callers),
            ("409", for_callers && writes),
            ("413", has_body),
            ("415", has_body),
            ("422", has_body),
            ("429", true),
            ("503", for_callers),
        ];
        let named: Vec<String> = operation.responses.responses.keys().cloned().collect();
        let named = named.iter().map(String::as_str);
        let refusals = named.filter(|status| status.starts_with(['4', '5']));
        let added = found
            .into_iter()
            .filter_map(|(status, is)| is.then_some(status));
        let all: BTreeSet<String> = refusals.chain(added).map(str::to_owned).collect();
        for status in all {
            assert!(
                REFUSALS.iter().any(|(known, _)| *known == status),
                "{status} is not among the refusals"
            );
            let reference = Ref::from_response_name(format!("Problem{status}"));
            operation
                .responses
                .responses
                .insert(status, RefOr::Ref(reference));
        }
    }

    /// The description generated from the code.
    fn generated() -> String {
        let (_, mut description) = OpenApiRouter::with_openapi(Description::openapi())
            .nest("/api/v1", routes::all().described)
            .split_for_parts();
        describe_refusals(&mut description);
        // Lines, so that changes can be read.
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut text = serde_json::Serializer::with_formatter(Vec::new(), format);
        description.serialize(&mut text).unwrap();
        String::from_utf8(text.into_inner()).unwrap() + "\n"
    }

    #[test]
    fn the_description_is_that_of_the_code() {
        let now = generated();
        if now != DESCRIPTION {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
            std::fs::write(file, now).unwrap();
            panic!(
                "openapi.json was old, and is written anew: look at what changed, and commit it"
            );
        }
    }

    #[test]
    fn parts_hold_everything_and_are_small() {
        let whole: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let index = index_of(&whole);
        let paths = whole["paths"].as_object().unwrap();
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                let listed = &index["paths"][path][method];
                assert_eq!(listed["summary"], operation["summary"], "{method} {path}");
                assert!(listed.get("responses").is_none());
            }
        }
        let names: BTreeSet<&str> = paths.keys().filter_map(|path| name_of(path)).collect();
        let mut found = 0;
        for name in names {
            let part = part_of(&whole, name).unwrap();
            for (path, item) in part["paths"].as_object().unwrap() {
                assert_eq!(item, &whole["paths"][path]);
                found += 1;
            }
            let text = part.to_string();
            for reference in text.split("\"$ref\":\"#").skip(1) {
                let pointer = reference.split('"').next().unwrap();
                assert!(part.pointer(pointer).is_some(), "{name}: {pointer}");
                assert_eq!(part.pointer(pointer), whole.pointer(pointer));
            }
            // With the files of the reference's page, which take some 70 KB packed, at most 150 KB.
            let size = index.to_string().len() + text.len();
            assert!(size <= 70 * 1024, "{name}: {size}");
        }
        assert_eq!(found, paths.len());
        assert_eq!(part_of(&whole, "nothing"), None);
    }
}
