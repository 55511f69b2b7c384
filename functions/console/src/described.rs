//! The API's routes and its description.
//!
//! The description is a file, so that a start of the function builds routes alone: building both took
//! most of it. It is generated from the handlers' own annotations, and a test holds it to them. After a
//! change the test below fails, and writes it anew.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::App;

/// The API's description: OpenAPI 3.1.
pub const DESCRIPTION: &str = include_str!("../openapi.json");

/// The handlers of one address, by method.
pub(crate) struct Address {
    pub(crate) path: String,
    pub(crate) methods: MethodRouter<Arc<App>>,
    #[cfg(test)]
    pub(crate) described: utoipa_axum::router::UtoipaMethodRouter<Arc<App>>,
}

/// The [`Address`] of handlers, which their `#[utoipa::path]` names: as `utoipa_axum::routes!`, without
/// building what describes them.
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
    use serde::Serialize as _;
    use utoipa::OpenApi as _;
    use utoipa::openapi::security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme,
    };
    use utoipa_axum::router::OpenApiRouter;

    use super::DESCRIPTION;
    use crate::routes;

    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(title = "Leadbridge API", description = "Lead-gen forms to leads in the CRM. Times are milliseconds since 1970-01-01T00:00:00Z. Errors are RFC 9457 problem+json with a stable `code`, the `field`, and the `next_step`.", license(name = "Apache-2.0")),
        modifiers(&Credentials),
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

    /// The description as the code has it.
    fn generated() -> String {
        let (_, description) = OpenApiRouter::with_openapi(Description::openapi())
            .nest("/api/v1", routes::all().described)
            .split_for_parts();
        // Lines, so that changes can be read; one space, since it is served as it is.
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
