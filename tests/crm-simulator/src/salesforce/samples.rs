//! Rows to look at: a few accounts with people, a lead, and opportunities of every kind.

use serde_json::{Value, json};

use super::{Org, ids, records};
use crate::http::Row;

/// Numbers of sample records: beyond those that are counted up.
const FIRST: u64 = 9_000_000;

impl Org {
    /// Adds the rows that are not there yet, deleted ones included.
    pub(super) fn add_samples(&mut self, now_ms: i64) {
        let id =
            |prefix: &str, number: u64| ids::make(prefix, super::pod(self.sandbox), FIRST + number);
        let seller = self.user_named("seller").unwrap_or_default();
        let day = |days: i64| crate::clock::format_ms(now_ms + days * 86_400_000, "%Y-%m-%d");
        let (acme, globex, works) = (id("001", 1), id("001", 2), id("001", 3));
        let (ann, bob, cleo) = (id("003", 1), id("003", 2), id("003", 3));
        let rows = [
            (
                "Account",
                acme.clone(),
                json!({
                    "Name": "Acme Europe", "Type": "Customer - Direct", "Industry": "Manufacturing",
                    "AnnualRevenue": 12_500_000, "NumberOfEmployees": 240, "Phone": "+49 30 5550100",
                    "Website": "https://acme.example", "BillingCity": "Berlin", "BillingCountry": "Germany",
                }),
            ),
            (
                "Account",
                globex.clone(),
                json!({
                    "Name": "Globex", "Type": "Prospect", "Industry": "Technology", "TickerSymbol": "GLBX",
                    "AnnualRevenue": 98_000_000, "NumberOfEmployees": 1800, "Website": "https://globex.example",
                    "BillingCity": "Paris", "BillingCountry": "France",
                }),
            ),
            (
                "Account",
                works,
                json!({
                    "Name": "Acme Works", "ParentId": acme, "Type": "Customer - Direct",
                    "BillingCity": "Potsdam", "BillingCountry": "Germany",
                }),
            ),
            (
                "Contact",
                ann.clone(),
                json!({
                    "FirstName": "Ann", "LastName": "Archer", "AccountId": acme, "Title": "Head of Purchasing",
                    "Department": "Purchasing", "Email": "ann.archer@acme.example", "Phone": "+49 30 5550101",
                    "LeadSource": "Web", "MailingCity": "Berlin", "MailingCountry": "Germany",
                }),
            ),
            (
                "Contact",
                bob.clone(),
                json!({
                    "FirstName": "Bob", "LastName": "Brandt", "AccountId": acme, "Title": "CFO",
                    "Email": "bob.brandt@acme.example", "OtherCity": "Hamburg", "OtherCountry": "Germany",
                }),
            ),
            (
                "Contact",
                cleo.clone(),
                json!({
                    "FirstName": "Cleo", "LastName": "Caron", "AccountId": globex, "Title": "CTO",
                    "Email": "cleo.caron@globex.example", "MailingCity": "Paris", "MailingCountry": "France",
                }),
            ),
            (
                "Lead",
                id("00Q", 1),
                json!({
                    "FirstName": "Dora", "LastName": "Dietz", "Company": "Initech", "Title": "Operations Manager",
                    "Email": "dora.dietz@initech.example", "Status": "Open - Not Contacted", "LeadSource": "Web",
                    "City": "Vienna", "Country": "Austria",
                }),
            ),
            (
                "Opportunity",
                id("006", 1),
                json!({
                    "Name": "Acme Europe: 40 seats", "AccountId": acme, "StageName": "Proposal/Price Quote",
                    "Amount": 48_000.0, "CloseDate": day(30),
                }),
            ),
            (
                "Opportunity",
                id("006", 2),
                json!({
                    "Name": "Globex: pilot", "AccountId": globex, "StageName": "Qualification",
                    "Amount": 9_500.0, "CloseDate": day(75),
                }),
            ),
            (
                "Opportunity",
                id("006", 3),
                json!({
                    "Name": "Acme Europe: renewal", "AccountId": acme, "StageName": "Closed Won",
                    "Amount": 36_000.0, "CloseDate": day(-20),
                }),
            ),
            (
                "Opportunity",
                id("006", 4),
                json!({
                    "Name": "Globex: on-site training", "AccountId": globex, "StageName": "Closed Lost",
                    "Amount": 4_000.0, "CloseDate": day(-45),
                }),
            ),
            (
                "OpportunityContactRole",
                id("00K", 1),
                json!({
                    "OpportunityId": id("006", 1), "ContactId": ann, "Role": "Decision Maker", "IsPrimary": true,
                }),
            ),
            (
                "OpportunityContactRole",
                id("00K", 2),
                json!({
                    "OpportunityId": id("006", 2), "ContactId": cleo, "Role": "Evaluator", "IsPrimary": true,
                }),
            ),
            (
                "OpportunityContactRole",
                id("00K", 3),
                json!({
                    "OpportunityId": id("006", 3), "ContactId": bob, "Role": "Economic Buyer", "IsPrimary": true,
                }),
            ),
        ];
        for (object, id, row) in rows {
            let (Value::Object(given), None) = (row, self.store.get(object, &id)) else {
                continue;
            };
            self.put_sample(object, &id, given, &seller, now_ms);
        }
    }

    fn put_sample(&mut self, object: &str, id: &str, given: Row, owner: &str, now_ms: i64) {
        let Some(ty) = self.object(object) else {
            return;
        };
        let names: Vec<String> = given.keys().cloned().collect();
        let mut row = records::fresh(&ty, owner);
        row.extend(given);
        self.derive(&ty, &mut row, &names);
        records::stamp(&mut row, id, owner, now_ms, true);
        self.store.put(object, id, row);
    }
}
