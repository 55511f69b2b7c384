//! A person's employer, as a record of the CRM or an entry of the directory states it (SV-7, SV-8).

use matching::Record;
use matching::employer::Employer;

use crate::directory::registered_domain;

/// The employer that a person's record states. The domain of its website counts before those of the e-mail
/// addresses; a mailbox provider's and a site on which any company can have a page do not.
#[must_use]
pub fn employer(record: &Record) -> Employer {
    let website = registered_domain(&record.website);
    match &website {
        Some(domain) => Employer::new(&record.company, [domain.as_str()]).at_own_domain(),
        None => Employer::new(&record.company, record.emails.iter().map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use matching::Record;
    use matching::employer::{Certainty, Verdict};

    use super::employer;

    fn person(company: &str, website: &str, email: &str) -> Record {
        Record {
            company: company.to_owned(),
            website: website.to_owned(),
            emails: vec![email.to_owned()],
            ..Record::default()
        }
    }

    #[test]
    fn a_site_of_everybody_is_no_employer() {
        let old = employer(&person(
            "Globex",
            "https://linkedin.com/company/globex",
            "a@gmail.com",
        ));
        let new = employer(&person(
            "Initech",
            "https://linkedin.com/company/initech",
            "a@gmail.com",
        ));
        assert_eq!(old.compare(&new), Verdict::Different(Certainty::Sure));
        let new = employer(&person("Initech", "globex.com", "a@gmail.com"));
        let old = employer(&person("Globex", "", "a@globex.com"));
        assert_eq!(old.compare(&new), Verdict::Unknown);
    }
}
