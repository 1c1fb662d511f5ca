//! From JSON to a checked plan: the expressions.
//!
//! A scalar is itself, an array is a list of expressions, and an object has one key, which is an operator. So nothing has two readings.

use serde_json::{Map, Value};

use super::expr::{Each, Expr, Key, OPERATORS, Op, Part, Pick, signature};
use super::read::{Reader, Result, array, fresh, known, name, object, text};
use super::scope::{Scope, Type, listed};
use super::tree::{Node, unescaped};
use super::{MAX_LIST, PlanError};

const PARTS: [&str; 7] = ["year", "month", "day", "hour", "minute", "second", "weekday"];

type Read = Result<(Expr, Type)>;

impl Reader<'_> {
    pub fn expression(&mut self, at: &str, value: &Value, scope: &Scope, level: usize) -> Read {
        self.count(at, level)?;
        match value {
            Value::Array(items) => {
                let (items, kinds) = self.expressions(at, items, scope, level)?;
                Ok((Expr::List(items), Type::list_of(kinds.into_iter())))
            }
            Value::Object(operator) => {
                let mut members = operator.iter();
                match (members.next(), members.next()) {
                    (Some((name, operand)), None) => self.operator(at, name, operand, scope, level),
                    _ => Err(PlanError::new(
                        at,
                        format!(
                            "an object is one operator here, {{\"OPERATOR\": OPERANDS}}; for an object as a value write {{\"object\": {{…}}}}. The operators are {}",
                            OPERATORS.join(" ")
                        ),
                    )),
                }
            }
            scalar => {
                let node = Node::of(scalar);
                let kind = Type::of(&node);
                Ok((Expr::Literal(node), kind))
            }
        }
    }

    fn expressions(
        &mut self,
        at: &str,
        items: &[Value],
        scope: &Scope,
        level: usize,
    ) -> Result<(Vec<Expr>, Vec<Type>)> {
        let mut expressions = Vec::new();
        let mut kinds = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let (expression, kind) = self.expression(&format!("{at}[{number}]"), item, scope, level + 1)?;
            expressions.push(expression);
            kinds.push(kind);
        }
        Ok((expressions, kinds))
    }

    fn operator(&mut self, at: &str, operator: &str, operand: &Value, scope: &Scope, level: usize) -> Read {
        let at = &format!("{at}.{operator}");
        if let Some(signature) = signature(operator) {
            return self.fixed(at, signature, operand, scope, level);
        }
        let fields = |keys: &[&str]| {
            let fields = object(
                at,
                operand,
                &format!("write {{\"{operator}\": {{…}}}} with the keys {}", listed(keys)),
            )?;
            known(at, fields, keys)?;
            Ok::<_, PlanError>(fields)
        };
        match operator {
            "literal" => {
                let node = Node::of(operand);
                let kind = Type::of(&node);
                Ok((Expr::Literal(node), kind))
            }
            "ref" => variable(at, text(at, operand)?, scope),
            "get" => {
                let fields = fields(&["from", "at"])?;
                let (from, kind) = self.field(at, fields, "from", &Type::Any, scope, level)?;
                let pointer = fields.get("at").ok_or_else(|| {
                    let missing = "the key \"at\" is missing: it has a pointer such as \"/0/id\"";
                    PlanError::new(at, missing)
                })?;
                pointed(at, from, kind, pointer)
            }
            "lookup" => {
                let [(from, kind), (key, wanted)] = self.several(at, operand, scope, level)?;
                if !Type::Object([].into(), false).accepts(&kind) {
                    return Err(PlanError::new(at, format!("an object is wanted first, and this is {kind}")));
                }
                wants(at, &Type::Text, &wanted)?;
                Ok((Expr::Lookup(Box::new(from), Box::new(key)), Type::Any))
            }
            "entries" => {
                let (from, kind) = self.expression(at, operand, scope, level + 1)?;
                wants(at, &Type::Object([].into(), false), &kind)?;
                let entry =
                    Type::Object([("key".into(), Type::Text), ("value".into(), Type::Any)].into(), true);
                Ok((Expr::Entries(Box::new(from)), Type::List(Box::new(entry))))
            }
            "object" => {
                let mut members = Vec::new();
                let mut kinds = std::collections::BTreeMap::new();
                for (name, member) in object(at, operand, "write {\"object\": {\"NAME\": EXPRESSION}}")? {
                    let (member, kind) =
                        self.expression(&format!("{at}.{name}"), member, scope, level + 1)?;
                    members.push((name.as_str().into(), member));
                    kinds.insert(name.as_str().into(), kind);
                }
                Ok((Expr::Object(members), Type::Object(kinds, true)))
            }
            "first" | "last" | "only" => {
                let (list, kind) = self.expression(at, operand, scope, level + 1)?;
                let item = kind.items().map_err(|problem| PlanError::new(at, problem))?;
                let pick = match operator {
                    "first" => Pick::First,
                    "last" => Pick::Last,
                    _ => Pick::Only,
                };
                Ok((Expr::Pick(pick, Box::new(list)), item))
            }
            "length" | "is_empty" => {
                let (of, kind) = self.expression(at, operand, scope, level + 1)?;
                if matches!(kind, Type::Bool | Type::Number | Type::Null) {
                    return Err(PlanError::new(
                        at,
                        format!("{kind} has no length: give a list, a text or an object"),
                    ));
                }
                let (pick, kind) = if operator == "length" {
                    (Pick::Length, Type::Number)
                } else {
                    (Pick::IsEmpty, Type::Bool)
                };
                Ok((Expr::Pick(pick, Box::new(of)), kind))
            }
            "failed" => {
                let (of, _) = self.expression(at, operand, scope, level + 1)?;
                Ok((Expr::Failed(Box::new(of)), Type::Bool))
            }
            "default" => {
                let [(of, kind), (otherwise, other)] = self.several(at, operand, scope, level)?;
                Ok((Expr::Default(Box::new(of), Box::new(otherwise)), kind.join(other)))
            }
            "choose" => {
                let [(condition, kind), (one, a), (other, b)] = self.several(at, operand, scope, level)?;
                wants(at, &Type::Bool, &kind)?;
                Ok((Expr::Choose(Box::new([condition, one, other])), a.join(b)))
            }
            "concat" => {
                let items = array(
                    at,
                    operand,
                    "write {\"concat\": [LIST, LIST, …]}; for texts use \"template\" or \"join\"",
                )?;
                let (lists, kinds) = self.expressions(at, items, scope, level)?;
                let items = kinds.iter().map(Type::items).collect::<std::result::Result<Vec<_>, _>>();
                let items = items.map_err(|problem| PlanError::new(at, problem))?;
                Ok((Expr::Concat(lists), Type::list_of(items.into_iter())))
            }
            "flatten" => {
                let (lists, kind) = self.expression(at, operand, scope, level + 1)?;
                let item = kind
                    .items()
                    .and_then(|inner| inner.items())
                    .map_err(|problem| PlanError::new(at, problem))?;
                Ok((Expr::Flatten(Box::new(lists)), Type::List(Box::new(item))))
            }
            "slice" => {
                let fields = fields(&["list", "from", "count"])?;
                let (list, kind) =
                    self.field(at, fields, "list", &Type::List(Box::new(Type::Any)), scope, level)?;
                let from = fields.get("from").map_or(Ok(0), |from| whole(&format!("{at}.from"), from))?;
                let count =
                    fields.get("count").map_or(Ok(MAX_LIST), |count| whole(&format!("{at}.count"), count))?;
                Ok((Expr::Slice { list: Box::new(list), from, count }, kind))
            }
            "filter" | "any" | "all" => {
                self.each(at, operator, fields(&["list", "as", "where"])?, scope, level)
            }
            "map" => self.each(at, operator, fields(&["list", "as", "to"])?, scope, level),
            "count_by" => self.each(at, operator, fields(&["list", "as", "key"])?, scope, level),
            "sort_by" | "max_by" | "min_by" => {
                self.sort(at, operator, fields(&["list", "as", "by"])?, scope, level)
            }
            "match" | "match_all" | "matches" => {
                let keys: &[&str] =
                    if operator == "matches" { &["in", "pattern"] } else { &["in", "pattern", "group"] };
                self.matching(at, operator, fields(keys)?, scope, level)
            }
            "template" => self.template(at, fields(&["text", "values"])?, scope, level),
            "split" | "join" => {
                let fields = fields(&["in", "by"])?;
                let wanted = if operator == "split" { Type::Text } else { Type::List(Box::new(Type::Any)) };
                let (of, _) = self.field(at, fields, "in", &wanted, scope, level)?;
                let by = fields.get("by").map_or(Ok(""), |by| text(&format!("{at}.by"), by))?.to_owned();
                if operator == "join" {
                    return Ok((Expr::Pure(Op::Join(by), vec![of]), Type::Text));
                }
                if by.is_empty() {
                    return Err(PlanError::new(at, "say in \"by\" what the text is split at"));
                }
                Ok((Expr::Pure(Op::Split(by), vec![of]), Type::List(Box::new(Type::Text))))
            }
            "round" => {
                let fields = fields(&["number", "decimals"])?;
                let (of, _) = self.field(at, fields, "number", &Type::Number, scope, level)?;
                let decimals = fields
                    .get("decimals")
                    .map_or(Ok(0), |digits| whole(&format!("{at}.decimals"), digits))?;
                let decimals = u32::try_from(decimals).ok().filter(|digits| *digits <= 18);
                let decimals = decimals.ok_or_else(|| PlanError::new(at, "there are 18 decimals at most"))?;
                Ok((Expr::Pure(Op::Round(decimals), vec![of]), Type::Number))
            }
            "date_part" => {
                let fields = fields(&["of", "part"])?;
                let (of, _) = self.field(at, fields, "of", &Type::Text, scope, level)?;
                let part = fields.get("part").and_then(Value::as_str);
                let part = part.and_then(|part| PARTS.iter().find(|known| **known == part));
                let part =
                    part.ok_or_else(|| PlanError::new(at, format!("\"part\" is one of {}", listed(&PARTS))))?;
                Ok((Expr::Pure(Op::DatePart(part), vec![of]), Type::Number))
            }
            "add_time" => {
                let fields = fields(&["to", "days", "hours", "minutes"])?;
                let (to, _) = self.field(at, fields, "to", &Type::Text, scope, level)?;
                let mut operands = vec![to];
                for key in ["days", "hours", "minutes"] {
                    operands.push(match fields.get(key) {
                        None => Expr::Literal(Node::Number(0.into())),
                        Some(_) => self.field(at, fields, key, &Type::Number, scope, level)?.0,
                    });
                }
                Ok((Expr::Pure(Op::AddTime, operands), Type::Text))
            }
            _ => Err(PlanError::new(
                at,
                format!("there is no operator {operator:?}; the operators are {}", OPERATORS.join(" ")),
            )),
        }
    }

    /// An operator with an array of operands, or with one.
    fn fixed(
        &mut self,
        at: &str,
        signature: super::expr::Signature,
        operand: &Value,
        scope: &Scope,
        level: usize,
    ) -> Read {
        let (operands, kinds) = if signature.most == 1 {
            let (operand, kind) = self.expression(at, operand, scope, level + 1)?;
            (vec![operand], vec![kind])
        } else {
            let example = format!("write {{\"{}\": [A, B]}}", signature.name);
            let items = array(at, operand, &example)?;
            if !(signature.least..=signature.most).contains(&items.len()) {
                let count = if signature.least == signature.most {
                    signature.least.to_string()
                } else {
                    format!("{} to {}", signature.least, signature.most)
                };
                return Err(PlanError::new(at, format!("{count} operands are wanted: {example}")));
            }
            self.expressions(at, items, scope, level)?
        };
        for kind in &kinds {
            wants(at, &signature.takes, kind)?;
        }
        if let (Op::Equal | Op::NotEqual, [a, b]) = (&signature.op, kinds.as_slice())
            && !a.accepts(b)
        {
            let problem = format!("{a} and {b} are never equal: convert one, with \"number\" or \"text\"");
            return Err(PlanError::new(at, problem));
        }
        if let Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual = signature.op {
            let ordered = |kind: &Type| matches!(kind, Type::Any | Type::Number | Type::Text);
            let same = kinds.iter().all(ordered)
                && kinds.windows(2).all(|pair| matches!(pair, [a, b] if a.accepts(b)));
            if !same {
                return Err(PlanError::new(
                    at,
                    "two numbers are compared, or two texts: convert with \"number\" or \"text\"",
                ));
            }
        }
        Ok((Expr::Pure(signature.op, operands), signature.gives))
    }

    /// As many operands as the caller names.
    fn several<const N: usize>(
        &mut self,
        at: &str,
        operand: &Value,
        scope: &Scope,
        level: usize,
    ) -> Result<[(Expr, Type); N]> {
        let wrong = || PlanError::new(at, format!("a list of {N} expressions is wanted here"));
        let items = operand.as_array().ok_or_else(wrong)?;
        let (expressions, kinds) = self.expressions(at, items, scope, level)?;
        let pairs: Vec<_> = expressions.into_iter().zip(kinds).collect();
        pairs.try_into().map_err(|_| wrong())
    }

    fn field(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        key: &str,
        wanted: &Type,
        scope: &Scope,
        level: usize,
    ) -> Read {
        let Some(value) = fields.get(key) else {
            return Err(PlanError::new(at, format!("the key \"{key}\" is missing: it has an expression")));
        };
        let at = &format!("{at}.{key}");
        let (expression, kind) = self.expression(at, value, scope, level + 1)?;
        wants(at, wanted, &kind)?;
        Ok((expression, kind))
    }

    /// The list, the name of its item, and the scope in which the item has that name.
    fn item(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        scope: &Scope,
        level: usize,
    ) -> Result<(Expr, super::expr::Name, Type, Scope)> {
        let (list, kind) = self.field(at, fields, "list", &Type::Any, scope, level)?;
        let kind = kind.items().map_err(|problem| PlanError::new(&format!("{at}.list"), problem))?;
        let default = Value::String("item".to_owned());
        let item = match fields.get("as") {
            Some(given) => fresh(&format!("{at}.as"), given, scope)?,
            // Inside another of its kind, `item` is the inner one.
            None => name(at, &default)?,
        };
        let inner = scope.with_item(&item, kind.clone());
        Ok((list, item, kind, inner))
    }

    fn each(
        &mut self,
        at: &str,
        operator: &str,
        fields: &Map<String, Value>,
        scope: &Scope,
        level: usize,
    ) -> Read {
        let (list, item, kind, inner) = self.item(at, fields, scope, level)?;
        let (what, key) = match operator {
            "filter" => (Each::Filter, "where"),
            "any" => (Each::Any, "where"),
            "all" => (Each::All, "where"),
            "map" => (Each::Map, "to"),
            _ => (Each::CountBy, "key"),
        };
        let wanted = if key == "where" { Type::Bool } else { Type::Any };
        let (body, to) = self.field(at, fields, key, &wanted, &inner, level)?;
        let gives = match what {
            Each::Filter => Type::List(Box::new(kind)),
            Each::Any | Each::All => Type::Bool,
            Each::Map => Type::List(Box::new(to)),
            Each::CountBy => Type::List(Box::new(Type::Object(
                [("key".into(), to), ("count".into(), Type::Number)].into(),
                true,
            ))),
        };
        Ok((Expr::Each { what, list: Box::new(list), item, body: Box::new(body) }, gives))
    }

    fn sort(
        &mut self,
        at: &str,
        operator: &str,
        fields: &Map<String, Value>,
        scope: &Scope,
        level: usize,
    ) -> Read {
        let (list, item, kind, inner) = self.item(at, fields, scope, level)?;
        let by = fields.get("by").unwrap_or(&Value::Null);
        let by = match by {
            Value::Array(keys) => keys.as_slice(),
            one => std::slice::from_ref(one),
        };
        if by.is_empty() || by.len() > 8 {
            return Err(PlanError::new(at, "there are 1 to 8 keys in \"by\""));
        }
        let mut keys = Vec::new();
        for (number, key) in by.iter().enumerate() {
            let at = format!("{at}.by[{number}]");
            let mut descending = false;
            let by = if let Value::String(_) = key {
                pointed(&at, Expr::Ref(item.clone()), kind.clone(), key)?.0
            } else {
                let fields = object(
                    &at,
                    key,
                    "write a pointer such as \"/date\", or {\"key\": EXPRESSION, \"order\": \"descending\"}",
                )?;
                known(&at, fields, &["key", "at", "order"])?;
                descending = match fields.get("order").map(|order| text(&at, order)).transpose()? {
                    None | Some("ascending") => false,
                    Some("descending") => true,
                    Some(_) => {
                        return Err(PlanError::new(&at, "\"order\" is \"ascending\" or \"descending\""));
                    }
                };
                match fields.get("at") {
                    Some(pointer) if !fields.contains_key("key") => {
                        pointed(&at, Expr::Ref(item.clone()), kind.clone(), pointer)?.0
                    }
                    _ => self.field(&at, fields, "key", &Type::Any, &inner, level)?.0,
                }
            };
            // The greatest is the first in the opposite order, and of equals the one that stands first in the list.
            descending ^= operator == "max_by";
            keys.push(Key { by, descending });
        }
        let first = operator != "sort_by";
        let gives = if first { kind } else { Type::List(Box::new(kind)) };
        Ok((Expr::Sort { list: Box::new(list), item, keys, first }, gives))
    }

    fn matching(
        &mut self,
        at: &str,
        operator: &str,
        fields: &Map<String, Value>,
        scope: &Scope,
        level: usize,
    ) -> Read {
        let (of, _) = self.field(at, fields, "in", &Type::Text, scope, level)?;
        let pattern = self.pattern(at, fields.get("pattern"), false)?;
        if operator == "matches" {
            return Ok((Expr::Pure(Op::Matches(pattern), vec![of]), Type::Bool));
        }
        let groups = pattern.regex.captures_len();
        let group = match fields.get("group") {
            // The first group, if there is one, is what one usually wants.
            None => usize::from(groups > 1),
            Some(Value::String(name)) => {
                let place = pattern.regex.capture_names().position(|known| known == Some(name.as_str()));
                place.ok_or_else(|| PlanError::new(at, format!("the pattern has no group named {name:?}")))?
            }
            Some(number) => whole(&format!("{at}.group"), number)?,
        };
        if group >= groups {
            let problem = format!("the pattern has {} groups: put ( ) around what you want", groups - 1);
            return Err(PlanError::new(at, problem));
        }
        Ok(if operator == "match" {
            (Expr::Pure(Op::Match(pattern, group), vec![of]), Type::Text)
        } else {
            (Expr::Pure(Op::MatchAll(pattern, group), vec![of]), Type::List(Box::new(Type::Text)))
        })
    }

    fn template(&mut self, at: &str, fields: &Map<String, Value>, scope: &Scope, level: usize) -> Read {
        let empty = Value::Object(Map::new());
        let values = object(at, fields.get("values").unwrap_or(&empty), "write {\"NAME\": EXPRESSION}")?;
        let mut operands = Vec::new();
        for (name, value) in values {
            operands.push(self.expression(&format!("{at}.values.{name}"), value, scope, level + 1)?.0);
        }
        let mut parts = Vec::new();
        let mut rest = text(&format!("{at}.text"), fields.get("text").unwrap_or(&Value::Null))?;
        while let Some((before, after)) = rest.split_once(['{', '}']) {
            let brace = if rest.as_bytes().get(before.len()) == Some(&b'{') { '{' } else { '}' };
            parts.push(Part::Text(before.to_owned()));
            if let Some(after) = after.strip_prefix(brace) {
                parts.push(Part::Text(brace.to_string()));
                rest = after;
                continue;
            }
            let Some((name, after)) = after.split_once('}').filter(|_| brace == '{') else {
                return Err(PlanError::new(
                    at,
                    "a brace stands alone: write {NAME} for a value, {{ or }} for a brace",
                ));
            };
            if let Some(number) = values.keys().position(|known| known == name) {
                parts.push(Part::Operand(number));
            } else {
                // `{name}` may also be a variable itself.
                let (variable, _) = variable(at, name, scope)?;
                parts.push(Part::Operand(operands.len()));
                operands.push(variable);
            }
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok((Expr::Pure(Op::Template(parts), operands), Type::Text))
    }
}

