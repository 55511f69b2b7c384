//! The exact forms of the providers' host names: tokens are sent to no other host.
//!
//! A suffix alone is not enough: below `salesforce.com`, `force.com` and `dynamics.com` there are pages
//! and services of customers' own making.
//!
//! Sources: Salesforce Help ("My Domain URL Formats", "Partitioned Domains"); Microsoft's pages on
//! discovering the URL of an organization and on data centre regions; Microsoft's and LinkedIn's pages
//! on their sign-in endpoints.

use crate::provider::Provider;

/// The sign-in pages that all Salesforce organisations share.
const SALESFORCE_LOGINS: &[&str] = &[
    "login.salesforce.com",
    "test.salesforce.com",
    "welcome.salesforce.com",
];
/// The partitions of My Domain host names, by the kind of organisation.
const SALESFORCE_PARTITIONS: &[&str] = &[
    "sandbox",
    "develop",
    "scratch",
    "demo",
    "free",
    "patch",
    "trailblaze",
];
/// Domains of Dataverse organisations in the government clouds and in China.
const DATAVERSE_NATIONAL: &[&str] = &[
    "crm.microsoftdynamics.us",
    "crm.appsplatform.us",
    "crm.dynamics.cn",
];
/// Names of services that take the place of an organisation's name.
const DATAVERSE_SERVICES: &[&str] = &["api", "www", "disco", "globaldisco", "port"];

/// True if a host, in lower case, is one of the provider's hosts that Leadbridge calls.
#[must_use]
pub fn is_of(provider: Provider, host: &str) -> bool {
    match provider {
        Provider::Salesforce => is_salesforce_login(host) || is_salesforce_instance(host),
        Provider::Dataverse => is_dataverse(host),
        Provider::Entra => matches!(
            host,
            "login.microsoftonline.com"
                | "login.microsoftonline.us"
                | "login.partner.microsoftonline.cn"
        ),
        Provider::LinkedIn => matches!(host, "www.linkedin.com" | "api.linkedin.com"),
    }
}

/// True if a host is a Salesforce sign-in page: a shared one, or an organisation's own.
#[must_use]
pub fn is_salesforce_login(host: &str) -> bool {
    SALESFORCE_LOGINS.contains(&host) || is_my_domain(host)
}

/// True if a host is a Salesforce organisation's own (My Domain): `acme.my.salesforce.com`,
/// `acme--uat.sandbox.my.salesforce.com`, `acme--uat.cs12.my.salesforce.com`; `.mil` for the department of
/// defence.
#[must_use]
pub fn is_my_domain(host: &str) -> bool {
    let before = host
        .strip_suffix(".my.salesforce.com")
        .or_else(|| host.strip_suffix(".my.salesforce.mil"));
    let Some(before) = before else { return false };
    match before.split_once('.') {
        None => is_label(before),
        Some((name, partition)) => {
            is_label(name) && (SALESFORCE_PARTITIONS.contains(&partition) || is_instance(partition))
        }
    }
}

/// An instance's own host (`na1.salesforce.com`), which organisations had before My Domain.
fn is_salesforce_instance(host: &str) -> bool {
    host.strip_suffix(".salesforce.com")
        .is_some_and(is_instance)
}

