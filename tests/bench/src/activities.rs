//! Activities of a seat holder on their way to a CRM: calls and time of many at once, beside the same CRM
//! calls and as many writes to the table with nothing around them.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use local::demo::SimulatorAddresses;
use local::seed::{Made, Maker, Remote};
use matching::Record;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::activity::{ActivityState, Draft, Given};
use shared::domain::directory::{EntryKind, EntryRef, NewEntry, Origin};
use shared::domain::environment::Environment;
use shared::domain::ids::{ActivityId, SeatId};
use shared::domain::schema::CrmKind;
use shared::oauth::Tokens;
use shared::outbound::Provider;
use shared::queue::WritebackMessage;
use shared::random::{Random as _, SystemRandom};
use shared::store::ConnectionKind;

use crate::bare::Bare;
use crate::meter::ms;
use crate::proxy::{Proxy, Recorded};
use crate::report::{Row, Samples, Section, Target};
use crate::rig::{Clients, Rig, Watch};
use crate::writeback::timed;

/// Writes of one activity each that are under way at once, as crm-writeback makes them.
const AT_ONCE: usize = 16;
/// Activities that are recorded in one transaction.
const TOGETHER: usize = 100;

/// The calls of so many activities.
struct Counted {
    crm_calls: usize,
    aws_calls: usize,
    requests: Vec<Recorded>,
}

/// crm-writeback, and a seat holder with somebody to write to.
struct Worker {
    made: Made,
    seat: SeatId,
    target: EntryRef,
    writeback: crm_writeback::App,
}

impl Worker {
    async fn start(
        rig: &Rig,
        made: Made,
        addresses: &SimulatorAddresses,
        writeback: crm_writeback::App,
    ) -> Result<Self> {
        let seat = SeatId(SystemRandom.uuid());
        // In Dynamics 365 the contract's own user writes.
        if made.crm == CrmKind::Salesforce {
            sign_in(rig, &made, seat, addresses).await?;
        }
        let record = Record {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            emails: vec!["ada@bench.example".to_owned()],
            ..Record::default()
        };
        let kind = EntryKind::Profile;
        let new = NewEntry::new(&made.id, kind, None, record, Origin::Api, None);
        let new = new.ok().context("an entry")?;
        let store = &writeback.remote.store;
        let now = SystemClock.now();
        store
            .add_entries(&made.id, std::slice::from_ref(&new), now)
            .await;
        let target = EntryRef { kind, id: new.id };
        Ok(Self {
            made,
            seat,
            target,
            writeback,
        })
    }

    /// Stores messages as the console does.
    async fn accept(&self, number: usize, round: usize) -> Result<Vec<ActivityId>> {
        let now = SystemClock.now();
        let mut activities = Vec::with_capacity(number);
        for n in 0..number {
            let given = Given {
                key: format!("{round}-{n}"),
                kind: "message".to_owned(),
                occurred_at: now,
                text: format!("Message {n} of {round}: please call me back about the engine."),
                ..Given::default()
            };
            let draft = Draft::check(given, self.target.kind, now);
            let draft = draft.ok().context("a message")?;
            activities.push(draft.with(&self.made.id, self.seat, self.target, "Product", now));
        }
        let store = &self.writeback.remote.store;
        for accepted in store.accept_activities(&activities).await {
            accepted?;
        }
        Ok(activities.iter().map(|activity| activity.id).collect())
    }