/// `name`, or `name/json/pointer`.
fn variable(at: &str, reference: &str, scope: &Scope) -> Read {
    let (name, pointer) = match reference.find('/') {
        Some(place) => reference.split_at(place),
        None => (reference, ""),
    };
    let Some(kind) = scope.get(name) else {
        let problem = format!(
            "nothing earlier is named {name:?}; what has a name here: {}. Give a step that name with \"id\" or \"let\", before this and not only in one branch",
            scope.listed()
        );
        return Err(PlanError::new(at, problem));
    };
    pointed(at, Expr::Ref(name.into()), kind.clone(), &Value::String(pointer.to_owned()))
}

/// What a JSON pointer leads to.
fn pointed(at: &str, from: Expr, mut kind: Type, pointer: &Value) -> Read {
    let pointer = text(at, pointer)?;
    if pointer.is_empty() {
        return Ok((from, kind));
    }
    let Some(tokens) = pointer.strip_prefix('/') else {
        return Err(PlanError::new(
            at,
            format!("{pointer:?} is not a JSON pointer: it begins with /, as in \"/0/amount\""),
        ));
    };
    let tokens: Vec<String> = tokens.split('/').map(unescaped).collect();
    for token in &tokens {
        kind = kind.member(token).map_err(|problem| PlanError::new(at, problem))?;
    }
    Ok((Expr::Get(Box::new(from), tokens), kind))
}

fn wants(at: &str, wanted: &Type, kind: &Type) -> Result<()> {
    if wanted.accepts(kind) {
        return Ok(());
    }
    let hint = match (wanted, kind) {
        (Type::Number, Type::Text) => ": use {\"number\": …}",
        (Type::Text, _) => ": use {\"text\": …}, or take a member of it",
        (Type::Bool, _) => ": compare it, as in {\"==\": [A, B]}",
        (Type::List(_), Type::Text) => ": use \"lines\" or \"split\"",
        _ => "",
    };
    Err(PlanError::new(at, format!("{wanted} is wanted here, and this is {kind}{hint}")))
}

fn whole(at: &str, value: &Value) -> Result<usize> {
    let number =
        value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number <= MAX_LIST);
    number.ok_or_else(|| PlanError::new(at, format!("a whole number from 0 to {MAX_LIST} is wanted here")))
}
