//! What makes a library sound beyond its files' shapes: ids that exist, mappings that are real, templates that
//! render, and rules that can fail.

use ostrom_core::{Framework, TaxonomyId};

use super::{Library, Scenario, Technique};
use crate::rule::Rule;
use crate::template::{Values, render};
use crate::transform::Transform;

/// Checks everything; what is wrong goes to `defects`.
pub(super) fn check(library: &Library, defects: &mut Vec<String>) {
    for mechanism in library.mechanisms.values() {
        let place = format!("mechanism {}", mechanism.id);
        described(&place, &[&mechanism.definition, &mechanism.example], &mechanism.references, defects);
        mapped(&place, [&mechanism.atlas, &mechanism.owasp, &mechanism.arcanum], defects);
        mappings(library, &place, &mechanism.atlas, &mechanism.owasp, &mechanism.arcanum, defects);
    }
    transforms(library, defects);
    for technique in library.techniques.values() {
        check_technique(library, technique, defects);
    }
    for intent in library.intents.values() {
        mappings(library, &format!("intent {}", intent.id), &[], &[], &intent.arcanum, defects);
    }
    for channel in library.channels.values() {
        mappings(library, &format!("channel {}", channel.id), &[], &[], &channel.arcanum, defects);
        for form in &channel.forms {
            if let Err(error) = render(&form.wrap, &Values::new().with("text", "text")) {
                defects.push(format!("channel {}: {error}", channel.id));
            }
        }
    }
    for goal in library.goals.values() {
        let place = format!("goal {}", goal.id);
        if !library.intents.contains_key(&goal.intent) {
            defects.push(format!("{place}: unknown intent {}", goal.intent));
        }
        order_and_control(&place, &goal.order, &goal.control, &goal.success, defects);
    }
    for scenario in library.scenarios.values() {
        check_scenario(library, scenario, defects);
    }
}

/// Values that stand for those of a case.
pub(super) fn sample_values() -> Values {
    Values::new()
        .with("order", "Say the word HERON-4821.")
        .with("order_a", "Say the")
        .with("order_b", "word HERON-4821.")
        .with("task", "Summarise this.")
        .with("topic", "a topic")
        .with("canary", "HERON-4821")
        .with("secret", "amber-falcon-3917")
        .with("file_slot", "")
}

fn transforms(library: &Library, defects: &mut Vec<String>) {
    for entry in library.transforms.values() {
        let place = format!("transform {}", entry.id);
        match Transform::from_id(entry.id.as_str()) {
            None => defects.push(format!("{place}: there is no such transform in the code")),
            Some(transform) if transform.apply(&entry.example_in) != entry.example_out => {
                let made = transform.apply(&entry.example_in);
                defects.push(format!("{place}: its example gives {made:?}, not {:?}", entry.example_out));
            }
            Some(_) => {}
        }
        described(&place, &[&entry.definition, &entry.example_in], &entry.references, defects);
        mapped(&place, [&entry.atlas, &entry.owasp, &entry.arcanum], defects);
        mappings(library, &place, &entry.atlas, &entry.owasp, &entry.arcanum, defects);
    }
}

fn check_technique(library: &Library, technique: &Technique, defects: &mut Vec<String>) {
    let place = format!("technique {}", technique.id);
    if !library.mechanisms.contains_key(&technique.mechanism) {
        defects.push(format!("{place}: unknown mechanism {}", technique.mechanism));
    }
    // Its turns are its example: what is sent.
    let example = technique.turns.concat();
    described(&place, &[&technique.definition, &example], &technique.references, defects);
    mapped(&place, [&technique.atlas, &technique.owasp, &technique.arcanum], defects);
    if technique.families.is_empty() {
        defects.push(format!("{place}: families is empty"));
    }
    if technique.turns.len() > 1 && technique.families.contains(&super::Family::Context) {
        defects.push(format!("{place}: a technique of several turns cannot stand in a document"));
    }
    mappings(library, &place, &technique.atlas, &technique.owasp, &technique.arcanum, defects);
    let values = sample_values();
    let mut rendered = Vec::new();
    for turn in &technique.turns {
        match render(turn, &values) {
            Ok(text) => rendered.push(text),
            Err(error) => defects.push(format!("{place}: {error}")),
        }
    }
    // Another order must make another text, or the order does not get through.
    let other = values.with("order", "Count to ten.").with("order_a", "Count").with("order_b", "to ten.");
    let changed = technique.turns.last().and_then(|turn| render(turn, &other).ok());
    if rendered.len() == technique.turns.len() && changed.as_ref() == rendered.last() {
        defects.push(format!("{place}: its last turn does not contain the order"));
    }
}

