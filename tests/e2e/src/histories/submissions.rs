//! Submissions (LG-10): any stream of them makes the leads of the model, one for each person.
//!
//! Up to eight submissions at once, each delivered up to five times to workers that die at any call,
//! while the CRM loses replies, drops connections, answers senselessly, late, or that it is too busy. Names are
//! hostile text, which arrives as it was typed, and in some histories one submission cannot be read.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use shared::domain::schema::CrmKind;
use shared::domain::submission::State;
use shared::testing::{Cut, Tripwire};

use super::{Dice, History, Tally};
use crate::Harness;
use crate::worker::{clock, id_of, messages, post, process, recover, spoil, stored};

/// Last names: each of them is nobody else's in any normal form.
const NAMES: &[&str] = &[
    "Name0",
    "@{bob.id} O'Brien",
    "x') OR (Name != '",
    "100%_\\ off",
    "=HYPERLINK(\"x\")",
    "<b>Ω 李😀</b>",
    "\u{645}\u{62d}\u{645}\u{62f} of \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "Zoë & {{name}} ${x} $filter",
];

/// The course of one submission of a stream.
#[derive(Debug, Clone)]
struct Sent {
    email: Option<usize>,
    last_name: usize,
    deliveries: usize,
    fault: usize,
    cut: Option<Cut>,
}

impl Sent {
    fn by(dice: &mut Dice) -> Self {
        Self {
            email: (dice.roll(10) > 0).then(|| dice.roll(3)),
            last_name: dice.roll(2),
            deliveries: 1 + dice.roll(5),
            fault: dice.roll(8),
            cut: match (dice.roll(5), dice.roll(12)) {
                (0, at) => Some(Cut::Before(at)),
                (1, at) => Some(Cut::After(at)),
                _ => None,
            },
        }
    }
}

/// The reference: the number of leads that a stream of submissions makes.
fn expected_leads(stream: &[Sent], fields: &[&str]) -> usize {
    let mut keys = BTreeSet::new();
    let mut alone = 0;
    for sent in stream {
        let email = sent.email.map(|email| email.to_string());
        let values: Option<Vec<String>> = fields
            .iter()
            .map(|field| {
                if *field == "email" {
                    email.clone()
                } else {
                    Some(sent.last_name.to_string())
                }
            })
            .collect();
        match values {
            Some(values) if !fields.is_empty() => {
                keys.insert(values);
            }
            _ => alone += 1,
        }
    }
    keys.len() + alone
}

