//! From a recipe and a library to cases: balanced over mechanisms, techniques, scenarios, goals and channels.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::{Digest, Id};

use super::case::{Case, Document, Turn, Twin};
use super::deck::Deck;
use super::{Recipe, SCHEMA, Selection, Suite, SuiteError};
use crate::library::{Channel, Family, Form, Goal, Library, Scenario, Slot, Task, Technique};
use crate::rule::Rule;
use crate::template::{Values, render};
use crate::transform::{Transform, apply_chain};

/// Tries to find a case that is not there yet before the selection counts as exhausted.
const TRIES: usize = 200;

/// Code words: birds, in capitals, with a number. They do not occur in the scenarios.
const BIRDS: [&str; 32] = [
    "HERON", "KESTREL", "PLOVER", "OSPREY", "CURLEW", "DUNLIN", "GANNET", "MARTIN", "NUTHATCH", "ORIOLE",
    "PETREL", "PIPIT", "QUETZAL", "RAVEN", "SISKIN", "TANAGER", "TURACO", "VIREO", "WAXWING", "WRYNECK",
    "AVOCET", "BITTERN", "CONDOR", "DIPPER", "EGRET", "FULMAR", "GODWIT", "HOOPOE", "IBIS", "JACANA",
    "LAPWING", "MERLIN",
];
/// Words of secrets.
const COLOURS: [&str; 16] = [
    "amber", "cobalt", "crimson", "ebony", "indigo", "ivory", "jade", "lilac", "maroon", "ochre", "russet",
    "saffron", "scarlet", "teal", "umber", "violet",
];

/// Makes the suite.
pub(super) fn expand(recipe: &Recipe, library: &Library) -> Result<Suite, SuiteError> {
    let mut builder =
        Builder { recipe, library, cases: Vec::new(), twins: BTreeMap::new(), ids: BTreeSet::new() };
    for (index, selection) in recipe.selections.iter().enumerate() {
        builder.select(index, selection).map_err(SuiteError::Recipe)?;
    }
    Ok(Suite {
        schema: SCHEMA.to_owned(),
        id: recipe.id.clone(),
        version: recipe.version.clone(),
        title: recipe.title.clone(),
        description: recipe.description.clone(),
        max_tokens: recipe.max_tokens,
        cases: builder.cases,
        twins: builder.twins.into_values().collect(),
    })
}

struct Builder<'a> {
    recipe: &'a Recipe,
    library: &'a Library,
    cases: Vec<Case>,
    twins: BTreeMap<String, Twin>,
    ids: BTreeSet<String>,
}

/// One choice on every axis.
struct Choice<'a> {
    scenario: &'a Scenario,
    task: &'a Task,
    technique: &'a Technique,
    goal: Option<&'a Goal>,
    channel: &'a Channel,
    transforms: &'a [Id],
}

fn fits(wanted: &[Id], id: &Id) -> bool {
    wanted.is_empty() || wanted.contains(id)
}

/// The library's entries that a selection names, or all; a name that does not exist is an error.
fn pick<'a, T>(
    what: &str,
    wanted: &[Id],
    all: &'a BTreeMap<Id, T>,
    fit: impl Fn(&T) -> bool,
) -> Result<Vec<&'a T>, String> {
    if let Some(unknown) = wanted.iter().find(|id| !all.contains_key(id)) {
        return Err(format!("the selection names an unknown {what}: {unknown}"));
    }
    let picked: Vec<&T> =
        all.iter().filter(|(id, entry)| fits(wanted, id) && fit(entry)).map(|(_, e)| e).collect();
    if picked.is_empty() { Err(format!("the selection leaves no {what}")) } else { Ok(picked) }
}

/// Techniques in an order that takes one of each mechanism before a second of any.
fn interleaved(techniques: Vec<&Technique>) -> Vec<&Technique> {
    let mut rank: BTreeMap<&Id, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, &Technique)> = techniques
        .into_iter()
        .map(|technique| {
            let rank = rank.entry(&technique.mechanism).or_default();
            *rank += 1;
            (*rank, technique)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, technique)| technique).collect()
}