    async fn deliver(&self, ids: &[ActivityId]) -> Result<()> {
        let named = ids.iter().map(|id| (self.seat, *id));
        let messages = WritebackMessage::activities(&self.made.id, named);
        let mut records: Vec<Value> = Vec::new();
        for message in messages {
            let body = serde_json::to_string(&message)?;
            records.push(json!({
                "messageId": "19dd0b57-b21e-4ac1-bd88-01bbb068cb00", "receiptHandle": "handle",
                "body": body, "attributes": {}, "messageAttributes": {},
                "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            }));
        }
        let event = serde_json::from_value(json!({ "Records": records }))?;
        let answer = crm_writeback::handle(&self.writeback, event).await;
        ensure!(
            answer.batch_item_failures.is_empty(),
            "a message was given back"
        );
        Ok(())
    }

    /// Checks that activities are in the CRM, open.
    async fn check(&self, ids: &[ActivityId]) -> Result<()> {
        let store = &self.writeback.remote.store;
        for id in ids {
            let stored = store.activity(&self.made.id, self.seat, *id).await?;
            let stored = stored.context("it is not stored")?;
            ensure!(
                stored.state == ActivityState::Unresolved && stored.record.is_some(),
                "an activity is {}",
                stored.state.as_str()
            );
        }
        Ok(())
    }
}

/// Gives a seat holder tokens of Salesforce.
async fn sign_in(
    rig: &Rig,
    made: &Made,
    seat: SeatId,
    addresses: &SimulatorAddresses,
) -> Result<()> {
    let wish = json!({"provider": "salesforce", "user": local::demo::SALESPERSON});
    let minted: Value = reqwest::Client::new()
        .post(addresses.control.join("/tokens")?)
        .json(&wish)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let text = |name: &str| minted.get(name).and_then(Value::as_str).map(str::to_owned);
    let tokens = Tokens {
        access_token: text("access_token").context("a token")?,
        refresh_token: text("refresh_token"),
        expires_at: None,
    };
    let organization = text("organization_id").unwrap_or_default();
    let to = Remote {
        kind: ConnectionKind::User(seat, Environment::Production),
        provider: Provider::Salesforce,
        base_url: &addresses.salesforce,
        auth_url: &addresses.salesforce,
        organization: &organization,
        tenant: None,
        user: None,
        valid_until: Some(SystemClock.now().plus_seconds(24 * 3600)),
        tokens: &tokens,
    };
    let maker = Maker {
        store: rig.stack.store(),
        vault: rig.stack.vault(),
        random: &SystemRandom,
        now: SystemClock.now(),
    };
    maker.connect(&made.id, to).await
}

/// Measures one CRM.
pub(crate) fn one_crm(
    rig: &Rig,
    name: &str,
    crm: CrmKind,
    quick: bool,
    section: &mut Section,
) -> Result<()> {
    let (number, rounds) = if quick { (200, 1) } else { (1_000, 5) };
    let counted = count(rig, crm, number)?;
    let [ours, bare] = time(rig, crm, number, &counted, rounds)?;
    let name = format!("{name}, {number} activities");
    let count = |what: &str, count: usize| -> Result<Row> {
        let count = f64::from(u32::try_from(count)?);
        Ok(Row::new(format!("{name}: {what}"), "", count))
    };
    let most = match crm {
        CrmKind::Salesforce => 8.0,
        CrmKind::Dynamics365 => 20.0,
    };
    section.row(count("CRM calls", counted.crm_calls)?.target(Target::AtMost(most)));
    section.row(count("AWS calls", counted.aws_calls)?);
    let time = Row::new(format!("{name}: time, p50"), "ms", ours.median());
    section.row(time.beside(bare.median()).target(Target::Ratio(1.2)));
    let activities = f64::from(u32::try_from(number)?);
    let each_second = |taken: &Samples| activities * 1000.0 / taken.median().max(f64::EPSILON);
    let throughput = Row::new(format!("{name}: throughput"), "/s", each_second(&ours));
    section.row(throughput.beside(each_second(&bare)));
    Ok(())
}

/// Writes so many once, watched.
fn count(rig: &Rig, crm: CrmKind, number: usize) -> Result<Counted> {
    let mut addresses = SimulatorAddresses::of(&rig.stack)?;
    let address = match crm {
        CrmKind::Salesforce => &mut addresses.salesforce,
        CrmKind::Dynamics365 => &mut addresses.dataverse,
    };
    let proxy = rig.behind(Proxy::start(address.as_str()))?;
    *address = proxy.url.parse()?;
    let watch = Watch::default();
    let clients = rig.clients(Some(&watch));
    let remote = clients.remote(&rig.stack, Some(&watch), Some(&proxy.url))?;
    let made = rig.tenant(crm, &addresses)?;
    let app = clients.writeback(remote);
    rig.front.block_on(async {
        let worker = Worker::start(rig, made, &addresses, app).await?;
        // The organisation's rules are known after these.
        let first = worker.accept(1, 0).await?;
        worker.deliver(&first).await?;
        worker.check(&first).await?;
        let ids = worker.accept(number, 1).await?;
        watch.reset();
        proxy.take();
        worker.deliver(&ids).await?;
        let (aws_calls, crm_calls) = (watch.wire.aws_calls(), watch.wire.outside_calls());
        worker.check(&ids).await?;
        Ok(Counted {
            crm_calls,
            aws_calls,
            requests: proxy.take(),
        })
    })
}

/// Milliseconds of ours and of the baseline, which take turns.
fn time(
    rig: &Rig,
    crm: CrmKind,
    number: usize,
    counted: &Counted,
    rounds: usize,
) -> Result<[Samples; 2]> {
    let clients = rig.clients(None);
    let addresses = SimulatorAddresses::of(&rig.stack)?;
    let made = rig.tenant(crm, &addresses)?;
    let app = clients.writeback(clients.remote(&rig.stack, None, None)?);
    let base = match crm {
        CrmKind::Salesforce => rig.stack.simulator.salesforce_url(),
        CrmKind::Dynamics365 => rig.stack.simulator.dataverse_url(),
    };
    let certificate = std::fs::read(rig.stack.simulator.ca_file())?;
    let certificate = reqwest::Certificate::from_pem(&certificate)?;
    let client = shared::outbound::Outbound::builder()
        .tls_certs_merge([certificate])
        .build()?;
    let mut times: [Samples; 2] = Default::default();
    rig.front.block_on(async {
        let worker = Worker::start(rig, made, &addresses, app).await?;
        let first = worker.accept(1, 0).await?;
        worker.deliver(&first).await?;
        let alone = copy(&clients, &worker, &first).await?;
        for round in 1..=rounds {
            let ids = worker.accept(number, round).await?;
            let mut fresh = HashMap::new();
            let requests = counted.requests.iter();
            let replay: Result<Vec<_>> = requests
                .map(|request| request.renamed(&[], &mut fresh))
                .collect();
            let replay = replay?;
            let ours = timed(worker.deliver(&ids));
            let loop_alone = timed(async {
                let puts: Vec<_> = (0..number).map(|_| alone.put()).collect();
                let puts = stream::iter(puts).buffer_unordered(AT_ONCE);
                puts.try_collect::<Vec<_>>().await?;
                for request in replay {
                    request.send(&client, base).await?;
                }
                let together = (0..number.div_ceil(TOGETHER)).map(|_| alone.put_together(TOGETHER));
                let together: Vec<_> = together.collect();
                let together = stream::iter(together).buffer_unordered(AT_ONCE);
                together.try_collect::<Vec<_>>().await?;
                Ok(())
            });
            let (ours, loop_alone) = if round % 2 == 0 {
                let ours = ours.await?;
                (ours, loop_alone.await?)
            } else {
                let loop_alone = loop_alone.await?;
                (ours.await?, loop_alone)
            };
            worker.check(&ids).await?;
            for (samples, taken) in times.iter_mut().zip([ours.0, loop_alone.0]) {
                samples.push(ms(taken));
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(times)
}

async fn copy(clients: &Clients, worker: &Worker, ids: &[ActivityId]) -> Result<Bare> {
    let id = ids.first().context("an activity")?.to_string();
    Bare::copy(clients, &worker.made, &id).await
}