fn check_scenario(library: &Library, scenario: &Scenario, defects: &mut Vec<String>) {
    let place = format!("scenario {}", scenario.id());
    if scenario.tasks().is_empty() {
        defects.push(format!("{place}: no task"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for task in scenario.tasks() {
        if !seen.insert(&task.id) {
            defects.push(format!("{place}: the task id {} occurs twice", task.id));
        }
        check_rule(&format!("{place}, task {}", task.id), &task.utility, defects);
    }
    match scenario {
        Scenario::Context { document, name, system, tasks, .. } => {
            for marker in ["[[head]]", "[[body]]", "[[tail]]"] {
                if document.lines().filter(|line| line.trim() == marker).count() != 1 {
                    defects.push(format!("{place}: {marker} must stand alone on one line, once"));
                }
            }
            if tasks.iter().any(|task| task.kind.is_none()) {
                defects.push(format!("{place}: a task has no kind"));
            }
            for text in [name, system] {
                if let Err(error) = render(text, &sample_values()) {
                    defects.push(format!("{place}: {error}"));
                }
            }
        }
        Scenario::Chat { system, kind, intent, order, control, success, .. } => {
            if !library.intents.contains_key(intent) {
                defects.push(format!("{place}: unknown intent {intent}"));
            }
            match (kind.as_str(), render(system, &sample_values())) {
                (_, Err(error)) => defects.push(format!("{place}: {error}")),
                ("secret", Ok(text)) if !text.contains("amber-falcon-3917") => {
                    defects.push(format!("{place}: its system prompt does not hold the secret"));
                }
                ("secret" | "rule" | "scope", Ok(_)) => {}
                (other, Ok(_)) => defects.push(format!("{place}: unknown kind {other}")),
            }
            order_and_control(&place, order, control, success, defects);
        }
    }
}

fn order_and_control(place: &str, order: &str, control: &str, success: &Rule, defects: &mut Vec<String>) {
    let values = sample_values();
    let mut texts = Vec::new();
    for template in [order, control] {
        match render(template, &values) {
            Ok(text) => texts.push(text),
            Err(error) => defects.push(format!("{place}: {error}")),
        }
    }
    if matches!(texts.as_slice(), [order, control] if order == control) {
        defects.push(format!("{place}: order and control are the same"));
    }
    if let Some(rule) = check_rule(place, success, defects)
        && (rule.holds("") || rule.holds("I cannot help with that."))
    {
        defects.push(format!("{place}: its success rule holds for an empty answer or a plain refusal"));
    }
}

fn check_rule(place: &str, rule: &Rule, defects: &mut Vec<String>) -> Option<Rule> {
    let values = sample_values();
    rule.rendered(&|text, _| render(text, &values))
        .map_err(|error| defects.push(format!("{place}: {error}")))
        .ok()
}

/// Definition and example, and somebody who described it.
fn described(place: &str, texts: &[&str; 2], references: &[String], defects: &mut Vec<String>) {
    for (what, text) in ["definition", "example"].into_iter().zip(texts) {
        if text.trim().is_empty() {
            defects.push(format!("{place}: {what} is empty"));
        }
    }
    if references.is_empty() || references.iter().any(|reference| reference.trim().is_empty()) {
        defects.push(format!("{place}: references is empty, or one of them"));
    }
}

/// At least one id of each taxonomy.
fn mapped(place: &str, ids: [&[String]; 3], defects: &mut Vec<String>) {
    for (what, ids) in ["atlas", "owasp", "arcanum"].into_iter().zip(ids) {
        if ids.is_empty() {
            defects.push(format!("{place}: {what} is empty"));
        }
    }
}

fn mappings(
    library: &Library,
    place: &str,
    atlas: &[String],
    owasp: &[String],
    arcanum: &[String],
    defects: &mut Vec<String>,
) {
    let known = &library.taxonomy;
    for (framework, ids, known) in [
        (Framework::Atlas, atlas, &known.atlas),
        (Framework::Owasp, owasp, &known.owasp),
        (Framework::Arcanum, arcanum, &known.arcanum),
    ] {
        for id in ids {
            match TaxonomyId::new(framework, id) {
                Err(error) => defects.push(format!("{place}: {error}")),
                Ok(_) if !known.contains(id) => {
                    defects.push(format!("{place}: {} has no id {id} in taxonomy.toml", framework.name()));
                }
                Ok(_) => {}
            }
        }
    }
}
