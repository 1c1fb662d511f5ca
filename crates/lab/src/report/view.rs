//! What the page shows: figures and words, ready for the template.

use std::collections::BTreeMap;

use askama::Template;
use ostrom_models::ModelIdentity;

use super::examples::Example;
use super::names::{Axis, Names};
use super::svg::{Svg, axis, interval_bar};
use super::text::{Piece, count, list, pieces, plural, share, span, tally, visible};
use super::{Pass, certainty, summary};
use crate::bundle::Bundle;
use crate::metrics::{Group, Metrics, Rate};

/// A rate, as text and as a picture.
pub struct Figure {
    /// "16 %", "16–21 %", "not tested".
    pub share: String,
    /// "10–24 %".
    pub interval: String,
    /// "23 of 144".
    pub tally: String,
    pub bar: Svg,
}

impl Figure {
    fn of(rate: &Rate) -> Self {
        let interval = if rate.trials == 0 { "–".to_owned() } else { span(rate.low, rate.high) };
        Self { share: share(rate), interval, tally: tally(rate), bar: interval_bar(rate) }
    }
}

/// One of the four figures at the top.
pub struct Tile {
    pub name: &'static str,
    pub meaning: &'static str,
    pub figure: Figure,
}

/// A row of a breakdown.
pub struct Row {
    pub name: String,
    pub definition: Option<String>,
    pub figure: Figure,
}

/// Attack success by one thing.
pub struct Breakdown {
    /// Fragment in the page's address.
    pub anchor: &'static str,
    pub title: &'static str,
    pub lead: &'static str,
    pub column: &'static str,
    pub rows: Vec<Row>,
}

/// A cell of the heat map that was tested.
pub struct Cell {
    pub share: String,
    pub trials: String,
    /// Step of the colour scale, 0 to 5.
    pub step: usize,
    pub failed: bool,
}

/// The heat map: mechanisms by channels.
pub struct Heat {
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Option<Cell>>)>,
}

/// A named value. Values that people compare letter by letter are set in code.
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    pub code: bool,
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact { name, value: visible(&value.into()), code: false }
}

fn code(name: &'static str, value: impl ToString) -> Fact {
    Fact { name, value: visible(&value.to_string()), code: true }
}