/// Runs a history.
pub(super) async fn run(history: History, tally: &Tally) {
    let harness = Harness::embedded(false).await;
    let mut dice = history.dice();
    let (strategy, contacts) = (dice.roll(3), dice.roll(2) == 1);
    let length = 1 + dice.roll(8);
    let stream: Vec<Sent> = (0..length).map(|_| Sent::by(&mut dice)).collect();
    let first = dice.roll(NAMES.len());
    let names = [first, first + 1].map(|at| NAMES[at % NAMES.len()]);
    let poisoned = dice.roll(3) == 0;
    let what = format!(
        "{history}: strategy {strategy}, contacts {contacts}, {names:?}, poisoned {poisoned}, {stream:#?}"
    );
    let stack = harness.embedded_stack();
    let crm = history.crm();
    let dynamics = crm == CrmKind::Dynamics365;
    let tenant = harness.tenant(crm).await;
    let contract = tenant.made.id.clone();
    let fields: &[&str] = [&[][..], &["email"], &["email", "last_name"]][strategy];
    let lead_fields: Vec<&str> = fields
        .iter()
        .map(|field| local::seed::lead_field(field, crm))
        .collect();
    let body = json!({"name": "Generated", "active": true, "always_create_lead": fields.is_empty(),
        "enable_contact_creation": contacts, "matching_lead_fields": lead_fields});
    assert_eq!(
        tenant
            .api(Method::POST, "/matching-strategies", Some(body))
            .await
            .0,
        201
    );
    // The website form asks for an e-mail address; here it may be missing.
    let form = tenant.made.form_key.split_once('.').unwrap().1;
    let body = json!({"name": "Open", "kind": "website"});
    assert_eq!(
        tenant
            .api(Method::PUT, &format!("/forms/{form}"), Some(body))
            .await
            .0,
        200
    );
    let clock = clock();
    let system = if dynamics { "dataverse" } else { "salesforce" };
    let kinds = [
        "lost_reply",
        "drop",
        "truncate",
        "garbage",
        "status",
        "slow",
    ];
    if poisoned {
        let body = json!({"last_name": "Poison", "company": "Poison"});
        let healthy = process(stack, &Tripwire::new(), &clock);
        let (status, answer) = post(&healthy, &tenant, &body, "poison").await;
        assert_eq!(status, 202, "{answer}");
        let partition = format!("SUBMISSION#{}", id_of(&answer));
        assert_eq!(spoil(&tenant, &partition, "SUBMISSION", "state").await, 1);
    }
    let mut ids = Vec::new();
    let work = stream.iter().enumerate().map(|(n, sent)| {
        let (tenant, clock, contract, harness) = (&tenant, &clock, &contract, &harness);
        tally.step();
        async move {
            // Marks the submission for the leads' look-up, even without its e-mail address.
            let mut body = json!({"last_name": names[sent.last_name], "company": format!("co@{}", tenant.domain)});
            if let Some(email) = sent.email {
                body["email"] = json!(tenant.email(&format!("person{email}")));
            }
            if let Some(kind) = kinds.get(sent.fault) {
                let fault = json!({"system": system, "kind": kind, "status": 503, "delay_ms": 50, "skip": n % 3, "method": "POST"});
                harness.control(Method::POST, "/faults", Some(fault)).await;
            }
            let healthy = process(stack, &Tripwire::new(), clock);
            let key = format!("s{n}");
            let posts = (0..sent.deliveries).map(|_| post(&healthy, tenant, &body, &key));
            let answers = futures::future::join_all(posts).await;
            assert!(answers.iter().all(|(status, answer)| *status == 202 && *answer == answers[0].1), "{answers:?}");
            let id = id_of(&answers[0].1);
            let wire = sent.cut.map_or_else(Tripwire::new, Tripwire::cutting);
            let worker = process(stack, &wire, clock);
            let deliveries = (0..sent.deliveries).map(|_| crm_writeback::handle(&worker.writeback, messages(contract, &[&id])));
            futures::future::join_all(deliveries).await;
            tally.cut(&wire);
            id
        }
    });
    ids.extend(futures::future::join_all(work).await);
    let healthy = process(stack, &Tripwire::new(), &clock);
    recover(stack, &healthy, &clock, &contract, &ids).await;
    harness.control(Method::DELETE, "/faults", None).await;
    tally.faults(&harness.control(Method::GET, "/ledger/summary", None).await);
    let expected = expected_leads(&stream, fields);
    let mut leads = BTreeSet::new();
    let mut created = 0;
    for id in &ids {
        let submission = stored(stack, &contract, id).await;
        assert!(
            matches!(submission.state, State::Created | State::Attached),
            "{:?} {:?}: {what}",
            submission.state,
            submission.failures
        );
        created += usize::from(submission.state == State::Created);
        let lead = submission.lead.unwrap();
        assert_eq!(lead.contact_id.is_some(), contacts);
        leads.insert(lead.id);
    }
    let company = local::seed::lead_field("company", crm);
    let (system, object) = if dynamics {
        ("dataverse", "lead")
    } else {
        ("salesforce", "Lead")
    };
    let all = harness
        .control(Method::GET, &format!("/records/{system}/{object}"), None)
        .await;
    let marked = format!("co@{}", tenant.domain);
    let mut ours = all.as_array().unwrap().clone();
    ours.retain(|lead| lead[company] == marked.as_str());
    let in_crm = ours.len();
    let called = local::seed::lead_field("last_name", crm);
    for lead in &ours {
        let name = lead[called].as_str().unwrap_or_default();
        assert!(names.contains(&name), "{name}: {what}");
    }
    tally.lost(expected.saturating_sub(in_crm));
    tally.doubled(in_crm.saturating_sub(expected));
    assert_eq!(
        (in_crm, leads.len(), created),
        (expected, expected, expected),
        "leads in the CRM, leads known, submissions that created one: {what}"
    );
    harness.stop().await;
}
