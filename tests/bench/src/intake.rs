//! Accepting a submission: form-intake's own router beside a bare handler with the same two calls.

use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::extract::Request;
use futures::{StreamExt as _, TryStreamExt as _};
use local::demo::SimulatorAddresses;
use local::seed::Made;
use shared::domain::schema::CrmKind;

use crate::bare::Bare;
use crate::meter::{ms, thread_cpu};
use crate::report::{Row, Samples, Section, Target};
use crate::rig::{self, Rig, Watch};

/// The number of concurrent requests for measuring throughput. Lambda gives a process one at a time.
const AT_ONCE: usize = 8;

/// The samples of one of the two contestants.
#[derive(Default)]
struct Taken {
    latency: Samples,
    cpu: Samples,
    rate: Samples,
}

/// Measures.
pub(crate) fn run(quick: bool) -> Result<Section> {
    let (rounds, posts) = if quick { (6, 10) } else { (80, 20) };
    let rig = Rig::start()?;
    let _logs = rig::log_to_nowhere()?;
    let addresses = SimulatorAddresses::of(&rig.stack)?;
    let made = rig.tenant(CrmKind::Salesforce, &addresses)?;
    let clients = rig.clients(None);
    let ours = clients.intake(&rig.stack);
    let stored = rig
        .front
        .block_on(rig::submit(&ours, &made, &rig::person(0)))?;
    let bare = rig
        .front
        .block_on(Bare::copy(&clients, &made, &stored))?
        .router();
    let mut people = 1..;
    let mut batch = || requests(&made, &mut people, posts);
    let mut taken = [Taken::default(), Taken::default()];
    for round in 0..rounds + 2 {
        // Each goes first every other time.
        for place in [round % 2, (round + 1) % 2] {
            let router = if place == 0 { &ours } else { &bare };
            let Some(taken) = taken.get_mut(place) else {
                continue;
            };
            let mut warm_up = Taken::default();
            // The first rounds open connections.
            let taken = if round < 2 { &mut warm_up } else { taken };
            one_by_one(&rig, router, batch()?, taken)?;
            many_at_once(&rig, router, batch()?, taken)?;
        }
        // A queue that is never emptied would grow slower with every round.
        let purge = clients.sqs.purge_queue().queue_url(&clients.queue_url);
        rig.front.block_on(purge.send())?;
    }
    let [ours, bare] = taken;
    let mut section = Section::new("intake");
    for percent in [50, 95, 99] {
        let row = Row::new(
            format!("accepted submission, p{percent}"),
            "ms",
            ours.latency.percentile(percent),
        );
        let row = row.beside(bare.latency.percentile(percent));
        section.row(if percent == 50 {
            row.target(Target::Ratio(1.15))
        } else {
            row
        });
    }
    section
        .row(Row::new("processor time, median", "ms", ours.cpu.median()).beside(bare.cpu.median()));
    section.row(
        Row::new(
            format!("throughput, {AT_ONCE} at once"),
            "1/s",
            ours.rate.median(),
        )
        .beside(bare.rate.median()),
    );
    count(&rig, &made, &mut section)?;
    section.note(format!(
        "{rounds} rounds of {posts} posts each, in turns. The time of the emulators is in both; the processor time is the function's alone.",
    ));
    section.note("Baseline: a handler that reads nothing, writes an item of the same size and sends the same message.");
    section.note("Allocations are left out: no maintained crate counts them for one thread.");
    rig.stop();
    Ok(section)
}

fn requests(
    made: &Made,
    people: &mut impl Iterator<Item = usize>,
    count: usize,
) -> Result<Vec<Request>> {
    people
        .take(count)
        .map(|number| rig::post(made, &rig::person(number), None))
        .collect()
}

fn one_by_one(rig: &Rig, router: &Router, batch: Vec<Request>, taken: &mut Taken) -> Result<()> {
    let count = u32::try_from(batch.len())?;
    rig.front.block_on(async {
        let before = thread_cpu();
        for request in batch {
            let start = Instant::now();
            drop(rig::accepted(router, request).await?);
            taken.latency.push(ms(start.elapsed()));
        }
        taken
            .cpu
            .push(ms(thread_cpu().saturating_sub(before) / count));
        Ok(())
    })
}

fn many_at_once(rig: &Rig, router: &Router, batch: Vec<Request>, taken: &mut Taken) -> Result<()> {
    let count = u32::try_from(batch.len())?;
    rig.front.block_on(async {
        let start = Instant::now();
        futures::stream::iter(batch)
            .map(|request| rig::accepted(router, request))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let each: Duration = start.elapsed() / count;
        taken.rate.push(1.0 / each.as_secs_f64());
        Ok(())
    })
}

/// Calls to AWS, counted on the wire.
fn count(rig: &Rig, made: &Made, section: &mut Section) -> Result<()> {
    let watch = Watch::default();
    let router = rig.clients(Some(&watch)).intake(&rig.stack);
    let answers = rig::person(0);
    let calls = |key: &str| {
        watch.reset();
        rig.front.block_on(rig::accepted(
            &router,
            rig::post(made, &answers, Some(key))?,
        ))?;
        let calls = u32::try_from(watch.wire.aws_calls())?;
        Ok::<_, anyhow::Error>(f64::from(calls))
    };
    section.row(Row::new("AWS calls, first of a process", "", calls("one")?).beside(2.0));
    let accepted = calls("two")?;
    section.row(
        Row::new("AWS calls, accepted", "", accepted)
            .beside(2.0)
            .target(Target::AtMost(2.0)),
    );
    section.row(Row::new("AWS calls, repeat", "", calls("two")?).target(Target::AtMost(1.0)));
    Ok(())
}
