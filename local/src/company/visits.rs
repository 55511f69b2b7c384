//! Visits of the company's people: they sign in, and log activities.

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use reqwest::{Method, header};
use serde_json::{Value, json};
use shared::clock::{Clock as _, Millis};
use shared::domain::schema::CrmKind;
use shared::web_session::CSRF_HEADER;
use url::Url;

use super::rows::SELLERS;
use super::{DAY, HOUR, MINUTE, Side, Story, answer, cookies, one, redirected, text_at, whole};
use crate::demo;

/// The beginning of the session's cookie.
const SESSION: &str = "__Host-lb_session=";

/// People who log activities: the holders of the demo's two seats, then the sellers who have a seat.
const LOGGERS: usize = SELLERS.len() + 1;
/// Activities that each of them logs in a visit: one of each kind.
const EACH: usize = ACTIVITIES.len();
/// The round from which on the last of them logs activities, without a sign-in to the CRM.
const LATE: usize = 3;
/// A round and a person whose tasks the CRM refuses.
const REFUSED: (usize, usize) = (2, 3);
/// The people who keep lists of their own.
const KEEPERS: [usize; 2] = [1, 2];

/// Activities: kind, title, text.
const ACTIVITIES: [(&str, &str, &str); 6] = [
    (
        "inmail",
        "Your question about our product",
        "Thank you for your interest. When would a call suit you?",
    ),
    (
        "message",
        "",
        "As promised, the prices for your team. The offer stands until the end of the month.",
    ),
    (
        "call",
        "",
        "They compare us with two others. Demo with their IT on Thursday.",
    ),
    (
        "note",
        "",
        "The budget is there, the start is open. Operations decide together with IT.",
    ),
    ("smart_link_view", "Product overview", ""),
    (
        "connection_request",
        "",
        "We met at the trade fair. I would like to stay in touch.",
    ),
];

/// True if a person logs activities in a round: all but the last in the first, then half of them by turns.
/// Their sign-ins take most of the time.
const fn visits(round: usize, person: usize) -> bool {
    let is_last = person + 1 == LOGGERS;
    (round == 1 || (round + person) % 2 == 1) && (round >= LATE || !is_last)
}

/// The session of a person.
struct Session {
    /// The cookie, as a browser sends it back.
    cookie: String,
    csrf: String,
}

/// Ids of a contract's directory.
struct Known {
    /// People who are linked to a record of the CRM.
    people: Vec<String>,
    /// People who are not.
    strangers: Vec<String>,
    /// Companies that are linked.
    companies: Vec<String>,
}

impl Known {
    /// The activities of a person in a round.
    fn activities(&self, round: usize, person: usize, now: Millis) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        for at in 0..EACH {
            let number = (round * LOGGERS + person) * EACH + at;
            let (kind, title, text) = one(&ACTIVITIES, number)?;
            let (field, id) = if at == 2 {
                ("profile", one(&self.strangers, number)?)
            } else if *kind == "note" && round.is_multiple_of(2) {
                ("company", one(&self.companies, number)?)
            } else {
                ("profile", one(&self.people, number * 7)?)
            };
            let before = whole(1 + at * 3) * DAY - whole(number % 8) * HOUR;
            items.push(json!({
                "idempotency_key": format!("demo-{number}"), "kind": kind, field: id, "title": title, "text": text,
                "occurred_at": now.plus_seconds(-before).0,
            }));
        }
        Ok(items)
    }
}

