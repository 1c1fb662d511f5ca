//! Random plans that are well-typed, so that nearly all of each one runs, and tools whose answers differ between two worlds only where
//! their labels say so.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;

/// SplitMix64.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Bool,
    /// `{n: number, t: text}`
    Row,
    Rows,
}

const KINDS: [Kind; 5] = [Kind::Number, Kind::Text, Kind::Bool, Kind::Row, Kind::Rows];

pub(super) struct Writer {
    pub dice: Dice,
    names: Vec<(String, Kind)>,
    made: u32,
    /// Names that no step may assign.
    fixed: usize,
}

/// A random plan.
pub(super) fn plan(seed: u64) -> Value {
    let mut writer = Writer { dice: Dice(seed), names: Vec::new(), made: 0, fixed: 0 };
    let mut steps = vec![
        json!({"call": "mixed", "id": "m", "with": {"x": 1}}),
        json!({"call": "strange_rows", "id": "s", "with": {"x": 1}}),
        json!({"let": "n", "be": 1}),
    ];
    writer.names = vec![("m".into(), Kind::Rows), ("s".into(), Kind::Rows), ("n".into(), Kind::Number)];
    let count = 2 + writer.dice.roll(6);
    steps.extend(writer.steps(count, 2));
    let names: Vec<String> = writer.names.iter().map(|(name, _)| name.clone()).collect();
    let outputs: Value = names
        .iter()
        .map(|name| (name.clone(), json!({"ref": name})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    steps.push(json!({"return": outputs}));
    json!({"plan": steps})
}

impl Writer {
    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("v{}", self.made)
    }

    /// A new name, or one that has a value of this kind already.
    fn target(&mut self, kind: Kind) -> String {
        let old: Vec<String> = self
            .names
            .iter()
            .skip(self.fixed)
            .filter(|(_, known)| *known == kind)
            .map(|(name, _)| name.clone())
            .collect();
        if !old.is_empty() && self.dice.roll(3) > 0 {
            return old[self.dice.roll(old.len() as u64) as usize].clone();
        }
        self.fresh()
    }

    fn bind(&mut self, name: &str, kind: Kind) {
        if !self.names.iter().any(|(known, _)| known == name) {
            self.names.push((name.to_owned(), kind));
        }
    }

    fn steps(&mut self, count: u64, depth: u32) -> Vec<Value> {
        (0..count).map(|_| self.step(depth)).collect()
    }

    /// Steps after which only the names from before count.
    fn inner(&mut self, depth: u32) -> Vec<Value> {
        let before = self.names.clone();
        let count = 1 + self.dice.roll(3);
        let steps = self.steps(count, depth);
        self.names = before;
        steps
    }

    fn step(&mut self, depth: u32) -> Value {
        let choice = if depth == 0 { self.dice.roll(6) } else { self.dice.roll(10) };
        match choice {
            0 | 1 => {
                let kind = KINDS[self.dice.roll(5) as usize];
                let be = self.of(kind, 2);
                let name = self.target(kind);
                self.bind(&name, kind);
                json!({"let": name, "be": be})
            }
            2..=4 => self.call(depth),
            5 => match self.dice.roll(4) {
                0 => json!({"require": self.of(Kind::Bool, 2)}),
                1 => {
                    let be = self.of(Kind::Bool, 2);
                    let name = self.target(Kind::Bool);
                    self.bind(&name, Kind::Bool);
                    json!({"endorse": name, "be": be, "as": "boolean"})
                }
                _ => {
                    let n = self.of(Kind::Number, 1);
                    json!({"call": "low", "with": {"x": n}})
                }
            },
            6..=8 => {
                let condition = self.of(Kind::Bool, 2);
                let then = self.inner(depth - 1);
                let otherwise = if self.dice.roll(2) == 0 { self.inner(depth - 1) } else { Vec::new() };
                json!({"if": condition, "then": then, "else": otherwise})
            }
            _ => {
                let list = self.of(Kind::Rows, 2);
                let (item, index) = (self.fresh(), self.fresh());
                let (before, fixed) = (self.names.clone(), self.fixed);
                self.names.insert(0, (item.clone(), Kind::Row));
                self.names.insert(0, (index.clone(), Kind::Number));
                self.fixed += 2;
                let body = self.inner(depth - 1);
                let collect = self.of(Kind::Row, 1);
                (self.names, self.fixed) = (before, fixed);
                let id = self.target(Kind::Rows);
                self.bind(&id, Kind::Rows);
                json!({"for": item, "in": list, "max": 4, "index": index, "do": body, "id": id, "collect": collect})
            }
        }
    }

    fn call(&mut self, depth: u32) -> Value {
        let (tool, kind) = [
            ("mixed", Kind::Rows),
            ("strange_rows", Kind::Rows),
            ("strange_text", Kind::Text),
            ("shaky", Kind::Number),
            ("low", Kind::Number),
            ("low", Kind::Number),
            ("act", Kind::Number),
        ][self.dice.roll(7) as usize];
        let argument = match self.dice.roll(3) {
            0 => self.of(Kind::Number, 2),
            1 => self.of(Kind::Text, 2),
            _ => json!(self.dice.roll(3)),
        };
        let mut step = json!({"call": tool, "with": {"x": argument}});
        // What handles a failure must not rely on the result.
        if depth > 0 && self.dice.roll(4) == 0 {
            step["on_error"] = self.inner(depth - 1).into();
        } else if self.dice.roll(2) == 0 {
            step["on_error"] = if self.dice.roll(3) == 0 { "stop" } else { "continue" }.into();
        }
        let id = self.target(kind);
        self.bind(&id, kind);
        step["id"] = id.into();
        step
    }

    fn known(&mut self, kind: Kind) -> Option<Value> {
        let known: Vec<&String> =
            self.names.iter().filter(|(_, other)| *other == kind).map(|(name, _)| name).collect();
        if known.is_empty() {
            return None;
        }
        let name = known[self.dice.roll(known.len() as u64) as usize];
        Some(json!({"ref": name}))
    }

    /// An expression of this kind.
    fn of(&mut self, kind: Kind, depth: u32) -> Value {
        if (depth == 0 || self.dice.roll(4) == 0)
            && let Some(known) = self.known(kind)
        {
            return known;
        }
        let deeper = depth.saturating_sub(1);
        if depth == 0 {
            return match kind {
                Kind::Number => json!(self.dice.roll(4)),
                Kind::Text => json!(["a", "ab", "b 1", ""][self.dice.roll(4) as usize]),
                Kind::Bool => json!(self.dice.roll(2) == 0),
                Kind::Row => json!({"object": {"n": self.dice.roll(4), "t": "a"}}),
                Kind::Rows => json!([{"object": {"n": 1, "t": "b"}}]),
            };
        }
        match self.dice.roll(12) {
            0 => return json!({"default": [self.of(kind, deeper), self.of(kind, deeper)]}),
            1 => {
                return json!({"choose": [self.of(Kind::Bool, deeper), self.of(kind, deeper), self.of(kind, deeper)]});
            }
            _ => {}
        }
        match kind {
            Kind::Number => match self.dice.roll(6) {
                0 => json!({"+": [self.of(Kind::Number, deeper), self.of(Kind::Number, deeper)]}),
                1 => json!({"/": [self.of(Kind::Number, deeper), self.of(Kind::Number, deeper)]}),
                2 => json!({"length": self.of(Kind::Rows, deeper)}),
                3 => json!({"sum": {"map": {"list": self.of(Kind::Rows, deeper), "to": {"ref": "item/n"}}}}),
                4 => json!({"number": self.of(Kind::Text, deeper)}),
                _ => json!({"get": {"from": self.of(Kind::Row, deeper), "at": "/n"}}),
            },
            Kind::Text => match self.dice.roll(5) {
                0 => json!({"template": {"text": "{a}!", "values": {"a": self.of(Kind::Number, deeper)}}}),
                1 => json!({"match": {"in": self.of(Kind::Text, deeper), "pattern": "a|b"}}),
                2 => json!({"upper": self.of(Kind::Text, deeper)}),
                3 => json!({"text": self.of(Kind::Rows, deeper)}),
                _ => json!({"get": {"from": self.of(Kind::Row, deeper), "at": "/t"}}),
            },
            Kind::Bool => match self.dice.roll(7) {
                0 => json!({"<": [self.of(Kind::Number, deeper), self.of(Kind::Number, deeper)]}),
                1 => json!({"==": [self.of(Kind::Row, deeper), self.of(Kind::Row, deeper)]}),
                2 => json!({"contains": [self.of(Kind::Text, deeper), "a"]}),
                3 => json!({"any": {"list": self.of(Kind::Rows, deeper), "where": self.test()}}),
                4 => json!({"is_empty": self.of(Kind::Rows, deeper)}),
                5 => json!({"failed": self.of(Kind::Number, deeper)}),
                _ => json!({"not": self.of(Kind::Bool, deeper)}),
            },
            Kind::Row => match self.dice.roll(5) {
                0 => json!({"first": self.of(Kind::Rows, deeper)}),
                1 => json!({"only": self.of(Kind::Rows, deeper)}),
                2 => {
                    json!({"object": {"n": self.of(Kind::Number, deeper), "t": self.of(Kind::Text, deeper)}})
                }
                3 => json!({"max_by": {"list": self.of(Kind::Rows, deeper), "by": self.key()}}),
                _ => json!({"get": {"from": self.of(Kind::Rows, deeper), "at": "/0"}}),
            },
            Kind::Rows => match self.dice.roll(6) {
                0 => json!({"filter": {"list": self.of(Kind::Rows, deeper), "where": self.test()}}),
                1 => json!({"sort_by": {"list": self.of(Kind::Rows, deeper), "by": [self.key()]}}),
                2 => json!({"concat": [self.of(Kind::Rows, deeper), self.of(Kind::Rows, deeper)]}),
                3 => json!({"slice": {"list": self.of(Kind::Rows, deeper), "count": 2}}),
                4 => json!({"unique": self.of(Kind::Rows, deeper)}),
                _ => json!([self.of(Kind::Row, deeper), self.of(Kind::Row, deeper)]),
            },
        }
    }

    fn test(&mut self) -> Value {
        if self.dice.roll(2) == 0 {
            json!({"<": [{"ref": "item/n"}, self.dice.roll(4)]})
        } else {
            json!({"contains": [{"ref": "item/t"}, "a"]})
        }
    }

    fn key(&mut self) -> Value {
        json!(["/n", "/t"][self.dice.roll(2) as usize])
    }
}

/// The tools of the random plans.
pub(super) struct Tooling;

impl Tools for Tooling {
    fn tool(&self, name: &str) -> Option<Tool<'_>> {
        let known = ["mixed", "strange_rows", "strange_text", "shaky", "low", "act"];
        known.contains(&name).then(|| Tool { reads_only: !matches!(name, "act"), ..Tool::default() })
    }
}

