//! What a trial asks next: a pure function of the script, the defences and the replies so far.
//!
//! The runner plays it against a model; the verifier plays it against the recorded replies and must get the same
//! messages.

use ostrom_core::Digest;
use ostrom_models::Message;

use crate::defence::{Defence, known_answer_check, system_additions, user_message};
use crate::suite::Script;

/// The next step of a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Ask the model to continue this conversation.
    Ask(Vec<Message>),
    /// The trial is over.
    Done(Ending),
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// What the user got to see, turn by turn.
    pub answers: Vec<String>,
    /// The defence that ended the trial before the model was asked.
    pub blocked: Option<Defence>,
}

/// The next step after `replies`. `seed` belongs to the trial and is unknown to the attacker.
pub fn next(script: Script<'_>, defences: &[Defence], seed: Digest, replies: &[String]) -> Next {
    let mut replies = replies;
    let document = script.turns.iter().find_map(|turn| turn.document.as_ref());
    if let (true, Some(document)) = (defences.contains(&Defence::KnownAnswer), document) {
        let (question, code) = known_answer_check(document, seed);
        let Some((reply, rest)) = replies.split_first() else {
            return Next::Ask(vec![Message::user(question)]);
        };
        if !reply.contains(&code) {
            return Next::Done(Ending { answers: Vec::new(), blocked: Some(Defence::KnownAnswer) });
        }
        replies = rest;
    }
    if replies.len() >= script.turns.len() {
        return Next::Done(Ending { answers: replies.to_vec(), blocked: None });
    }
    let mut system = script.system.to_owned();
    for addition in system_additions(defences, document.is_some(), seed) {
        system.push_str("\n\n");
        system.push_str(&addition);
    }
    let mut messages = vec![Message::system(system)];
    for (index, turn) in script.turns.iter().take(replies.len() + 1).enumerate() {
        messages.push(Message::user(user_message(&turn.instruction, turn.document.as_ref(), defences, seed)));
        messages.extend(replies.get(index).map(Message::assistant));
    }
    Next::Ask(messages)
}

#[cfg(test)]
mod tests {
    use ostrom_models::Role;

    use super::*;
    use crate::suite::{Document, Turn};

    fn turn(instruction: &str, body: Option<&str>) -> Turn {
        let document = body.map(|body| Document {
            name: "a.txt".to_owned(),
            format: "text".parse().unwrap(),
            body: body.to_owned(),
        });
        Turn { instruction: instruction.to_owned(), document }
    }

    #[test]
    fn a_conversation_of_two_turns() {
        let turns = [turn("one", None), turn("two", None)];
        let script = Script { system: "S", turns: &turns };
        let seed = Digest::of(b"");
        let reply = |n: usize| ["a", "b"].iter().take(n).map(|&s| s.to_owned()).collect::<Vec<_>>();
        let Next::Ask(first) = next(script, &[], seed, &reply(0)) else { panic!() };
        assert_eq!(first, [Message::system("S"), Message::user("one")]);
        let Next::Ask(second) = next(script, &[], seed, &reply(1)) else { panic!() };
        assert_eq!(second.last(), Some(&Message::user("two")));
        assert_eq!(second.iter().filter(|m| m.role == Role::Assistant).count(), 1);
        assert_eq!(
            next(script, &[], seed, &reply(2)),
            Next::Done(Ending { answers: reply(2), blocked: None })
        );
    }

    #[test]
    fn the_known_answer_check_comes_first_and_can_end_the_trial() {
        let turns = [turn("sum up", Some("text"))];
        let script = Script { system: "S", turns: &turns };
        let (seed, defences) = (Digest::of(b""), [Defence::KnownAnswer]);
        let Next::Ask(check) = next(script, &defences, seed, &[]) else { panic!() };
        let code =
            check[0].content.split_whitespace().find(|word| word.starts_with("check-")).unwrap().to_owned();
        assert!(
            matches!(next(script, &defences, seed, std::slice::from_ref(&code)), Next::Ask(m) if m.len() == 2)
        );
        let Next::Done(ending) = next(script, &defences, seed, &["HERON".to_owned()]) else { panic!() };
        assert_eq!(ending.blocked, Some(Defence::KnownAnswer));
        let replies = [code, "sum".to_owned()];
        let Next::Done(ending) = next(script, &defences, seed, &replies) else { panic!() };
        assert_eq!(ending.answers, ["sum"]);
    }
}
