//! LG-10, in process: killed at every step, raced, throttled, with lost and broken replies, and then counted
//! on both sides. Also the cost of each unit of work in calls.

use std::sync::Arc;

use e2e::Harness;
use e2e::worker::{
    all_settled, clock, count, id_of, import, messages, post, process, recover, stored,
};
use reqwest::Method;
use serde_json::json;
use shared::domain::schema::CrmKind;
use shared::domain::submission::State;
use shared::testing::{Cut, FixedClock, Tripwire};

const BOTH: [CrmKind; 2] = [CrmKind::Salesforce, CrmKind::Dynamics365];
/// More outside calls than any flow makes.
const MANY_STEPS: usize = 60;

/// AWS calls that bring the person and company of a final lead into the directory: a company's name is looked
/// for by its beginning and by each of its words, here two.
const FOR_THE_DIRECTORY: usize = 8;

/// Runs `flow` in processes that die before and after their n-th outside call, for every n that
/// the flow reaches, and hands each dead process's remains to `check`.
async fn for_every_death(
    stack: &local::Stack,
    clock: &Arc<FixedClock>,
    mut flow: impl AsyncFnMut(&local::Apps, usize),
    mut check: impl AsyncFnMut(usize, Cut),
) -> usize {
    let mut deaths = 0;
    for n in 0..MANY_STEPS {
        let mut reached = false;
        for cut in [Cut::Before(n), Cut::After(n)] {
            let wire = Tripwire::cutting(cut);
            flow(&process(stack, &wire, clock), deaths).await;
            reached |= wire.has_cut();
            check(deaths, cut).await;
            deaths += 1;
        }
        if !reached {
            return n;
        }
    }
    panic!("the flow makes more than {MANY_STEPS} outside calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_at_any_step_of_a_new_lead_leaves_one_lead() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        for strategy in ["match", "always"] {
            let tenant = harness.tenant(crm).await;
            let contract = tenant.made.id.clone();
            if strategy == "always" {
                let body = json!({"name": "Always", "always_create_lead": true, "active": true});
                assert_eq!(
                    tenant
                        .api(Method::POST, "/matching-strategies", Some(body))
                        .await
                        .0,
                    201
                );
            }
            let clock = clock();
            let healthy = process(stack, &Tripwire::new(), &clock);
            let ids = std::cell::RefCell::new(Vec::new());
            let steps = for_every_death(
                stack,
                &clock,
                async |dying, n| {
                    let (status, answer) = post(
                        &healthy,
                        &tenant,
                        &tenant.person(&format!("P{n}")),
                        &format!("k{n}"),
                    )
                    .await;
                    assert_eq!(status, 202);
                    let id = id_of(&answer);
                    crm_writeback::handle(&dying.writeback, messages(&contract, &[&id])).await;
                    ids.borrow_mut().push(id);
                },
                async |n, cut| {
                    let id = ids.borrow()[n].clone();
                    // The same message again while the dead one's lease still runs.
                    crm_writeback::handle(&healthy.writeback, messages(&contract, &[&id])).await;
                    recover(
                        stack,
                        &healthy,
                        &clock,
                        &contract,
                        std::slice::from_ref(&id),
                    )
                    .await;
                    let submission = stored(stack, &contract, &id).await;
                    assert_eq!(
                        submission.state,
                        State::Created,
                        "{crm:?} {strategy} {cut:?}: {:?}",
                        submission.failures
                    );
                    let email = tenant.email(&format!("p{n}"));
                    for object in ["Lead", "Contact"] {
                        let records = tenant.records(object).await;
                        let found = records
                            .iter()
                            .filter(|record| tenant.value(record, "email") == email.as_str())
                            .count();
                        assert_eq!(found, 1, "{crm:?} {strategy} {cut:?}: {object}s of {email}");
                    }
                    let attached = stack
                        .store()
                        .attachments(&contract, &submission.lead.unwrap().id)
                        .await
                        .unwrap();
                    assert_eq!(attached.len(), 1);
                },
            )
            .await;
            assert!(steps >= 6, "the flow has steps to die at: {steps}");
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_at_any_step_of_joining_leaves_one_lead_with_the_right_score() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let contract = tenant.made.id.clone();
        let score = if crm == CrmKind::Salesforce {
            "Score__c"
        } else {
            "lb_score"
        };
        let rule = json!({"lead_field": score, "new_lead_points": 10, "matched_points": 5, "maximum": 100_000});
        assert_eq!(
            tenant.api(Method::PUT, "/scoring-rule", Some(rule)).await.0,
            200
        );
        let clock = clock();
        let healthy = process(stack, &Tripwire::new(), &clock);
        let (_, first) = post(
            &healthy,
            &tenant,
            &json!({"email": tenant.email("j"), "last_name": "J", "company": "C"}),
            "first",
        )
        .await;
        crm_writeback::handle(&healthy.writeback, messages(&contract, &[&id_of(&first)])).await;
        let ids = std::cell::RefCell::new(Vec::new());
        for_every_death(
            stack,
            &clock,
            async |dying, n| {
                let (_, answer) = post(&healthy, &tenant, &json!({"email": tenant.email("J"), "title": format!("T{n}"), "last_name": "X"}), &format!("k{n}")).await;
                let id = id_of(&answer);
                crm_writeback::handle(&dying.writeback, messages(&contract, &[&id])).await;
                ids.borrow_mut().push(id);
            },
            async |n, cut| {
                let id = ids.borrow()[n].clone();
                recover(stack, &healthy, &clock, &contract, std::slice::from_ref(&id)).await;
                assert_eq!(stored(stack, &contract, &id).await.state, State::Attached, "{crm:?} {cut:?}");
                let leads = tenant.leads().await;
                assert_eq!(leads.len(), 1, "{crm:?} {cut:?}");
                let points = 10 + 5 * (u32::try_from(n).unwrap() + 1);
                assert_eq!(leads[0][score].as_f64(), Some(f64::from(points)), "{crm:?} {cut:?}: each submission scores once");
                assert_eq!(tenant.value(&leads[0], "title"), "T0", "filled once, never overwritten");
            },
        )
        .await;
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn intake_that_dies_at_any_step_loses_nothing_it_accepted() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.clone();
    let clock = clock();
    let healthy = process(stack, &Tripwire::new(), &clock);
    let answers = std::cell::RefCell::new(Vec::new());
    for_every_death(
        stack,
        &clock,
        async |dying, n| {
            let answer = post(
                dying,
                &tenant,
                &tenant.person(&format!("I{n}")),
                &format!("k{n}"),
            )
            .await;
            answers.borrow_mut().push(answer);
        },
        async |n, cut| {
            let (status, _) = answers.borrow()[n];
            assert!(status == 202 || status == 503, "{cut:?}: {status}");
            // A sender without a 2xx sends again; others do not.
            let id = if status == 202 {
                id_of(&answers.borrow()[n].1)
            } else {
                let (status, answer) = post(
                    &healthy,
                    &tenant,
                    &tenant.person(&format!("I{n}")),
                    &format!("k{n}"),
                )
                .await;
                assert_eq!(status, 202);
                id_of(&answer)
            };
            recover(
                stack,
                &healthy,
                &clock,
                &contract,
                std::slice::from_ref(&id),
            )
            .await;
            let email = tenant.email(&format!("i{n}"));
            let found = tenant
                .leads()
                .await
                .iter()
                .filter(|lead| lead["Email"] == email.as_str())
                .count();
            assert_eq!(found, 1, "{cut:?}");
        },
    )
    .await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_replies_of_the_crm_neither_lose_nor_double() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let contract = tenant.made.id.clone();
        let clock = clock();
        let system = if crm == CrmKind::Salesforce {
            "salesforce"
        } else {
            "dataverse"
        };
        let path = if crm == CrmKind::Salesforce {
            "/composite"
        } else {
            "$batch"
        };
        let faults = [
            json!({"kind": "lost_reply"}),
            json!({"kind": "drop"}),
            json!({"kind": "truncate"}),
            json!({"kind": "garbage"}),
            json!({"kind": "expired_token"}),
            json!({"kind": "status", "status": 500}),
            json!({"kind": "status", "status": 503}),
            json!({"kind": "status", "status": 429, "retry_after_s": 7}),
            json!({"kind": "status", "status": 502, "times": 3}),
            json!({"kind": "lost_reply", "times": 3}),
        ];
        // The search is the first call, the create the second.
        for skip in [0, 1] {
            for (n, fault) in faults.iter().enumerate() {
                let healthy = process(stack, &Tripwire::new(), &clock);
                healthy
                    .writeback
                    .remote
                    .sessions
                    .open(&contract, shared::store::ConnectionKind::PRODUCTION)
                    .await
                    .unwrap();
                let mut fault = fault.clone();
                let more = json!({"system": system, "method": "POST", "path_contains": path, "skip": skip});
                fault
                    .as_object_mut()
                    .unwrap()
                    .extend(more.as_object().unwrap().clone());
                let name = format!("F{skip}x{n}");
                let (_, answer) = post(&healthy, &tenant, &tenant.person(&name), &name).await;
                let id = id_of(&answer);
                // The metadata is read before, so that the fault meets the calls it is meant for.
                import(&healthy, &contract).await;
                harness
                    .control(Method::POST, "/faults", Some(fault.clone()))
                    .await;
                crm_writeback::handle(&healthy.writeback, messages(&contract, &[&id])).await;
                recover(
                    stack,
                    &healthy,
                    &clock,
                    &contract,
                    std::slice::from_ref(&id),
                )
                .await;
                harness.control(Method::DELETE, "/faults", None).await;
                let submission = stored(stack, &contract, &id).await;
                assert_eq!(
                    submission.state,
                    State::Created,
                    "{crm:?} skip {skip} {fault}: {:?}",
                    submission.failures
                );
                let email = tenant.email(&name.to_lowercase());
                for object in ["Lead", "Contact"] {
                    let records = tenant.records(object).await;
                    let found = records
                        .iter()
                        .filter(|record| tenant.value(record, "email") == email.as_str())
                        .count();
                    assert_eq!(found, 1, "{crm:?} skip {skip} {fault}: {object}s");
                }
            }
        }
    }
    harness.stop().await;
}

