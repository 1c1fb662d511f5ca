//! The trials of a run, in the order of its record.

use std::collections::BTreeMap;
use std::sync::Arc;

use ostrom_core::Digest;
use ostrom_models::Sampling;
use serde::{Deserialize, Serialize};

use crate::defence::Defence;
use crate::suite::Suite;
use crate::trial::{Arm, Item};

/// What decides the course of a run besides suite and target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Defences, in order.
    pub defences: Vec<Defence>,
    /// Times that every trial is run. At least 1.
    pub repeat: u32,
    /// Seed of everything random: sampling and the defences' markers.
    pub seed: u64,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus sampling; 1 is off.
    pub top_p: f64,
    /// The most tokens per answer.
    pub max_tokens: u32,
}

/// A suite's trials: twins, attacks and controls, grouped so that neighbours share the beginning of their prompts.
#[derive(Debug, Clone)]
pub struct Plan {
    settings: Settings,
    suite: Arc<Suite>,
    /// Positions in the suite's lists.
    items: Vec<Position>,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Twin(usize),
    Case(usize, Arm),
}

impl Plan {
    /// The plan for a suite.
    pub fn new(suite: Arc<Suite>, settings: Settings) -> Self {
        let mut by_twin: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, case) in suite.cases.iter().enumerate() {
            by_twin.entry(&case.twin).or_default().push(position);
        }
        let mut items = Vec::with_capacity(suite.twins.len() + 2 * suite.cases.len());
        for (position, twin) in suite.twins.iter().enumerate() {
            items.push(Position::Twin(position));
            for &case in by_twin.get(twin.id.as_str()).into_iter().flatten() {
                items.extend([Position::Case(case, Arm::Attack), Position::Case(case, Arm::Control)]);
            }
        }
        Self { settings, items, suite }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The suite.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// Number of trials.
    pub fn len(&self) -> usize {
        self.items.len() * self.settings.repeat as usize
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Trial number `index`: what is played, and which repeat it is.
    pub fn get(&self, index: usize) -> Option<(Item<'_>, u32)> {
        let size = self.items.len().max(1);
        let repeat = u32::try_from(index / size).ok().filter(|repeat| *repeat < self.settings.repeat)?;
        let item = match *self.items.get(index % size)? {
            Position::Twin(position) => Item::Twin(self.suite.twins.get(position)?),
            Position::Case(position, arm) => Item::Case(self.suite.cases.get(position)?, arm),
        };
        Some((item, repeat))
    }

    /// All trials in order.
    pub fn iter(&self) -> impl Iterator<Item = (Item<'_>, u32)> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The seed of the defences' markers in a trial. Trials of one cluster share it, and so their prompts' beginnings.
    pub fn marker_seed(&self, item: Item<'_>, repeat: u32) -> Digest {
        Digest::of(format!("{}/marker/{}/{repeat}", self.settings.seed, item.cluster()).as_bytes())
    }

    /// The sampling of call number `call` of a trial.
    pub fn sampling(&self, item: Item<'_>, repeat: u32, call: usize) -> Sampling {
        let label = format!("{}/{}/{}/{repeat}/{call}", self.settings.seed, item.id(), item.arm().as_str());
        Sampling {
            temperature: self.settings.temperature,
            top_p: self.settings.top_p,
            // 53 bits, so that the seed survives JSON parsers that read numbers as doubles.
            seed: Digest::of(label.as_bytes()).seed() >> 11,
            max_tokens: self.settings.max_tokens,
        }
    }
}
