//! Configuration from environment variables, parsed at init into types. Anything missing or
//! malformed stops the function there, by name.

use std::str::FromStr;

use url::Url;

use crate::outbound::{AllowList, Endpoints};

/// A variable that is missing or cannot be read. Names the variable, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name}: {reason}")]
pub struct ConfigError {
    /// The variable.
    pub name: &'static str,
    /// The reason.
    pub reason: String,
}

/// The source of variables: the process in a function, a map in tests and in the local stack.
pub struct Source(Lookup);

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Source {
    /// The process's environment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn environment() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// A fixed set of variables.
    #[must_use]
    pub fn fixed(variables: std::collections::BTreeMap<String, String>) -> Self {
        Self(Box::new(move |name| variables.get(name).cloned()))
    }

    /// A variable that must be set and not blank.
    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or_else(|| ConfigError {
            name,
            reason: "is not set".to_owned(),
        })
    }

    /// A variable that may be absent or blank.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// A variable that must be set, parsed.
    pub fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, ConfigError>
    where
        T::Err: std::fmt::Display,
    {
        self.required(name)?
            .parse()
            .map_err(|error: T::Err| ConfigError {
                name,
                reason: error.to_string(),
            })
    }

    fn url_or(&self, name: &'static str, default: &str) -> Result<Url, ConfigError> {
        let text = self.optional(name).unwrap_or_else(|| default.to_owned());
        Url::parse(&text).map_err(|error| ConfigError {
            name,
            reason: error.to_string(),
        })
    }

    /// `LEADBRIDGE_OUTBOUND_ALLOW`: further origins that outbound calls may go to, separated by
    /// commas. Empty in production.
    pub fn allow_list(&self) -> Result<AllowList, ConfigError> {
        const NAME: &str = "LEADBRIDGE_OUTBOUND_ALLOW";
        let mut origins = Vec::new();
        for text in self
            .optional(NAME)
            .unwrap_or_default()
            .split(',')
            .filter(|text| !text.is_empty())
        {
            let url = Url::parse(text.trim()).map_err(|error| ConfigError {
                name: NAME,
                reason: error.to_string(),
            })?;
            origins.push(url.origin());
        }
        Ok(AllowList::new(origins))
    }

    /// `LEADBRIDGE_LINKEDIN_API_URL`, `LEADBRIDGE_LINKEDIN_AUTH_URL`, `LEADBRIDGE_ENTRA_URL`: the
    /// providers' fixed addresses.
    pub fn endpoints(&self) -> Result<Endpoints, ConfigError> {
        Ok(Endpoints {
            linkedin_api: self.url_or("LEADBRIDGE_LINKEDIN_API_URL", "https://api.linkedin.com")?,
            linkedin_auth: self
                .url_or("LEADBRIDGE_LINKEDIN_AUTH_URL", "https://www.linkedin.com")?,
            entra: self.url_or("LEADBRIDGE_ENTRA_URL", "https://login.microsoftonline.com")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn a_missing_variable_is_named() {
        let source = Source::fixed([("A".to_owned(), " ".to_owned())].into());
        assert_eq!(
            source.required("A").unwrap_err().to_string(),
            "environment variable A: is not set"
        );
        assert!(source.parsed::<u16>("B").is_err());
        assert_eq!(
            source.endpoints().unwrap().entra.as_str(),
            "https://login.microsoftonline.com/"
        );
    }
}
