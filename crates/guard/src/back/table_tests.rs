//! The table alone: whatever a server sends, every request has at most one answer, and it is its own.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn table(kind: Kind) -> (Arc<Table>, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let limits = Limits { mistakes: usize::MAX, burst: u32::MAX, ..Limits::default() };
    (Table::new(limits, Arc::clone(&counters), broadcast::channel(8).0, None, kind), counters)
}

fn answer(id: i64, text: i64) -> Message {
    Message::Response(Response::ok(Id::Number(id), Map::from_iter([("n".to_owned(), text.into())])))
}

#[test]
fn an_answer_on_another_requests_stream_is_nobodys() {
    let (table, counters) = table(Kind::Legacy);
    let mut one = table.open(Caller::default()).unwrap();
    let mut two = table.open(Caller::default()).unwrap();
    assert!(matches!(table.receive(Channel::Own(one.id), answer(two.id, 1)).unwrap(), Received::Nothing));
    assert!(matches!(table.receive(Channel::Standalone, answer(two.id, 1)).unwrap(), Received::Nothing));
    assert_eq!(counters.read().stray, 2);
    assert!(one.answer.try_recv().is_err() && two.answer.try_recv().is_err());
    assert!(matches!(
        table.receive(Channel::Own(two.id), answer(two.id, 1)).unwrap(),
        Received::Answer(Ok(_))
    ));
}

#[test]
fn progress_on_another_requests_stream_is_nobodys() {
    let (table, counters) = table(Kind::ModernHttp);
    let caller = Caller { progress: Some(json!("t")), ..Caller::default() };
    let mut one = table.open(caller.clone()).unwrap();
    let mut two = table.open(caller).unwrap();
    let params = json!({"progressToken": two.id}).as_object().unwrap().clone();
    let progress =
        Message::Notification(Notification { method: "notifications/progress".to_owned(), params });
    assert!(matches!(table.receive(Channel::Own(one.id), progress).unwrap(), Received::Nothing));
    assert!(one.inbox.try_recv().is_none() && two.inbox.try_recv().is_none());
    assert_eq!(counters.read().dropped, 1);
}

#[test]
fn a_closed_table_takes_nothing_and_says_why() {
    let (table, _) = table(Kind::Legacy);
    let mut sent = table.open(Caller::default()).unwrap();
    let mut waiting = table.open(Caller::default()).unwrap();
    sent.sent();
    table.close(&Fault::CutOff("it babbles".to_owned()));
    table.close(&Fault::Stopped);
    assert_eq!(sent.answer.try_recv().unwrap().unwrap_err(), Fault::CutOff("it babbles".to_owned()));
    // What was never sent has had no effect.
    assert!(!waiting.answer.try_recv().unwrap().unwrap_err().may_have_run());
    assert!(!table.open(Caller::default()).err().unwrap().may_have_run());
    drop(sent);
    assert!(table.take_cancelled().is_empty());
}

#[test]
fn only_what_was_sent_is_cancelled() {
    let (table, _) = table(Kind::Legacy);
    let sent = table.open(Caller::default()).unwrap();
    let id = sent.id;
    assert!(table.sending(id));
    drop((sent, table.open(Caller::default()).unwrap()));
    assert_eq!(table.take_cancelled(), [id]);
    assert!(!table.sending(id));
    // The late answer is no mistake, a second one is.
    table.receive(Channel::Shared, answer(id, 1)).unwrap();
    assert_eq!(table.counters.read().stray, 0);
    table.receive(Channel::Shared, answer(id, 1)).unwrap();
    assert_eq!(table.counters.read().stray, 1);
}

#[test]
fn a_question_outside_of_every_call_is_answered_by_what_is_so() {
    let (table, _) = table(Kind::Legacy);
    let ask = || {
        let params = Map::new();
        let roots = Request { id: Id::Number(1), method: "roots/list".to_owned(), params };
        match table.receive(Channel::Shared, Message::Request(roots)).unwrap() {
            Received::Reply(reply) => reply.outcome.unwrap_err().message,
            _ => panic!("it is not answered"),
        }
    };
    assert!(ask().contains("no client is calling now"), "{}", ask());
    // The guard's own requests are no client's.
    let guards = table.open(Caller { guard: true, ..Caller::default() }).unwrap();
    table.sending(guards.id);
    assert!(ask().contains("no client is calling now"), "{}", ask());
    let calls = [table.open(Caller::default()).unwrap(), table.open(Caller::default()).unwrap()];
    calls.iter().for_each(|call| assert!(table.sending(call.id)));
    assert!(ask().contains("not clear which request"), "{}", ask());
}

proptest! {
    #[test]
    fn every_request_gets_its_first_answer_and_no_other(
        count in 1i64..6,
        answers in proptest::collection::vec((0i64..8, any::<i64>()), 0..40),
    ) {
        let (table, counters) = table(Kind::Legacy);
        let mut tickets: Vec<Ticket> = (0..count).map(|_| table.open(Caller::default()).unwrap()).collect();
        for (id, n) in &answers {
            table.receive(Channel::Shared, answer(*id, *n)).unwrap();
        }
        let mut delivered = 0u64;
        for ticket in &mut tickets {
            let first = answers.iter().find(|(id, _)| *id == ticket.id).map(|(_, n)| *n);
            let got = ticket.answer.try_recv().ok().map(|outcome| outcome.unwrap().unwrap()["n"].as_i64().unwrap());
            prop_assert_eq!(got, first);
            delivered += u64::from(got.is_some());
        }
        prop_assert_eq!(counters.read().stray, answers.len() as u64 - delivered);
    }
}