// Sign-ins.
impl Story<'_> {
    /// The address at these functions of one at the product's.
    fn here(&self, url: &Url) -> String {
        let query = url.query().unwrap_or_default();
        format!("{}{}?{query}", self.url, url.path())
    }

    /// A link to sign in to a contract, with the simulator as the CRM.
    pub(super) fn at_simulator(&self, side: &Side, mut link: Url) -> Url {
        if side.made.crm == CrmKind::Salesforce {
            let login = self.simulator.salesforce.as_str().trim_end_matches('/');
            link.query_pairs_mut().append_pair("login_url", login);
        }
        link
    }

    /// Goes through a link to sign in, as a browser does: to the provider and back. Returns the session's
    /// cookie.
    pub(super) async fn sign_in(&self, link: &Url, user: &str) -> Result<String> {
        let start = self.http.get(self.here(link)).send().await?;
        let provider = redirected(&start)?;
        let set = self.come_back(&cookies(&start), provider, user).await?;
        let session = set.into_iter().find(|cookie| cookie.starts_with(SESSION));
        session.with_context(|| format!("{user} got no session"))
    }

    /// Signs in at a provider, and comes back with the cookies of the start. Returns those that are set then.
    async fn come_back(
        &self,
        kept: &[String],
        mut provider: Url,
        user: &str,
    ) -> Result<Vec<String>> {
        provider.query_pairs_mut().append_pair("login_hint", user);
        let chosen = self.http.get(provider).send().await?;
        let back = self.here(&redirected(&chosen)?);
        let back = self
            .http
            .get(back)
            .header(header::ACCEPT, "application/json");
        let done = back.header(header::COOKIE, kept.join("; ")).send().await?;
        let status = done.status();
        if !status.is_success() {
            let text = done.text().await?;
            bail!("{user} was not signed in: {status} {text}");
        }
        Ok(cookies(&done))
    }

    /// A person who has accepted the invitation signs in again.
    async fn session(&self, side: &Side, email: &str) -> Result<Session> {
        let provider = match side.made.crm {
            CrmKind::Salesforce => "salesforce",
            CrmKind::Dynamics365 => "entra",
        };
        let link = format!("{}/oauth/sign-in/{provider}", self.url);
        let mut link: Url = link.parse()?;
        link.query_pairs_mut()
            .append_pair("contract", side.made.id.as_str());
        let link = self.at_simulator(side, link);
        let cookie = self.sign_in(&link, email).await?;
        let url = format!("{}/api/v1/session", self.url);
        let request = self.http.get(url).header(header::COOKIE, cookie.as_str());
        let session = answer(request, "/session").await?;
        let csrf = text_at(&session, "/csrf_token")?;
        Ok(Session { cookie, csrf })
    }

    /// A call of a person.
    fn post_as(&self, session: &Session, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.url))
            .header(header::COOKIE, session.cookie.as_str())
            .header(CSRF_HEADER, session.csrf.as_str())
            .json(body)
    }

    /// A person signs in to the CRM, for what is written there in their name.
    async fn sign_in_to_crm(&self, session: &Session, email: &str) -> Result<()> {
        let start = self.post_as(session, "/oauth/user/start", &json!({}));
        let start = start.send().await?;
        let (status, kept) = (start.status(), cookies(&start));
        let text = start.text().await?;
        ensure!(
            status.is_success(),
            "{email} cannot sign in to the CRM: {status} {text}"
        );
        let begun: Value = serde_json::from_str(&text)?;
        let provider: Url = text_at(&begun, "/authorize_url")?.parse()?;
        self.come_back(&kept, provider, email).await?;
        Ok(())
    }
}

