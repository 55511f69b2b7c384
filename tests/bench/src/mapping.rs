//! Parsing and mapping: pure computation, so that its time is its own.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use http::HeaderMap;
use local::demo::SimulatorAddresses;
use local::seed::Made;
use serde_json::Value;
use shared::clock::{Clock as _, SystemClock};
use shared::crm;
use shared::domain::field::Field;
use shared::domain::form::{Form, FormKind};
use shared::domain::mapping::{DEFAULT_PLACEHOLDER, FieldMapping, MappingContext, map_submission};
use shared::domain::schema::{CrmKind, FieldType, LeadField, LeadSchema};
use shared::source::google_ads::GoogleAds;
use shared::source::linkedin::{self, LinkedIn};
use shared::source::website::{self, Encoding};
use shared::source::{Inbound, LeadSource};
use shared::store::ConnectionKind;

use crate::report::{Row, Samples, Section};
use crate::rig::Rig;

const FIELDS: usize = 20;
const WEBSITE_JSON: &[u8] = include_bytes!("../../../events/form-intake/bodies/website-form.json");
const WEBSITE_URLENCODED: &[u8] =
    include_bytes!("../../../events/form-intake/bodies/website-form.urlencoded.txt");
const LINKEDIN: &[u8] =
    include_bytes!("../../../events/form-intake/bodies/linkedin-lead-created.json");
const GOOGLE_ADS: &[u8] = include_bytes!("../../../events/form-intake/bodies/google-ads-lead.json");

/// Measures.
pub(crate) fn run(quick: bool) -> Result<Section> {
    let rounds = if quick { 10 } else { 200 };
    let mut section = Section::new("mapping");
    let rig = Rig::start()?;
    let addresses = SimulatorAddresses::of(&rig.stack)?;
    for (name, crm) in [
        ("Salesforce", CrmKind::Salesforce),
        ("Dataverse", CrmKind::Dynamics365),
    ] {
        let made = rig.tenant(crm, &addresses)?;
        let sessions = &rig.stack.apps().writeback.remote.sessions;
        let schema = rig.behind(async {
            let session = sessions.open(&made.id, ConnectionKind::PRODUCTION).await?;
            Ok::<_, anyhow::Error>(crm::open(session).lead_schema(SystemClock.now()).await?)
        })?;
        map(name, &schema, rounds, &mut section)?;
        if crm == CrmKind::Salesforce {
            let config = rig.behind(rig.stack.store().config(&made.id))?;
            let forms = config.context("no such contract")?.forms;
            let form = |kind| {
                let form = forms.values().find(|form| form.kind == kind);
                form.context("the contract has no such form")
            };
            parse_website(form(FormKind::Website)?, rounds, &mut section)?;
            parse_webhooks(form(FormKind::GoogleAds)?, &made, rounds, &mut section)?;
        }
    }
    section.note("Baseline of mapping: looking each name up and copying the text, unchecked. Of parsing: serde_json into a Value, form_urlencoded into pairs; with the signature where there is one.");
    rig.stop();
    Ok(section)
}

/// A form of which every field is mapped to a field of the CRM, of as many types as it has.
fn map(name: &str, schema: &LeadSchema, rounds: usize, section: &mut Section) -> Result<()> {
    let mut fields = Vec::new();
    let mut mappings = BTreeMap::new();
    let now = SystemClock.now();
    for target in schema
        .fields
        .iter()
        .filter(|field| field.is_mappable())
        .take(FIELDS)
    {
        let name = target.label.to_lowercase().replace(' ', "_");
        fields.push(Field::answer(name.clone(), value(target)));
        let mapping = FieldMapping {
            name: name.clone(),
            lead_field: target.name.clone(),
            created_at: now,
            updated_at: now,
        };
        mappings.insert(name, mapping);
    }
    ensure!(
        fields.len() == FIELDS,
        "{name} has only {} fields to map to",
        fields.len()
    );
    let context = MappingContext {
        mappings: &mappings,
        schema,
        region: Some("US"),
        placeholder: DEFAULT_PLACEHOLDER,
        form_name: "Bench",
    };
    let (ours, bare) = compare(
        rounds,
        || {
            black_box(map_submission(black_box(&fields), context));
        },
        || {
            let mut values = BTreeMap::new();
            for field in black_box(&fields) {
                if let Some(mapping) = mappings.get(&field.name) {
                    values.insert(mapping.lead_field.clone(), Value::from(field.value.clone()));
                }
            }
            black_box(values);
        },
    );
    section
        .row(Row::new(format!("map {FIELDS} fields, {name}"), "us", ours * 1e6).beside(bare * 1e6));
    section
        .row(Row::new(format!("submissions mapped, {name}"), "1/s", 1.0 / ours).beside(1.0 / bare));
    Ok(())
}

