//! Transcripts to read: a few attacks that counted, spread over mechanisms.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::names::{Axis, Names};
use super::text::{Piece, changed, pieces};
use super::view::ranked;
use crate::bundle::{Bundle, BundleError};
use crate::library::Family;
use crate::metrics::{Metrics, Pair};
use crate::suite::{Case, Turn, Twin};
use crate::trial::{Arm, Item, Trial};

/// At most so many examples.
const MAX_EXAMPLES: usize = 8;
/// Characters shown of each kind of text.
const MAX_SYSTEM: usize = 700;
const MAX_INSTRUCTION: usize = 1_400;
const MAX_DOCUMENT: usize = 1_500;
const MAX_NAME: usize = 300;
const MAX_REPLY: usize = 900;

/// One turn: what the user said and what the model answered.
pub struct Exchange {
    pub instruction: Vec<Piece>,
    pub document: Option<(Vec<Piece>, Vec<Piece>)>,
    /// `None` if the model was not asked.
    pub reply: Option<Vec<Piece>>,
    /// The reply ends at the limit on tokens.
    pub cut_off: bool,
}

/// An attack that counted, with its negative control.
pub struct Example {
    pub technique: String,
    pub id: String,
    pub facts: Vec<(&'static str, String)>,
    pub by_user: bool,
    pub defended: bool,
    pub system: Vec<Piece>,
    pub attack: Vec<Exchange>,
    pub control: Vec<Exchange>,
}

/// Picks attacks that counted: one of each mechanism in turn, those that worked most often first, and within a
/// mechanism those with intents and channels that are not shown yet.
pub fn choose<'a>(pairs: &[Pair<'a>], figures: &Metrics) -> Vec<Pair<'a>> {
    let mut left: BTreeMap<&str, Vec<Pair<'a>>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for pair in pairs.iter().filter(|pair| pair.counts() == Some(true)) {
        // Of the repeats, the first is shown.
        if seen.insert(pair.case.id.as_str()) {
            left.entry(pair.case.mechanism.as_str()).or_default().push(*pair);
        }
    }
    let order = ranked(&figures.by_mechanism);
    let (mut intents, mut channels, mut chosen) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    while chosen.len() < MAX_EXAMPLES && left.values().any(|pairs| !pairs.is_empty()) {
        for mechanism in &order {
            let Some(candidates) = left.get_mut(mechanism.id.as_str()) else { continue };
            let novelty = |pair: &Pair<'_>| {
                u8::from(intents.contains(&pair.case.intent)) * 2
                    + u8::from(channels.contains(&pair.case.channel))
            };
            let best =
                candidates.iter().enumerate().min_by_key(|(_, pair)| novelty(pair)).map(|(index, _)| index);
            let Some(best) = best.filter(|_| chosen.len() < MAX_EXAMPLES) else { continue };
            let pair = candidates.remove(best);
            intents.insert(pair.case.intent.clone());
            channels.insert(pair.case.channel.clone());
            chosen.push(pair);
        }
    }
    chosen
}

/// Reads the transcripts of the chosen attacks and their controls.
pub fn read(bundle: &Bundle, chosen: &[Pair<'_>], names: &Names) -> Result<Vec<Example>, BundleError> {
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let places: BTreeMap<(&str, u32), usize> = chosen
        .iter()
        .enumerate()
        .map(|(place, pair)| ((pair.case.id.as_str(), pair.repeat), place))
        .collect();
    let mut attacks: Vec<Option<Trial>> = chosen.iter().map(|_| None).collect();
    let mut controls = attacks.clone();
    bundle.trials(|index, trial| {
        let planned = bundle.plan.get(index);
        let place = planned.and_then(|(item, repeat)| places.get(&(item.id(), repeat)));
        let arm = planned.map(|(item, _)| item.arm());
        let slots = if arm == Some(Arm::Control) { &mut controls } else { &mut attacks };
        if let Some(slot) = place.and_then(|&place| slots.get_mut(place)) {
            *slot = Some(trial);
        }
        Ok(())
    })?;
    let trials = attacks.iter().zip(&controls);
    Ok(chosen
        .iter()
        .zip(trials)
        .map(|(pair, (a, c))| example(bundle, pair, a.as_ref(), c.as_ref(), names))
        .collect())
}

fn example(
    bundle: &Bundle,
    pair: &Pair<'_>,
    attack: Option<&Trial>,
    control: Option<&Trial>,
    names: &Names,
) -> Example {
    let case = pair.case;
    let twin = bundle.plan.suite().twins.iter().find(|twin| twin.id == case.twin);
    let name = |axis, id: &str| names.get(axis, id).0;
    let mut facts = vec![
        ("Mechanism", name(Axis::Mechanism, case.mechanism.as_str())),
        ("Channel", name(Axis::Channel, case.channel.as_str())),
        ("Attacker wants", name(Axis::Intent, case.intent.as_str())),
    ];
    if !case.transforms.is_empty() {
        let chain: Vec<&str> = case.transforms.iter().map(|id| id.as_str()).collect();
        facts.push(("Transform", name(Axis::Transform, &chain.join("+"))));
    }
    if let Some(utility) = pair.attack.and_then(|outcome| outcome.utility) {
        let done = if utility { "done all the same" } else { "not done" };
        facts.push(("User's task", done.to_owned()));
    }
    Example {
        technique: names.technique(&case.technique),
        id: case.id.clone(),
        facts,
        by_user: case.family == Family::Chat,
        defended: !bundle.plan.settings().defences.is_empty(),
        system: pieces(&case.system, &(0..0), MAX_SYSTEM),
        attack: exchanges(Item::Case(case, Arm::Attack), case, twin, attack),
        control: exchanges(Item::Case(case, Arm::Control), case, twin, control),
    }
}

/// Brings the turns of a script and the replies together.
fn exchanges(item: Item<'_>, case: &Case, twin: Option<&Twin>, trial: Option<&Trial>) -> Vec<Exchange> {
    let turns = item.script().turns;
    let calls = trial.map_or(&[][..], |trial| &trial.calls);
    let withheld = trial.and_then(Trial::outcome).is_some_and(|outcome| outcome.blocked.is_some());
    // A defence may have asked something before the conversation began.
    let before = if withheld { calls.len() } else { calls.len().saturating_sub(turns.len()) };
    let mut replies = calls.iter().skip(before);
    let benign = twin.filter(|_| case.family == Family::Context).map_or(&[][..], |twin| &twin.turns);
    turns
        .iter()
        .enumerate()
        .map(|(index, turn)| {
            let call = replies.next();
            Exchange {
                instruction: pieces(&turn.instruction, &(0..0), MAX_INSTRUCTION),
                document: document(turn, benign.get(index)),
                reply: call.map(|call| pieces(&call.reply, &(0..0), MAX_REPLY)),
                cut_off: call.is_some_and(|call| call.stop == ostrom_models::StopReason::Length),
            }
        })
        .collect()
}

/// A document's name and text, with what differs from the benign one marked.
fn document(turn: &Turn, benign: Option<&Turn>) -> Option<(Vec<Piece>, Vec<Piece>)> {
    let document = turn.document.as_ref()?;
    let original = benign.and_then(|turn| turn.document.as_ref());
    let change = |text: &str, original: Option<&str>| -> Range<usize> {
        original.map_or(0..0, |original| changed(text, original))
    };
    let name = change(&document.name, original.map(|document| document.name.as_str()));
    let body = change(&document.body, original.map(|document| document.body.as_str()));
    Some((pieces(&document.name, &name, MAX_NAME), pieces(&document.body, &body, MAX_DOCUMENT)))
}