/// Without our fields in the organisation nothing is unique; a write-ahead record and a look-up
/// before each retry stand in for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_our_fields_in_salesforce_a_lost_reply_still_makes_one_lead() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    harness
        .control(
            Method::PATCH,
            "/settings",
            Some(json!({"salesforce": {"leadbridge_fields_installed": false}})),
        )
        .await;
    for always in [false, true] {
        let tenant = harness.tenant(CrmKind::Salesforce).await;
        let contract = tenant.made.id.clone();
        if always {
            let body = json!({"name": "Always", "always_create_lead": true, "active": true});
            assert_eq!(
                tenant
                    .api(Method::POST, "/matching-strategies", Some(body))
                    .await
                    .0,
                201
            );
        }
        let clock = clock();
        let healthy = process(stack, &Tripwire::new(), &clock);
        import(&healthy, &contract).await;
        for (n, kind) in ["lost_reply", "truncate", "drop"].iter().enumerate() {
            // The look-up is by time of creation: both sides tell the same time.
            harness
                .control(
                    Method::POST,
                    "/clock",
                    Some(json!({"now_ms": shared::clock::Clock::now(clock.as_ref()).0})),
                )
                .await;
            let name = format!("N{n}");
            let (_, answer) = post(&healthy, &tenant, &tenant.person(&name), &name).await;
            let id = id_of(&answer);
            let fault = json!({"system": "salesforce", "path_contains": "/composite", "kind": kind, "skip": u8::from(!always)});
            harness.control(Method::POST, "/faults", Some(fault)).await;
            crm_writeback::handle(&healthy.writeback, messages(&contract, &[&id])).await;
            assert!(
                !all_settled(stack, &contract, std::slice::from_ref(&id)).await,
                "{kind}"
            );
            recover(
                stack,
                &healthy,
                &clock,
                &contract,
                std::slice::from_ref(&id),
            )
            .await;
            assert_eq!(
                stored(stack, &contract, &id).await.state,
                State::Created,
                "{kind}"
            );
            assert_eq!(tenant.leads().await.len(), n + 1, "always {always}, {kind}");
        }
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_connection_pauses_all_its_workers() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let contract = tenant.made.id.clone();
    let clock = clock();
    let first = process(stack, &Tripwire::new(), &clock);
    let (_, a) = post(&first, &tenant, &tenant.person("Ta"), "a").await;
    let (_, b) = post(&first, &tenant, &tenant.person("Tb"), "b").await;
    let fault =
        json!({"system": "dataverse", "kind": "status", "status": 429, "retry_after_s": 120});
    harness.control(Method::POST, "/faults", Some(fault)).await;
    crm_writeback::handle(&first.writeback, messages(&contract, &[&id_of(&a)])).await;
    let waiting = stored(stack, &contract, &id_of(&a)).await;
    assert_eq!(waiting.state, State::Waiting);
    assert_eq!(waiting.failures.last().unwrap().problem.code, "throttled");
    let wire = Tripwire::new();
    let second = process(stack, &wire, &clock);
    crm_writeback::handle(&second.writeback, messages(&contract, &[&id_of(&b)])).await;
    assert_eq!(
        stored(stack, &contract, &id_of(&b)).await.state,
        State::Waiting
    );
    assert_eq!(
        wire.outside_calls(),
        0,
        "another worker does not call while the pause lasts"
    );
    recover(stack, &second, &clock, &contract, &[id_of(&a), id_of(&b)]).await;
    assert_eq!(tenant.leads().await.len(), 2);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_refreshed_once_by_all_workers_together() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let contract = tenant.made.id.clone();
        let clock = clock();
        let ids: Vec<String> = {
            let healthy = process(stack, &Tripwire::new(), &clock);
            let mut ids = Vec::new();
            for n in 0..8 {
                ids.push(id_of(
                    &post(
                        &healthy,
                        &tenant,
                        &tenant.person(&format!("R{n}")),
                        &n.to_string(),
                    )
                    .await
                    .1,
                ));
            }
            ids
        };
        let provider = if crm == CrmKind::Salesforce {
            "salesforce"
        } else {
            "dataverse"
        };
        if crm == CrmKind::Salesforce {
            harness
                .control(
                    Method::PATCH,
                    "/settings",
                    Some(json!({"salesforce": {"refresh_rotation": true}})),
                )
                .await;
        }
        harness
            .control(
                Method::POST,
                "/tokens/expire",
                Some(json!({"provider": provider})),
            )
            .await;
        harness.control(Method::DELETE, "/ledger", None).await;
        let workers = ids.iter().map(|id| {
            let apps = process(stack, &Tripwire::new(), &clock);
            let contract = contract.clone();
            async move { crm_writeback::handle(&apps.writeback, messages(&contract, &[id])).await }
        });
        futures::future::join_all(workers).await;
        let healthy = process(stack, &Tripwire::new(), &clock);
        recover(stack, &healthy, &clock, &contract, &ids).await;
        assert_eq!(count(stack, &contract, &ids, State::Created).await, 8);
        let ledger = harness.control(Method::GET, "/ledger", None).await;
        let calls = ledger
            .as_array()
            .cloned()
            .unwrap_or_else(|| ledger["items"].as_array().cloned().unwrap_or_default());
        let refreshes = calls
            .iter()
            .filter(|call| {
                call["method"] == "POST"
                    && call["path"]
                        .as_str()
                        .is_some_and(|path| path.ends_with("/token"))
            })
            .count();
        assert_eq!(refreshes, 1, "{crm:?}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_unit_of_work_costs_no_more_calls_than_promised() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    for crm in BOTH {
        let tenant = harness.tenant(crm).await;
        let contract = tenant.made.id.clone();
        let clock = clock();
        let wire = Tripwire::new();
        let apps = process(stack, &wire, &clock);
        let warm = id_of(&post(&apps, &tenant, &tenant.person("Warm"), "warm").await.1);
        crm_writeback::handle(&apps.writeback, messages(&contract, &[&warm])).await;
        wire.reset();
        let id = id_of(
            &post(&apps, &tenant, &tenant.person("Counted"), "counted")
                .await
                .1,
        );
        assert_eq!(
            (wire.aws_calls(), wire.outside_calls()),
            (2, 0),
            "an accepted submission"
        );
        wire.reset();
        post(&apps, &tenant, &tenant.person("Counted"), "counted").await;
        assert_eq!((wire.aws_calls(), wire.outside_calls()), (1, 0), "a repeat");
        wire.reset();
        crm_writeback::handle(&apps.writeback, messages(&contract, &[&id])).await;
        assert_eq!(stored(stack, &contract, &id).await.state, State::Created);
        assert!(
            wire.outside_calls() <= 3,
            "{crm:?}: {} CRM calls for a new lead with its contact",
            wire.outside_calls()
        );
        assert!(
            wire.aws_calls() <= 4 + FOR_THE_DIRECTORY,
            "{crm:?}: {} AWS calls for a new lead and its person",
            wire.aws_calls()
        );
        // Cold, with the metadata read from the CRM as well.
        let other = harness.tenant(crm).await;
        let cold = Tripwire::new();
        let id = id_of(&post(&apps, &other, &other.person("Cold"), "cold").await.1);
        let apps = process(stack, &cold, &clock);
        crm_writeback::handle(&apps.writeback, messages(&other.made.id, &[&id])).await;
        assert_eq!(
            stored(stack, &other.made.id, &id).await.state,
            State::Created
        );
        assert!(
            cold.outside_calls() <= 3,
            "{crm:?}: {} CRM calls when cold",
            cold.outside_calls()
        );
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_none_of_ours_goes_back_alone() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.clone();
    let apps = process(stack, &Tripwire::new(), &clock());
    let (_, answer) = post(&apps, &tenant, &tenant.person("Neighbour"), "n").await;
    let id = id_of(&answer);
    let mut batch = serde_json::to_value(messages(&contract, &[&id, &id, "no uuid"])).unwrap();
    batch["Records"][1]["body"] = json!("{\"contract\":\"acme\"}");
    let batch = serde_json::from_value(batch).unwrap();
    let failed = crm_writeback::handle(&apps.writeback, batch)
        .await
        .batch_item_failures;
    let failed: Vec<&str> = failed
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    assert_eq!(failed, ["m-1", "m-2"]);
    assert_eq!(stored(stack, &contract, &id).await.state, State::Created);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_announces_what_was_stored_and_never_announced() {
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Dynamics365).await;
    let contract = tenant.made.id.clone();
    let clock = clock();
    // Reads the form, stores the submission, and is cut off before it sends the message.
    let dying = process(stack, &Tripwire::cutting(Cut::Before(2)), &clock);
    let (status, answer) = post(&dying, &tenant, &tenant.person("Swept"), "s").await;
    assert_eq!(status, 202, "stored is accepted");
    let id = id_of(&answer);
    let healthy = process(stack, &Tripwire::new(), &clock);
    let sqs = aws_sdk_sqs::Client::new(&stack.aws);
    let sweep = async || {
        lead_resync::handle(&healthy.resync, lead_resync::Task::Sweep)
            .await
            .unwrap()
            .swept
    };
    assert_eq!(
        sweep().await,
        0,
        "a fresh submission is left to its own message"
    );
    clock.advance(120);
    assert_eq!(sweep().await, 1);
    let polled = local::poll_queue(&sqs, &stack.queue_url, |batch| {
        crm_writeback::handle(&healthy.writeback, batch)
    })
    .await
    .unwrap();
    assert_eq!(polled, 1);
    assert_eq!(stored(stack, &contract, &id).await.state, State::Created);
    assert_eq!(sweep().await, 0);
    assert_eq!(tenant.leads().await.len(), 1);
    harness.stop().await;
}

/// LG-9: the pull fills every gap the webhook left, over pages, however often it dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pull_fills_every_gap_and_doubles_nothing() {
    const OWNER: &str = "urn:li:sponsoredAccount:123";
    let harness = Harness::embedded(false).await;
    let stack = harness.embedded_stack();
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let contract = tenant.made.id.clone();
    let owners = json!({"owners": [OWNER]});
    assert_eq!(
        tenant.api(Method::PUT, "/linkedin", Some(owners)).await.0,
        200
    );
    let mut ids = Vec::new();
    for n in 0..230 {
        let answers = json!({"EMAIL": tenant.email(&format!("l{n}")), "LAST_NAME": format!("L{n}"), "COMPANY_NAME": "C"});
        // One in ten is also announced, twice.
        let lead = tenant
            .linkedin_lead(answers, json!({}), if n % 10 == 0 { 2 } else { 0 })
            .await;
        ids.push(tenant.linkedin_submission(lead["id"].as_str().unwrap()));
    }
    let clock = clock();
    clock.advance(5);
    let pull = || lead_resync::Task::LinkedInPull {
        contract: Some(contract.clone()),
    };
    for cut in [
        Cut::Before(3),
        Cut::After(5),
        Cut::After(40),
        Cut::Before(150),
        // On the third page.
        Cut::After(365),
    ] {
        let dying = process(stack, &Tripwire::cutting(cut), &clock);
        let _ = lead_resync::handle(&dying.resync, pull()).await;
    }
    let healthy = process(stack, &Tripwire::new(), &clock);
    let cursor = healthy.resync.remote.store.pull_cursor(&contract, OWNER);
    let window = cursor.await.unwrap().and_then(|cursor| cursor.unfinished);
    assert_eq!(window.map(|window| window.start), Some(200));
    let outcome = lead_resync::handle(&healthy.resync, pull()).await.unwrap();
    // Two pages were read before, the second of which is read again.
    assert_eq!((outcome.read, outcome.failed), (130, 0));
    recover(stack, &healthy, &clock, &contract, &ids).await;
    assert_eq!(count(stack, &contract, &ids, State::Created).await, 230);
    assert_eq!(tenant.leads().await.len(), 230);
    let again = lead_resync::handle(&healthy.resync, pull()).await.unwrap();
    assert_eq!(again.new, 0);
    harness.stop().await;
}