fn value(field: &LeadField) -> String {
    match &field.field_type {
        FieldType::Text { .. } | FieldType::LongText { .. } => "Analytical Engines".to_owned(),
        FieldType::Email { .. } => "ada.lovelace@example.com".to_owned(),
        FieldType::Phone { .. } => "+44 20 7946 0958".to_owned(),
        FieldType::Url { .. } => "https://www.example.com/engines".to_owned(),
        FieldType::Integer { .. } => "1,250".to_owned(),
        FieldType::Decimal { .. } => "1,250.50".to_owned(),
        FieldType::Boolean => "yes".to_owned(),
        FieldType::Date => "2026-01-15".to_owned(),
        FieldType::DateTime => "2026-01-15T09:30:00Z".to_owned(),
        FieldType::Picklist { options, .. } | FieldType::MultiPicklist { options, .. } => options
            .last()
            .map(|option| option.label.clone())
            .unwrap_or_default(),
        FieldType::Unsupported { .. } => String::new(),
    }
}

/// A row for the parsing of a body.
fn parsed(what: &str, body: &[u8], (ours, bare): (f64, f64), section: &mut Section) -> Result<()> {
    let megabytes = f64::from(u32::try_from(body.len())?) / 1e6;
    let row = Row::new(format!("parse {what}"), "MB/s", megabytes / ours);
    section.row(row.beside(megabytes / bare));
    Ok(())
}

fn json_value(body: &[u8]) {
    let _ = black_box(serde_json::from_slice::<Value>(black_box(body)));
}

fn parse_website(form: &Form, rounds: usize, section: &mut Section) -> Result<()> {
    let read = |body: &[u8], encoding| {
        let _ = black_box(website::parse(black_box(body), encoding, form));
    };
    ensure!(
        website::parse(WEBSITE_JSON, Encoding::JSON, form).is_ok(),
        "unreadable JSON"
    );
    let json = compare(
        rounds,
        || read(WEBSITE_JSON, Encoding::JSON),
        || json_value(WEBSITE_JSON),
    );
    parsed("website form, JSON", WEBSITE_JSON, json, section)?;
    let body = WEBSITE_URLENCODED.trim_ascii_end();
    ensure!(
        website::parse(body, Encoding::URL_ENCODED, form).is_ok(),
        "unreadable form"
    );
    let pairs = || {
        let pairs = form_urlencoded::parse(black_box(body));
        black_box(pairs.into_owned().collect::<Vec<_>>());
    };
    let urlencoded = compare(rounds, || read(body, Encoding::URL_ENCODED), pairs);
    parsed("website form, urlencoded", body, urlencoded, section)
}

fn parse_webhooks(form: &Form, made: &Made, rounds: usize, section: &mut Section) -> Result<()> {
    let secret = made.linkedin_client_secret.as_str();
    let signature = linkedin::sign(secret, LINKEDIN);
    let mut headers = HeaderMap::new();
    headers.insert(linkedin::SIGNATURE, signature.parse()?);
    let notification = Inbound {
        contract: &made.id,
        form: None,
        headers: &headers,
        body: LINKEDIN,
        secrets: &[secret],
        fresh_id: "fresh",
        now: shared::clock::Millis(0),
    };
    ensure!(
        LinkedIn.read(notification).is_ok(),
        "unreadable notification"
    );
    let read = || {
        let _ = black_box(LinkedIn.read(black_box(notification)));
    };
    let signed = || {
        black_box(linkedin::sign(secret, black_box(LINKEDIN)));
        json_value(LINKEDIN);
    };
    parsed(
        "LinkedIn notification",
        LINKEDIN,
        compare(rounds, read, signed),
        section,
    )?;
    let lead = Inbound {
        form: Some(form),
        body: GOOGLE_ADS,
        secrets: &["demo-google-key"],
        ..notification
    };
    ensure!(GoogleAds.read(lead).is_ok(), "unreadable lead");
    let read = || {
        let _ = black_box(GoogleAds.read(black_box(lead)));
    };
    let lead = compare(rounds, read, || json_value(GOOGLE_ADS));
    parsed("Google Ads lead", GOOGLE_ADS, lead, section)
}

/// Seconds for one run of each, in turns: the medians of many short rounds.
fn compare(rounds: usize, mut ours: impl FnMut(), mut bare: impl FnMut()) -> (f64, f64) {
    const TIMES: u32 = 50;
    let time = |work: &mut dyn FnMut(), samples: &mut Samples| {
        let start = Instant::now();
        for _ in 0..TIMES {
            work();
        }
        samples.push((start.elapsed() / TIMES).as_secs_f64());
    };
    let (mut our_samples, mut bare_samples) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        time(&mut ours, &mut our_samples);
        time(&mut bare, &mut bare_samples);
    }
    (our_samples.median(), bare_samples.median())
}