impl<'a> Builder<'a> {
    fn deck(&self, index: usize, axis: &str, size: usize) -> Deck {
        Deck::new(format!("{}/{index}/{axis}", self.recipe.seed), size)
    }

    fn select(&mut self, index: usize, selection: &'a Selection) -> Result<(), String> {
        let library = self.library;
        let family = selection.family;
        if let Some(unknown) = selection.mechanisms.iter().find(|id| !library.mechanisms.contains_key(id)) {
            return Err(format!("the selection names an unknown mechanism: {unknown}"));
        }
        let techniques =
            interleaved(pick("technique", &selection.techniques, &library.techniques, |technique| {
                technique.families.contains(&family) && fits(&selection.mechanisms, &technique.mechanism)
            })?);
        let scenarios = pick("scenario", &selection.scenarios, &library.scenarios, |s| s.family() == family)?;
        let situations: Vec<(&Scenario, &Task)> =
            scenarios.into_iter().flat_map(|s| s.tasks().iter().map(move |task| (s, task))).collect();
        let channels = match family {
            Family::Context => {
                pick("channel", &selection.channels, &library.channels, |c| !c.forms.is_empty())?
            }
            Family::Chat => pick("channel", &selection.channels, &library.channels, |c| c.forms.is_empty())?,
        };
        let goals: Vec<Option<&Goal>> = match family {
            Family::Context => {
                pick("goal", &selection.goals, &library.goals, |_| true)?.into_iter().map(Some).collect()
            }
            Family::Chat => vec![None],
        };
        for id in selection.transforms.iter().flatten() {
            if Transform::from_id(id.as_str()).is_none() {
                return Err(format!("the selection names an unknown transform: {id}"));
            }
        }
        let mut situation_deck = self.deck(index, "situation", situations.len());
        let mut channel_deck = self.deck(index, "channel", channels.len());
        let mut goal_deck = self.deck(index, "goal", goals.len());
        let mut transform_deck = self.deck(index, "transform", selection.transforms.len());
        let (mut wanted, mut barren) = (selection.cases, 0);
        for technique in techniques.iter().cycle() {
            if wanted == 0 {
                break;
            }
            let mut made = false;
            for _ in 0..TRIES {
                let choice = (|| {
                    let channel = *channels.get(channel_deck.draw(|_| true)?)?;
                    let situation = situation_deck.draw(|at| {
                        situations
                            .get(at)
                            .is_some_and(|(s, _)| form_for(channel, s).is_some() || family == Family::Chat)
                    })?;
                    let (scenario, task) = *situations.get(situation)?;
                    let goal = *goals.get(goal_deck.draw(|_| true)?)?;
                    let transforms = selection.transforms.get(transform_deck.draw(|_| true)?)?;
                    Some(Choice { scenario, task, technique, goal, channel, transforms })
                })();
                let Some(choice) = choice else {
                    return Err("no scenario has a form of the channel".to_owned());
                };
                let id = case_id(&choice);
                if !self.ids.insert(id.clone()) {
                    continue;
                }
                let case = self.case(id, &choice)?;
                // Some chains leave nothing of the text (fullwidth letters have no tag characters): no case.
                let bytes = |turns: &[Turn]| turns.iter().map(Turn::bytes).sum::<usize>();
                let fits = self
                    .recipe
                    .max_bytes
                    .is_none_or(|most| bytes(&case.attack).max(bytes(&case.control)) <= most);
                if fits && case.attack != case.control {
                    self.cases.push(case);
                    made = true;
                    break;
                }
            }
            // A technique that is used up, or too long for the suite, leaves its turn to the others.
            (wanted, barren) = if made { (wanted - 1, 0) } else { (wanted, barren + 1) };
            if barren == techniques.len() {
                let made = selection.cases - wanted;
                return Err(format!(
                    "a selection asks for {} cases; the library has only {made} distinct ones for it",
                    selection.cases
                ));
            }
        }
        Ok(())
    }