/// `na46`, `cs12`, `usa2s`.
fn is_instance(label: &str) -> bool {
    let letters = label.bytes().take_while(u8::is_ascii_lowercase).count();
    let digits = label.get(letters..).unwrap_or_default();
    let digits = digits.strip_suffix('s').unwrap_or(digits);
    (2..=4).contains(&letters)
        && (1..=4).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// True if a host belongs to a Dataverse organisation: `acme.crm4.dynamics.com`,
/// `acme.api.crm4.dynamics.com`, and the same in a national cloud.
#[must_use]
pub fn is_dataverse(host: &str) -> bool {
    let Some((organization, region)) = host.split_once('.') else {
        return false;
    };
    let region = region.strip_prefix("api.").unwrap_or(region);
    is_label(organization)
        && !DATAVERSE_SERVICES.contains(&organization)
        && (DATAVERSE_NATIONAL.contains(&region) || is_commercial_region(region))
}

/// `crm.dynamics.com`, `crm4.dynamics.com`, `crm21.dynamics.com`.
fn is_commercial_region(region: &str) -> bool {
    let number = region
        .strip_suffix(".dynamics.com")
        .and_then(|label| label.strip_prefix("crm"));
    number.is_some_and(|number| {
        number.len() <= 2
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !number.starts_with('0')
    })
}

/// True for a host name's label that an organisation may choose: letters, digits and hyphens, none at its
/// ends.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::{is_my_domain, is_of, is_salesforce_login};
    use crate::provider::Provider;

    #[test]
    fn dataverse_hosts_have_one_of_their_forms() {
        for host in [
            "acme.crm.dynamics.com",
            "acme.crm4.dynamics.com",
            "acme.crm21.dynamics.com",
            "acme.api.crm4.dynamics.com",
            "org-1a2b3c.crm9.dynamics.com",
            "acme.crm.microsoftdynamics.us",
            "acme.api.crm.microsoftdynamics.us",
            "acme.crm.appsplatform.us",
            "acme.crm.dynamics.cn",
            "acme.api.crm.dynamics.cn",
        ] {
            assert!(is_of(Provider::Dataverse, host), "{host}");
        }
        for host in [
            "crmevil123aos.cloudax.dynamics.com",
            "a.crmevil.dynamics.com",
            "acme.crm4a.dynamics.com",
            "acme.crm04.dynamics.com",
            "acme.crm123.dynamics.com",
            "acme.crm-4.dynamics.com",
            "crm4.dynamics.com",
            "crm.dynamics.com",
            "api.crm4.dynamics.com",
            "globaldisco.crm.dynamics.com",
            "acme.evil.crm4.dynamics.com",
            "acme.api.api.crm4.dynamics.com",
            "acme.crm4.dynamics.com.",
            "acme.crm4.dynamics.com.evil.example",
            "acme.crm4.evil.dynamics.com",
            "acmecrm4.dynamics.com",
            "acme.xcrm4.dynamics.com",
            "acme.crm4.dynamics.cn",
            "acme.crm.dynamics.us",
            "acme.crm4dynamics.com",
            "a_b.crm4.dynamics.com",
            "-a.crm4.dynamics.com",
            ".crm4.dynamics.com",
            "www.dynamics.com",
            "",
        ] {
            assert!(!is_of(Provider::Dataverse, host), "{host}");
        }
    }

    #[test]
    fn salesforce_hosts_have_one_of_their_forms() {
        for host in [
            "acme.my.salesforce.com",
            "acme-dev-ed.my.salesforce.com",
            "acme-dev-ed.develop.my.salesforce.com",
            "acme--uat.sandbox.my.salesforce.com",
            "acme--uat.my.salesforce.com",
            "acme--uat.cs12.my.salesforce.com",
            "acme.my.salesforce.mil",
            "acme.scratch.my.salesforce.com",
            "acme.trailblaze.my.salesforce.com",
        ] {
            assert!(
                is_my_domain(host) && is_of(Provider::Salesforce, host),
                "{host}"
            );
        }
        assert!(is_of(Provider::Salesforce, "na46.salesforce.com"));
        assert!(!is_salesforce_login("na46.salesforce.com"));
        for login in ["login.salesforce.com", "test.salesforce.com"] {
            assert!(is_salesforce_login(login) && is_of(Provider::Salesforce, login));
        }
        for host in [
            "salesforce.com",
            "www.salesforce.com",
            "my.salesforce.com",
            "evil.salesforce.com",
            "acme.force.com",
            "acme.my.site.com",
            "acme.secure.force.com",
            "acme.lightning.force.com",
            "acme.cloudforce.com",
            "acme.evil.my.salesforce.com",
            "a.b.sandbox.my.salesforce.com",
            "acme.my.salesforce.com.",
            "acme.my.salesforce.com.evil.example",
            "acme.mysalesforce.com",
            "evilmy.salesforce.com",
            "acme.my.salesforce.mil.example",
            "login.salesforce.mil",
            "na.salesforce.com",
            "na46.evil.salesforce.com",
            "acme.my.salesforce-sites.com",
        ] {
            assert!(!is_of(Provider::Salesforce, host), "{host}");
        }
    }

    #[test]
    fn sign_in_servers_are_exactly_these() {
        assert!(is_of(Provider::Entra, "login.microsoftonline.com"));
        assert!(is_of(Provider::LinkedIn, "api.linkedin.com"));
        for (provider, host) in [
            (Provider::Entra, "evil.login.microsoftonline.com"),
            (Provider::Entra, "microsoftonline.com"),
            (Provider::LinkedIn, "evil.linkedin.com"),
            (Provider::LinkedIn, "linkedin.com"),
        ] {
            assert!(!is_of(provider, host), "{host}");
        }
    }
}
