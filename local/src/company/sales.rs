//! The company's sales: those that its CRM has when the product comes, and their later course.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::schema::CrmKind;

use super::rows::{self, Deal, Making, Object, Outcome, nth};
use super::{ACCOUNTS, CONTACTS, DAY, DEALS, Side, Story, csv, one, text_at, whole};

const PRODUCTS: [&str; 5] = [
    "pilot",
    "40 seats",
    "renewal",
    "on-site training",
    "premium support",
];
/// Changes of each kind that sellers make between two imports.
const CHANGES: usize = 4;
/// People of customers who go to another company, and the distance of that one in the market.
const MOVED: usize = 8;
const AWAY: usize = 17;

/// The worth of a sale, in whole units of the currency.
fn worth(number: usize) -> u32 {
    2_000 + u32::try_from(number * 79 % 180).unwrap_or(0) * 500
}

impl Story<'_> {
    /// Fills a CRM with sales: open, won and lost ones, each with a contact's part in it.
    pub(super) async fn fill_sales(&self, side: &mut Side, begin: Millis) -> Result<()> {
        let crm = side.made.crm;
        let currency = "_transactioncurrencyid_value";
        side.currency = self.first_value(crm, Object::Opportunity, currency).await?;
        if crm == CrmKind::Dynamics365 {
            let role = json!({ "name": "Stakeholder", "category": 1000 });
            side.part_role = json!(self.add(crm, Object::PartRole, role).await?);
        }
        let ago = |days: usize| begin.plus_seconds(-whole(days) * DAY);
        for number in 0..DEALS {
            let at = number * 13 % ACCOUNTS;
            let mut people = side.market.people.iter().take(CONTACTS);
            let person = people.position(|person| person.company == at);
            let outcome = match number % 5 {
                1 => Outcome::Won,
                3 => Outcome::Lost,
                _ => Outcome::Open,
            };
            let old = 20 + number * 3;
            let close = match outcome {
                Outcome::Open => begin.plus_seconds(whole(number * 3 % 150) * DAY),
                Outcome::Won | Outcome::Lost => ago(old / 2),
            };
            let firm = one(&side.market.companies, at)?;
            let deal = Deal {
                name: format!("{}: {}", firm.name, nth(&PRODUCTS, number)),
                account: one(&side.accounts, at)?,
                contact: person.and_then(|at| side.contacts.get(at)),
                amount: worth(number),
                close,
                outcome,
            };
            let making = Making {
                crm,
                number,
                owner: one(&side.sellers, number)?,
                at: ago(old),
            };
            let id = self.add_sale(side, making, &deal).await?;
            match outcome {
                Outcome::Open => side.deals.push((id, worth(number))),
                Outcome::Won => side.champions.extend(person),
                Outcome::Lost => {}
            }
        }
        Ok(())
    }

    /// Adds a sale to the CRM, and its contact's part in it. Returns the sale's id.
    async fn add_sale(&self, side: &Side, making: Making<'_>, deal: &Deal<'_>) -> Result<String> {
        let crm = side.made.crm;
        let row = rows::opportunity(making, deal, &side.currency);
        let id = self.add(crm, Object::Opportunity, row).await?;
        if let Some(contact) = deal.contact {
            let row = rows::part(making, &id, contact, &side.part_role);
            self.add(crm, Object::Part, row).await?;
        }
        Ok(id)
    }

    /// Changes that sellers make in the CRM between two imports: contacts are promoted, sales end, and sales
    /// begin with contacts who have filled in a form and with leads that came in by one, to end in the next round.
    /// `responses` counts the responses until now.
    pub(super) async fn live(
        &self,
        sides: &mut [Side],
        round: usize,
        responses: usize,
    ) -> Result<()> {
        let today = self.clock.now();
        for side in sides {
            let crm = side.made.crm;
            for number in round * CHANGES..(round + 1) * CHANGES {
                let (id, person) = (
                    one(&side.contacts, number * 3)?,
                    one(&side.market.people, number * 3)?,
                );
                let title = match person.typed.title.as_str() {
                    "" => "Managing Director",
                    title => title,
                };
                let change = rows::promoted(crm, title);
                self.change(crm, Object::Contact, id, change).await?;
            }
            for number in round * CHANGES..(round + 1) * CHANGES {
                let (id, amount) = one(&side.deals, number)?;
                let change = rows::closed(crm, *amount, today, number % 4 != 3);
                self.change(crm, Object::Opportunity, id, change).await?;
            }
            for (number, (id, amount)) in std::mem::take(&mut side.begun).into_iter().enumerate() {
                let change = rows::closed(crm, amount, today, number % 4 != 3);
                self.change(crm, Object::Opportunity, &id, change).await?;
            }
            let writers = (0..responses).rev();
            let writers = writers.filter_map(Side::writer).take(CHANGES);
            let mut begun = Vec::new();
            for at in writers {
                begun.extend(self.begin_sale(side, at, today).await?);
            }
            begun.extend(self.qualify(side, today).await?);
            side.begun = begun;
        }
        Ok(())
    }

    /// Begins a sale with a contact; nothing if their employer is not in the CRM. Returns its id and worth.
    async fn begin_sale(
        &self,
        side: &Side,
        at: usize,
        today: Millis,
    ) -> Result<Option<(String, u32)>> {
        let company = one(&side.market.people, at)?.company;
        let Some(account) = side.accounts.get(company) else {
            return Ok(None);
        };
        let firm = one(&side.market.companies, company)?;
        let deal = Deal {
            name: format!("{}: {}", firm.name, nth(&PRODUCTS, at)),
            account,
            contact: side.contacts.get(at),
            amount: worth(at),
            close: today.plus_seconds(45 * DAY),
            outcome: Outcome::Open,
        };
        let making = Making {
            crm: side.made.crm,
            number: at,
            owner: one(&side.sellers, at)?,
            at: today,
        };
        let id = self.add_sale(side, making, &deal).await?;
        Ok(Some((id, worth(at))))
    }

    /// Qualifies the latest leads that came in by a form: a sale begins with each. Returns the sales' ids and worths.
    async fn qualify(&self, side: &mut Side, today: Millis) -> Result<Vec<(String, u32)>> {
        let crm = side.made.crm;
        let token = side.made.tokens.administrator.as_str();
        let path = "/submissions?state=created&limit=100";
        let found = self.api(token, Method::GET, path, None).await?;
        let found = found.pointer("/items").and_then(Value::as_array);
        let mut begun = Vec::new();
        for item in found.into_iter().flatten() {
            let Ok(lead) = text_at(item, "/lead/id") else {
                continue;
            };
            if begun.len() == CHANGES || side.qualified.contains(&lead) {
                break;
            }
            let number = side.qualified.len();
            let at = number * AWAY % ACCOUNTS;
            let contact = text_at(item, "/lead/contact_id").ok();
            let firm = one(&side.market.companies, at)?;
            let account = one(&side.accounts, at)?;
            let deal = Deal {
                name: format!("{}: {}", firm.name, nth(&PRODUCTS, number)),
                account,
                contact: contact.as_ref(),
                amount: worth(number),
                close: today.plus_seconds(45 * DAY),
                outcome: Outcome::Open,
            };
            let making = Making {
                crm,
                number,
                owner: one(&side.sellers, number)?,
                at: today,
            };
            let id = self.add_sale(side, making, &deal).await?;
            let change = rows::qualified(crm, &id, account, contact.as_deref(), today);
            self.change(crm, Object::Lead, &lead, change).await?;
            begun.push((id, worth(number)));
            side.qualified.insert(lead);
        }
        Ok(begun)
    }

    /// Marketing learns of people who were part of a sale that was won, and work elsewhere now.
    pub(super) async fn upload_moved(&self, side: &Side) -> Result<()> {
        let people = side.champions.iter();
        let people = people.filter_map(|at| side.market.people.get(*at));
        let people = people.filter(|person| !person.kept.email.is_empty());
        let mut rows = Vec::new();
        for person in people.take(MOVED) {
            let firm = one(&side.market.companies, person.company + AWAY)?;
            rows.push([
                person.typed.first_name.as_str(),
                person.typed.last_name.as_str(),
                person.kept.email.as_str(),
                "Head of Operations",
                firm.name.as_str(),
                firm.website.as_str(),
            ]);
        }
        let header = "first_name,last_name,email,job_title,company,website";
        let file = csv(header, rows.into_iter());
        self.upload_file(side, "/profiles/csv", file).await
    }
}

/// The id of the user with an e-mail address, in a CRM's list of users.
pub(super) fn user_id(users: &Value, email: &str) -> Option<String> {
    let rows = users.as_array()?;
    let row = rows.iter().find(|row| {
        let fields = row.as_object();
        fields.is_some_and(|fields| fields.values().any(|value| value == email))
    })?;
    let id = row.get("Id").or_else(|| row.get("systemuserid"))?;
    Some(id.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::user_id;

    #[test]
    fn users_are_found_by_their_address() {
        let users = json!([
            { "Id": "1", "Email": "a@x.example" },
            { "systemuserid": "2", "domainname": "b@x.example", "isdisabled": false },
        ]);
        assert_eq!(user_id(&users, "a@x.example").as_deref(), Some("1"));
        assert_eq!(user_id(&users, "b@x.example").as_deref(), Some("2"));
        assert_eq!(user_id(&users, "c@x.example"), None);
    }
}