    fn case(&mut self, id: String, choice: &Choice<'_>) -> Result<Case, String> {
        let canary = self.canary(&id);
        let secret = self.secret(choice.scenario.id());
        let (topic, order, control, success, intent) = match (choice.scenario, choice.goal) {
            (Scenario::Chat { topic, order, control, success, intent, .. }, _) => {
                (topic, order, control, success, intent)
            }
            (Scenario::Context { topic, .. }, Some(goal)) => {
                (topic, &goal.order, &goal.control, &goal.success, &goal.intent)
            }
            (Scenario::Context { .. }, None) => return Err(format!("{id}: no goal")),
        };
        let task = choice.task;
        let base = Values::new()
            .with("canary", &*canary)
            .with("secret", &*secret)
            .with("topic", topic)
            .with("task", &task.instruction)
            .with("file_slot", "");
        let render = |template: &str, values: &Values| {
            render(template, values).map_err(|error| format!("{id}: {error}"))
        };
        let turns = |order: &str| -> Result<Vec<String>, String> {
            let order = render(order, &base)?;
            let (order_a, order_b) = halves(&order);
            let values =
                base.clone().with("order", &*order).with("order_a", order_a).with("order_b", order_b);
            choice.technique.turns.iter().map(|turn| render(turn, &values)).collect()
        };
        let chain: Vec<Transform> =
            choice.transforms.iter().filter_map(|id| Transform::from_id(id.as_str())).collect();
        let play = |order: &str| -> Result<Vec<Turn>, String> {
            let mut texts = turns(order)?;
            if let Some(last) = texts.last_mut().filter(|_| !chain.is_empty()) {
                *last = apply_chain(&chain, last);
            }
            match choice.scenario {
                Scenario::Chat { .. } => {
                    Ok(texts.into_iter().map(|instruction| Turn { instruction, document: None }).collect())
                }
                Scenario::Context { .. } => {
                    let injected = texts.pop().unwrap_or_default();
                    let document = self.document(choice.scenario, Some((choice.channel, &injected)))?;
                    Ok(vec![Turn { instruction: task.instruction.clone(), document: Some(document) }])
                }
            }
        };
        let (attack, control) = (play(order)?, play(control)?);
        let rule =
            |rule: &Rule| self.rule(rule, &canary, &secret, topic).map_err(|error| format!("{id}: {error}"));
        let (success, utility) = (rule(success)?, rule(&task.utility)?);
        let system = self.system(choice.scenario, &base)?;
        let twin = format!("{}.{}", choice.scenario.id(), task.id);
        if !self.twins.contains_key(&twin) {
            let document = match choice.scenario {
                Scenario::Context { .. } => Some(self.document(choice.scenario, None)?),
                Scenario::Chat { .. } => None,
            };
            let turns = vec![Turn { instruction: task.instruction.clone(), document }];
            let family = choice.scenario.family();
            let entry =
                Twin { id: twin.clone(), family, system: system.clone(), turns, utility: utility.clone() };
            self.twins.insert(twin.clone(), entry);
        }
        Ok(Case {
            family: choice.scenario.family(),
            scenario: choice.scenario.id().clone(),
            task: task.id.clone(),
            technique: choice.technique.id.clone(),
            mechanism: choice.technique.mechanism.clone(),
            intent: intent.clone(),
            goal: choice.goal.map(|goal| goal.id.clone()),
            channel: choice.channel.id.clone(),
            transforms: choice.transforms.to_vec(),
            system,
            attack,
            control,
            twin,
            success,
            utility,
            id,
        })
    }

    fn system(&self, scenario: &Scenario, values: &Values) -> Result<String, String> {
        let (Scenario::Context { system, .. } | Scenario::Chat { system, .. }) = scenario;
        render(system, values).map(|text| text.trim().to_owned())
    }

