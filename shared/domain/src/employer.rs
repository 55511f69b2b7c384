//! A person's employer, as a record of the CRM or an entry of the directory states it (SV-7, SV-8).

use matching::Record;
use matching::employer::Employer;
use matching::text::fold;

use crate::directory::registered_domain;

/// The employer that a person's record states. The domain of its website counts before those of the e-mail
/// addresses; a mailbox provider's and a site on which any company can have a page do not. An account of the
/// person's own name, as CRMs make for private customers, is no employer.
#[must_use]
pub fn employer(record: &Record) -> Employer {
    let own = fold(&format!("{} {}", record.first_name, record.last_name));
    if !own.is_empty() && own == fold(&record.company) {
        return Employer::default();
    }
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
    fn a_person_is_not_their_own_employer() {
        let mut own = person("Ann MEIER", "", "a@gmail.com");
        let other = employer(&person("Globex", "", "a@gmail.com"));
        assert!(employer(&own).compare(&other).change().is_some());
        (own.first_name, own.last_name) = ("Ann".to_owned(), "Meier".to_owned());
        assert_eq!(employer(&own).compare(&other), Verdict::Unknown);
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
