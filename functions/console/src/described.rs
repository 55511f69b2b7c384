//! The API's routes and its description.
//!
//! The description is a file, so that the function builds only routes at start: building both took most of
//! the start's time. The file is generated from the handlers' own annotations. A test checks that it is
//! current: after a change the test fails, and writes the file anew.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use http::{HeaderMap, StatusCode, header};

use crate::App;
use crate::pages::{has_kept, tag_of};

/// The API's description: OpenAPI 3.1.
pub const DESCRIPTION: &str = include_str!("../openapi.json");

/// The description as it is served, without the indents that make the file's changes readable, and its entity
/// tag. Made when it is first asked for. No text in JSON has a line break, so a line begins with its indent.
static SERVED: LazyLock<(String, String)> = LazyLock::new(|| {
    let text: String = DESCRIPTION.lines().map(str::trim_start).collect();
    let tag = tag_of(&[text.as_bytes()]);
    (text, tag)
});

/// Serves the description to everybody; clients keep it, and ask whether it is still the one.
pub(crate) async fn serve(headers: HeaderMap) -> Response {
    let (text, tag) = &*SERVED;
    let kept = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    if has_kept(&headers, tag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kept, kind, text.as_str()).into_response()
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
    use utoipa::OpenApi as _;
    use utoipa::openapi::header::HeaderBuilder;
    use utoipa::openapi::path::{Operation, ParameterIn};
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme,
    };
    use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
    use utoipa_axum::router::OpenApiRouter;

    use super::DESCRIPTION;
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
}