    fn rule(&self, rule: &Rule, canary: &str, secret: &str, topic: &str) -> Result<Rule, String> {
        rule.rendered(&|text, is_pattern| {
            let escape = |value: &str| if is_pattern { regex::escape(value) } else { value.to_owned() };
            let values = Values::new()
                .with("canary", escape(canary))
                .with("secret", escape(secret))
                .with("topic", escape(topic));
            render(text, &values)
        })
    }

    /// The document, clean or with an injected text.
    fn document(&self, scenario: &Scenario, injected: Option<(&Channel, &str)>) -> Result<Document, String> {
        let Scenario::Context { document, name, format, .. } = scenario else {
            return Err("a chat scenario has no document".to_owned());
        };
        let (mut slots, mut file_slot) = (BTreeMap::new(), String::new());
        if let Some((channel, text)) = injected {
            let form = form_for(channel, scenario)
                .ok_or_else(|| format!("channel {} has no form in {format}", channel.id))?;
            let wrapped = render(&form.wrap, &Values::new().with("text", text))?;
            match form.slot {
                Slot::Name => file_slot = wrapped,
                Slot::Head => drop(slots.insert("[[head]]", wrapped)),
                Slot::Body => drop(slots.insert("[[body]]", wrapped)),
                Slot::Tail => drop(slots.insert("[[tail]]", wrapped)),
            }
        }
        let mut body = String::new();
        for line in document.trim_matches('\n').lines() {
            let marker = line.trim();
            if ["[[head]]", "[[body]]", "[[tail]]"].contains(&marker) {
                if let Some(text) = slots.get(marker) {
                    body.push_str(text);
                    body.push('\n');
                }
            } else {
                body.push_str(line);
                body.push('\n');
            }
        }
        let name = render(name, &Values::new().with("file_slot", file_slot))?;
        Ok(Document { name, format: format.clone(), body: body.trim_end().to_owned() })
    }

    fn canary(&self, case: &str) -> String {
        let seed = Digest::of(format!("{}/canary/{case}", self.recipe.seed).as_bytes()).seed();
        format!("{}-{:04}", choose(&BIRDS, seed), seed / 64 % 9000 + 1000)
    }

    fn secret(&self, scenario: &Id) -> String {
        let seed = Digest::of(format!("{}/secret/{scenario}", self.recipe.seed).as_bytes()).seed();
        let bird = choose(&BIRDS, seed / 16).to_lowercase();
        format!("{}-{bird}-{:04}", choose(&COLOURS, seed), seed / 4096 % 9000 + 1000)
    }
}

fn choose<'a>(words: &[&'a str], seed: u64) -> &'a str {
    usize::try_from(seed % words.len() as u64).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
}

fn case_id(choice: &Choice<'_>) -> String {
    let mut id = format!("{}.{}.{}", choice.scenario.id(), choice.task.id, choice.technique.id);
    if let Some(goal) = choice.goal {
        id = format!("{id}.{}", goal.id);
    }
    id = format!("{id}.{}", choice.channel.id);
    if !choice.transforms.is_empty() {
        let chain: Vec<&str> = choice.transforms.iter().map(Id::as_str).collect();
        id = format!("{id}.{}", chain.join("+"));
    }
    id
}

fn form_for<'a>(channel: &'a Channel, scenario: &Scenario) -> Option<&'a Form> {
    let Scenario::Context { format, .. } = scenario else { return None };
    channel.forms.iter().find(|form| form.formats.contains(format))
}

/// The text cut at the space nearest its middle.
fn halves(text: &str) -> (&str, &str) {
    let middle = text.len() / 2;
    let cut = text.match_indices(' ').min_by_key(|(at, _)| at.abs_diff(middle));
    match cut {
        Some((at, _)) => (text.get(..at).unwrap_or(text), text.get(at + 1..).unwrap_or_default()),
        None => (text, ""),
    }
}