/// LG-2: always exactly one active strategy, also after concurrent changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_always_exactly_one_active_strategy() {
    let harness = Harness::embedded(false).await;
    let tenant = harness.tenant(CrmKind::Salesforce).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let (_, made) = tenant
            .api(
                Method::POST,
                "/matching-strategies",
                Some(json!({"name": n.to_string(), "always_create_lead": true})),
            )
            .await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let act = async |n: usize| {
        let id = &ids[n % ids.len()];
        let (method, path) = match n % 3 {
            0 | 1 => (Method::POST, format!("/matching-strategies/{id}/activate")),
            _ => (Method::DELETE, format!("/matching-strategies/{id}")),
        };
        let (status, body) = tenant.api(method, &path, None).await;
        assert!(
            matches!(status.as_u16(), 200 | 204 | 404 | 409),
            "{status} {body}"
        );
    };
    let watch = async || {
        for _ in 0..15 {
            let (_, list) = tenant.api(Method::GET, "/matching-strategies", None).await;
            let items = list["items"].as_array().unwrap();
            assert_eq!(
                items.iter().filter(|item| item["active"] == true).count(),
                1,
                "{items:?}"
            );
        }
    };
    futures::future::join(futures::future::join_all((0..24).map(act)), watch()).await;
    watch().await;
    harness.stop().await;
}
