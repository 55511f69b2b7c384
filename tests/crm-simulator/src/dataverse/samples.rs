//! Rows to look at: a few accounts with people, a lead, and opportunities of every kind.

use serde_json::{Value, json};

use super::Dataverse;
use super::rows::derive;

fn id(number: u32) -> String {
    format!("5f1d0000-0000-4000-a000-{number:012}")
}

impl Dataverse {
    /// Adds the rows that are not there yet.
    pub(crate) fn add_samples(&mut self, now_ms: i64) {
        let seller = self
            .user_named("seller@leadbridge.example")
            .unwrap_or_default();
        let day = |days: i64| crate::clock::format_ms(now_ms + days * 86_400_000, "%Y-%m-%d");
        let (acme, globex, works) = (id(11), id(12), id(13));
        let (ann, bob, cleo) = (id(21), id(22), id(23));
        let currency = super::CURRENCIES.first().map(|(id, ..)| *id);
        let rows = [
            (
                "account",
                acme.clone(),
                json!({
                    "name": "Acme Europe", "customertypecode": 3, "industrycode": 12, "revenue": 12_500_000.0,
                    "numberofemployees": 240, "telephone1": "+49 30 5550100", "websiteurl": "https://acme.example",
                    "address1_city": "Berlin", "address1_country": "Germany",
                }),
            ),
            (
                "account",
                globex.clone(),
                json!({
                    "name": "Globex", "customertypecode": 8, "tickersymbol": "GLBX", "revenue": 98_000_000.0,
                    "numberofemployees": 1800, "websiteurl": "https://globex.example",
                    "address1_city": "Paris", "address1_country": "France",
                }),
            ),
            (
                "account",
                works,
                json!({
                    "name": "Acme Works", "customertypecode": 3, "_parentaccountid_value": acme,
                    "address1_city": "Potsdam", "address1_country": "Germany",
                }),
            ),
            (
                "contact",
                ann.clone(),
                json!({
                    "firstname": "Ann", "lastname": "Archer", "jobtitle": "Head of Purchasing",
                    "department": "Purchasing", "emailaddress1": "ann.archer@acme.example",
                    "telephone1": "+49 30 5550101", "_parentcustomerid_value": acme,
                    "_parentcustomerid_value/type": "account",
                    "address1_city": "Berlin", "address1_country": "Germany",
                }),
            ),
            (
                "contact",
                bob.clone(),
                json!({
                    "firstname": "Bob", "lastname": "Brandt", "jobtitle": "CFO",
                    "emailaddress1": "bob.brandt@acme.example", "_parentcustomerid_value": acme,
                    "_parentcustomerid_value/type": "account",
                    "address2_city": "Hamburg", "address2_country": "Germany",
                }),
            ),
            (
                "contact",
                cleo.clone(),
                json!({
                    "firstname": "Cleo", "lastname": "Caron", "jobtitle": "CTO",
                    "emailaddress1": "cleo.caron@globex.example", "_parentcustomerid_value": globex,
                    "_parentcustomerid_value/type": "account",
                    "address1_city": "Paris", "address1_country": "France",
                }),
            ),
            (
                "lead",
                id(31),
                json!({
                    "firstname": "Dora", "lastname": "Dietz", "companyname": "Initech",
                    "jobtitle": "Operations Manager", "emailaddress1": "dora.dietz@initech.example",
                    "leadsourcecode": 8, "address1_city": "Vienna", "address1_country": "Austria",
                    "_transactioncurrencyid_value": currency,
                }),
            ),
            (
                "opportunity",
                id(41),
                json!({
                    "name": "Acme Europe: 40 seats", "_parentaccountid_value": acme, "_parentcontactid_value": ann,
                    "estimatedvalue": 48_000.0, "estimatedclosedate": day(30), "salesstage": 2,
                    "stepname": "3-Propose", "_transactioncurrencyid_value": currency,
                }),
            ),
            (
                "opportunity",
                id(42),
                json!({
                    "name": "Globex: pilot", "_parentaccountid_value": globex, "_parentcontactid_value": cleo,
                    "estimatedvalue": 9_500.0, "estimatedclosedate": day(75), "salesstage": 0,
                    "stepname": "1-Qualify", "_transactioncurrencyid_value": currency,
                }),
            ),
            (
                "opportunity",
                id(43),
                json!({
                    "name": "Acme Europe: renewal", "_parentaccountid_value": acme, "_parentcontactid_value": bob,
                    "estimatedvalue": 36_000.0, "actualvalue": 36_000.0, "actualclosedate": day(-20),
                    "salesstage": 3, "stepname": "4-Close", "statecode": 1, "statuscode": 3,
                    "_transactioncurrencyid_value": currency,
                }),
            ),
            (
                "opportunity",
                id(44),
                json!({
                    "name": "Globex: on-site training", "_parentaccountid_value": globex,
                    "estimatedvalue": 4_000.0, "actualvalue": 0.0, "actualclosedate": day(-45),
                    "salesstage": 1, "stepname": "2-Develop", "statecode": 2, "statuscode": 4,
                    "_transactioncurrencyid_value": currency,
                }),
            ),
        ];
        for (table, id, given) in rows {
            let (Value::Object(given), Some(ty)) = (given, self.table(table)) else {
                continue;
            };
            if self.store.get(table, &id).is_some() {
                continue;
            }
            let mut row = self.fresh(&ty, &seller);
            row.extend(given);
            derive(&ty, &mut row);
            self.seed(table, &id, Value::Object(row), now_ms);
        }
    }
}