/// What is different between the worlds, and may be.
pub(super) struct World {
    pub number: u64,
    pub strange: Label,
}

impl World {
    /// Depends on the call only, or on the world as well.
    fn dice(&self, tool: &str, arguments: &BTreeMap<String, Labelled>, strange: bool) -> Dice {
        let mut hash = DefaultHasher::new();
        tool.hash(&mut hash);
        for (name, argument) in arguments {
            (name, argument.value.to_string()).hash(&mut hash);
        }
        if strange {
            self.number.hash(&mut hash);
        }
        Dice(hash.finish())
    }

    pub(super) fn answer(&self, tool: &str, arguments: &BTreeMap<String, Labelled>) -> Answer {
        let mut plain = self.dice(tool, arguments, false);
        let mut strange = self.dice(tool, arguments, true);
        let text = |dice: &mut Dice| ["a", "ab", "b", "c 1", "2"][dice.roll(5) as usize];
        let outcome = match tool {
            "mixed" => {
                let rows: Vec<Value> = (0..plain.roll(4))
                    .map(|_| json!({"n": plain.roll(4), "t": text(&mut strange)}))
                    .collect();
                let mut rows = Tree::new(&json!(rows), user());
                rows.join_at("/*/t", &self.strange);
                Ok(rows)
            }
            "strange_rows" => {
                let rows: Vec<Value> = (0..strange.roll(4))
                    .map(|_| json!({"n": strange.roll(4), "t": text(&mut strange)}))
                    .collect();
                Ok(Tree::new(&json!(rows), self.strange.clone()))
            }
            "strange_text" => Ok(Tree::new(&json!(text(&mut strange)), self.strange.clone())),
            "shaky" if strange.roll(2) == 0 => Err(Tree::new(&json!("shaken"), self.strange.clone())),
            "shaky" => Ok(Tree::new(&json!(plain.roll(4)), self.strange.clone())),
            _ if plain.roll(5) == 0 => Err(Tree::new(&json!("refused"), user())),
            _ => Ok(Tree::new(&json!(plain.roll(4)), user())),
        };
        Answer { outcome, status: None }
    }
}
