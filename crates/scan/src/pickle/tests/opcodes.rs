//! What each opcode does to the stack.

use std::collections::BTreeSet;

use crate::pickle::asm::Asm;
use crate::pickle::judge::{Judge, Mode};
use crate::pickle::machine::{Halt, Machine};
use crate::pickle::{opcode as op, render};
use crate::source::View;
use crate::trouble::Trouble;

/// What is on top at the end, or what is wrong.
fn run(bytes: Vec<u8>) -> Result<String, String> {
    let view = View::new(bytes);
    let mut judge = Judge::new(view.clone(), Mode::Plain, 100);
    let mut machine = Machine::new(view, 0);
    match machine.run(&mut judge) {
        Ok(value) => Ok(render::any(value, machine.heap(), &judge)),
        Err(Halt::Trouble(Trouble::Malformed { offset, what })) => Err(format!("{offset}: {what}")),
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(asm: Asm, expect: &str) {
    assert_eq!(run(asm.stop()).as_deref(), Ok(expect));
}

/// One case for each opcode, by its name; what it leaves.
fn cases() -> Vec<(&'static str, Asm, &'static str)> {
    let new = Asm::new;
    let two = || new().op(op::MARK).int(1).int(2);
    let pair = || new().op(op::EMPTY_LIST).op(op::MARK).int(1).int(2);
    vec![
        ("MARK", two().op(op::TUPLE), "(1, 2)"),
        ("STOP", new().int(7), "7"),
        ("POP", new().int(1).int(2).op(op::POP), "1"),
        ("POP_MARK", new().int(1).op(op::MARK).int(2).int(3).op(op::POP_MARK), "1"),
        ("DUP", new().int(1).op(op::DUP).op(op::TUPLE2), "(1, 1)"),
        ("FLOAT", new().line(op::FLOAT, "1.5"), "<number>"),
        ("INT", new().line(op::INT, "-12"), "-12"),
        ("BININT", new().int(-3), "-3"),
        ("BININT1", new().op(op::BININT1).raw(&[200]), "200"),
        ("LONG", new().line(op::LONG, "123L"), "123"),
        ("BININT2", new().op(op::BININT2).raw(&[1, 2]), "513"),
        ("NONE", new().op(op::NONE), "None"),
        ("PERSID", new().line(op::PERSID, "x"), "<unknown>"),
        ("BINPERSID", new().int(1).op(op::BINPERSID), "<unknown>"),
        ("REDUCE", new().global("builtins", "set").op(op::EMPTY_TUPLE).op(op::REDUCE), "<set>"),
        ("STRING", new().line(op::STRING, r"'a\x62'"), "\"ab\""),
        ("BINSTRING", new().op(op::BINSTRING).raw(&[2, 0, 0, 0]).raw(b"ab"), "\"ab\""),
        ("SHORT_BINSTRING", new().op(op::SHORT_BINSTRING).raw(&[2]).raw(b"ab"), "\"ab\""),
        ("UNICODE", new().line(op::UNICODE, r"a\u0062"), "\"ab\""),
        ("BINUNICODE", new().text("ab"), "\"ab\""),
        ("APPEND", new().op(op::EMPTY_LIST).int(1).op(op::APPEND), "[1]"),
        ("BUILD", new().global("uuid", "UUID").new_object().op(op::EMPTY_DICT).op(op::BUILD), "<UUID>"),
        ("GLOBAL", new().global("os", "system"), "os.system"),
        ("DICT", new().op(op::MARK).text("k").int(1).op(op::DICT), "{\"k\": 1}"),
        ("EMPTY_DICT", new().op(op::EMPTY_DICT), "{}"),
        ("APPENDS", pair().op(op::APPENDS), "[1, 2]"),
        ("GET", new().int(5).line(op::PUT, "3").int(6).line(op::GET, "3"), "5"),
        ("BINGET", new().int(5).op(op::BINPUT).raw(&[3]).int(6).op(op::BINGET).raw(&[3]), "5"),
        ("INST", new().op(op::MARK).op(op::INST).raw(b"collections\nOrderedDict\n"), "<OrderedDict>"),
        (
            "LONG_BINGET",
            new().int(5).op(op::LONG_BINPUT).raw(&[0, 1, 0, 0]).int(6).op(op::LONG_BINGET).raw(&[0, 1, 0, 0]),
            "5",
        ),
        ("LIST", two().op(op::LIST), "[1, 2]"),
        ("EMPTY_LIST", new().op(op::EMPTY_LIST), "[]"),
        ("OBJ", new().op(op::MARK).global("collections", "OrderedDict").op(op::OBJ), "<OrderedDict>"),
        ("PUT", new().int(5).line(op::PUT, "0").line(op::GET, "0"), "5"),
        ("BINPUT", new().int(5).op(op::BINPUT).raw(&[0]).line(op::GET, "0"), "5"),
        ("LONG_BINPUT", new().int(5).op(op::LONG_BINPUT).raw(&[9, 0, 0, 0]).line(op::GET, "9"), "5"),
        ("SETITEM", new().op(op::EMPTY_DICT).text("k").int(1).op(op::SETITEM), "{\"k\": 1}"),
        ("TUPLE", two().op(op::TUPLE), "(1, 2)"),
        ("EMPTY_TUPLE", new().op(op::EMPTY_TUPLE), "()"),
        (
            "SETITEMS",
            new().op(op::EMPTY_DICT).op(op::MARK).int(1).int(2).int(3).int(4).op(op::SETITEMS),
            "{1: 2, 3: 4}",
        ),
        ("BINFLOAT", new().op(op::BINFLOAT).raw(&[0; 8]), "<number>"),
        ("BINBYTES", new().bytes(b"ab"), "b\"ab\""),
        ("SHORT_BINBYTES", new().op(op::SHORT_BINBYTES).raw(&[1]).raw(b"a"), "b\"a\""),
        ("PROTO", Asm::proto(3).int(1), "1"),
        ("NEWOBJ", new().global("argparse", "Namespace").new_object(), "<Namespace>"),
        ("EXT1", new().op(op::EXT1).raw(&[1]), "<unknown>"),
        ("EXT2", new().op(op::EXT2).raw(&[1, 0]), "<unknown>"),
        ("EXT4", new().op(op::EXT4).raw(&[1, 0, 0, 0]), "<unknown>"),
        ("TUPLE1", new().int(1).op(op::TUPLE1), "(1)"),
        ("TUPLE2", new().int(1).int(2).op(op::TUPLE2), "(1, 2)"),
        ("TUPLE3", new().int(1).int(2).int(3).op(op::TUPLE3), "(1, 2, 3)"),
        ("NEWTRUE", new().op(op::NEWTRUE), "True"),
        ("NEWFALSE", new().op(op::NEWFALSE), "False"),
        ("LONG1", new().op(op::LONG1).raw(&[2, 0, 0xff]), "-256"),
        ("LONG4", new().op(op::LONG4).raw(&[1, 0, 0, 0, 9]), "9"),
        ("SHORT_BINUNICODE", new().short("ab"), "\"ab\""),
        ("BINUNICODE8", new().op(op::BINUNICODE8).raw(&2_u64.to_le_bytes()).raw(b"ab"), "\"ab\""),
        ("BINBYTES8", new().op(op::BINBYTES8).raw(&2_u64.to_le_bytes()).raw(b"ab"), "b\"ab\""),
        ("EMPTY_SET", new().op(op::EMPTY_SET), "<set>"),
        ("ADDITEMS", new().op(op::EMPTY_SET).op(op::MARK).int(1).op(op::ADDITEMS), "<set>"),
        ("FROZENSET", two().op(op::FROZENSET), "<frozenset>"),
        (
            "NEWOBJ_EX",
            new().global("uuid", "UUID").op(op::EMPTY_TUPLE).op(op::EMPTY_DICT).op(op::NEWOBJ_EX),
            "<UUID>",
        ),
        ("STACK_GLOBAL", new().stack_global("os.path", "join"), "os.path.join"),
        ("MEMOIZE", new().int(5).op(op::MEMOIZE).int(6).op(op::BINGET).raw(&[0]), "5"),
        ("FRAME", Asm::proto(4).frame(6).int(1), "1"),
        ("BYTEARRAY8", new().op(op::BYTEARRAY8).raw(&1_u64.to_le_bytes()).raw(b"a"), "bytearray \"a\""),
        ("NEXT_BUFFER", new().op(op::NEXT_BUFFER), "<data>"),
        ("READONLY_BUFFER", new().bytes(b"a").op(op::READONLY_BUFFER), "b\"a\""),
    ]
}

#[test]
fn every_opcode_does_what_python_says() {
    let mut seen = BTreeSet::new();
    for (name, asm, expect) in cases() {
        let bytes = asm.stop();
        let opcode = op::ALL.iter().find(|(known, _)| *known == name).unwrap().1;
        assert!(bytes.contains(&opcode), "{name}");
        assert_eq!(run(bytes).as_deref(), Ok(expect), "{name}");
        seen.insert(name);
    }
    assert_eq!(seen.len(), op::ALL.len());
}

#[test]
fn truth_values_of_old_protocols() {
    check(Asm::new().line(op::INT, "01"), "True");
    check(Asm::new().line(op::INT, "00"), "False");
    check(Asm::new().line(op::INT, "1"), "1");
    check(Asm::new().line(op::LONG, "99999999999999999999999999L"), "<number>");
    check(Asm::new().op(op::LONG1).raw(&[0]), "0");
}

#[test]
fn pop_takes_a_mark_where_nothing_lies_above_it() {
    check(Asm::new().int(1).op(op::MARK).op(op::POP), "1");
    check(Asm::new().int(1).op(op::MARK).op(op::MARK).int(2).op(op::POP_MARK).op(op::POP), "1");
}

#[test]
fn the_memo_is_by_reference() {
    let list = Asm::new().op(op::EMPTY_LIST).op(op::MEMOIZE).int(1).op(op::APPEND);
    check(list.op(op::BINGET).raw(&[0]).int(2).op(op::APPEND).op(op::TUPLE2), "([1, 2], [1, 2])");
}

#[test]
fn a_value_that_holds_itself_is_shown_with_an_end() {
    let list = Asm::new().op(op::EMPTY_LIST).op(op::DUP).op(op::APPEND);
    check(list, "[[[[[[…]]]]]]");
}

#[test]
fn what_python_refuses_is_malformed() {
    let new = Asm::new;
    for (asm, why) in [
        (new().op(op::POP), "underflow"),
        (new(), "underflow at STOP"),
        (new().int(1).op(op::MARK).op(op::TUPLE1), "across a mark"),
        (new().int(1).op(op::MARK), "STOP across a mark"),
        (new().int(1).op(op::TUPLE), "no mark"),
        (new().op(op::BINGET).raw(&[0]), "memo"),
        (new().op(op::EMPTY_DICT).op(op::MARK).int(1).op(op::SETITEMS), "odd items"),
        (new().line(op::INT, "x"), "number"),
        (new().line(op::FLOAT, "x"), "number"),
        (new().line(op::STRING, "x"), "quotes"),
        (new().line(op::STRING, "'x"), "quotes"),
        (new().line(op::GET, "x"), "index"),
        (new().op(op::BINSTRING).raw(&[0xff; 4]), "length"),
        (new().op(op::LONG4).raw(&[0xff; 4]), "length"),
        (new().raw(&[0xfe]), "opcode"),
        (Asm::proto(6).int(1), "protocol"),
        (new().op(op::EXT1).raw(&[0]), "code"),
        (new().op(op::INST).raw(b"collections\nOrderedDict\n"), "no mark"),
        (new().op(op::MARK).op(op::OBJ), "no class"),
        (new().op(op::BINUNICODE8).raw(&[0xff; 8]), "longer than the file"),
    ] {
        assert!(run(asm.stop()).is_err(), "{why}");
    }
    assert!(run(new().int(1).unfinished()).is_err());
}
