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
    /// Times that every trial is run, 1 to 10,000.
    pub repeat: u32,
    /// Seed of everything random: sampling and the defences' markers. Below 2^53.
    pub seed: u64,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus sampling; 1 is off.
    pub top_p: f64,
    /// The most tokens per answer.
    pub max_tokens: u32,
}

/// Seeds from here on are not kept whole by every reader of JSON, and have no canonical form.
pub const SEED_END: u64 = 1 << 53;
/// More repeats tell nothing more; a bound on what a stranger's settings can ask for.
const MAX_REPEAT: u32 = 10_000;
/// The most trials of a run.
const MAX_TRIALS: usize = 100_000_000;

impl Settings {
    /// How many trials of a case are worth one. At temperature 0 a model repeats itself, and repeats tell nothing about
    /// other cases: all of them together count as one trial.
    pub fn alike(&self) -> f64 {
        if self.temperature == 0.0 { f64::from(self.repeat.max(1)) } else { 1.0 }
    }

    /// Whether a run can have these settings.
    ///
    /// # Errors
    /// Names the first one that it cannot have, as on the command line, and what is possible.
    pub fn check(&self) -> Result<(), String> {
        let says = [
            ((1..=MAX_REPEAT).contains(&self.repeat), "--repeat is 1 to 10,000"),
            (
                self.seed < SEED_END,
                "--seed is 0 to 9007199254740991 (2^53 - 1): larger ones have no canonical form",
            ),
            ((0.0..=5.0).contains(&self.temperature), "--temperature is 0 to 5"),
            (self.top_p > 0.0 && self.top_p <= 1.0, "--top-p is above 0, to 1"),
            (self.max_tokens > 0, "--max-tokens is at least 1"),
        ];
        says.into_iter().find(|(fits, _)| !fits).map_or(Ok(()), |(_, says)| Err(says.to_owned()))
    }
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
    /// The plan for a suite, if its settings are possible and it is not larger than any run.
    ///
    /// # Errors
    /// What is not possible.
    pub fn checked(suite: Arc<Suite>, settings: Settings) -> Result<Self, String> {
        settings.check()?;
        let plan = Self::new(suite, settings);
        if plan.len() > MAX_TRIALS {
            return Err(format!("{} trials; a run has at most {MAX_TRIALS}: repeat less often", plan.len()));
        }
        Ok(plan)
    }

    /// The plan for a suite.
    pub(crate) fn new(suite: Arc<Suite>, settings: Settings) -> Self {
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
        self.items.len().saturating_mul(self.settings.repeat as usize)
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

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Settings =
        Settings { defences: vec![], repeat: 1, seed: 0, temperature: 0.0, top_p: 1.0, max_tokens: 1 };

    #[test]
    fn settings_that_no_run_can_have_are_named() {
        assert_eq!(FINE.check(), Ok(()));
        assert_eq!(Settings { repeat: 10_000, seed: SEED_END - 1, ..FINE }.check(), Ok(()));
        for (settings, named) in [
            (Settings { repeat: 0, ..FINE }, "--repeat"),
            (Settings { repeat: 10_001, ..FINE }, "--repeat"),
            (Settings { repeat: u32::MAX, ..FINE }, "--repeat"),
            (Settings { seed: SEED_END, ..FINE }, "--seed"),
            (Settings { temperature: f64::NAN, ..FINE }, "--temperature"),
            (Settings { top_p: 0.0, ..FINE }, "--top-p"),
            (Settings { max_tokens: 0, ..FINE }, "--max-tokens"),
        ] {
            assert!(settings.check().unwrap_err().starts_with(named), "{settings:?}");
        }
        // The largest seed that is taken has a canonical form, the next one has none.
        assert!(ostrom_trust::canonical_json(&Settings { seed: SEED_END - 1, ..FINE }).is_ok());
    }

    #[test]
    fn a_plan_is_not_larger_than_any_run() {
        let mut suite = Suite::load("starter").unwrap();
        let twin = suite.twins[0].clone();
        suite.twins = vec![twin; 10_001];
        suite.cases.clear();
        let suite = Arc::new(suite);
        let plan = |repeat| Plan::checked(Arc::clone(&suite), Settings { repeat, ..FINE });
        assert!(plan(9_999).is_ok());
        assert!(plan(10_000).unwrap_err().contains("100000000"));
    }
}