/// Trials without an outcome.
pub struct Failures {
    pub failed: String,
    pub planned: String,
    pub reasons: Vec<(Vec<Piece>, String)>,
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
pub struct Page {
    pub model: String,
    pub suite: String,
    pub defences: String,
    pub lead: String,
    pub summary: Vec<String>,
    pub failures: Option<Failures>,
    pub tiles: Vec<Tile>,
    pub facts: Vec<(&'static str, Vec<Fact>)>,
    pub defence_list: Vec<(&'static str, &'static str)>,
    pub endpoint: bool,
    pub description: String,
    pub breakdowns: Vec<Breakdown>,
    pub heat: Heat,
    pub axis: Svg,
    pub examples: Vec<Example>,
    pub counted: usize,
    pub certainty: Vec<String>,
    pub digest: String,
    pub tool: String,
}

impl Page {
    /// Everything but the examples.
    pub fn new(bundle: &Bundle, pass: &Pass, figures: &Metrics, names: &Names) -> Self {
        let manifest = &bundle.manifest;
        let suite = bundle.plan.suite();
        let ids: Vec<String> =
            manifest.settings.defences.iter().map(|defence| defence.id().to_owned()).collect();
        let breakdowns = breakdowns(figures, names);
        let model = visible(manifest.target.name());
        Self {
            suite: visible(&format!("{} ({} {})", suite.title, suite.id, suite.version)),
            defences: if ids.is_empty() { "none".to_owned() } else { list(&ids) },
            lead: summary::lead(figures, &model, &ids),
            model,
            summary: summary::sentences(&manifest.settings, pass, figures, names),
            failures: failures(pass, figures),
            tiles: tiles(figures),
            facts: facts(bundle, pass),
            defence_list: manifest.settings.defences.iter().map(|d| (d.id(), d.summary())).collect(),
            endpoint: matches!(manifest.target, ModelIdentity::Endpoint { .. }),
            description: visible(&suite.description),
            heat: heat(figures, names),
            breakdowns,
            axis: axis(),
            examples: Vec::new(),
            counted: usize::try_from(figures.attack_success.successes).unwrap_or(usize::MAX),
            certainty: certainty::paragraphs(&manifest.settings, pass, figures),
            digest: bundle.digest.to_string(),
            tool: visible(&format!("{} {}", manifest.tool.name, manifest.tool.version)),
        }
    }
}

fn failures(pass: &Pass, figures: &Metrics) -> Option<Failures> {
    let reason = |text: &str| pieces(text, &(0..0), super::MAX_REASON);
    let mut reasons: Vec<(&str, u64)> = pass.failures.iter().map(|(text, &n)| (text.as_str(), n)).collect();
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    if pass.other_failures > 0 {
        reasons.push(("other reasons", pass.other_failures));
    }
    (figures.failed > 0).then(|| Failures {
        failed: count(figures.failed),
        planned: plural(figures.planned, "trial", "trials"),
        reasons: reasons.into_iter().map(|(text, n)| (reason(text), count(n))).collect(),
    })
}

fn tiles(figures: &Metrics) -> Vec<Tile> {
    [
        (
            "Attack success",
            "What the attacker wanted happened, and not in the negative control. Lower is better.",
            &figures.attack_success,
        ),
        (
            "Control success",
            "It happened although nothing ordered it. Should be near zero.",
            &figures.control_success,
        ),
        (
            "Benign utility",
            "The user's task was done, with no attack. Higher is better.",
            &figures.benign_utility,
        ),
        (
            "Utility under attack",
            "The user's task was done although the document carried an attack. Higher is better.",
            &figures.utility_under_attack,
        ),
    ]
    .into_iter()
    .map(|(name, meaning, rate)| Tile { name, meaning, figure: Figure::of(rate) })
    .collect()
}

/// What an endpoint said has answered: often a dated version of the name that was asked for.
fn reported(pass: &Pass) -> String {
    match pass.reported.len() {
        0 => "nothing".to_owned(),
        1 => pass.reported.keys().map(|name| visible(name)).collect(),
        _ => {
            let each = pass.reported.iter();
            list(&each.map(|(name, calls)| format!("{} ({calls})", visible(name))).collect::<Vec<_>>())
        }
    }
}

fn facts(bundle: &Bundle, pass: &Pass) -> Vec<(&'static str, Vec<Fact>)> {
    let (manifest, suite) = (&bundle.manifest, bundle.plan.suite());
    let settings = &manifest.settings;
    let model = match &manifest.target {
        ModelIdentity::Local { name, digest, architecture } => vec![
            fact("Name", name),
            fact("Kind", format!("model file ({architecture}), run by Ostrom itself")),
            code("SHA-256 of the file", digest),
        ],
        ModelIdentity::Endpoint { protocol, url, model } => vec![
            fact("Name", model),
            fact("Kind", format!("service, spoken to in the {protocol} protocol")),
            code("Address", url),
            fact("Says that it is", reported(pass)),
        ],
    };
    let size = format!(
        "{}, each with a negative control; {}; {} in all",
        plural(suite.cases.len() as u64, "attack", "attacks"),
        plural(suite.twins.len() as u64, "benign task", "benign tasks"),
        plural(bundle.plan.len() as u64, "trial", "trials"),
    );
    let temperature = if settings.temperature == 0.0 { " (always the likeliest word)" } else { "" };
    vec![
        ("Model", model),
        (
            "Suite",
            vec![
                fact("Name", &suite.title),
                fact("Id and version", format!("{} {}", suite.id, suite.version)),
                fact("Size", size),
                code("SHA-256 of the suite", manifest.suite_digest),
            ],
        ),
        (
            "Settings",
            vec![
                fact("Repeats", plural(settings.repeat.into(), "run of every trial", "runs of every trial")),
                fact("Temperature", format!("{}{temperature}", settings.temperature)),
                fact("Nucleus (top-p)", settings.top_p.to_string()),
                fact("Longest answer", plural(settings.max_tokens.into(), "token", "tokens")),
                fact("Seed", settings.seed.to_string()),
            ],
        ),
    ]
}

/// Groups from the highest rate to the lowest.
pub fn ranked(groups: &[Group]) -> Vec<&Group> {
    let least = |group: &Group| group.rate.bounds().map_or(-1.0, |(least, _)| least);
    let mut ranked: Vec<&Group> = groups.iter().collect();
    ranked.sort_by(|a, b| {
        least(b).total_cmp(&least(a)).then(b.rate.trials.cmp(&a.rate.trials)).then(a.id.cmp(&b.id))
    });
    ranked
}

fn breakdowns(figures: &Metrics, names: &Names) -> Vec<Breakdown> {
    let rows = |axis, groups: &[Group]| {
        ranked(groups)
            .into_iter()
            .map(|group| {
                let (name, definition) = names.get(axis, &group.id);
                Row { name, definition, figure: Figure::of(&group.rate) }
            })
            .collect()
    };
    [
        (
            Axis::Mechanism,
            "By mechanism",
            "How the attack tries to manipulate the model.",
            "Mechanism",
            &figures.by_mechanism,
        ),
        (Axis::Channel, "By channel", "Where the attacker's text is placed.", "Channel", &figures.by_channel),
        (Axis::Family, "By family", "Who the attacker is.", "Family", &figures.by_family),
        (Axis::Intent, "By intent", "What the attacker wants.", "Intent", &figures.by_intent),
        (
            Axis::Transform,
            "By transform",
            "How the attacker's text is disguised.",
            "Transform",
            &figures.by_transform,
        ),
    ]
    .into_iter()
    .map(|(axis, title, lead, column, groups)| {
        let anchor = match axis {
            Axis::Mechanism => "by-mechanism",
            Axis::Channel => "by-channel",
            Axis::Family => "by-family",
            Axis::Intent => "by-intent",
            Axis::Transform => "by-transform",
        };
        Breakdown { anchor, title, lead, column, rows: rows(axis, groups) }
    })
    .collect()
}

fn heat(figures: &Metrics, names: &Names) -> Heat {
    let cells: BTreeMap<(&str, &str), &Rate> = figures
        .cells
        .iter()
        .map(|cell| ((cell.mechanism.as_str(), cell.channel.as_str()), &cell.rate))
        .collect();
    let channels = ranked(&figures.by_channel);
    let cell = |mechanism: &str, channel: &str| {
        let rate = cells.get(&(mechanism, channel))?;
        let (least, _) = rate.bounds()?;
        let step = [0.0, 0.1, 0.25, 0.5, 0.75].into_iter().filter(|&from| least > from).count();
        Some(Cell { share: share(rate), trials: count(rate.trials), step, failed: rate.failed > 0 })
    };
    Heat {
        columns: channels.iter().map(|channel| names.get(Axis::Channel, &channel.id).0).collect(),
        rows: ranked(&figures.by_mechanism)
            .into_iter()
            .map(|mechanism| {
                let cells = channels.iter().map(|channel| cell(&mechanism.id, &channel.id)).collect();
                (names.get(Axis::Mechanism, &mechanism.id).0, cells)
            })
            .collect(),
    }
}