// Activities.
impl Story<'_> {
    /// The ids of a list's first page.
    async fn ids(&self, side: &Side, path: &str) -> Result<Vec<String>> {
        let token = side.made.tokens.administrator.as_str();
        let page = self.api(token, Method::GET, path, None).await?;
        let items = page.get("items").and_then(Value::as_array);
        let ids = items.into_iter().flatten();
        let ids = ids.filter_map(|item| Some(item.get("id")?.as_str()?.to_owned()));
        Ok(ids.collect())
    }

    async fn known(&self, side: &Side) -> Result<Known> {
        Ok(Known {
            people: self.ids(side, "/profiles?in_crm=true&limit=100").await?,
            strangers: self.ids(side, "/profiles?in_crm=false&limit=20").await?,
            companies: self.ids(side, "/companies?in_crm=true&limit=20").await?,
        })
    }

    /// People log what they did lately. Most of it is written to the CRM. Some waits for its person to be matched,
    /// some for a sign-in to the CRM, and some was refused by the CRM.
    pub(super) async fn log_activities(&self, sides: &[Side], round: usize) -> Result<()> {
        let directories = try_join_all(sides.iter().map(|side| self.known(side))).await?;
        let seats = [demo::ADMINISTRATOR, demo::SALESPERSON];
        let sellers = SELLERS.iter().map(|seller| seller.email);
        let people = seats.into_iter().chain(sellers).take(LOGGERS);
        let (mut usual, mut refused) = (Vec::new(), Vec::new());
        for (person, email) in people.enumerate() {
            if !visits(round, person) {
                continue;
            }
            let of = if (round, person) == REFUSED {
                &mut refused
            } else {
                &mut usual
            };
            for (side, known) in sides.iter().zip(&directories) {
                of.push(self.visit(side, known, round, (person, email)));
            }
        }
        try_join_all(usual).await?;
        self.write_back().await?;
        if refused.is_empty() {
            return Ok(());
        }
        let create = ["Task", "task"].map(|object| json!({ object: ["create"] }));
        self.set("denied", create).await?;
        try_join_all(refused).await?;
        self.write_back().await?;
        // Some refusals are final at the second try.
        self.at(self.clock.now().plus_seconds(3 * MINUTE)).await?;
        self.sweep().await?;
        self.set("denied", [json!({}), json!({})]).await
    }

    /// A person signs in, and logs what they did. All but the last sign in to the CRM too, once.
    async fn visit(
        &self,
        side: &Side,
        known: &Known,
        round: usize,
        (person, email): (usize, &str),
    ) -> Result<()> {
        let session = self.session(side, email).await?;
        if round == 1 && person + 1 < LOGGERS {
            self.sign_in_to_crm(&session, email).await?;
        }
        if round == 1 && KEEPERS.contains(&person) {
            self.keep_lists(&session, known).await?;
        }
        let items = known.activities(round, person, self.clock.now())?;
        self.log(&session, &items).await
    }

    /// A person keeps a list of people and one of companies.
    async fn keep_lists(&self, session: &Session, known: &Known) -> Result<()> {
        let people = known.people.iter().step_by(5).take(6);
        let people: Vec<_> = people.chain(known.strangers.iter().take(2)).collect();
        let companies: Vec<_> = known.companies.iter().step_by(3).take(5).collect();
        for (kind, name, entries) in [
            ("profile", "Invite to the trade fair", people),
            ("company", "Renewals this year", companies),
        ] {
            let body = json!({ "name": name, "kind": kind });
            let request = self.post_as(session, "/api/v1/lists", &body);
            let list = text_at(&answer(request, "/lists").await?, "/id")?;
            for (number, entry) in entries.into_iter().enumerate() {
                let note = (number == 0).then_some("Called last week: wants to hear from us.");
                let body = json!({ "entry": entry, "note": note });
                let path = format!("/api/v1/lists/{list}/items");
                let request = self.post_as(session, &path, &body);
                answer(request, &path).await?;
            }
        }
        Ok(())
    }

    async fn log(&self, session: &Session, items: &[Value]) -> Result<()> {
        let body = json!({ "items": items });
        let request = self.post_as(session, "/api/v1/activities", &body);
        let told = answer(request, "/activities").await?;
        let results = told.get("results").and_then(Value::as_array);
        let mut outcomes = results.into_iter().flatten();
        let accepted = |result: &Value| result.get("outcome").is_some_and(|of| of == "accepted");
        ensure!(
            outcomes.all(accepted),
            "an activity was not accepted: {told}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::Millis;

    use super::{EACH, Known, LATE, LOGGERS, REFUSED, visits};

    #[test]
    fn everybody_visits_at_some_time() {
        for person in 0..LOGGERS {
            assert!((1..=LATE).any(|round| visits(round, person)), "{person}");
        }
        assert!(visits(REFUSED.0, REFUSED.1));
    }

    #[test]
    fn activities_have_keys_of_their_own_and_every_kind_of_target() {
        let ids = |name: &str| vec![format!("{name}-1"), format!("{name}-2")];
        let known = Known {
            people: ids("person"),
            strangers: ids("stranger"),
            companies: ids("company"),
        };
        let now = Millis(1_689_894_599_288);
        let mut items = Vec::new();
        for round in 1..5 {
            for person in 0..LOGGERS {
                items.extend(known.activities(round, person, now).unwrap());
            }
        }
        assert_eq!(items.len(), 4 * LOGGERS * EACH);
        let mut keys: Vec<_> = items
            .iter()
            .map(|item| item["idempotency_key"].as_str().unwrap())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), items.len());
        for target in ["person", "stranger", "company"] {
            let text = |name: &str| format!("\"{name}-");
            let of = items
                .iter()
                .filter(|item| item.to_string().contains(&text(target)));
            assert!(of.count() > 2, "{target}");
        }
        for item in items {
            let at = item["occurred_at"].as_i64().unwrap();
            assert!(at < now.0 && item["company"].is_null() != item["profile"].is_null());
        }
    }
}
