//! Random histories with fixed seeds (LG-10, IM-2, IM-4, IM-5, MA-4, WB-7, SV-4, RO-1); `cargo xtask soak` runs others.

use e2e::histories::{History, Model, Tally};

async fn run(model: Model, seeds: impl IntoIterator<Item = u64>) {
    let tally = Tally::default();
    for seed in seeds {
        History { model, seed }.run(&tally).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_stream_of_submissions_makes_the_leads_that_the_model_says() {
    run(Model::Submissions, 0..20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_history_the_mirror_is_as_salesforce_is() {
    run(Model::Imports, [0, 2, 4, 6, 8]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_history_the_mirror_is_as_dynamics_is() {
    run(Model::Imports, [1, 3, 5, 7, 9]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_decided_holds_with_salesforce() {
    run(Model::Decisions, [0, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_decided_holds_with_dynamics() {
    run(Model::Decisions, [1, 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_stream_of_activities_is_in_salesforce_once() {
    run(Model::Activities, [0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_stream_of_activities_is_in_dynamics_once() {
    run(Model::Activities, [1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_fill_themselves_as_a_plain_model_says_whatever_happens() {
    run(Model::Lists, [0, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_those_of_a_plain_model_whatever_happens() {
    run(Model::Roi, [0, 1]).await;
}
